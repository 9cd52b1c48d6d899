"""Speech programs: a small one of our own on PATH, and the real ones where they are installed."""

import json
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from seqlab.data import _synthesis, speech_programs
from seqlab.data._speech_arguments import (
    espeak_arguments,
    festival_arguments,
    lacking_diphones,
    pico_arguments,
    rhvoice_arguments,
)
from seqlab.data._speech_voices import Known
from seqlab.data.corpora import prepare
from seqlab.data.manifest import read_manifest
from seqlab.data.speech_programs import (
    PROGRAMS,
    LacksSoundError,
    find_voices,
    speak,
    voice_digest,
)
from seqlab.data.synthetic import Plan, cached_corpus, synthesize
from seqlab.errors import DataError, MissingDependencyError

# In place of flite: a tone, as long as the text and as high as asked; two voices only.
FLITE = """#!{python}
import json, math, os, struct, sys, time, wave
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
features = dict(v.split("=") for k, v in zip(sys.argv[1::2], sys.argv[2::2]) if k == "--setf")
json.dump(sys.argv, open({log!r}, "w"))
text, voice = given["-t"], given["-voice"]
if voice not in ("awb", "slt"):
    sys.exit("no such voice " + voice)
if text == "hang":
    time.sleep(60)
if text == "garbage":
    open(given["-o"], "w").write("not audio")
    sys.exit(0)
if text == "nothing":
    sys.exit(0)
count = int(1000 * len(text) * float(features["duration_stretch"]))
pitch = float(features["int_f0_target_mean"]) * {tune}
loud = 0 if text == "silence" else 9000
with wave.open(given["-o"], "wb") as out:
    out.setparams((1, 2, 8000, 0, "NONE", ""))
    for i in range(count):
        out.writeframes(struct.pack("<h", int(loud * math.sin(6.283 * pitch * i / 8000))))
"""


@pytest.fixture
def flite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that alone is on PATH, with the program in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    put(folder, tune=1.0)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, tune: float) -> None:
    program = folder / "flite"
    log = str(folder / "called.json")
    program.write_text(FLITE.format(python=sys.executable, log=log, tune=tune))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    speech_programs._digest.cache_clear()


def test_only_voices_that_say_something_are_found(flite: Path) -> None:
    found = find_voices("flite")
    assert [voice.name for voice in found] == ["flite:awb", "flite:slt"]
    assert [voice.person for voice in found] == ["awb", "slt"]
    assert len({voice.digest for voice in found}) == 2
    assert find_voices("all") == find_voices() == find_voices(["flite:awb", "flite"]) == found
    assert [voice.name for voice in find_voices("flite:slt")] == ["flite:slt"]


