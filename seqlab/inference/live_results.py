"""What is said in an endless stream: partial results as speech comes, final ones at its pauses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from seqlab.checks import check_range
from seqlab.contracts import Decoder, Hypothesis
from seqlab.inference.cutting import Cutting, cut_pieces
from seqlab.inference.live import Listener, ListenerState, StreamDecoder, greedy_stream
from seqlab.inference.recordings import hear_pieces, timed_segment
from seqlab.inference.stitching import stitched
from seqlab.model import SpeechModel
from seqlab.text.segments import TimedSegment

__all__ = ["LIVE_CUTTING", "LiveResult", "live_results", "pause_results"]

LIVE_CUTTING = Cutting(decide_s=0.25, ahead_s=0.25)
_LONGEST = 2  # times ``longest_s``, after which an utterance ends in the middle of a word, too


@dataclass(frozen=True)
class LiveResult:
    """What is known of an utterance at some moment.

    Args:
        segment: Its text so far, with words; times count from the start of the stream.
        final: Whether it will not change any more; a new utterance begins.
        stable: The beginning of the text that will not change, all of it if ``final``.
        heard_s: Seconds of the stream that had come.
        latency_s: Seconds from the end of the last word until now: how much of the stream has
            come since, and the time that computing took.
    """

    segment: TimedSegment
    final: bool
    stable: str
    heard_s: float
    latency_s: float


def live_results(
    model: SpeechModel,
    blocks: Iterable[Tensor],
    decoder: StreamDecoder | None = None,
    *,
    pause_s: float = 0.8,
    longest_s: float = 30.0,
) -> Iterator[LiveResult]:
    """Recognise a stream as it comes.

    An utterance ends when the model has heard nothing for ``pause_s``; encoder and decoder then
    begin anew, as with the recordings of a training, so that memory stays as it is.

    Args:
        model: Whose encoder, normalizer and front end can stream.
        blocks: Samples (n,), float in [-1, 1] at the model's rate; a tenth of a second or so.
        decoder: Such as a ``PrefixBeamDecoder``; the best path, if None.
        pause_s: Above 0.
        longest_s: Seconds after which an utterance ends between two tokens; at twice as many it
            ends in any case. 1 or more.

    Yields:
        A partial result whenever the text has changed, and a final one for each utterance with
        text.

    Raises:
        ModelError: The model cannot stream; the message says what to do.
        SeqlabError: An argument is out of range.
    """
    check_range("pause_s", pause_s, 0.01, 60, "0.8 is usual")
    check_range("longest_s", longest_s, 1, 3600, "30 is usual")
    return _Stream(model, decoder or greedy_stream(model), pause_s, longest_s).results(blocks)


class _Stream:
    """One stream.

    Args:
        model: that can stream.
        decoder: of streams.
        pause_s: that ends an utterance.
        longest_s: of an utterance.
    """

    def __init__(
        self, model: SpeechModel, decoder: StreamDecoder, pause_s: float, longest_s: float
    ) -> None:
        self.model, self.decoder = model, decoder
        self.listener = Listener(model)
        self.blank = model.tokenizer.blank or 0
        self.pause = max(1, round(pause_s / model.frame_s))
        self.longest = max(1, round(longest_s / model.frame_s))
        self.samples = 0
        self.clock = 0.0
        self.state: ListenerState = self.listener.initial_state()
        self.decoding: Any = decoder.initial_state()
        self.start_s = 0.0  # of the utterance
        self.frames = self.silent = 0  # of the utterance, and at its end
        self.said = ""

    def results(self, blocks: Iterable[Tensor]) -> Iterator[LiveResult]:
        for block in blocks:
            self.clock = time.perf_counter()
            self.samples += len(block)
            log_probs, self.state = self.listener.step(block, self.state)
            stable, partial = self._decode(log_probs)
            if self._ended(bool(partial.text)):
                yield from self._end()
            elif partial.text and partial.text != self.said:
                self.said = partial.text
                yield self._result(partial, False, stable.text)
        self.clock = time.perf_counter()
        self._decode(self.listener.flush(self.state))
        yield from self._final()

    def _decode(self, log_probs: Tensor) -> tuple[Hypothesis, Hypothesis]:
        last = self._last_spoken(log_probs)
        count = len(log_probs)
        self.silent = self.silent + count if last is None else count - 1 - last
        self.frames += count
        stable, partial, self.decoding = self.decoder.step(log_probs, self.decoding)
        return stable, partial

    def _last_spoken(self, log_probs: Tensor) -> int | None:
        spoken = (log_probs.argmax(-1) != self.blank).nonzero()
        return int(spoken[-1]) if len(spoken) else None

    def _ended(self, said: bool) -> bool:
        if self.frames >= self.longest:
            return self.silent > 0 or self._must_end()
        return said and self.silent >= self.pause

    def _must_end(self) -> bool:
        return self.frames >= _LONGEST * self.longest

    def _end(self) -> Iterator[LiveResult]:
        """End an utterance; the encoder begins anew unless it holds back the next one's start."""
        rest, fresh = self.listener.restart(self.state)
        if self._last_spoken(rest) is None or self._must_end():
            self._decode(rest)
            self.state = fresh
            yield from self._final()
            frontend = self.model.frontend
            self.start_s = fresh.features * frontend.hop_length / frontend.sample_rate
        else:
            over_s = self.start_s + self.frames * self.model.frame_s
            yield from self._final()
            self.start_s = over_s

    def _final(self) -> Iterator[LiveResult]:
        best = self.decoder.flush(self.decoding)[0]
        if best.text:
            yield self._result(best, True, best.text)
        self.decoding, self.said = self.decoder.initial_state(), ""
        self.frames = self.silent = 0

    def _result(self, answer: Hypothesis, final: bool, stable: str) -> LiveResult:
        heard_s = self.samples / self.model.sample_rate
        segment = timed_segment(self.model, answer, self.start_s, max(heard_s, self.start_s))
        words = segment.words
        if words:
            segment = replace(segment, start_s=words[0].start_s, end_s=words[-1].end_s)
        return _result(segment, final, stable, heard_s, self.clock)


def pause_results(
    model: SpeechModel,
    blocks: Iterable[Tensor],
    decoder: Decoder | None = None,
    cutting: Cutting = LIVE_CUTTING,
) -> Iterator[LiveResult]:
    """Recognise a stream at its pauses, for models that need whole utterances; final results only.

    Args:
        model: Any recogniser.
        blocks: As in ``live_results``.
        decoder: Of whole utterances; the model's own, if None.
        cutting: Where an utterance ends; ``decide_s`` and ``ahead_s`` add to the latency.

    Raises:
        ModelError: The model classifies instead.
    """
    heard, clock = 0, 0.0

    def counted() -> Iterator[Tensor]:
        nonlocal heard, clock
        for block in blocks:
            heard += len(block)
            clock = time.perf_counter()
            yield block
        clock = time.perf_counter()

    pieces = cut_pieces(counted(), model.sample_rate, cutting)
    for segment in stitched(hear_pieces(model, pieces, decoder, 1, gathered=1)):
        yield _result(segment, True, segment.text, heard / model.sample_rate, clock)


def _result(
    segment: TimedSegment, final: bool, stable: str, heard_s: float, clock: float
) -> LiveResult:
    latency_s = max(0.0, heard_s - segment.end_s) + time.perf_counter() - clock
    return LiveResult(segment, final, stable, heard_s, latency_s)
