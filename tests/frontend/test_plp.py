"""PLP against its equations, restated in double precision by other means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import seqlab
from seqlab.errors import SeqlabError
from seqlab.frontend.plp import PLP, auditory_cosines, equal_loudness
from seqlab.frontend.presets import PRESETS
from tests.reference.plp_oracle import restate_plp

LENGTHS = {"win_length": 400, "hop_length": 160, "n_fft": 512}
OVERRIDES: list[dict[str, Any]] = [
    {},
    {"energy": "none"},
    {"energy": "windowed", "energy_floor": 1e4},
    {"n_mels": 40, "lpc_order": 18, "n_plp": 19},
    {"n_plp": 1, "energy": "none"},
    {"lifter": 0.0, "cepstral_scale": 10.0, "c0_position": "last"},
    {"mel_scale": "slaney", "f_min": 100.0, "f_max": 7000.0, "preemphasis": 0.0},
    {"vtln_warp": 1.15, "f_max": -200.0},
    {"remove_dc": False, "window": "hann", "edges": "mirror", "power": 1.0},
]


def voice(seconds: float = 1.0) -> np.ndarray:
    draw = np.random.default_rng(0)
    time = np.arange(int(16000 * seconds)) / 16000
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(3 * time)) / 16000
    buzz = sum(np.sin(k * pitch) / k for k in range(1, 30))
    swell = (1 + np.sin(9 * time)) / 2
    return (0.2 * buzz * swell + 1e-3 * draw.standard_normal(len(time))).astype(np.float32)


def distance(waveform: np.ndarray, preset: str, overrides: dict[str, Any]) -> float:
    ours = PLP.from_preset(preset, **overrides).extract(torch.from_numpy(waveform), 16000)
    settings = {**PRESETS["PLP"][preset], **LENGTHS, **overrides}
    return float(np.abs(ours.numpy() - restate_plp(waveform, settings)).max())


@pytest.mark.parametrize("overrides", OVERRIDES, ids=lambda options: " ".join(options) or "plain")
@pytest.mark.parametrize("preset", ["kaldi", "htk"])
def test_equals_its_equations(preset: str, overrides: dict[str, Any]) -> None:
    scale = overrides.get("cepstral_scale", 1)
    assert distance(voice(), preset, overrides) < 1e-4 * scale


@pytest.mark.data
@pytest.mark.parametrize("preset", ["kaldi", "htk"])
def test_equals_its_equations_on_speech(preset: str, corpora: Path) -> None:
    for path in sorted((corpora / "an4/audio").rglob("*.flac"))[::200]:
        waveform, _ = soundfile.read(path, dtype="float32")
        for overrides in ({}, {"energy": "none"}):
            assert distance(waveform, preset, overrides) < 1e-4


def test_defaults_are_kaldis() -> None:
    waveform = torch.from_numpy(voice())
    assert torch.equal(
        seqlab.PLP().extract(waveform, 16000), PLP.from_preset("kaldi").extract(waveform, 16000)
    )


def test_the_place_and_kind_of_c0() -> None:
    waveform = torch.from_numpy(voice())
    first = PLP().extract(waveform, 16000)
    last = PLP(c0_position="last").extract(waveform, 16000)
    assert torch.equal(first.roll(-1, -1), last)
    kept = PLP(energy="none").extract(waveform, 16000)
    assert torch.equal(kept[:, 1:], first[:, 1:])
    energy = seqlab.MFCC().extract(waveform, 16000)[:, 0]
    torch.testing.assert_close(first[:, 0], energy)


def test_a_louder_voice_moves_c0_alone() -> None:
    """Loudness is a power of energy, so a factor g adds 2 x 0.33333 x ln g to c0."""
    soft = PLP(energy="none").extract(torch.from_numpy(voice()) / 4, 16000)
    loud = PLP(energy="none").extract(torch.from_numpy(voice()), 16000)
    torch.testing.assert_close(loud[:, 1:], soft[:, 1:], atol=1e-4, rtol=0)
    expected = torch.full((98,), 2 * 0.33333 * np.log(4), dtype=torch.float32)
    torch.testing.assert_close(loud[:, 0] - soft[:, 0], expected, atol=1e-4, rtol=0)


def test_pieces_worked_by_hand() -> None:
    # f = 400 Hz: f^2 = 1.6e5, so (1/2)^2 x 1.6e6 / 9.77e6
    at_400 = equal_loudness(torch.tensor(400.0, dtype=torch.float64))
    assert at_400.item() == pytest.approx(0.25 * 1.6e6 / 9.77e6)
    flat = torch.ones(23, dtype=torch.float64) @ auditory_cosines(23, 12)
    np.testing.assert_allclose(flat, [1] + [0] * 12, atol=1e-15)  # a flat spectrum: an impulse


def test_silence_and_extremes_stay_finite() -> None:
    for waveform in (torch.zeros(8000), torch.full((8000,), 1.0), torch.eye(8000)[4000]):
        for preset in ("kaldi", "htk"):
            features = PLP.from_preset(preset, delta_order=2).extract(waveform, 16000)
            assert features.isfinite().all()
    tone = torch.sin(torch.arange(8000) * 0.4)
    assert PLP(energy="none").extract(tone, 16000).isfinite().all()


def test_the_scale_of_the_bands_is_undone() -> None:
    waveform = torch.from_numpy(voice())
    plain = PLP(energy="none").extract(waveform, 16000)
    for compression in ("log", "log10", "db", "whisper"):
        other = PLP(energy="none", compression=compression).extract(waveform, 16000)
        torch.testing.assert_close(other, plain, atol=2e-4, rtol=0)
    limited = PLP(energy="none", compression="db", dynamic_range=20.0)
    assert not torch.allclose(limited.extract(waveform, 16000), plain, atol=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_plp": 14}, r"n_plp=14 must be at most lpc_order \+ 1 = 13; lower n_plp"),
        ({"lpc_order": 24}, "lpc_order=24 must be at most n_mels=23"),
        ({"n_plp": 0}, "n_plp=0 must be a whole number of at least 1"),
        ({"lpc_order": True}, "lpc_order=True"),
        ({"compress_factor": 0.0}, "compress_factor=0.0 must be a number within"),
        ({"cepstral_scale": float("nan")}, "cepstral_scale=nan"),
        ({"lifter": -1.0}, "lifter=-1.0 must be 0 or above"),
        ({"c0_position": "middle"}, "c0_position='middle' must be one of 'first', 'last'"),
        ({"n_mels": 258, "lpc_order": 12}, "n_mels=258 must be at most"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        PLP(**settings)


def test_there_is_no_such_preset() -> None:
    with pytest.raises(SeqlabError, match="PLP preset='librosa' must be one of 'kaldi', 'htk'"):
        PLP.from_preset("librosa")
