"""Training examples that are cut anew in each epoch: other speech, and no speech."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.audio import load_audio
from seqlab.data.cache import AudioCache
from seqlab.data.config import DataConfig, SilenceConfig, UnknownConfig, split_path
from seqlab.data.corpora._layout import audio_files
from seqlab.data.manifest import from_file, read_manifest
from seqlab.data.utterance import Utterance
from seqlab.errors import DataError
from seqlab.text.vocabulary import SILENCE_LABEL, UNKNOWN_LABEL

__all__ = [
    "Sections",
    "SilenceSections",
    "Tape",
    "UnknownSections",
    "make_sections",
    "phrases_of",
    "read_sources",
    "without_phrases",
]

_WHOLE_S = 600.0  # recordings up to this long are decoded whole and kept in memory
_LEAST_S = 0.05  # shorter recordings are left out
_PIECE_S = 0.02  # less than this at the end of a recording is not cut

Words = tuple[str, ...]


class Sections(Protocol):
    """Examples of one label that are cut from recordings when they are asked for."""

    label: str
    count: int  # in an epoch
    duration_s: tuple[float, float] | None  # range; None: as training utterances are

    @property
    def recordings(self) -> Sequence[Utterance]:
        """What they are cut from."""

    def cut(
        self, samples: int, sample_rate: int, rng: np.random.Generator, cache: AudioCache
    ) -> Tensor:
        """A waveform (samples,)."""


class Tape:
    """Recordings one after the other, and again from the first: any length can be cut anywhere.

    Args:
        recordings: at least one of 0.05 s; shorter ones are left out.
        what: for messages.

    Raises:
        DataError: none is long enough.

    Example:
        >>> tape = Tape([Utterance("a", "/a.wav", 0.0, 2.0, 8000)], "unknown.sources")
        >>> tape.duration_s
        2.0
    """

    def __init__(self, recordings: Sequence[Utterance], what: str) -> None:
        self.recordings = [r for r in recordings if r.duration_s >= _LEAST_S]
        if not self.recordings:
            raise DataError(
                f"data.{what}: no recording of {_LEAST_S} s or more among {len(recordings)}; "
                "name others"
            )
        ends = np.cumsum([r.duration_s for r in self.recordings])
        self._ends: NDArray[np.float64] = ends
        self.duration_s = float(ends[-1])

    def anywhere(self, draw: float) -> tuple[int, float]:
        """The place (recording, second in it) at the share ``draw``, in [0, 1), of the tape."""
        second = draw * self.duration_s
        place = min(int(np.searchsorted(self._ends, second, "right")), len(self._ends) - 1)
        begins = float(self._ends[place - 1]) if place else 0.0
        return place, max(0.0, second - begins)

    def within(self, wanted_s: float, which: float, where: float) -> tuple[int, float]:
        """A place from which ``wanted_s`` lie in one recording, if it is as long.

        Args:
            wanted_s: seconds.
            which: draw of the recording, in [0, 1); all are equally probable.
            where: draw of the place in it, in [0, 1).
        """
        place = int(which * len(self.recordings))
        return place, where * max(0.0, self.recordings[place].duration_s - wanted_s)

    def cut(
        self, start: tuple[int, float], samples: int, sample_rate: int, cache: AudioCache
    ) -> Tensor:
        """Waveform (samples,) from ``start`` on, over the ends of recordings where need be.

        Raises:
            AudioError: a recording cannot be used.
        """
        place, offset_s = start
        pieces, missing = [], samples
        while missing > 0:
            recording = self.recordings[place]
            if recording.duration_s - offset_s >= _PIECE_S:
                wanted_s = min(missing / sample_rate, recording.duration_s - offset_s)
                pieces.append(_piece(recording, offset_s, wanted_s, sample_rate, cache)[:missing])
                missing -= len(pieces[-1])
            place, offset_s = (place + 1) % len(self.recordings), 0.0
        return torch.cat(pieces)


class UnknownSections:
    """Sections of other speech; a share of them of recordings that were mistaken for keywords.

    Args:
        config: how many, and how long.
        speech: recordings without the keywords.
        hard: recordings that an earlier model took for keywords.
    """

    label = UNKNOWN_LABEL

    def __init__(
        self, config: UnknownConfig, speech: Sequence[Utterance], hard: Sequence[Utterance] = ()
    ) -> None:
        self.count, self.duration_s = config.per_epoch, config.duration_s
        self.speech = Tape(speech, "unknown.sources")
        self.hard = Tape(hard, "unknown.hard") if hard else None
        self.hard_share = config.hard_share if hard else 0.0

    @property
    def recordings(self) -> list[Utterance]:
        """What they are cut from."""
        return [*self.speech.recordings, *(self.hard.recordings if self.hard else [])]

    def cut(
        self, samples: int, sample_rate: int, rng: np.random.Generator, cache: AudioCache
    ) -> Tensor:
        """A waveform (samples,).

        Raises:
            AudioError: a recording cannot be used.
        """
        kind, which, where = (float(value) for value in rng.random(3))
        if self.hard is not None and kind < self.hard_share:
            start = self.hard.within(samples / sample_rate, which, where)
            return self.hard.cut(start, samples, sample_rate, cache)
        return self.speech.cut(self.speech.anywhere(which), samples, sample_rate, cache)


class SilenceSections:
    """Sections of noise at a random level, or of zeros.

    Args:
        config: how many, how long, and how loud.
        noise: recordings without speech; none: all sections are zeros.
    """

    label = SILENCE_LABEL

    def __init__(self, config: SilenceConfig, noise: Sequence[Utterance] = ()) -> None:
        self.count, self.duration_s = config.per_epoch, config.duration_s
        self.noise = Tape(noise, "silence.sources") if noise else None
        self.digital_share = config.digital_share if noise else 1.0
        self.gain_db = config.gain_db

    @property
    def recordings(self) -> list[Utterance]:
        """What they are cut from."""
        return [] if self.noise is None else self.noise.recordings

    def cut(
        self, samples: int, sample_rate: int, rng: np.random.Generator, cache: AudioCache
    ) -> Tensor:
        """A waveform (samples,).

        Raises:
            AudioError: a recording cannot be used.
        """
        kind, where, level = (float(value) for value in rng.random(3))
        if self.noise is None or kind < self.digital_share:
            return torch.zeros(samples)
        noise = self.noise.cut(self.noise.anywhere(where), samples, sample_rate, cache)
        low, high = self.gain_db
        return noise * float(10 ** ((low + (high - low) * level) / 20))


def make_sections(data: DataConfig, phrases: Iterable[str]) -> tuple[list[Sections], list[str]]:
    """The sections that a recipe asks for.

    Args:
        data: its ``unknown`` and ``silence``.
        phrases: keywords that may not be said in sections of other speech.

    Returns:
        Sections, none where the recipe asks for none; and what to tell a person.

    Raises:
        DataError: a source cannot be read, or nothing of it is left.
    """
    made: list[Sections] = []
    notes = []
    if data.unknown.per_epoch:
        speech = read_sources(data.root, data.unknown.sources, "unknown.sources")
        kept = without_phrases(speech, phrases)
        if len(kept) < len(speech):
            notes.append(
                f"{len(speech) - len(kept)} of {len(speech)} utterances of data.unknown are left "
                "out: a keyword is said in them"
            )
        hard = read_sources(data.root, data.unknown.hard, "unknown.hard")
        made.append(UnknownSections(data.unknown, kept, hard))
    if data.silence.per_epoch:
        noise = read_sources(data.root, data.silence.sources, "silence.sources")
        made.append(SilenceSections(data.silence, noise))
    return made, notes


def read_sources(root: str | Path, names: Sequence[str], what: str) -> list[Utterance]:
    """Recordings of manifests and folders.

    Args:
        root: folder that the names are relative to.
        names: of manifests, as ``split_path`` takes them, or of folders of audio files.
        what: where they stand in ``data``, for messages.

    Raises:
        DataError: a name is neither.
        AudioError: a file in a folder is no audio.
    """
    found: list[Utterance] = []
    for name in names:
        folder, manifest = Path(root) / name, split_path(root, name)
        if manifest.exists():
            found += read_manifest(manifest)
        elif folder.is_dir():
            found += [from_file(path, str(path)) for path in audio_files(folder)]
        else:
            raise DataError(
                f"data.{what}: {folder} is neither a folder nor a manifest, and {manifest} is "
                "missing; make a manifest with seqlab prepare, or name a folder of recordings"
            )
    return found


def phrases_of(labels: Iterable[str]) -> set[Words]:
    """Words of each label that is a keyword; those in angle brackets are none.

    >>> sorted(phrases_of(["<unknown>", "Smart Mirror", "view_glass"]))
    [('smart', 'mirror'), ('view', 'glass')]
    """
    return {
        words
        for label in labels
        if not (label.startswith("<") and label.endswith(">")) and (words := _words(label))
    }


def without_phrases(utterances: Sequence[Utterance], labels: Iterable[str]) -> list[Utterance]:
    """Those utterances in whose label and transcript none of the keywords is said.

    >>> said = Utterance("a", "/a.wav", 0.0, 1.0, 8000, transcript="OPEN THE DOOR")
    >>> len(without_phrases([said], ["the door"])), len(without_phrases([said], ["open door"]))
    (0, 1)
    """
    phrases = phrases_of(labels)

    def clean(text: str | None) -> bool:
        words = _words(text or "")
        return not any(
            words[place : place + len(phrase)] == phrase
            for phrase in phrases
            for place in range(len(words) - len(phrase) + 1)
        )

    return [u for u in utterances if clean(u.label) and clean(u.transcript)]


def _words(text: str) -> Words:
    return tuple(re.findall(r"[^\W_]+", text.casefold()))


def _piece(
    recording: Utterance, offset_s: float, wanted_s: float, sample_rate: int, cache: AudioCache
) -> Tensor:
    """Seconds of a recording, at least one sample; from memory where it fits."""
    start_s = recording.start_s + offset_s
    if recording.duration_s > _WHOLE_S:
        return load_audio(
            recording.path, start_s=start_s, duration_s=wanted_s, sample_rate=sample_rate
        )[0]

    def part(length: int) -> slice:
        first = min(round(offset_s * sample_rate), length - 1)
        return slice(first, first + max(1, round(wanted_s * sample_rate)))

    return cache.read(recording, sample_rate, part)
