"""PCEN: against librosa, by its recurrence, and on silence and quiet sounds."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab import LogMel
from seqlab.errors import SeqlabError
from seqlab.frontend.pcen import PCEN, scan


@settings(max_examples=30, deadline=None)
@given(total=st.integers(1, 9000), decay=st.sampled_from([0.0, 0.5, 0.975, 0.999999, 1.0]))
def test_the_scan_is_the_recurrence(total: int, decay: float) -> None:
    values = torch.rand(2, total, 1, generator=torch.Generator().manual_seed(total))
    before = torch.tensor([[3.0], [0.0]])
    y, expected = before.double(), []
    for frame in values.double().unbind(1):
        y = decay * y + frame
        expected.append(y)
    ours = scan(values, decay, before)
    torch.testing.assert_close(ours, torch.stack(expected, 1).float(), rtol=3e-6, atol=1e-6)


def test_the_past_alone_decides() -> None:
    energies = torch.rand(1, 5000, 3, requires_grad=True)
    PCEN()(energies, torch.tensor([5000]))[0, 3000].sum().backward()
    assert (energies.grad[0, 3001:] == 0).all()
    assert (energies.grad[0, 2500:3001] != 0).all()


def test_silence_becomes_zero() -> None:
    for bias in (2.0, 0.0):
        assert (PCEN(bias=bias)(torch.zeros(1, 20, 3), torch.tensor([20])) == 0).all()


@pytest.mark.parametrize("bias", [2.0, 0.0])
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e-6, 1e30])
def test_quiet_and_loud_frames_keep_their_digits(size: float, bias: float) -> None:
    energies = torch.rand(1, 300, 4, generator=torch.Generator().manual_seed(1)) * size
    theirs = librosa.pcen(
        energies[0].double().numpy().T, b=0.025, gain=0.98, bias=bias, power=0.5, eps=1e-6
    )
    ours = PCEN(bias=bias, start=1.0)(energies, torch.tensor([300]))[0]
    np.testing.assert_allclose(ours, theirs.T, rtol=2e-5, atol=1e-37)


def test_pcen_equals_librosa() -> None:
    mel = LogMel(compression="none", scale=1.0, n_mels=20)
    power = mel.extract(torch.randn(16000, generator=torch.Generator().manual_seed(0)) * 0.1, 16000)
    lengths = torch.tensor([len(power)])
    smoothing = 0.025
    options = {"b": smoothing, "gain": 0.98, "bias": 2, "power": 0.5, "eps": 1e-6}
    start = (1 - smoothing) * power.numpy().T[:, :1]  # the running mean starts at the first frame
    theirs = librosa.pcen(power.numpy().T, zi=start, **options).T
    ours = PCEN()(power[None], lengths)[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    ours = PCEN(start=1.0)(power[None], lengths)[0]
    np.testing.assert_allclose(ours, librosa.pcen(power.numpy().T, **options).T, rtol=1e-5)


def test_pcen_refuses_log_features() -> None:
    with pytest.raises(SeqlabError, match=r'at least 0; build .* compression="none"'):
        PCEN()(-torch.ones(1, 2, 3), torch.tensor([2]))


@pytest.mark.parametrize(
    "settings", [{"smoothing": 0.0}, {"gain": 2.0}, {"power": 0.0}, {"epsilon": 0.0}]
)
def test_settings_of_pcen_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(SeqlabError, match="must be a number within"):
        PCEN(**settings)
