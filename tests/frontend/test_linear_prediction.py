"""Linear prediction against solved normal equations, hand-worked filters and a peer."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from seqlab.errors import SeqlabError
from seqlab.frontend.linear_prediction import (
    autocorrelation,
    cepstrum_to_lpc,
    levinson_durbin,
    lpc,
    lpc_to_cepstrum,
    lpc_to_reflection,
    reflection_to_lpc,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def coloured(*shape: int, seed: int = 0) -> torch.Tensor:
    """Noise through a filter with two resonances."""
    shaped = lfilter([1], [1, -1.3, 0.9, -0.2, 0.1], noise(*shape, seed=seed).numpy())
    return torch.from_numpy(shaped)


def test_autocorrelation_equals_numpy() -> None:
    frame = coloured(200)
    whole = np.correlate(frame.numpy(), frame.numpy(), "full")[199:]
    np.testing.assert_allclose(autocorrelation(frame, 30), whole[:31], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 12, 40])
def test_the_predictor_solves_the_normal_equations(order: int) -> None:
    frames = coloured(3, 2, 400) * torch.hamming_window(400, dtype=torch.float64)
    coefficients, gain = lpc(frames, order)
    assert coefficients.shape == (3, 2, order + 1)
    assert gain.shape == (3, 2)
    for index in np.ndindex(3, 2):
        lags = autocorrelation(frames[index], order).numpy()
        solved = np.concatenate([[1], solve_toeplitz(lags[:-1], -lags[1:])])
        np.testing.assert_allclose(coefficients[index], solved, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(gain[index] ** 2, solved @ lags, rtol=1e-9)


def test_a_long_recording_gives_the_filter_it_came_through() -> None:
    """Burg's method (librosa) and autocorrelation differ on a frame, and agree in the long run."""
    wave = coloured(200_000)
    ours, gain = lpc(wave, 4)
    np.testing.assert_allclose(ours, [1, -1.3, 0.9, -0.2, 0.1], atol=0.01)
    np.testing.assert_allclose(ours, librosa.lpc(wave.numpy(), order=4), atol=1e-4)
    assert gain.item() / len(wave) ** 0.5 == pytest.approx(1, abs=0.01)
    short = wave[:200]
    assert np.abs(lpc(short, 4)[0].numpy() - librosa.lpc(short.numpy(), order=4)).max() > 1e-3


