"""Halves of recorded keywords, to be learnt as other speech."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlab.checks import check_range
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError
from seqlab.text.vocabulary import UNKNOWN_LABEL

NOTES = ("halves of keywords: for data.unknown.sources, no words to be recognised",)
_CUT = 0.4, 0.6  # where within the keyword
_MOST_MARGIN = 0.3  # of a recording


@dataclasses.dataclass(frozen=True)
class _Half:
    keyword: str
    first: bool
    clip: Utterance


def prepare(source: Path, *, margin_s: float = 0.4, seed: int = 0) -> dict[str, list[Utterance]]:
    """Two clips of each keyword: from its beginning to its middle, and from there to its end.

    A detector that answers to half a keyword answers to the words that share it. Sections of
    ``data.unknown`` run on from one recording into the next, so that the clips are in random
    order, in which no first half is followed by a second half of the same keyword.

    Args:
        source: manifest of keywords, each with its label; the split is named after the file.
        margin_s: seconds in front of and behind each keyword, as `seqlab prepare wake_words` keeps
            them, 0 to 5. Of a short recording at most three tenths are taken for margin.
        seed: of the order, and of the cuts, which lie at 40 to 60 % of the keyword.

    Raises:
        DataError: no such manifest, a recording without a label, or a single keyword, whose halves
            cannot be kept apart.
        SeqlabError: ``margin_s`` is out of range.
    """
    check_range("margin_s", margin_s, 0, 5, "0.4 is what wake_words keeps")
    rng = np.random.default_rng(seed)
    halves: list[_Half] = []
    for keyword in read_manifest(source):
        if keyword.label is None:
            raise DataError(f"{source}: {keyword.id} has no label; name a manifest of keywords")
        halves += _cut(keyword, keyword.label, margin_s, rng.uniform(*_CUT))
    if len({half.keyword for half in halves}) < 2:
        raise DataError(
            f"{source} has fewer than two keywords, must have two or more: halves of one alone "
            "would make the keyword again wherever they meet"
        )
    apart = _apart([halves[place] for place in rng.permutation(len(halves))])
    return {source.name.partition(".")[0]: [half.clip for half in apart]}


def _cut(keyword: Utterance, label: str, margin_s: float, share: float) -> list[_Half]:
    margin = min(margin_s, _MOST_MARGIN * keyword.duration_s)
    middle = margin + (keyword.duration_s - 2 * margin) * share
    pieces = (0.0, middle), (middle, keyword.duration_s)
    return [
        _Half(
            label,
            number == 0,
            dataclasses.replace(
                keyword,
                id=f"{keyword.id}#part{number}",
                start_s=round(keyword.start_s + begins, 4),
                duration_s=round(ends - begins, 4),
                label=UNKNOWN_LABEL,
                transcript=None,
            ),
        )
        for number, (begins, ends) in enumerate(pieces)
    ]


def _apart(halves: Sequence[_Half]) -> list[_Half]:
    """The same, each taken as soon as it does not complete the one before."""
    waiting, order = list(halves), [halves[0]]
    del waiting[0]
    while waiting:
        before = order[-1]
        place = next(
            (
                number
                for number, half in enumerate(waiting)
                if half.first or not before.first or half.keyword != before.keyword
            ),
            None,
        )
        if place is None:  # second halves of one keyword are left, behind a first of it
            other = next(n for n, half in enumerate(order) if half.keyword != before.keyword)
            order.insert(other + 1, waiting.pop())
        else:
            order.append(waiting.pop(place))
    return order
