"""Features in files: streamed equals extracted, whole files or none, lhotse reads them."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqlab
from seqlab.contracts import Frontend
from seqlab.data.feature_inputs import FeatureInput, find_inputs, safe_name
from seqlab.data.feature_jobs import Extraction, Outcome, run_all
from seqlab.data.feature_manifest import write_listings
from seqlab.data.feature_storage import (
    atomic_file,
    is_finished,
    open_folder,
    sole_writer,
    write_array,
)
from seqlab.data.feature_stream import feature_blocks, frame_count, measure
from seqlab.data.manifest import Utterance, read_manifest, write_manifest
from seqlab.errors import AudioError, DataError
from tests import sounds

KINDS = {"logmel": seqlab.LogMel, "mfcc": seqlab.MFCC, "spectrogram": seqlab.Spectrogram}
CASES = [
    ("logmel", "kaldi", {}),
    ("logmel", "htk", {"energy": "raw", "delta_order": 1}),
    ("logmel", "librosa", {"n_mels": 40}),
    ("logmel", "whisper", {"delta_order": 2}),
    ("logmel", "torchaudio", {"n_mels": 40, "dither": 1e-3}),
    ("mfcc", "kaldi", {"edges": "mirror", "delta_order": 2}),
    ("mfcc", "librosa", {"n_mels": 40, "delta_order": 2}),
    ("mfcc", "torchaudio", {"n_mels": 40}),
    ("spectrogram", "librosa", {"n_fft": 512, "win_length": 512, "hop_length": 128}),
    ("spectrogram", "kaldi", {}),
]
SMALL = seqlab.LogMel(sample_rate=8000, n_mels=5)


def write_noise(path: Path, seconds: float, rate: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    samples = rng.integers(-8000, 8000, round(seconds * rate)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path


def gathered(frontend: Frontend, path: Path, block_s: float, *part: float) -> torch.Tensor:
    where = measure(path, *(part or (0.0, None)))
    features = torch.cat(list(feature_blocks(frontend, where, resample=True, block_s=block_s)))
    assert len(features) == frame_count(frontend, where, resample=True)
    return features


@pytest.mark.parametrize("rate", [16000, 22050])
@pytest.mark.parametrize(("kind", "preset", "extra"), CASES)
def test_blocks_equal_the_whole(
    tmp_path: Path, kind: str, preset: str, extra: dict[str, Any], rate: int
) -> None:
    frontend = KINDS[kind].from_preset(preset, **extra)
    path = write_noise(tmp_path / "a.wav", 4.321, rate)
    waveform, _ = seqlab.load_audio(path, sample_rate=frontend.sample_rate)
    expected = frontend.extract(waveform, frontend.sample_rate)
    for block_s in (0.3, 1.0, 60.0):
        assert torch.equal(gathered(frontend, path, block_s), expected)


@pytest.mark.parametrize(("suffix", "kind", "encoding"), sounds.FORMATS, ids=sounds.NAMES)
def test_blocks_of_every_format(tmp_path: Path, suffix: str, kind: str, encoding: str) -> None:
    path = tmp_path / f"a.{suffix}"
    rate = 48000 if encoding == "OPUS" else sounds.RATE
    soundfile.write(path, sounds.melody(2.5), rate, format=kind, subtype=encoding)
    frontend = seqlab.LogMel()
    waveform, _ = seqlab.load_audio(path, sample_rate=16000)
    expected = frontend.extract(waveform, 16000)
    assert torch.equal(gathered(frontend, path, 0.3), expected)
    (found,) = find_inputs([str(tmp_path)])
    assert found.id == "a"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.integers(1, 4000),
    block=st.integers(50, 3000),
    dynamic_range=st.sampled_from([None, 3.0]),
    edges=st.sampled_from(["snip", "mirror", "zero", "reflect"]),
)
def test_blocks_of_any_length(
    tmp_path: Path, samples: int, block: int, dynamic_range: float | None, edges: str
) -> None:
    frontend = seqlab.LogMel(
        sample_rate=8000, n_mels=5, edges=edges, dynamic_range=dynamic_range, delta_order=1
    )
    path = write_noise(tmp_path / "a.wav", samples / 8000, 8000, samples)
    expected = frontend.extract(*seqlab.load_audio(path))
    assert torch.equal(gathered(frontend, path, block / 8000), expected)


def test_a_part_of_a_file(tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.flac", 5.0, 8000)
    waveform, rate = seqlab.load_audio(path, start_s=1.25, duration_s=2.5)
    expected = SMALL.extract(waveform, rate)
    assert torch.equal(gathered(SMALL, path, 0.7, 1.25, 2.5), expected)
    assert torch.equal(gathered(SMALL, path, 9.0, 1.25, 2.5), expected)
    with pytest.raises(AudioError, match="must end within it"):
        measure(path, 1.0, 5.0)


def test_faults_of_a_recording(tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.wav", 1.0, 8000)
    with pytest.raises(AudioError, match=r"a\.wav has 8000 Hz, LogMel .* --set sample_rate=8000"):
        frame_count(seqlab.LogMel(), measure(path, 0.0, None))
    samples = np.zeros(8000, np.float32)
    samples[7000] = np.nan
    soundfile.write(path, samples, 8000, "FLOAT")
    for block_s in (0.1, 9.0):
        with pytest.raises(AudioError, match="sample 7000"):
            gathered(SMALL, path, block_s)
    soundfile.write(path, np.full(8000, 3e4, np.float32), 8000, "FLOAT")
    for block_s in (0.1, 9.0):
        with pytest.raises(AudioError, match="divide int16 samples"):
            gathered(SMALL, path, block_s)


def rows(count: int, width: int = 5) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, width)).astype(np.float32)


def test_npy_is_what_numpy_writes(tmp_path: Path) -> None:
    array = rows(7)
    write_array(tmp_path / "a.npy", [array[:3], array[3:3], array[3:]], 7, SMALL, 0.07)
    np.save(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_npz_says_what_it_is(tmp_path: Path, frames: int) -> None:
    for name in ("a.npz", "b.npz"):
        write_array(tmp_path / name, [rows(frames)], frames, SMALL, 0.5)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["features"], rows(frames))
        assert arrays["lengths"].tolist() == [frames]
        assert (int(arrays["sample_rate"]), int(arrays["hop_length"])) == (8000, 80)
        described = json.loads(str(arrays["settings"]))
        assert float(arrays["seconds"]) == 0.5
    assert described["frontend"] == "LogMel"
    assert seqlab.LogMel(**described["settings"]).output_dim == 5
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("given", [6, 8])
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_another_number_of_frames_than_promised(tmp_path: Path, name: str, given: int) -> None:
    with pytest.raises(DataError, match=f"{given} frames came, must be 7"):
        write_array(tmp_path / name, [rows(given)], 7, SMALL, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / f"{'x' * 250}.npy"  # as long as names may be
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        raise KeyboardInterrupt
    assert list(path.parent.iterdir()) == []
    with atomic_file(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_what_is_finished(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert not is_finished(path, (7, 5), 0)
    write_array(path, [rows(7)], 7, SMALL, 1.0)
    assert is_finished(path, (7, 5), 0)
    assert not is_finished(path, (8, 5), 0)
    assert not is_finished(path, (7, 4), 0)
    assert not is_finished(path, (7, 5), path.stat().st_mtime_ns + 1)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:50], b"", b"PK\3\4", b"\0" * len(whole)):
        path.write_bytes(damaged)
        assert not is_finished(path, (7, 5), 0)


def test_a_folder_remembers_its_settings(tmp_path: Path) -> None:
    since = open_folder(tmp_path, SMALL, "npy", resume=True)  # nothing there yet
    assert open_folder(tmp_path, SMALL, "npy", resume=True) == since
    other = seqlab.LogMel(sample_rate=8000, n_mels=6, floor=1.0)
    with pytest.raises(DataError, match=r"n_mels was 5 and is now 6.* without --resume") as caught:
        open_folder(tmp_path, other, "npz", resume=True)
    assert "floor was" in str(caught.value)
    with pytest.raises(DataError, match="frontend was 'LogMel' and is now 'MFCC'"):
        open_folder(tmp_path, seqlab.MFCC(sample_rate=8000), "npy", resume=True)
    (tmp_path / "index.jsonl").write_text("{}\n")
    assert open_folder(tmp_path, other, "npz", resume=False) >= since
    assert not (tmp_path / "index.jsonl").exists()
    for text in ("", "[]", "{}", '{"settings": 3}', "\ufeff{", "[" * 100000):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(DataError, match="damaged"):
            open_folder(tmp_path, other, "npz", resume=True)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with sole_writer(tmp_path), pytest.raises(DataError, match="one at a time"):  # noqa: SIM117
        with sole_writer(tmp_path):
            pass
    with sole_writer(tmp_path):
        pass


def test_inputs_keep_their_folders(tmp_path: Path) -> None:
    for name in ("b/x.wav", "a/x.wav", "a/deep/y.FLAC", "a/.hidden.wav", "a/notes.txt"):
        write_noise(tmp_path / "in.wav", 0.1, 8000)
        (tmp_path / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in.wav").rename(tmp_path / "c" / name)
    one = find_inputs([str(tmp_path / "c")])
    assert [item.key for item in one] == ["a/deep/y", "a/x", "b/x"]
    assert [item.key for item in find_inputs([str(tmp_path / "c" / "a")])] == ["deep/y", "x"]
    two = find_inputs([str(tmp_path / "c" / "b"), str(tmp_path / "c" / "a")])
    assert [item.key for item in two] == ["b/x", "a/deep/y", "a/x"]
    with pytest.raises(DataError, match="holds no audio file"):
        (tmp_path / "empty").mkdir()
        find_inputs([str(tmp_path / "empty")])
    with pytest.raises(DataError, match="each recording once"):
        find_inputs([str(tmp_path / "c"), str(tmp_path / "c" / "b" / "x.wav")])


def test_names_that_differ_in_the_suffix_keep_it() -> None:
    assert [i.key for i in find_inputs(["a.wav", "a.flac", "b.wav"])] == ["a.wav", "a.flac", "b"]
    names = ["a.wav", "a.flac", "a.wav.wav"]
    assert [item.key for item in find_inputs(names)] == names
    assert [item.key for item in find_inputs(["a", "a.wav"])] == ["a", "a.wav"]


PARTS = st.text(st.characters(exclude_characters="/"), max_size=30)


@given(first=PARTS, second=PARTS)
def test_an_id_stays_in_the_folder(first: str, second: str) -> None:
    name = safe_name(first)
    assert name not in ("", ".", "..")
    assert "/" not in name and "\\" not in name and name.isprintable() >= first.isprintable()
    assert (name == safe_name(second)) == (first == second)
    assert len(safe_name(first * 100).encode()) <= 200


def test_inputs_of_a_manifest(tmp_path: Path) -> None:
    path = str(write_noise(tmp_path / "a.wav", 2.0, 8000))
    found = [
        Utterance("../up", path, 0.0, 2.0, 8000, recording_s=2.0),
        Utterance("s/a.wav#1", path, 1.0, 0.5, 8000, transcript="ONE", recording_s=2.0),
    ]
    write_manifest(found, tmp_path / "m.jsonl.gz")
    items = find_inputs([str(tmp_path / "m.jsonl.gz")])
    assert [item.id for item in items] == ["../up", "s/a.wav#1"]
    assert [item.key for item in items] == ["%2E./up", "s/a.wav#1"]
    assert [(item.start_s, item.duration_s) for item in items] == [(0.0, None), (1.0, 0.5)]
    table = "path\tsplit\tlabel\na.wav\ttrain\tx\na.wav\ttest\ty\n"
    (tmp_path / "m.tsv").write_text(table.replace("a.wav\ttest", f"{tmp_path}/a.wav\ttest"))
    assert len(find_inputs([str(tmp_path / "m.tsv")])) == 2
    with pytest.raises(DataError, match="missing"):
        find_inputs([str(tmp_path / "none.jsonl")])


def extract(folder: Path, frontend: Frontend, items: list[FeatureInput], **options: Any) -> list:
    extraction = Extraction(frontend, folder, "lhotse", resample=True, **options)
    outcomes = dict(run_all(extraction, items))
    in_order = [outcomes[index] for index in range(len(items))]
    write_listings(extraction, items, in_order)
    return in_order


@pytest.mark.parametrize(("kind", "preset", "extra"), CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lhotse_loads_what_was_stored(
    tmp_path: Path, kind: str, preset: str, extra: dict[str, Any]
) -> None:
    from lhotse import CutSet, FeatureSet
    from lhotse.qa import validate

    rate = 16000
    frontend = KINDS[kind].from_preset(preset, **extra)
    hop = frontend.hop_length * rate / frontend.sample_rate
    for number in range(6):  # every remainder of samples over the hop
        seconds = 1.0 + number * hop / rate / 5
        write_noise(tmp_path / "in" / f"{number}/a.wav", seconds, rate, number)
    write_noise(tmp_path / "in" / "short.wav", 0.001, rate)
    outcomes = extract(tmp_path / "out", frontend, find_inputs([str(tmp_path / "in")]))
    cuts = CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz")
    with_frames = [outcome for outcome in outcomes if outcome.frames]
    assert len(list(cuts)) == len(with_frames) >= 6
    validate(cuts, read_data=True)
    for cut, outcome in zip(cuts, with_frames, strict=True):
        np.testing.assert_array_equal(cut.load_features(), np.load(outcome.path))
        assert cut.num_frames == outcome.frames
        assert abs(cut.duration - outcome.seconds) <= frontend.win_length / frontend.sample_rate
    features = FeatureSet.from_file(tmp_path / "out" / "features.jsonl.gz")
    assert [f.num_frames for f in features] == [outcome.frames for outcome in with_frames]


def test_lhotse_cuts_keep_what_the_manifest_knows(tmp_path: Path) -> None:
    from lhotse import CutSet

    path = str(write_noise(tmp_path / "a.wav", 2.0, 8000))
    known = Utterance("u", path, 1.0, 0.5, 8000, "ONE", "one", "s", recording_s=2.0)
    write_manifest([known], tmp_path / "m.jsonl")
    items = find_inputs([str(tmp_path / "m.jsonl")])
    extract(tmp_path / "out", SMALL, items)
    (cut,) = CutSet.from_file(tmp_path / "out" / "cuts.jsonl.gz")
    expected = SMALL.extract(*seqlab.load_audio(path, start_s=1.0, duration_s=0.5))
    np.testing.assert_array_equal(cut.load_features(), expected)
    (again,) = read_manifest(tmp_path / "out" / "cuts.jsonl.gz")
    assert (again.transcript, again.label, again.speaker) == ("ONE", "one", "s")


def test_finished_recordings_are_left_alone(tmp_path: Path) -> None:
    source = write_noise(tmp_path / "in" / "a.wav", 0.5, 8000)
    write_noise(tmp_path / "in" / "b.wav", 0.5, 8000)
    items = find_inputs([str(tmp_path / "in")])
    since = open_folder(tmp_path / "out", SMALL, "lhotse", resume=True)
    extract(tmp_path / "out", SMALL, items)

    def skipped() -> list[bool]:
        return [o.skipped for o in extract(tmp_path / "out", SMALL, items, since_ns=since)]

    assert skipped() == [True, True]
    (tmp_path / "out" / "b.npy").write_bytes(b"half")
    assert skipped() == [True, False]
    newer = (tmp_path / "out" / "a.npy").stat().st_mtime_ns + 10**9
    os.utime(source, ns=(newer, newer))
    assert skipped() == [False, True]
    source.write_bytes(b"no audio any more")
    assert "not audio" in str(extract(tmp_path / "out", SMALL, items)[0].error)
    assert not (tmp_path / "out" / "a.npy").exists()


def test_an_extraction_travels_without_its_warnings(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frontend = seqlab.LogMel.from_preset("torchaudio")
    again = pickle.loads(pickle.dumps(Extraction(frontend, tmp_path, "npz", True, 3)))
    assert again.frontend.constructor_arguments == frontend.constructor_arguments
    assert (again.folder, again.storage, again.resample, again.since_ns) == (
        tmp_path,
        "npz",
        True,
        3,
    )


def in_processes(tmp_path: Path, jobs: int, **options: Any) -> dict[int, Outcome]:
    extraction = Extraction(SMALL, tmp_path / f"out{jobs}", **options)
    return dict(run_all(extraction, find_inputs([str(tmp_path / "in")]), jobs))


@pytest.mark.slow
def test_processes_change_nothing(tmp_path: Path) -> None:
    for number in range(8):
        write_noise(tmp_path / "in" / f"{number}.wav", 0.3, 8000, number)
    (tmp_path / "in" / "4.wav").write_bytes(b"no audio")
    one, two = in_processes(tmp_path, 1), in_processes(tmp_path, 2)
    assert set(one) == set(two) == set(range(8))
    assert [i for i in two if two[i].error] == [4]
    for path in sorted((tmp_path / "out1").iterdir()):
        assert path.read_bytes() == (tmp_path / "out2" / path.name).read_bytes()
    assert len(list((tmp_path / "out2").iterdir())) == 7


def kill_worker(array: Path, picture: Path, frontend: Frontend, title: str) -> None:
    os.kill(os.getpid(), 9)


def fill_disk(array: Path, picture: Path, frontend: Frontend, title: str) -> None:
    raise OSError(28, "No space left on device", str(picture))


@pytest.mark.slow
def test_a_worker_that_dies_is_named(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        write_noise(tmp_path / "in" / name, 0.3, 8000)
    with pytest.raises(DataError, match=r"[ab]\.wav ended with code -9 .*--resume"):
        in_processes(tmp_path, 2, draw=kill_worker)
    with pytest.raises(OSError, match="No space left"):
        in_processes(tmp_path, 2, draw=fill_disk)
