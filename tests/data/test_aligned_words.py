"""Words cut from aligned sentences: which, where, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.audio import save_audio
from seqlab.data.corpora import prepare
from seqlab.data.manifest import from_file, read_manifest, write_manifest
from seqlab.errors import DataError, SeqlabError

CTM = "a 1 0.500 0.100 GO 0.9\na 1 1.000 0.200 two 0.8\na 1 1.250 0.050 GO 0.9\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sentence of two seconds, aligned; its corpus is beside it."""
    save_audio(tmp_path / "a.wav", torch.zeros(16000), 8000)
    sentence = from_file(tmp_path / "a.wav", "a", transcript="GO two GO", speaker="ann")
    write_manifest([sentence], tmp_path / "corpus" / "train.jsonl.gz")
    folder = tmp_path / "aligned" / "train"
    folder.mkdir(parents=True)
    (folder / "a.ctm").write_text(CTM)
    listed(tmp_path / "aligned", id="a", file="a.ctm", confidence=0.75)
    return tmp_path / "aligned"


def listed(source: Path, **entry: Any) -> None:
    (source / "train" / "alignments.jsonl").write_text(json.dumps(entry) + "\n")


def made(source: Path, **options: Any) -> list[tuple[str, str, float, float]]:
    dest = source.parent / "words"
    prepare("aligned_words", source, dest, corpus=str(source.parent / "corpus"), **options)
    words = read_manifest(dest / "train.jsonl.gz")
    assert {word.speaker for word in words} == {"ann"}
    assert {word.transcript for word in words} == {None}
    return [(w.id, str(w.label), w.start_s, w.duration_s) for w in words]


def test_words_reach_to_the_middle_between_neighbours(source: Path) -> None:
    """By hand: margins of 0.3 s, cut at 0.8 between 0.6 and 1.0, and at 1.225."""
    assert made(source, before_s=0.3, after_s="0.3") == [
        ("a#0", "go", 0.2, pytest.approx(0.6)),
        ("a#1", "two", 0.8, pytest.approx(0.425)),
        ("a#2", "go", 1.225, pytest.approx(0.375)),
    ]


def test_words_keep_within_the_sentence(source: Path) -> None:
    first, _, last = made(source, before_s=1, after_s=1)
    assert first[2] == 0 and last[2] + last[3] == pytest.approx(2.0)


def test_only_the_words_that_are_named(source: Path) -> None:
    assert [word[:2] for word in made(source, words="Two")] == [("a#1", "two")]


def test_sentences_of_little_confidence_are_left_out(source: Path) -> None:
    assert len(made(source, min_confidence=0.75)) == 3
    with pytest.raises(DataError, match="none of the words"):
        made(source, min_confidence=0.76)


def test_sentences_that_could_not_be_aligned_are_left_out(source: Path) -> None:
    listed(source, id="a", error="too short", file=None)
    with pytest.raises(DataError, match="none of the words"):
        made(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "three"}, "none of the words 'three'"),
        ({"before_s": -1}, "before_s=-1"),
        ({"after_s": 2}, "after_s=2"),
        ({"min_confidence": 1.5}, "min_confidence=1.5"),
    ],
)
def test_options_out_of_range(source: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        made(source, **options)


def test_alignments_of_another_kind(source: Path) -> None:
    corpus = str(source.parent / "corpus")
    with pytest.raises(DataError, match="give corpus=DATA"):
        prepare("aligned_words", source, source.parent / "words")
    listed(source, id="b", file="a.ctm", confidence=1)
    with pytest.raises(DataError, match="1: utterance b is not in the corpus"):
        prepare("aligned_words", source, source.parent / "words", corpus=corpus)
    listed(source, id="a", file="a.TextGrid", confidence=1)
    with pytest.raises(DataError, match="align with --format ctm"):
        prepare("aligned_words", source, source.parent / "words", corpus=corpus)
    (source / "train" / "alignments.jsonl").write_text("[]\n")
    with pytest.raises(DataError, match="no entry of seqlab align"):
        prepare("aligned_words", source, source.parent / "words", corpus=corpus)
    (source / "train" / "alignments.jsonl").unlink()
    with pytest.raises(DataError, match="--format ctm"):
        prepare("aligned_words", source, source.parent / "words", corpus=corpus)
