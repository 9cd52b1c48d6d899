from __future__ import annotations

import builtins
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seqlab.audio import load_audio
from seqlab.data.corpora import prepare
from seqlab.data.corpora.synthetic_digits import DIGITS, PRONUNCIATIONS
from seqlab.data.manifest import read_manifest
from seqlab.data.synthetic import Plan, cached_corpus, default_voices, synthesize
from seqlab.errors import DataError, MissingDependencyError, SeqlabError

PLAN = Plan(("yes", "no thanks"), default_voices(3), per_word=2, seed=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader", reason="needs the extra synth")
    return cached_corpus(PLAN, tmp_path_factory.mktemp("cache"))


def test_what_a_corpus_holds(corpus: Path) -> None:
    utterances = read_manifest(corpus / "manifest.tsv")
    assert len(utterances) == 2 * 3 * 2
    assert len({u.path for u in utterances}) == 3
    assert {u.label for u in utterances} == {"yes", "no thanks"}
    assert {u.speaker for u in utterances} == set(PLAN.voices)
    for utterance in utterances:
        samples, rate = soundfile.read(
            utterance.path,
            start=round(utterance.start_s * 16000),
            frames=round(utterance.duration_s * 16000),
        )
        assert rate == 16000 and 0.3 < utterance.duration_s < 2.5
        assert 0.08 < np.abs(samples).max() < 0.75  # -20 to -3 dB and faint noise
        assert np.abs(samples[:640]).max() < 0.02  # a pause comes first
        assert 0 < samples[:640].std() < 0.005
    record = json.loads((corpus / "corpus.json").read_text())
    assert record["synthetic"] is True and record["seed"] == 1


def test_takes_differ(corpus: Path) -> None:
    utterances = read_manifest(corpus / "manifest.tsv")
    durations = [u.duration_s for u in utterances if u.label == "yes"]
    assert len(set(durations)) == len(durations)


def test_equal_plans_give_equal_bytes_and_other_seeds_do_not(corpus: Path, tmp_path: Path) -> None:
    checksum = synthesize(PLAN, tmp_path / "again")
    assert checksum == json.loads((corpus / "corpus.json").read_text())["checksum"]
    for path in corpus.rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(corpus)).read_bytes() == path.read_bytes()
    assert synthesize(replace(PLAN, seed=2), tmp_path / "again") != checksum
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_a_corpus_is_made_once_and_mended(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(corpus.parent, tmp_path / "cache")
    copy = tmp_path / "cache" / corpus.name
    made: list[Path] = []
    monkeypatch.setattr(
        "seqlab.data.synthetic.synthesize", lambda plan, folder: made.append(folder)
    )
    assert cached_corpus(PLAN, tmp_path / "cache") == copy
    assert made == []
    audio = next((copy / "audio").iterdir())
    audio.write_bytes(audio.read_bytes()[:-1])
    cached_corpus(PLAN, tmp_path / "cache")
    assert made == [copy]


def test_every_setting_is_in_the_key() -> None:
    plans = [
        PLAN,
        replace(PLAN, words=("yes",)),
        replace(PLAN, voices=PLAN.voices[:2]),
        replace(PLAN, per_word=3),
        replace(PLAN, seed=0),
        replace(PLAN, lively=True),
    ]
    assert len({plan.key for plan in plans}) == len(plans)


def test_the_cache_of_the_user(corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setattr("seqlab.data.synthetic.synthesize", lambda plan, folder: None)
    assert cached_corpus(PLAN) == tmp_path / "seqlab" / "synthetic" / PLAN.key


def test_voices_are_people_and_none_twice() -> None:
    voices = default_voices(70)
    timbres = [voice.partition("+")[2] for voice in voices]
    assert len(set(timbres)) == 70
    assert not {"whisper", "robosoft", "UniRobot", "Demonic"} & set(timbres)
    assert default_voices(10) == voices[:10]
    for count in (0, 71):
        with pytest.raises(DataError, match=f"voices={count}"):
            default_voices(count)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"words": ()}, "one or more"),
        ({"words": ("a", " ")}, "one or more"),
        ({"words": ("a", "a")}, "must not repeat"),
        ({"words": ("a\tb",)}, "tabs"),
        ({"voices": ()}, "voices"),
        ({"per_word": 0}, "per_word=0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**31}, "seed="),
    ],
)
def test_plans_that_cannot_be(change: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        replace(PLAN, **change)


@pytest.mark.parametrize("voice", ["xx-nowhere", "en+nobody", "en+../en", "../x"])
def test_unknown_voices(corpus: Path, tmp_path: Path, voice: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"voice {voice!r} is not known")) as error:
        synthesize(Plan(("yes",), (voice,)), tmp_path / "x")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_used(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("")
    with pytest.raises(DataError, match="no synthetic corpus"):
        synthesize(PLAN, tmp_path / "mine")
    with pytest.raises(DataError, match="cannot be written"):
        synthesize(PLAN, tmp_path / "mine" / "precious.txt" / "x")
    with pytest.raises(DataError, match="XDG_CACHE_HOME"):
        cached_corpus(PLAN, tmp_path / "mine" / "precious.txt")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=r'pip install "seqlab\[synth\]"'):
        cached_corpus(PLAN, tmp_path)


