"""Sliding CMVN: Kaldi's rule word by word, torchaudio, and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import SeqlabError
from seqlab.frontend.sliding_cmvn import SlidingCMVN


def noise(frames: int, width: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(frames, width, generator=generator) * 4 - 20


def restate(features: np.ndarray, s: SlidingCMVN) -> np.ndarray:
    """Each window on its own, as Kaldi's apply-cmvn-sliding places it."""
    total = len(features)
    result = np.zeros_like(features)
    for t in range(total):
        begin, end = (t - s.window // 2, t - s.window // 2 + s.window)
        if not s.center:
            begin, end = t - s.window, max(t + 1, s.min_window)
        elif begin < 0:
            begin, end = 0, s.window
        begin = max(begin, 0)
        if end > total:
            begin, end = max(0, begin - (end - total)), total
        window = features[begin:end]
        result[t] = features[t] - window.mean(0)
        if s.variance:
            deviation = np.sqrt(np.maximum(window.var(0), 1e-10))
            result[t] = result[t] / deviation if len(window) > 1 else 0
    return result


@settings(max_examples=150, deadline=None)
@given(
    frames=st.integers(1, 80),
    window=st.integers(1, 60),
    least=st.integers(1, 60),
    center=st.booleans(),
    variance=st.booleans(),
)
def test_it_is_kaldis_rule(
    frames: int, window: int, least: int, center: bool, variance: bool
) -> None:
    normalizer = SlidingCMVN(window, min(least, window), center, variance)
    features = noise(frames)
    ours = normalizer(features[None], torch.tensor([frames]))[0]
    expected = restate(features.double().numpy(), normalizer)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("variance", [False, True])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("window", "least"), [(600, 100), (50, 50), (7, 3), (3000, 100)])
def test_it_equals_torchaudio(window: int, least: int, center: bool, variance: bool) -> None:
    features = noise(900)
    theirs = torchaudio.functional.sliding_window_cmn(
        features.double(), window, least, center, variance
    )
    ours = SlidingCMVN(window, least, center, variance)(features[None], torch.tensor([900]))[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=2e-6)


def test_windows_worked_by_hand() -> None:
    features = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).reshape(1, 5, 1)
    lengths = torch.tensor([5])
    # Windows 0-1, 0-1, 0-2, 1-3, 2-4: the frame and two before it, two frames at the start.
    past = SlidingCMVN(window=2, min_window=2)(features, lengths).flatten()
    assert past.tolist() == pytest.approx([-0.5, 0.5, 5 / 3, 10 / 3, 20 / 3])
    # Windows 0-2, 0-2, 1-3, 2-4, 2-4.
    around = SlidingCMVN(window=3, center=True)(features, lengths).flatten()
    assert around.tolist() == pytest.approx([-4 / 3, -1 / 3, -2 / 3, -4 / 3, 20 / 3])
    # Two frames lie one deviation to each side of their mean; one frame alone is zero.
    pairs = SlidingCMVN(window=2, center=True, variance=True)(features, lengths).flatten()
    assert pairs.tolist() == pytest.approx([-1, 1, 1, 1, 1])
    alone = SlidingCMVN(window=1, min_window=1, center=True, variance=True)
    assert alone(features, lengths).flatten().tolist() == [0] * 5


def test_when_a_stream_gives_frames_out() -> None:
    causal, centred = SlidingCMVN(20, 8), SlidingCMVN(20, center=True)
    for normalizer, seen, expected in [
        (causal, 7, 0),
        (causal, 8, 8),
        (causal, 9, 9),
        (centred, 19, 0),
        (centred, 20, 11),
        (centred, 30, 21),
    ]:
        out, state = normalizer.step(noise(seen)[None], normalizer.initial_state())
        assert out.shape[1] == expected
        assert normalizer.flush(state).shape[1] == seen - expected


def test_a_stream_keeps_one_window() -> None:
    for normalizer in (SlidingCMVN(20, 8), SlidingCMVN(20, center=True, variance=True)):
        state = normalizer.initial_state()
        for _ in range(30):
            _, state = normalizer.step(noise(17)[None], state)
        assert state.frames.shape[1] <= 20
        assert state.sums.shape[1] <= 22
        assert torch.equal(normalizer.flush(state), normalizer.flush(state))


def test_a_damaged_frame_counts_in_no_window() -> None:
    features = torch.tensor([1.0, torch.nan, 4.0, 8.0]).reshape(1, 4, 1)
    result = SlidingCMVN(window=2, min_window=1)(features, torch.tensor([4])).flatten()
    assert result.nan_to_num(99).tolist() == [0, 99, 1.5, 2]


@pytest.mark.parametrize("center", [False, True])
def test_what_lies_far_away_does_not_count(center: bool) -> None:
    features = noise(200)
    result = SlidingCMVN(20, 8, center)(features[None], torch.tensor([200]))[0]
    features[100:] += 1e6
    shifted = SlidingCMVN(20, 8, center)(features[None], torch.tensor([200]))[0]
    assert torch.equal(result[:85], shifted[:85])
    np.testing.assert_allclose(result[130:], shifted[130:], atol=0.1)  # float32 at 1e6


def test_constant_features_become_zero() -> None:
    constant = torch.full((1, 3000, 3), -15.942385)
    for variance in (False, True):
        result = SlidingCMVN(variance=variance)(constant, torch.tensor([3000]))
        assert result.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window=0 must be a whole number of at least 1"),
        ({"min_window": 0}, "min_window=0 must be"),
        ({"window": 50}, "min_window=100 must be at most window=50; lower it, or widen"),
        ({"window": 2.5}, "window=2.5 must be a whole number"),
    ],
)
def test_settings_are_checked(settings: dict[str, int], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        SlidingCMVN(**settings)
