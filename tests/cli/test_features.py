"""``seqlab features`` as a user calls it: arrays, pictures, and remarks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import seqlab
from seqlab.cli.features import draw
from tests.cli.conftest import Call, Trained

SEQLAB = [sys.executable, "-m", "seqlab.cli.main"]


def make_folder(folder: Path, count: int, seconds: float = 0.3, rate: int = 16000) -> Path:
    """A folder of folders of noise."""
    for number in range(count):
        rng = np.random.default_rng(number)
        path = folder / f"s{number % 3}" / f"u{number:03d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, (rng.standard_normal(round(seconds * rate)) * 0.1), rate)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["logmel", "mfcc", "spectrogram"])
def test_features_equal_the_library(call: Call, speech: Trained, tmp_path: Path, kind: str) -> None:
    settings = ["--set", "sample_rate=8000"]
    outcome = call("features", speech.wav, "--kind", kind, "-o", tmp_path, *settings, "--json")
    assert outcome.code == 0
    written = json.loads(outcome.out)[0]["written"]
    waveform, sample_rate = seqlab.load_audio(speech.wav)
    names = {"logmel": seqlab.LogMel, "mfcc": seqlab.MFCC, "spectrogram": seqlab.Spectrogram}
    frontend = names[kind].from_preset("kaldi", sample_rate=8000)
    expected = frontend.extract(waveform, sample_rate)
    np.testing.assert_array_equal(np.load(written), expected.numpy())


def test_features_as_npz_with_picture(call: Call, speech: Trained, tmp_path: Path) -> None:
    outcome = call(
        "features", speech.wav, "-o", tmp_path, "--resample", "--format", "npz", "--plot"
    )
    assert outcome.code == 0
    stem = Path(speech.wav).stem
    with np.load(tmp_path / f"{stem}.npz") as arrays:
        assert arrays["features"].shape[1] == 80
        assert int(arrays["sample_rate"]) == 16000
    assert (tmp_path / f"{stem}.png").read_bytes().startswith(b"\x89PNG")


def test_features_of_equal_names_keep_their_folders(
    call: Call, speech: Trained, tmp_path: Path
) -> None:
    files = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "a.wav")
        files[-1].write_bytes(Path(speech.wav).read_bytes())
    out = tmp_path / "out"
    assert call("features", *files, "-o", out, "--resample").code == 0
    assert {str(p.relative_to(out)) for p in out.rglob("*.npy")} == {"x/a.npy", "y/a.npy"}
    outcome = call("features", files[0], files[0], "-o", out, "--resample")
    assert outcome.code == 2


def test_a_warning_is_one_plain_note(call: Call, speech: Trained, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [])
        outcome = call(
            "features", speech.wav, "-o", tmp_path, "--resample", "--preset", "torchaudio"
        )
    assert outcome.code == 0
    note, done = outcome.lines
    assert done.startswith("1 file: ")
    assert note.startswith("note: 4 of n_mels=128 bands hold no bin")


def test_pictures_have_the_axis_of_their_kind() -> None:
    waveform = torch.randn(16000, generator=torch.Generator().manual_seed(0)) * 0.1
    axes = {}
    for kind in (seqlab.LogMel, seqlab.MFCC, seqlab.Spectrogram):
        frontend = kind()
        figure = draw(frontend.extract(waveform, 16000), frontend, "noise")
        axes[kind] = figure.axes[0]
    assert axes[seqlab.LogMel].get_ylabel() == "band"
    assert axes[seqlab.MFCC].get_ylabel() == "coefficient"
    assert axes[seqlab.Spectrogram].get_ylabel() == "frequency (Hz)"
    assert 7900 < axes[seqlab.Spectrogram].get_ylim()[1] < 8100


def test_the_energy_does_not_set_the_colours_of_cepstra() -> None:
    features = torch.tensor([[900.0, 1.0, -2.0, 3.0], [800.0, 0.0, 1.0, 2.0]])
    picture = draw(features, seqlab.MFCC(n_mfcc=4), "").axes[0].images[0]
    assert picture.get_clim() == (-2.0, 1.0)


def test_a_folder_and_its_index(call: Call, tmp_path: Path) -> None:
    corpus, out = make_folder(tmp_path / "in", 5), tmp_path / "out"
    outcome = call("features", corpus, "-o", out, "--format", "npz", "--json")
    assert outcome.code == 0
    assert len(json.loads(outcome.out)) == 5
    assert "5 files: 1.5 s of audio in " in outcome.err and "x real time" in outcome.err
    index = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert [line["id"] for line in index] == ["s0/u000", "s0/u003", "s1/u001", "s1/u004", "s2/u002"]
    for line in index:
        with np.load(out / line["path"]) as arrays:
            assert len(arrays["features"]) == line["frames"] == arrays["lengths"][0] == 28
        assert line["seconds"] == 0.3
        assert Path(line["audio"]).is_file()


def test_of_many_files_only_the_sum_is_told(call: Call, tmp_path: Path) -> None:
    corpus = make_folder(tmp_path / "in", 41, 0.03)
    outcome = call("features", corpus, "-o", tmp_path / "out")
    assert (outcome.code, outcome.out, len(outcome.lines)) == (0, "", 1)
    outcome = call("features", corpus, "-o", tmp_path / "out", "--resume")
    assert "0 files (41 more were finished before)" in outcome.err


def test_one_bad_file_does_not_stop_the_others(call: Call, tmp_path: Path) -> None:
    corpus = make_folder(tmp_path / "in", 4)
    (corpus / "s0" / "bad.wav").write_bytes(b"no audio")
    outcome = call("features", corpus, corpus / "none.wav", "-o", tmp_path / "out")
    assert outcome.code == 2
    *_, first, second, last = outcome.lines
    assert "bad.wav: is not audio" in first and "none.wav: no such file" in second
    assert last.startswith("seqlab: error: 2 of 6 files could not be used; listed in ")
    listed = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
    bad = [json.loads(line) for line in listed]
    assert [Path(line["audio"]).name for line in bad] == ["bad.wav", "none.wav"]
    assert len((tmp_path / "out" / "index.jsonl").read_text().splitlines()) == 4
    assert len(list((tmp_path / "out").rglob("*.npy"))) == 4
    soundfile.write(corpus / "s0" / "bad.wav", np.zeros(4800), 16000)
    outcome = call("features", corpus, "-o", tmp_path / "out", "--resume")
    assert outcome.code == 0
    assert "1 file (4 more were finished before)" in outcome.err
    assert not (tmp_path / "out" / "failed.jsonl").exists()


def test_strict_stops_at_the_first_bad_file(call: Call, tmp_path: Path) -> None:
    corpus = make_folder(tmp_path / "in", 4)
    (corpus / "s1" / "bad.wav").write_bytes(b"no audio")
    outcome = call("features", corpus, "-o", tmp_path / "out", "--strict")
    assert outcome.code == 2
    (error,) = outcome.lines
    assert "bad.wav" in error
    assert len(list((tmp_path / "out").rglob("*.npy"))) == 2
    assert not (tmp_path / "out" / "index.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "window=hann"], "window was 'povey' and is now 'hann'"),
        (["--kind", "mfcc"], "frontend was 'LogMel' and is now 'MFCC'"),
        (["--format", "npz"], "format was 'npy' and is now 'npz'"),
    ],
)
def test_resume_with_other_settings(
    call: Call, tmp_path: Path, options: list[str], expected: str
) -> None:
    corpus, out = make_folder(tmp_path / "in", 2), tmp_path / "out"
    assert call("features", corpus, "-o", out).code == 0
    before = contents(out)
    outcome = call("features", corpus, "-o", out, "--resume", *options)
    assert outcome.code == 2
    (error,) = outcome.lines
    assert expected in error
    assert contents(out) == before


def test_arrays_of_an_earlier_call_do_not_count_as_finished(call: Call, tmp_path: Path) -> None:
    """Settings of equal shape: a call that dies at once must not leave old arrays to a resume."""
    corpus, out = make_folder(tmp_path / "in", 3), tmp_path / "out"
    assert call("features", corpus, "-o", out).code == 0
    hann = ["--set", "window=hann"]
    assert call("features", tmp_path / "none.wav", "-o", out, "--strict", *hann).code == 2
    assert call("features", corpus, "-o", out, "--resume", *hann).code == 0
    assert call("features", corpus, "-o", tmp_path / "fresh", *hann).code == 0
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_jobs_are_a_number(call: Call, tmp_path: Path, jobs: str) -> None:
    outcome = call("features", make_folder(tmp_path / "in", 1), "-o", tmp_path, "--jobs", jobs)
    assert outcome.code == 2
    (error,) = outcome.lines
    assert "--jobs" in error


def test_pictures_are_made_up_for_on_resumption(call: Call, tmp_path: Path) -> None:
    corpus, out = make_folder(tmp_path / "in", 2), tmp_path / "out"
    assert call("features", corpus, "-o", out).code == 0
    assert call("features", corpus, "-o", out, "--resume", "--plot").code == 0
    assert len(list(out.rglob("*.png"))) == 2
    outcome = call("features", corpus, "-o", out, "--resume", "--plot")
    assert "0 files (2 more" in outcome.err


def test_a_name_that_is_no_utf8(call: Call, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", 1)
    try:
        os.rename(folder / "s0" / "u000.flac", os.fsencode(folder) + b"/\xff.flac")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    outcome = call("features", folder, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "udcff" in outcome.out
    (line,) = (tmp_path / "out" / "index.jsonl").read_text().splitlines()
    assert (tmp_path / "out" / json.loads(line)["path"]).is_file()


def start(corpus: Path, out: Path, *options: str, until: int) -> subprocess.Popen[bytes]:
    """A run in a process of its own, once it has written ``until`` arrays."""
    command = [*SEQLAB, "features", str(corpus), "-o", str(out), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(out.rglob("*.np[yz]"))) < until:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--format", "npz"], ["--jobs", "2", "--format", "lhotse"]])
def test_a_killed_run_goes_on_as_if_nothing_was(
    call: Call, tmp_path: Path, options: list[str]
) -> None:
    corpus = make_folder(tmp_path / "in", 40, 25.0)
    out = tmp_path / "out"
    process = start(corpus, out, *options, until=5)
    process.kill()
    process.communicate(timeout=300)  # returns once workers have left as well
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.np[yz]")}
    assert 5 <= len(files) < 40 and not (out / "index.jsonl").exists()
    outcome = call("features", corpus, "-o", out, "--resume", *options)
    assert outcome.code == 0
    assert f"({len(files)} more were finished before)" in outcome.err
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in files.items())
    resumed = contents(out)
    assert call("features", corpus, "-o", out, *options).code == 0
    assert contents(out) == resumed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a process group")
@pytest.mark.parametrize("options", [[], ["--jobs", "2"]])
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, options: list[str]) -> None:
    corpus = make_folder(tmp_path / "in", 40, 25.0)
    process = start(corpus, tmp_path / "out", *options, until=3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it, too
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    (line,) = err.decode().splitlines()
    assert "stopped by Ctrl-C with " in line and "--resume" in line
    assert not [path for path in (tmp_path / "out").rglob(".*") if path.is_file()]


HOUR = """
import os, sys
import torch, soundfile, soxr
import seqlab.data.feature_jobs, seqlab.data.feature_manifest
from seqlab.cli.main import main

