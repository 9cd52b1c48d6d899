"""Halves of keywords: where the cuts lie, and that no keyword comes together again."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from seqlab.data.corpora import prepare
from seqlab.data.manifest import Utterance, read_manifest, write_manifest
from seqlab.errors import DataError, SeqlabError


def keyword(name: str, label: str | None, duration_s: float = 2.0) -> Utterance:
    return Utterance(
        name, f"/{name}.wav", 0.5, duration_s, 16000, label=label, speaker="ann", recording_s=4.0
    )


def halves(folder: Path, clips: list[Utterance], **options: float) -> list[Utterance]:
    write_manifest(clips, folder / "train.jsonl.gz")
    prepare("keyword_halves", folder / "train.jsonl.gz", folder / "halves", **options)
    return read_manifest(folder / "halves" / "train.jsonl.gz")


def completed(found: list[Utterance], keyword_of: dict[str, str | None]) -> int:
    """How often a first half is followed by a second one of the same keyword."""
    parts = [(keyword_of[u.id.partition("#")[0]], u.id.endswith("#part0")) for u in found]
    pairs = itertools.pairwise(parts)
    return sum(a == b and first and not second for (a, first), (b, second) in pairs)


def test_two_halves_make_the_whole(tmp_path: Path) -> None:
    """By hand: of 2 s with margins of 0.4 s the middle lies at 0.4 + 1.2 x 0.4 to 0.6."""
    clips = [keyword("a", "yes"), keyword("b", "no"), keyword("c", "no", 0.5)]
    found = {u.id: u for u in halves(tmp_path, clips)}
    assert set(found) == {f"{name}#part{part}" for name in "abc" for part in (0, 1)}
    assert {u.label for u in found.values()} == {"<unknown>"}
    assert {u.speaker for u in found.values()} == {"ann"}
    for clip, low, high in ((clips[0], 0.88, 1.12), (clips[1], 0.88, 1.12), (clips[2], 0.23, 0.27)):
        first, second = found[f"{clip.id}#part0"], found[f"{clip.id}#part1"]
        assert first.start_s == clip.start_s
        assert low <= first.duration_s <= high
        assert second.start_s == pytest.approx(first.start_s + first.duration_s)
        assert first.duration_s + second.duration_s == pytest.approx(clip.duration_s)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("counts", [(9, 1), (3, 3), (1, 1), (2, 5)])
def test_no_keyword_comes_together_again(
    tmp_path: Path, counts: tuple[int, int], seed: int
) -> None:
    clips = [
        keyword(f"{label}{number}", label)
        for label, count in zip(("yes", "no"), counts, strict=True)
        for number in range(count)
    ]
    found = halves(tmp_path, clips, seed=seed)
    assert Counter(u.id for u in found) == Counter(f"{c.id}#part{p}" for c in clips for p in (0, 1))
    assert completed(found, {c.id: c.label for c in clips}) == 0


def test_equal_seeds_give_equal_halves(tmp_path: Path) -> None:
    clips = [keyword(f"a{n}", "yes" if n % 2 else "no") for n in range(8)]
    first, again, other = (halves(tmp_path, clips, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_what_cannot_be_halved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="b has no label; name a manifest of keywords"):
        halves(tmp_path, [keyword("a", "yes"), keyword("b", None)])
    with pytest.raises(DataError, match="fewer than two keywords"):
        halves(tmp_path, [keyword("a", "yes"), keyword("b", "yes")])
    with pytest.raises(SeqlabError, match="margin_s=9"):
        halves(tmp_path, [keyword("a", "yes"), keyword("b", "no")], margin_s=9)
