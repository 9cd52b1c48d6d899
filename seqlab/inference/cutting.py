"""Long and live recordings cut into pieces that a model can hear at once, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_range
from seqlab.frontend.voice_activity import voice_activity

__all__ = ["Cutting", "Piece", "cut_pieces", "speech_decisions"]

_HOP_S = 0.01  # between decisions on speech
_BEHIND_S = 10.0  # heard again before what is decided: noise and the loudest voice are learnt there
_LEARN_S = 1.5  # of the recording are heard before the first decision, to know the noise
_SILENT = 1e-7  # of a piece's loudest hop, in power: padding that is weaker is digital silence
_EARLIEST = 1 / 3  # of ``max_s``, before which a piece is not cut at a pause


@dataclass(frozen=True)
class Cutting:
    """Where a recording is cut.

    Args:
        max_s: Longest speech in a piece, 1 to 600 seconds.
        pause_s: Seconds without speech that part two pieces, above 0.
        padding_s: Seconds before and after speech that are heard with it, 0 to ``pause_s``.
        min_speech_s: Speech that is shorter is left out, as a click; 0 or more seconds.
        short_pause_s: Where speech is longer than ``max_s``, it is cut at the longest pause of at
            least so many seconds.
        overlap_s: Where there is none, two pieces share so many seconds, above 0 and at most half
            of ``max_s``.
        decide_s: How much is decided at a time, above 0 seconds; small for live recordings.
        ahead_s: How much is heard beyond it first, 0 or more seconds.
        threshold_db: See ``seqlab.frontend.voice_activity.voice_activity``.
        range_db: The same.

    Raises:
        SeqlabError: A value is out of range.

    Example:
        >>> Cutting(max_s=30.0).pause_s
        0.5
    """

    max_s: float = 20.0
    pause_s: float = 0.5
    padding_s: float = 0.25
    min_speech_s: float = 0.1
    short_pause_s: float = 0.15
    overlap_s: float = 4.0
    decide_s: float = 30.0
    ahead_s: float = 6.0
    threshold_db: float = 2.0
    range_db: float = 35.0

    def __post_init__(self) -> None:
        check_range("max_s", self.max_s, 1, 600, "20 to 30 seconds suit most models")
        check_range("pause_s", self.pause_s, 0.02, 60, "0.5 parts sentences")
        check_range("padding_s", self.padding_s, 0, self.pause_s, "it lies within the pause")
        check_range("min_speech_s", self.min_speech_s, 0, 60, "0.1 leaves clicks out")
        check_range("short_pause_s", self.short_pause_s, 0.02, 60, "0.15 is between words")
        check_range("overlap_s", self.overlap_s, 0.02, self.max_s / 2, "4 seconds hold some words")
        check_range("decide_s", self.decide_s, 0.05, 600, "30, or 0.3 of a live recording")
        check_range("ahead_s", self.ahead_s, 0, 60, "6, or 0.3 of a live recording")
        check_range("threshold_db", self.threshold_db, 0, 40, "2 suits steady noise")
        check_range("range_db", self.range_db, 5, 120, "35 suits one talker")


@dataclass(frozen=True)
class Piece:
    """A stretch to be heard at once.

    Args:
        waveform: Samples (n,), with the padding.
        start_s: Of the waveform, in seconds from the start of the recording.
        speech_start_s: Where speech begins.
        speech_end_s: Where it ends.
        continued: Whether the next piece begins within this one, for want of a pause.
    """

    waveform: Tensor
    start_s: float
    speech_start_s: float
    speech_end_s: float
    continued: bool = False


def cut_pieces(
    blocks: Iterable[Tensor], sample_rate: int, cutting: Cutting | None = None
) -> Iterator[Piece]:
    """Find speech and cut it at pauses; in order, each as soon as it is known.

    Args:
        blocks: The recording (n,), float, in blocks of any length, one at least.
        sample_rate: In Hz.
        cutting: Settings; None takes the defaults.

    Yields:
        Pieces of at most ``max_s`` seconds and the padding. Of blocks that are shorter than a
        minute at most about a minute is held, and two times ``max_s``.

    Raises:
        SeqlabError: The sample rate is below 2000 Hz.

    Example:
        >>> noise = 0.001 * torch.randn(48000, generator=torch.Generator().manual_seed(0))
        >>> noise[16000:24000] += torch.sin(torch.arange(8000) * 0.08)
        >>> [(round(p.speech_start_s, 1), round(p.start_s, 1)) for p in cut_pieces([noise], 16000)]
        [(1.0, 0.7)]
    """
    cutting = cutting or Cutting()
    cutter = _Cutter(cutting, max(1, round(_HOP_S * sample_rate)), sample_rate)
    for samples, active in speech_decisions(blocks, sample_rate, cutter.hop, cutting):
        yield from cutter.take(samples, active)
    yield from cutter.end()


def speech_decisions(
    blocks: Iterable[Tensor], sample_rate: int, hop: int, cutting: Cutting
) -> Iterator[tuple[Tensor, list[bool]]]:
    """The samples in order, and for each ``hop`` of them whether there is speech.

    The blocks' own lengths change nothing.
    """
    decide = max(1, round(cutting.decide_s * sample_rate / hop)) * hop
    ahead = round(cutting.ahead_s * sample_rate / hop) * hop
    behind = round(_BEHIND_S * sample_rate / hop) * hop
    learnt = round(_LEARN_S * sample_rate / hop) * hop
    held, before = torch.empty(0), 0  # ``before``: samples that were given out already

    def active(samples: Tensor) -> Tensor:
        return voice_activity(
            samples,
            sample_rate,
            hop_length=hop,
            threshold_db=cutting.threshold_db,
            range_db=cutting.range_db,
        )

    for block in blocks:
        held = torch.cat([held, block])
        while len(held) >= max(before + decide + ahead, learnt):
            upto = max(before + decide, learnt - ahead)
            found = active(held[: upto + ahead])
            yield held[before:upto], found[before // hop : upto // hop].tolist()
            drop = max(0, upto - behind)
            held, before = held[drop:].clone(), upto - drop
    if len(held) > before:
        yield held[before:], active(held)[before // hop :].tolist()


class _Cutter:
    """Gathers speech up to a pause. Times are numbers of hops; ``now`` is the next one.

    Args:
        cutting: settings.
        hop: samples for each decision.
        sample_rate: in Hz.
    """

    def __init__(self, cutting: Cutting, hop: int, sample_rate: int) -> None:
        self.hop, self.sample_rate = hop, sample_rate
        self.hop_s = hop / sample_rate
        self.most, self.pause, self.padding, self.least, self.short, self.overlap = (
            round(seconds / self.hop_s)
            for seconds in (
                cutting.max_s,
                cutting.pause_s,
                cutting.padding_s,
                cutting.min_speech_s,
                cutting.short_pause_s,
                cutting.overlap_s,
            )
        )
        self.samples, self.first = torch.empty(0), 0  # held, and the hop of the first of them
        self.now = 0
        self.runs: list[list[int]] = []  # of speech: hops from and up to
        self.room = 0  # where padding before the first run may begin
        self.joined = False

    def take(self, samples: Tensor, active: list[bool]) -> Iterator[Piece]:
        """The pieces that more samples complete."""
        self.samples = torch.cat([self.samples, samples])
        for speech in active:
            if speech and self.runs and self.runs[-1][1] == self.now:
                self.runs[-1][1] += 1
            elif speech:
                self.runs.append([self.now, self.now + 1])
            self.now += 1
            if not self.runs:
                continue
            if self.now - self.runs[-1][1] >= self.pause:
                yield from self._close()
            elif self.runs[-1][1] - self.runs[0][0] >= self.most:
                yield self._cut()
        self._forget()

    def end(self) -> Iterator[Piece]:
        """The pieces that the end of the recording completes."""
        yield from self._close()

    def _close(self) -> Iterator[Piece]:
        if self.runs:
            start, end = self.runs[0][0], self.runs[-1][1]
            if self.joined or sum(b - a for a, b in self.runs) >= self.least:
                yield self._piece(start, end, end + self.padding)
            self.room = end
        self.runs, self.joined = [], False

    def _cut(self) -> Piece:
        """The first part of speech that is too long, up to a pause if there is one."""
        start, end = self.runs[0][0], self.runs[-1][1]
        earliest = start + self.most * _EARLIEST
        pauses = [
            (after[0] - before[1], place)
            for place, (before, after) in enumerate(zip(self.runs, self.runs[1:], strict=False))
            if before[1] >= earliest and after[0] - before[1] >= self.short
        ]
        if pauses:
            _, place = max(pauses)
            before, after = self.runs[place][1], self.runs[place + 1][0]
            piece = self._piece(start, before, min(before + self.padding, after))
            self.runs, self.room, self.joined = self.runs[place + 1 :], before, False
            return piece
        piece = self._piece(start, end, end, continued=True)
        begin = end - self.overlap
        self.runs = [[max(a, begin), b] for a, b in self.runs if b > begin]
        self.runs[0][0] = begin
        self.room, self.joined = begin, True
        return piece

    def _piece(self, start: int, end: int, last: int, continued: bool = False) -> Piece:
        begin = max(start if self.joined else start - self.padding, self.room, self.first)
        offset = self.first * self.hop
        # A decision stands for the time half a hop to either side of it.
        half, total = self.hop // 2, offset + len(self.samples)
        low, high = max(begin * self.hop - half, offset), min(last * self.hop - half, total)
        waveform = self.samples[low - offset : high - offset]
        before, after = _digital_silence(waveform, self.hop)
        low, high = low + before, high - after
        low_s, high_s = low / self.sample_rate, high / self.sample_rate
        return Piece(
            waveform[before : len(waveform) - after].clone(),
            low_s,
            min(max((start - 0.5) * self.hop_s, low_s), high_s),
            max(min((end - 0.5) * self.hop_s, high_s), low_s),
            continued,
        )

    def _forget(self) -> None:
        """Drop the samples that no piece will need."""
        earliest = (self.runs[0][0] if self.runs else self.now) - self.padding - 1
        drop = min(earliest - self.first, len(self.samples) // self.hop)
        if drop > 0:
            self.samples = self.samples[drop * self.hop :].clone()
            self.first += drop


def _digital_silence(waveform: Tensor, hop: int) -> tuple[int, int]:
    """Samples in front and at the end, in whole hops, that no microphone gives.

    Their logarithm is far below all else, and would spoil the normalisation of an utterance.
    """
    power = waveform[: len(waveform) // hop * hop].double().reshape(-1, hop).var(1, correction=0)
    heard = (power > _SILENT * power.amax()).nonzero() if len(power) else power
    if len(heard) == 0:
        return 0, 0
    return int(heard[0]) * hop, (len(power) - 1 - int(heard[-1])) * hop
