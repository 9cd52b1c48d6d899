"""``seqlab features`` as a user calls it: arrays, pictures, and remarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import seqlab
from seqlab.cli.features import draw
from tests.cli.conftest import Call, Trained


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