def test_worked_by_hand() -> None:
    # k1 = -r1/r0 = -1/2, E1 = 3/4; k2 = -(r2 + a1 r1)/E1 = -(0 - 1/4)/(3/4) = 1/3, E2 = 2/3.
    lags = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    coefficients, error, reflection = levinson_durbin(lags)
    np.testing.assert_allclose(reflection, [-1 / 2, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(coefficients, [1, -2 / 3, 1 / 3], rtol=1e-15)
    assert error.item() == pytest.approx(2 / 3)


def test_the_cepstrum_of_one_and_of_two_poles() -> None:
    # log 1 / (1 - p z^-1) = sum of p^n / n z^-n
    number = torch.arange(1, 20, dtype=torch.float64)
    one = lpc_to_cepstrum(torch.tensor([1, -0.8], dtype=torch.float64), 19)
    np.testing.assert_allclose(one, 0.8**number / number, rtol=1e-12)
    two = lpc_to_cepstrum(torch.tensor([1, -0.3, -0.4], dtype=torch.float64), 19)
    np.testing.assert_allclose(two, (0.8**number + (-0.5) ** number) / number, rtol=1e-10)


def test_the_cepstrum_is_that_of_the_log_spectrum() -> None:
    coefficients, _ = lpc(coloured(5, 300), 10)
    log_spectrum = -2 * np.log(np.abs(np.fft.rfft(coefficients.numpy(), 8192)))
    expected = np.fft.irfft(log_spectrum)[:, 1:31]
    np.testing.assert_allclose(lpc_to_cepstrum(coefficients, 30), expected, atol=1e-9)


reflections = st.lists(st.floats(-0.98, 0.98), min_size=1, max_size=12)


@given(reflections)
def test_reflection_coefficients_and_cepstra_go_there_and_back(values: list[float]) -> None:
    reflection = torch.tensor(values, dtype=torch.float64)
    coefficients = reflection_to_lpc(reflection)
    assert np.abs(np.roots(coefficients.numpy())).max(initial=0) < 1
    torch.testing.assert_close(lpc_to_reflection(coefficients), reflection, rtol=1e-6, atol=1e-6)
    cepstra = lpc_to_cepstrum(coefficients, len(values) + 3)
    torch.testing.assert_close(cepstrum_to_lpc(cepstra, len(values)), coefficients)
    extended = cepstrum_to_lpc(cepstra)
    assert extended[len(values) + 1 :].abs().max() < 1e-6 * cepstra.abs().max().clamp_min(1)


def test_levinson_reports_the_reflection_coefficients_of_its_predictor() -> None:
    coefficients, _, reflection = levinson_durbin(autocorrelation(coloured(7, 100), 8))
    torch.testing.assert_close(lpc_to_reflection(coefficients), reflection)


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([1e-15, 1.0, 1e12]),
    st.integers(0, 9),
)
def test_filters_of_any_frame_are_stable(
    size: int, order: int, dtype: torch.dtype, scale: float, seed: int
) -> None:
    frames = (noise(2, size, seed=seed) * scale).to(dtype)
    _, error, reflection = levinson_durbin(autocorrelation(frames, order))
    assert reflection.abs().max() <= 1
    assert (error >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "frame",
    [torch.zeros(200), torch.ones(200), torch.sin(torch.arange(200.0)), torch.eye(200)[0]],
    ids=["silence", "constant", "tone", "impulse"],
)
def test_degenerate_frames_stay_finite(frame: torch.Tensor, dtype: torch.dtype) -> None:
    frame = frame.to(dtype, copy=True).requires_grad_()
    coefficients, gain = lpc(frame, 16)
    cepstra = lpc_to_cepstrum(coefficients, 20)
    (coefficients.sum() + gain + cepstra.sum()).backward()
    for values in (coefficients, gain, cepstra, frame.grad):
        assert values.isfinite().all()
    if not frame.any():
        assert coefficients.tolist() == [1] + [0] * 16
        assert gain == 0


def test_a_periodic_autocorrelation_is_predicted_without_error() -> None:
    lags = torch.cos(torch.arange(9.0, dtype=torch.float64))
    coefficients, error, reflection = levinson_durbin(lags)
    np.testing.assert_allclose(coefficients[:3], [1, -2 * np.cos(1), 1], atol=1e-12)
    assert reflection[2:].tolist() == [0] * 6  # nothing is left to predict
    assert error.item() < 1e-14


def test_nan_stays_with_its_frame() -> None:
    frames = coloured(3, 100)
    clean, _ = lpc(frames, 6)
    frames[1, 50] = torch.nan
    spoilt, gain = lpc(frames, 6)
    assert spoilt[1, 1:].isnan().all()
    assert gain[1].isnan()
    assert torch.equal(spoilt[[0, 2]], clean[[0, 2]])


def test_gradients_are_those_of_finite_differences() -> None:
    frame = coloured(2, 30).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lpc(x, 4), frame)
    assert torch.autograd.gradcheck(lambda x: lpc_to_cepstrum(lpc(x, 4)[0], 8), frame)


def test_wrong_input_names_rule_and_remedy() -> None:
    with pytest.raises(SeqlabError, match=r"frames is torch\.int64, must be a floating-point"):
        lpc(torch.ones(5, dtype=torch.int64), 2)
    with pytest.raises(SeqlabError, match="frames is ndarray"):
        lpc(np.ones(5), 2)  # type: ignore[arg-type]
    with pytest.raises(SeqlabError, match=r"shape \(2, 0\), must be \(\.\.\., N\)"):
        lpc(torch.ones(2, 0), 2)
    with pytest.raises(SeqlabError, match="order=0 must be a whole number of at least 1"):
        lpc(torch.ones(5), 0)
    with pytest.raises(SeqlabError, match=r"shape \(\), must be"):
        autocorrelation(torch.tensor(1.0), 2)
    with pytest.raises(SeqlabError, match="order=4 must be at most the 3 cepstra"):
        cepstrum_to_lpc(torch.ones(3), 4)
    with pytest.raises(SeqlabError, match="count=0"):
        lpc_to_cepstrum(torch.ones(3), 0)
    assert lpc_to_reflection(torch.ones(2, 1)).shape == (2, 0)
    assert reflection_to_lpc(torch.ones(2, 0)).tolist() == [[1], [1]]
