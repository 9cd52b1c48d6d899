"""The compiled kernel against NumPy in double precision: logarithm, transform, edges of a block."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlab.compiled import compiled
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.kernel import lanes
from seqlab.frontend.kernel.logarithm import logarithm
from seqlab.frontend.kernel.peak import peak
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.plp import PLP
from seqlab.frontend.spectrogram import Spectrogram

SINGLES, load, store, transpose = lanes.SINGLES, lanes.load, lanes.store, lanes.transpose


@compiled
def logarithms(values, out):  # type: ignore[no-untyped-def]
    """Of whole vectors."""
    for i in range(0, len(values), SINGLES):
        store(out, i, logarithm(load(values, i)))


@compiled
def turn(source, stride, target, to_stride):  # type: ignore[no-untyped-def]
    """One square block."""
    transpose(source, 0, stride, target, 0, to_stride)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_logarithms_are_within_a_unit_of_the_last_place() -> None:
    """Every 509th positive number, denormal ones among them, and all near 1."""
    infinity, one = (int(np.array(x, np.float32).view(np.int32)) for x in (np.inf, 1.0))
    bits = np.concatenate([np.arange(1, infinity, 509), np.arange(one - 100000, one + 100000)])
    values = bits[: len(bits) // SINGLES * SINGLES].astype(np.int32).view(np.float32)
    found = np.empty_like(values)
    logarithms(values, found)
    exact = np.log(values.astype(np.float64))
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(found - exact) <= unit).all()


def test_logarithms_of_the_unusual() -> None:
    values = np.ones(SINGLES, np.float32)
    values[:4] = np.inf, np.nan, 1.0, np.finfo(np.float32).tiny
    found = np.empty_like(values)
    logarithms(values, found)
    np.testing.assert_array_equal(found[:3], np.array([np.inf, np.nan, 0.0], np.float32))
    np.testing.assert_allclose(found[3], np.log(np.finfo(np.float32).tiny), rtol=1e-7)


@pytest.mark.parametrize("kinds", [(np.float32, np.float32), (np.float32, np.float64)])
def test_blocks_are_transposed(kinds: tuple[type, type]) -> None:
    size = lanes.SINGLES if kinds[1] is np.float32 else lanes.DOUBLES
    source = np.arange(size * (size + 3)).astype(kinds[0])
    target = np.zeros(size * (size + 1), kinds[1])
    turn(source, size + 3, target, size + 1)
    block = source.reshape(size, size + 3)[:, :size].T
    np.testing.assert_array_equal(target.reshape(size, size + 1)[:, :size], block)


@pytest.mark.parametrize("count", [0, 1, SINGLES - 1, SINGLES, 1000])
def test_the_peak_is_the_largest_magnitude(count: int) -> None:
    for sign in (1, -1):
        samples = (noise(count) + 0.2 * sign).numpy()
        assert peak(samples) == np.abs(samples).max(initial=0)
    if count:
        samples[0] = np.nan
        assert peak(samples) == np.abs(samples[1:]).max(initial=0)


@pytest.mark.parametrize("n_fft", [2, 6, 8, 10, 30, 64, 90, 128, 250, 384, 400, 480, 512, 1200])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_spectra_of_all_radices(n_fft: int, power: float) -> None:
    frontend = Spectrogram(
        win_length=n_fft,
        hop_length=max(n_fft // 3, 1),
        n_fft=n_fft,
        window="rectangular",
        remove_dc=False,
        preemphasis=0,
        scale=1.0,
        energy="none",
        power=power,
        compression="none",
    )
    assert frontend.tables is not None
    waveform = noise(40 * n_fft)
    frames = waveform.double().unfold(0, n_fft, frontend.hop_length).numpy()
    exact = np.abs(np.fft.rfft(frames)) ** power
    found = frontend.extract(waveform, 16000).numpy()
    np.testing.assert_allclose(found, exact, rtol=2e-7, atol=1e-13)


@pytest.mark.parametrize("compression", ["log", "log10", "db", "whisper", "none"])
@pytest.mark.parametrize("kind", [LogMel, MFCC, PLP, Spectrogram])
def test_compressions_are_those_of_torch(kind: type[FramedFrontend], compression: str) -> None:
    frontend = kind(compression=compression, energy="raw", floor=1e3)
    exact = copy.deepcopy(frontend).double()
    waveform = torch.cat([noise(4000), torch.zeros(2000)])
    found, expected = (each.extract(waveform, 16000).double() for each in (frontend, exact))
    assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()


@pytest.mark.parametrize("win_length", [1, 7, 16, 33, 399, 401])
@pytest.mark.parametrize("hop_length", [1, 5, 160, 500])
def test_frames_and_hops_of_any_length(win_length: int, hop_length: int) -> None:
    frontend = LogMel(n_mels=5, n_fft=512, win_length=win_length, hop_length=hop_length)
    exact = copy.deepcopy(frontend).double()
    for count in (1, lanes.DOUBLES + 1, SINGLES, SINGLES + 1):
        waveform = noise((count - 1) * hop_length + win_length, seed=count)
        found = frontend.extract(waveform, 16000)
        assert len(found) == count
        torch.testing.assert_close(
            found.double(), exact.extract(waveform.double(), 16000), rtol=0, atol=1e-5
        )


class Rooted(LogMel):
    """Another compression than the kernel knows."""

    def compress(self, values: Tensor) -> Tensor:
        """Cube roots."""
        return values.pow(1 / 3)


def test_a_compression_of_ones_own_is_used() -> None:
    waveform = noise(80000)
    plain = LogMel(compression="none", energy="raw").extract(waveform, 16000)
    found = Rooted(energy="raw").extract(waveform, 16000)
    torch.testing.assert_close(found[:, 1:], plain[:, 1:].pow(1 / 3))
    torch.testing.assert_close(found[:, 0], plain[:, 0])