def test_rate_pitch_and_texts_reach_the_program(flite: Path) -> None:
    plain, sample_rate = speak("abcd", "flite:slt")
    assert sample_rate == 8000 and len(plain) == 4000
    assert np.abs(plain).max() == pytest.approx(9000 / 32768, abs=1e-3)
    assert len(speak("abcd", "flite:slt", rate=2.0)[0]) == 2000
    peak = np.abs(np.fft.rfft(speak("abcd", "flite:slt", pitch=1.5)[0])).argmax() * 2
    assert peak == pytest.approx(180 * 1.5, abs=4)
    for text in ("-o x", "$(touch y); `z` 'a' \"b\"", "zwölf ☃"):
        speak(text, "flite:slt")
        called = json.loads((flite / "called.json").read_text())
        assert called[called.index("-t") + 1] == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hang", "took more than 1 s over 'hang' with voice flite:slt"),
        ("garbage", "says nothing for 'garbage'.*package flite"),
        ("nothing", "says nothing for 'nothing'"),
        ("silence", "says nothing for 'silence'"),
        (" ", "must be words"),
        ("a\0b", "must be words"),
    ],
)
def test_programs_that_fail(
    flite: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.setattr(speech_programs, "TIMEOUT_S", 1.0 if text == "hang" else 30.0)
    with pytest.raises(DataError, match=says) as error:
        speak(text, "flite:slt")
    assert "\n" not in str(error.value)


def test_voices_and_programs_that_are_not_there(flite: Path) -> None:
    with pytest.raises(DataError, match=r"flite fails .* flite:rms \(no such voice rms\)"):
        find_voices("flite:rms")
    with pytest.raises(DataError, match="'flite:xyz' is not known; those of flite are awb, kal16"):
        find_voices("flite:xyz")
    for name in ("flute", "flute:slt", ":"):
        with pytest.raises(DataError, match="must be one of mbrola, flite, pico"):
            find_voices(name)
    with pytest.raises(DataError, match="must be one or more"):
        find_voices("")
    with pytest.raises(DataError, match="rate=3"):
        speak("a", "flite:slt", rate=3.0)
    with pytest.raises(DataError, match=r"pitch=0\.1"):
        speak("a", "flite:slt", pitch=0.1)
    (flite / "flite").unlink()
    with pytest.raises(MissingDependencyError, match=r"needs flite, .* Debian the package flite"):
        speak("a", "flite:slt")
    with pytest.raises(MissingDependencyError, match="needs espeak-ng"):
        find_voices("mbrola")
    with pytest.raises(DataError, match="no speech program is on this machine"):
        find_voices("all")


def test_a_program_without_voices(flite: Path) -> None:
    (flite / "flite").write_text(f"#!{sys.executable}\nraise SystemExit(1)\n")
    speech_programs._digest.cache_clear()
    with pytest.raises(DataError, match="no voice that says something; install one"):
        find_voices("flite")
    with pytest.raises(DataError, match=r"\(exit status 1\)"):
        speak("a", "flite:slt")
    (flite / "flite").write_text("no program")
    with pytest.raises(DataError, match="cannot be started"):
        speak("a", "flite:slt")


def test_a_corpus_is_bit_identical_until_the_program_changes(flite: Path, tmp_path: Path) -> None:
    plan = Plan(("yes", "no thanks"), ("flite:slt", "flite:awb"), per_word=2)
    assert not plan.needs_espeak
    first, digest = synthesize(plan, tmp_path / "one"), voice_digest("flite:slt")
    assert synthesize(plan, tmp_path / "two") == first
    record = json.loads((tmp_path / "one" / "corpus.json").read_text())
    assert record["programs"]["flite:slt"] == digest and record["espeak_ng"] is None
    words = read_manifest(tmp_path / "one" / "manifest.tsv")
    assert [word.label for word in words] == ["yes", "yes", "no thanks", "no thanks"] * 2
    assert len({word.duration_s for word in words}) == 8
    key = plan.key
    put(flite, tune=1.1)
    assert plan.key != key and voice_digest("flite:slt") != digest


def test_plans_that_programs_cannot_say(flite: Path) -> None:
    with pytest.raises(DataError, match="reads no phonemes"):
        Plan(("[[w'Vn]]",), ("flite:slt",))
    with pytest.raises(DataError, match="is not known"):
        Plan(("one",), ("flite:nobody",))


def test_prepared_digits_of_programs_alone(flite: Path, tmp_path: Path) -> None:
    options = {"takes": 1, "words": "one six", "cache": str(tmp_path / "c"), "voices": 0}
    with pytest.raises(DataError, match="'all' have 2"):
        prepare("synthetic_digits", "-", tmp_path / "x", programs="all", **options)
    options |= {"voices": 1, "words": "one nine", "pronunciations": True, "weak_glides": True}
    prepare("synthetic_digits", "-", tmp_path / "y", programs="all", **options)
    speakers = {
        split: {word.speaker for word in read_manifest(tmp_path / "y" / f"{split}.jsonl.gz")}
        for split in ("train", "dev", "test")
    }
    assert speakers == {"train": {"en-us+m3"}, "dev": {"flite:awb"}, "test": {"flite:slt"}}
    said = [word.label for word in read_manifest(tmp_path / "y" / "test.jsonl.gz")]
    assert sorted(map(str, said)) == ["nine", "nine", "one"]  # programs read no phonemes


def test_what_programs_are_asked() -> None:
    voice = Known("V", "somebody", pitch_hz=100)
    assert espeak_arguments("a", voice, 2.0, 1.0, "f.wav") == (
        ["-v", "V", "-s", "350", "-p", "50", "-w", "f.wav", "--stdin"],
        "a",
    )
    assert pico_arguments("a<b", voice, 0.5, 1.2, "f.wav")[0][-1] == (
        '<speed level="50"><pitch level="120">a&lt;b</pitch></speed>'
    )
    assert rhvoice_arguments("a", voice, 1.5, 0.8, "f")[0] == [
        *("-p", "V", "-r", "150", "-t", "80", "-o", "f")
    ]
    arguments, given = festival_arguments("(exit)", voice, 2.0, 1.1, "f.wav")
    assert given == "(exit)" and arguments[:2] == ["-eval", "(voice_V)"]
    assert "Duration_Stretch 0.500" in arguments[3] and "mean 110.0)" in arguments[5]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_this_machine(name: str, tmp_path: Path) -> None:
    """Slower takes longer; equal calls give equal samples; a corpus of it is whole."""
    lacking = [e for e in PROGRAMS[name].executables if shutil.which(e) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} is not installed")
    own = {"mbrola": "us1", "pico": "en-US", "rhvoice": "bdl", "festival": "kal_diphone"}
    voice = f"{name}:{own.get(name, 'slt')}"
    samples, sample_rate = speak("seven", voice)
    again, _ = speak("seven", voice)
    assert np.array_equal(samples, again) and 0.3 < len(samples) / sample_rate < 2
    slow, _ = speak("seven", voice, rate=0.6)
    assert len(slow) > 1.15 * len(samples)
    other, _ = speak("seven", voice, pitch=1.4)
    assert not np.array_equal(samples, other)
    folder = cached_corpus(Plan(("seven", "-h (x) <b>"), (voice,), 1), tmp_path)
    assert len(read_manifest(folder / "manifest.tsv")) == 2


def test_sounds_that_a_diphone_voice_lacks() -> None:
    """What mbrola 3.3 writes for a stressed Italian u; a pause more or less is no loss."""
    complaints = (
        "mbrola: Warning: T-U1 unknown, replaced with _-_\n"
        "mbrola: Warning: U1-_ unknown, replaced with _-_\nsomething else\n"
    )
    assert lacking_diphones(complaints) == ["T-U1"]
    assert lacking_diphones("") == []


def test_words_that_a_voice_lacks_sounds_of_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(text: str, voice: str, *, rate: float, pitch: float) -> tuple[np.ndarray, int]:
        if text != "two":
            raise LacksSoundError(f"voice {voice} lacks a sound")
        return np.sin(np.arange(8000.0)), 16000

    monkeypatch.setattr(_synthesis, "speak", say)
    monkeypatch.setattr(_synthesis, "voice_digest", lambda voice: "0")
    _synthesis.write_corpus(Plan(("one", "two", "three"), ("mbrola:de1",), 2), tmp_path)
    said = read_manifest(tmp_path / "manifest.tsv")
    assert [word.label for word in said] == ["two", "two"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="mbrola:de1 lacks sounds of every text; leave it out"):
        _synthesis.write_corpus(Plan(("one",), ("mbrola:de1",), 2), tmp_path / "none")
