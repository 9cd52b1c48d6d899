"""Hard negatives: what a keyword model takes for keywords in recordings without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from seqlab.audio import read_blocks
from seqlab.checks import check_range
from seqlab.data.utterance import Utterance
from seqlab.decoding.keyword import Detection
from seqlab.inference.spotting import Spotter, spot_blocks
from seqlab.text.vocabulary import UNKNOWN_LABEL

__all__ = ["HardNegative", "hard_negatives", "strongest"]

_BLOCK_S = 5.0


@dataclass(frozen=True)
class HardNegative:
    """A section that was taken for a keyword.

    Args:
        utterance: The section, with the label ``<unknown>``.
        score: The highest smoothed posterior at which one fired, in [0, 1].
        labels: What was heard, in order of time.
    """

    utterance: Utterance
    score: float
    labels: tuple[str, ...]


def hard_negatives(
    spotter: Spotter,
    recordings: Iterable[Utterance],
    context_s: float = 1.0,
    heard: Callable[[Utterance], None] | None = None,
) -> Iterator[HardNegative]:
    """Hear recordings, each as a stream of its own, and cut out what fires.

    Sections that overlap become one. Memory does not grow with the length of a recording.

    Args:
        spotter: A model, and a detector whose threshold says what is worth learning from; below
            the one that will be used.
        recordings: Without the keywords; of training, since what is found here is trained on.
        context_s: Seconds before and after a detection that belong to its section, in [0, 60].
        heard: Is told each recording that is done.

    Raises:
        AudioError: A recording cannot be used.
        SeqlabError: ``context_s`` is out of range.
    """
    check_range("context_s", context_s, 0, 60, "1 is usual")
    for recording in recordings:
        blocks = read_blocks(
            recording.path,
            _BLOCK_S,
            start_s=recording.start_s,
            duration_s=recording.duration_s,
            sample_rate=spotter.sample_rate,
        )
        yield from _sections(recording, spot_blocks(spotter, _sound(blocks)), context_s)
        if heard is not None:
            heard(recording)


def strongest(found: Iterable[HardNegative], most: int) -> list[HardNegative]:
    """The ``most`` with the highest scores, in the order in which they were found."""
    numbered = sorted(enumerate(found), key=lambda pair: (-pair[1].score, pair[0]))[:most]
    return [negative for _, negative in sorted(numbered, key=lambda pair: pair[0])]


def _sound(blocks: Iterable[tuple[Tensor, int]]) -> Iterator[Tensor]:
    return (samples for samples, _ in blocks)


def _sections(
    recording: Utterance, detections: Iterable[Detection], context_s: float
) -> Iterator[HardNegative]:
    """One for each group of detections whose sections overlap."""
    group: list[Detection] = []
    for detection in sorted(detections, key=lambda d: d.start_s):
        if group and detection.start_s - max(d.time_s for d in group) > 2 * context_s:
            yield _section(recording, group, context_s)
            group = []
        group.append(detection)
    if group:
        yield _section(recording, group, context_s)


def _section(recording: Utterance, group: Sequence[Detection], context_s: float) -> HardNegative:
    begin = max(0.0, min(d.start_s for d in group) - context_s)
    end = min(recording.duration_s, max(d.time_s for d in group) + context_s)
    begin = max(0.0, min(begin, end - 0.1))
    section = dataclasses.replace(
        recording,
        id=f"{recording.id}@{begin:.3f}",
        start_s=recording.start_s + begin,
        duration_s=min(max(end - begin, 0.1), recording.duration_s),
        label=UNKNOWN_LABEL,
        transcript=None,
    )
    return HardNegative(section, max(d.score for d in group), tuple(d.label for d in group))