def kilobytes(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

before = kilobytes("VmRSS")
code = main(sys.argv[1:])
print(code, (kilobytes("VmHWM") - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    "options",
    [
        ["--preset", "kaldi", "--format", "npz"],
        ["--preset", "whisper"],
        ["--preset", "librosa", "--kind", "mfcc", "--resample"],
    ],
)
def test_an_hour_in_little_memory(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "hour.wav"
    noise = np.random.default_rng(0).integers(-5000, 5000, 16000 * 60).astype(np.int16)
    with soundfile.SoundFile(path, "w", 16000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(noise)
    command = [sys.executable, "-c", HOUR, "features", str(path), "-o", str(tmp_path), "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    code, growth_mb = map(int, done.stdout.splitlines()[-1].split())
    assert code == 0
    assert growth_mb < 250, "the goal is 400 MB"


@pytest.mark.data
@pytest.mark.slow
def test_a_real_corpus(call: Call, corpora: Path, tmp_path: Path) -> None:
    outcome = call("features", corpora / "an4", "-o", tmp_path, "--format", "lhotse")
    assert outcome.code == 0
    lines = (tmp_path / "index.jsonl").read_text().splitlines()
    assert len(lines) == 1078
    for line in map(json.loads, lines[::100]):
        expected = seqlab.LogMel.from_preset("kaldi").extract(*seqlab.load_audio(line["audio"]))
        np.testing.assert_array_equal(np.load(tmp_path / line["path"]), expected.numpy())


def test_hundreds_of_bad_files_are_not_told_one_by_one(call: Call, tmp_path: Path) -> None:
    corpus = make_folder(tmp_path / "in", 30, 0.01, rate=8000)
    outcome = call("features", corpus, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 21
    assert "--resample" in outcome.lines[0] and "30 of 30" in outcome.lines[-1]
    assert len((tmp_path / "out" / "failed.jsonl").read_text().splitlines()) == 30