def test_prepared_digits(corpus: Path, tmp_path: Path) -> None:
    summary = prepare(
        "synthetic_digits", "-", tmp_path / "dest", voices=3, takes="1", cache=str(tmp_path / "c")
    )
    assert {n: (s.utterances, s.classes) for n, s in summary.splits.items()} == {
        "train": (10, 10),
        "dev": (10, 10),
        "test": (10, 10),
    }
    assert summary.speaker_overlap == {} and summary.warnings == []
    assert "synthetic" in summary.notes[0]
    with pytest.raises(SeqlabError, match="voices=2 must be 3 or more"):
        prepare("synthetic_digits", "-", tmp_path / "dest", voices=2)


def test_prepared_digits_without_their_pauses(corpus: Path, tmp_path: Path) -> None:
    """Pauses are 50 to 300 ms on either side; cut words lie within, nothing loud lost."""
    options = {"voices": 3, "takes": 1, "words": "one six", "cache": str(tmp_path / "c")}
    prepare("synthetic_digits", "-", tmp_path / "whole", **options)
    prepare("synthetic_digits", "-", tmp_path / "cut", **options, margin_s=0.03)
    for split in ("train", "dev", "test"):
        whole = read_manifest(tmp_path / "whole" / f"{split}.jsonl.gz")
        cut = read_manifest(tmp_path / "cut" / f"{split}.jsonl.gz")
        for before, after in zip(whole, cut, strict=True):
            assert before.id == after.id
            start = round((after.start_s - before.start_s) * 16000)
            waveform, _ = load_audio(
                before.path, start_s=before.start_s, duration_s=before.duration_s
            )
            end = start + round(after.duration_s * 16000)
            assert start >= 300 and end <= len(waveform) - 300
            outside = torch.cat([waveform[:start], waveform[end:]])
            assert outside.square().mean() < 1e-3 * waveform[start:end].square().max()
    with pytest.raises(SeqlabError, match="margin_s=-1 "):
        prepare("synthetic_digits", "-", tmp_path / "x", **options, margin_s=-1)


def test_prepared_digits_said_lively(corpus: Path, tmp_path: Path) -> None:
    options = {"voices": 3, "takes": 1, "words": "one", "cache": str(tmp_path / "c")}
    prepare("synthetic_digits", "-", tmp_path / "calm", **options)
    prepare("synthetic_digits", "-", tmp_path / "lively", **options, lively="true")
    durations = [
        [u.duration_s for u in read_manifest(tmp_path / name / "train.jsonl.gz")]
        for name in ("calm", "lively")
    ]
    assert durations[0] != durations[1]


@pytest.mark.slow
def test_the_default_corpus_has_the_checksum_it_was_published_with(
    corpus: Path, tmp_path: Path
) -> None:
    """The embedded recipe's figures hold for these samples (espeak-ng 1.52.0, Linux x86-64)."""
    import platform

    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the checksum is of Linux on x86-64")
    words = "zero one two three four five six seven eight nine"
    checksum = synthesize(Plan(tuple(words.split()), default_voices(48), 4, 0), tmp_path / "x")
    assert checksum == "732e15350df3065bb0a71fb99dc56f8788c69e14c75567c532c9823bce262dd1"


def test_prepared_digits_said_in_other_ways(corpus: Path, tmp_path: Path) -> None:
    """Two words by three voices: as written, and the ways there are; other words have none."""
    options = {"voices": 3, "takes": 1, "words": "nine yes", "cache": str(tmp_path / "c")}
    prepare("synthetic_digits", "-", tmp_path / "ways", **options, pronunciations=True)
    found = read_manifest(tmp_path / "ways" / "train.jsonl.gz")
    assert sorted(str(word.label) for word in found) == ["nine", "nine", "nine", "yes"]
    assert all(word.transcript == word.label for word in found)
    assert set(PRONUNCIATIONS) == set(DIGITS.split())
    waves = [load_audio(w.path, start_s=w.start_s, duration_s=w.duration_s)[0] for w in found]
    assert len({len(wave) for wave in waves}) == 4
