"""One utterance: a recording or a part of one, and what is known about it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from seqlab.errors import DataError
from seqlab.events.event import Event, events_text

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance: where its audio lies, and what is known about it.

    Args:
        id: unique within a split; random numbers of augmentation depend on it.
        path: absolute path of the audio file.
        start_s: first second of the utterance within the file, at least 0.
        duration_s: length in seconds, more than 0.
        sample_rate: of the file, in Hz.
        transcript: the words spoken, where they are known.
        label: the class, where the corpus is one for classification.
        speaker: None where the speaker is not known.
        recording_s: length of the whole file in seconds; None: read from the file when needed.
        events: sounds and their times from the start of the utterance; None: not such a corpus.

    Raises:
        DataError: a value outside its range.

    Example:
        >>> Utterance("a", "/a.wav", 0.0, 1.5, 16000, transcript="YES").target
        'YES'
    """

    id: str
    path: str
    start_s: float
    duration_s: float
    sample_rate: int
    transcript: str | None = None
    label: str | None = None
    speaker: str | None = None
    recording_s: float | None = None
    events: tuple[Event, ...] | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise DataError(f"an utterance of {self.path} has an empty id; give each its own")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise DataError(
                f"utterance {self.id}: start_s={self.start_s} must be 0 or more; correct it"
            )
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise DataError(
                f"utterance {self.id}: duration_s={self.duration_s} must be more than 0; "
                "leave the utterance out"
            )
        if self.sample_rate <= 0:
            raise DataError(
                f"utterance {self.id}: sample_rate={self.sample_rate} must be more than 0; "
                "correct it"
            )
        for event in self.events or ():
            if event.offset_s > self.duration_s + 0.01:
                raise DataError(
                    f"utterance {self.id}: event {event.label!r} ends at {event.offset_s} s, must "
                    f"end within its {self.duration_s} s; correct its times"
                )

    @property
    def target(self) -> str | None:
        """What a model learns to say: events, or the label where there is one, or the transcript.

        Events are text as ``seqlab.events.event.events_text`` writes it.
        """
        if self.events is not None:
            return events_text(self.events)
        return self.label if self.label is not None else self.transcript

    def waveform(self, sample_rate: int | None = None) -> Tensor:
        """What is heard, (N,), at ``sample_rate`` in Hz; None: at the file's.

        Raises:
            AudioError: the file is missing, is no audio, or does not hold the utterance.
        """
        from seqlab.audio import load_audio

        waveform, _ = load_audio(
            self.path, start_s=self.start_s, duration_s=self.duration_s, sample_rate=sample_rate
        )
        return waveform


def from_file(
    path: str | os.PathLike[str],
    utterance_id: str,
    *,
    transcript: str | None = None,
    label: str | None = None,
    speaker: str | None = None,
) -> Utterance:
    """Utterance of a whole file, its duration and rate read from the file's header.

    Raises:
        AudioError: the file is missing or is no audio.
        DataError: the file holds no samples.
    """
    from seqlab.audio import audio_info

    absolute = os.path.abspath(path)
    info = audio_info(absolute)
    if info.num_samples == 0:
        raise DataError(f"{absolute} holds 0 samples, must hold at least 1; leave the file out")
    duration_s = info.num_samples / info.sample_rate
    return Utterance(
        id=utterance_id,
        path=absolute,
        start_s=0.0,
        duration_s=duration_s,
        sample_rate=info.sample_rate,
        transcript=transcript,
        label=label,
        speaker=speaker,
        recording_s=duration_s,
    )


def cut(whole: Utterance, utterance_id: str, start_s: float, duration_s: float) -> Utterance:
    """Part of the utterance ``whole`` of an entire file, as a new utterance.

    Raises:
        DataError: the part reaches beyond the end of the file (half a millisecond is forgiven).
    """
    end_s = whole.duration_s
    if start_s + duration_s > end_s + 5e-4:
        raise DataError(
            f"utterance {utterance_id}: start_s={start_s} + duration_s={duration_s} reaches beyond "
            f"the end of {whole.path} at {end_s:.4f} s; correct the times or the file"
        )
    return replace(
        whole,
        id=utterance_id,
        start_s=start_s,
        duration_s=min(duration_s, end_s - start_s),
        recording_s=end_s,
    )


def check_ids(utterances: Iterable[Utterance], where: str) -> None:
    """Raise DataError if two utterances of ``where`` share an id."""
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise DataError(
                f"{where}: the id {utterance.id!r} occurs twice, must be unique; rename one"
            )
        seen.add(utterance.id)
