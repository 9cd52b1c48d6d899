from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from seqlab.data.manifest import Utterance
from seqlab.data.summary import speaker_overlap, summarize
from seqlab.errors import DataError


def utterance(utterance_id: str, speaker: str | None, **known: str) -> Utterance:
    return Utterance(utterance_id, "/a.wav", 0, 1800, 8000, speaker=speaker, **known)


def test_figures_worked_by_hand(tmp_path: Path) -> None:
    summary = summarize(
        "mine",
        {
            "train": [
                utterance("a", "x", transcript="ONE TWO TWO"),
                replace(utterance("b", "y", transcript=""), duration_s=900, sample_rate=16000),
            ],
            "test": [utterance("c", "z", label="yes"), utterance("d", "z", label="no")],
        },
    )
    header = "split,utterances,hours,speakers,classes,words,vocabulary,shortest s,longest s,Hz"
    assert summary.rows() == [
        header.split(","),
        ["train", "2", "0.750", "2", "-", "3", "2", "900.00", "1800.00", "8000/16000"],
        ["test", "2", "1.000", "1", "2", "-", "-", "1800.00", "1800.00", "8000"],
    ]
    assert summary.warnings == [] and summary.speaker_overlap == {}
    summary.save(tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text())["splits"]["train"]["words"] == 3


def test_overlap_of_speakers_is_a_warning() -> None:
    splits = {
        "train": [utterance("a", "x"), utterance("b", "y")],
        "dev": [utterance("c", "z"), utterance("d", None)],
        "test": [utterance("e", "y"), utterance("f", "x"), utterance("g", None)],
    }
    assert speaker_overlap(splits) == {"train/test": ["x", "y"]}
    summary = summarize("mine", splits)
    assert any("2 speakers are in both train and test" in w for w in summary.warnings)
    assert any("speakers of 1 utterances of dev are not known" in w for w in summary.warnings)
    assert summary.splits["dev"].speakers == 1


def test_overlap_by_design_is_one_note() -> None:
    splits = {"train": [utterance("a", "x")], "dev": [utterance("b", "x")]}
    splits["test"] = [utterance("c", "x"), utterance("d", None)]
    summary = summarize("mine", splits, notes=["old"], shared_speakers="as published")
    assert summary.notes == ["old", "as published"]
    assert len(summary.speaker_overlap) == 3
    assert len(summary.warnings) == 1 and "not known" in summary.warnings[0]
    apart = {"train": [utterance("a", "x")], "test": [utterance("b", "y")]}
    assert summarize("mine", apart, shared_speakers="as published").notes == []


def test_nobody_is_known() -> None:
    assert summarize("mine", {"train": [utterance("a", None)]}).rows()[1][3] == "-"


def test_an_empty_split() -> None:
    with pytest.raises(DataError, match="'dev' of mine has 0 utterances"):
        summarize("mine", {"dev": []})
