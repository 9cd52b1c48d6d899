"""Speech for a detector of typed phrases: who says what, manifests, and going on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from seqlab.audio import save_audio
from seqlab.data.corpora import prepare, typed_phrases
from seqlab.data.corpora.typed_phrases import check_options, speak, voice_plans
from seqlab.data.manifest import Utterance, from_file, read_manifest, write_manifest
from seqlab.data.speech_programs import SpeechVoice
from seqlab.data.synthetic import RECORD
from seqlab.errors import DataError
from seqlab.text.sayings import Saying, write_sayings
from seqlab.text.vocabulary import UNKNOWN_LABEL

SAYINGS = [
    Saying("phrase", "go on", "go on", "go on"),
    Saying("carrier", "go on", "please go on", "please go on"),
    Saying("part", "go on", "go", "go"),
    Saying("alike", "go on", "[[k'oU]] on", ""),
    *(Saying("sentence", "", text, text) for text in ("one two", "three four", "five", "six")),
]
OPTIONS = {"voices": 5, "copies": 1, "seed": 3, "hours": 0.002}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.tsv"
    path.write_text(write_sayings(SAYINGS))
    return path


class TestPlans:
    def test_each_voice_is_on_one_side_and_says_its_share(self) -> None:
        plans = voice_plans(SAYINGS, **{**OPTIONS, "voices": 9})
        voices = {side: {p.voices[0] for s, p in plans if s == side} for side in ("train", "dev")}
        assert len(voices["dev"]) == 2 and len(voices["train"]) == 7
        assert not voices["dev"] & voices["train"]
        for side, plan in plans:
            sentences = {"one two", "five"} if side == "train" else {"three four", "six"}
            other = {s.text for s in SAYINGS if s.kind == "sentence"} - sentences
            assert not set(plan.words) & other
            assert plan.lively

    def test_equal_seeds_give_equal_plans(self) -> None:
        many = [*SAYINGS, *(Saying("sentence", "", f"word {n}", "") for n in range(50))]
        assert voice_plans(many, **OPTIONS) == voice_plans(many, **OPTIONS)
        assert voice_plans(many, **OPTIONS) != voice_plans(many, **{**OPTIONS, "seed": 4})

    @pytest.mark.parametrize("side", ["train", "dev"])
    def test_hours_are_said_on_either_side(self, side: str) -> None:
        many = [*SAYINGS, *(Saying("sentence", "", f"word {n}", "") for n in range(500))]
        plans = voice_plans(many, **{**OPTIONS, "hours": 1.0})
        sentences = {s.text for s in many if s.kind == "sentence"}
        said = [p.per_word * len(sentences & {*p.words}) for s, p in plans if s == side]
        assert abs(sum(said) - 3600 / 2.9) < 30

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"voices": 1}, "voices=1 must be 2 or more"),
            ({"voices": 99}, "voices=99"),
            ({"hours": 0}, "hours=0 must be more than 0"),
            ({"hours": float("nan")}, "hours=nan"),
            ({"copies": 0}, "copies=0 must be 1"),
            ({"seed": -1}, "seed=-1"),
            ({"noise": "/nowhere"}, "noise '/nowhere' must be a folder"),
            ({"negatives": "/nowhere.jsonl"}, "manifest /nowhere.jsonl is missing"),
        ],
    )
    def test_options_out_of_range(self, change: dict, says: str) -> None:
        with pytest.raises(DataError, match=says):
            check_options(**{**OPTIONS, **change})

    def test_scripts_without_enough_to_say(self) -> None:
        with pytest.raises(DataError, match="must hold a phrase and two sentences"):
            voice_plans(SAYINGS[:5], **OPTIONS)


def test_manifests(script: Path, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra synth")
    generator = torch.Generator().manual_seed(0)
    recordings: list[Utterance] = []
    for number in range(6):
        path = tmp_path / "noises" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        save_audio(path, torch.randn(16000, generator=generator) * 0.1, 16000)
        text = "now go on" if number == 0 else "something else"
        recordings.append(from_file(path, path.stem, transcript=text, speaker=f"s{number // 2}"))
    write_manifest(recordings, tmp_path / "speech.jsonl")
    given = {"noise": str(tmp_path / "noises"), "negatives": str(tmp_path / "speech.jsonl")}
    summary = prepare("typed_phrases", script, tmp_path / "data", **OPTIONS, **given)
    splits = {
        name: read_manifest(tmp_path / "data" / f"{name}.jsonl.gz") for name in summary.splits
    }
    assert set(splits) == {
        "train", "dev", "near_train", "near_dev", "other_train", "other_dev", "judged",
        "noise_train", "noise_dev", "negatives_train", "negatives_dev",
    }  # fmt: skip
    for side, voices in (("train", 4), ("dev", 1)):
        labels = sorted((u.label, u.transcript or "") for u in splits[side])
        assert labels == sorted([("go on", "go on"), ("go on", "please go on")] * voices)
        near = sorted((u.label, u.transcript or "") for u in splits[f"near_{side}"])
        assert near == sorted([(UNKNOWN_LABEL, ""), (UNKNOWN_LABEL, "go")] * voices)
        assert all(u.label is None for u in splits[f"other_{side}"])
    sides = [
        {u.speaker for n in (s, f"near_{s}", f"other_{s}") for u in splits[n]}
        for s in ("train", "dev")
    ]
    assert not sides[0] & sides[1]
    assert {u.id for u in splits["judged"]} >= {u.id for u in splits["near_dev"]}
    kept = [splits["negatives_train"], splits["negatives_dev"]]
    assert sorted(u.id for half in kept for u in half) == ["1", "2", "3", "4", "5"]
    assert not {u.speaker for u in kept[0]} & {u.speaker for u in kept[1]}
    assert len(splits["noise_train"]) == len(splits["noise_dev"]) == 3
    assert "synthetic" in summary.notes[0] and not any("both" in w for w in summary.warnings)


def test_going_on_after_a_kill(tmp_path: Path) -> None:
    """Killed once a voice is there; what was made is kept, all is as it would have been."""
    pytest.importorskip("espeakng_loader", reason="needs the extra synth")
    code = (
        "import sys; from pathlib import Path; from tests.data.test_typed_phrases import *\n"
        "speak(voice_plans(SAYINGS, **OPTIONS), Path(sys.argv[1]))"
    )
    folder = tmp_path / "speech"
    job = subprocess.Popen([sys.executable, "-c", code, str(folder)], start_new_session=True)
    for _ in range(1200):
        if any(folder.glob(f"[!.]*/{RECORD}")):  # hidden ones are not whole
            break
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob(f"[!.]*/{RECORD}")}
    assert kept
    (folder / ".left.1234").mkdir()
    plans = voice_plans(SAYINGS, **OPTIONS)
    told: list[tuple[int, int]] = []
    made = speak(plans, folder, lambda *how_far: told.append(how_far))
    assert told == [(n + 1, len(plans)) for n in range(len(plans))]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in made)
    whole = speak(plans[:2], tmp_path / "again")
    for ours, theirs in zip(made, whole, strict=False):
        assert (ours / RECORD).read_bytes() == (theirs / RECORD).read_bytes()


def test_voices_of_other_programs_say_no_phonemes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are learnt from alone; the phonemes are those of espeak-ng."""
    found = [SpeechVoice(name, name, "0") for name in ("flite:slt", "mbrola:de1")]
    monkeypatch.setattr(typed_phrases, "find_voices", lambda wanted: found)
    monkeypatch.setattr("seqlab.data._speech_plan.check_voice", lambda voice: None)

    plans = voice_plans(SAYINGS, **{**OPTIONS, "hours": 0.01}, programs="all")
    for name in ("flite:slt", "mbrola:de1"):
        mine = [(side, plan) for side, plan in plans if plan.voices == (name,)]
        assert {side for side, _ in mine} == {"train"}
        words = {word for _, plan in mine for word in plan.words}
        assert words == {"go on", "please go on", "go", "one two", "five"}
    ours = [(side, plan) for side, plan in plans if ":" not in plan.voices[0]]
    alone = voice_plans(SAYINGS, **{**OPTIONS, "hours": 0.01})
    assert {plan.voices: side for side, plan in ours} == {p.voices: side for side, p in alone}
    first, other = ([p for _, p in every if "go on" in p.words] for every in (ours, alone))
    assert first == other  # what they say of the phrases does not depend on other programs
