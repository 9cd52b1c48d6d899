"""What is in a prepared corpus: hours, utterances, speakers, classes or words of each split."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seqlab.data.manifest import Utterance, write_atomically
from seqlab.errors import DataError


@dataclass(frozen=True)
class SplitSummary:
    """Figures of one split."""

    utterances: int
    hours: float
    speakers: int | None  # that are known; None: not one is
    classes: int | None  # None: no labels
    words: int | None  # running words of the transcripts; None: no transcripts
    vocabulary: int | None  # different words
    shortest_s: float
    longest_s: float
    sample_rates: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """Figures of a prepared corpus, and what should be known before trusting its splits."""

    corpus: str
    splits: dict[str, SplitSummary]
    speaker_overlap: dict[str, list[str]]  # "test/train" -> speakers in both
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def rows(self) -> list[list[str]]:
        """A table as rows of text, the header first; ``-`` where something is not known."""
        header = ["split", "utterances", "hours", "speakers", "classes", "words", "vocabulary"]
        header += ["shortest s", "longest s", "Hz"]
        return [header] + [
            [
                name,
                str(s.utterances),
                f"{s.hours:.3f}",
                *("-" if n is None else str(n) for n in (s.speakers, s.classes)),
                *("-" if n is None else str(n) for n in (s.words, s.vocabulary)),
                f"{s.shortest_s:.2f}",
                f"{s.longest_s:.2f}",
                "/".join(str(rate) for rate in s.sample_rates),
            ]
            for name, s in self.splits.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return asdict(self)

    def save(self, path: Path) -> None:
        """Write the summary as JSON."""
        write_atomically(path, (json.dumps(self.as_dict(), indent=2) + "\n").encode())


def summarize(
    corpus: str,
    splits: Mapping[str, Sequence[Utterance]],
    notes: Sequence[str] = (),
    shared_speakers: str = "",
) -> Summary:
    """Figures of the splits of a corpus, and warnings on what they may hide.

    Args:
        corpus: its name.
        splits: utterances by split.
        notes: what else to know.
        shared_speakers: why speakers are in several splits, for a corpus published so; one note
            then takes the place of the warnings.

    Raises:
        DataError: a split without utterances.
    """
    for name, utterances in splits.items():
        if not utterances:
            raise DataError(
                f"split {name!r} of {corpus} has 0 utterances, must have at least one; "
                "check the source folder"
            )
    overlap = speaker_overlap(splits)
    warnings = []
    if overlap and shared_speakers:
        notes = [*notes, shared_speakers]
    else:
        warnings = [
            f"{len(shared)} speakers are in both {pair.replace('/', ' and ')}: figures on one say "
            "little about new speakers"
            for pair, shared in overlap.items()
        ]
    for name, utterances in splits.items():
        unknown = sum(u.speaker is None for u in utterances)
        if unknown and len(splits) > 1:
            warnings.append(
                f"the speakers of {unknown} utterances of {name} are not known: whether another "
                "split has them cannot be checked"
            )
    return Summary(
        corpus=corpus,
        splits={name: _figures(utterances) for name, utterances in splits.items()},
        speaker_overlap=overlap,
        warnings=warnings,
        notes=list(notes),
    )


def speaker_overlap(splits: Mapping[str, Sequence[Utterance]]) -> dict[str, list[str]]:
    """Speakers that two splits share, by ``"one/other"``; pairs that share none are left out.

    Utterances whose speaker is not known are not compared.
    """
    speakers = {
        name: {u.speaker for u in utterances if u.speaker is not None}
        for name, utterances in splits.items()
    }
    shared = {
        f"{one}/{other}": sorted(speakers[one] & speakers[other])
        for one, other in itertools.combinations(speakers, 2)
    }
    return {pair: names for pair, names in shared.items() if names}


def _figures(utterances: Sequence[Utterance]) -> SplitSummary:
    speakers = {u.speaker for u in utterances} - {None}
    labels = {u.label for u in utterances} - {None}
    words = [word for u in utterances if u.transcript for word in u.transcript.split()]
    transcripts = any(u.transcript is not None for u in utterances)
    return SplitSummary(
        utterances=len(utterances),
        hours=sum(u.duration_s for u in utterances) / 3600,
        speakers=len(speakers) or None,
        classes=len(labels) or None,
        words=len(words) if transcripts else None,
        vocabulary=len(set(words)) if transcripts else None,
        shortest_s=min(u.duration_s for u in utterances),
        longest_s=max(u.duration_s for u in utterances),
        sample_rates=tuple(sorted({u.sample_rate for u in utterances})),
    )
