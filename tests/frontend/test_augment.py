"""SpecAugment by its seeds, and changes of waveforms by their physics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlab.errors import SeqlabError
from seqlab.frontend.augment import (
    SpecAugment,
    add_noise,
    change_gain,
    change_speed,
    reverberate,
    shift_time,
)
from seqlab.lengths import pad_stack


def features(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.rand(length, 40, generator=generator) + 1 for length in lengths]
    return pad_stack(rows, value=torch.nan)


def noise(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(length, generator=torch.Generator().manual_seed(seed)) * 0.1


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_masks_depend_on_the_seed_alone(fill: str) -> None:
    augment = SpecAugment(fill=fill).train()
    batch, lengths = features(100, 60, 1, 0)
    seeds = torch.tensor([1, 2**62, -5, 4])
    together = augment(batch, lengths, seeds)
    assert torch.equal(together, augment(batch, lengths, seeds))
    for row, item, length, seed in zip(together, batch, lengths, seeds, strict=True):
        alone = augment(item[None, :length], length[None], seed[None])
        torch.testing.assert_close(row[:length], alone[0])
        assert (row[length:] == 0).all()
    assert not torch.equal(together, augment(batch, lengths, seeds + 1))


def test_nothing_is_masked_outside_of_training() -> None:
    batch, lengths = features(50, 50)
    assert SpecAugment().eval()(batch, lengths, torch.tensor([1, 2])) is batch


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**63 - 1), st.integers(0, 50), st.floats(0, 1))
@example(1, 1, 1, 1 - 2**-53)
def test_masks_keep_their_bounds(length: int, seed: int, longest: int, share: float) -> None:
    seeds, lengths = torch.tensor([seed]), torch.tensor([length])
    ones = torch.ones(1, length, 30)
    in_time = SpecAugment(1, longest, 0, 0, share, fill="zero").train()(ones, lengths, seeds)[0]
    frames = in_time[:, 0]
    assert torch.equal(in_time, frames[:, None].expand(-1, 30))
    masked = int((frames == 0).sum())
    assert masked <= min(longest, math.floor(share * length))
    assert (frames.diff() != 0).sum() <= 2  # one stretch
    bands = SpecAugment(0, 0, 1, 50, fill="zero").train()(ones, lengths, seeds)[0, 0]
    assert (bands.diff() != 0).sum() <= 2


def test_masks_are_spread_evenly() -> None:
    count = 4000
    augment = SpecAugment(1, 10, 1, 10, 1.0, fill="zero").train()
    masked = augment(torch.ones(count, 50, 50), torch.full((count,), 50), torch.arange(count))
    share = (masked == 0).float()
    frames = share.amin(2).mean(0)  # a whole frame masked
    bands = share.amin(1).mean(0)
    for rate in (frames, bands):
        assert rate.sum() == pytest.approx(5, rel=0.05)  # mean width of 0 to 10
        assert rate[15:35].std() < 0.02
    assert torch.corrcoef(torch.stack([share[:, 25].amin(1), share[:, :, 25].amin(1)]))[0, 1] < 0.1


def test_the_mean_fills_the_masks() -> None:
    batch, lengths = features(80)
    augment = SpecAugment(2, 30, 0, 0, 1.0).train()
    result = augment(batch, lengths, torch.tensor([7]))
    changed = (result != batch).all(2)[0]
    assert changed.any()
    torch.testing.assert_close(result[0, changed], batch.mean(1).expand(int(changed.sum()), -1))


def test_warping_moves_one_point_and_interpolates_as_numpy_does() -> None:
    length, bands = 60, 24
    augment = SpecAugment(0, 0, 0, 0, max_time_warp=12).train()
    ramp = torch.arange(length, dtype=torch.float32)[None, :, None].expand(300, -1, bands)
    seeds = torch.arange(300)
    warped = augment(ramp.contiguous(), torch.full((300,), length), seeds)
    moved = (warped - ramp)[:, :, 0]
    assert moved[:, 0].abs().max() == 0 and moved[:, -1].abs().max() < 1e-4  # ends stay
    assert 11 < moved.abs().max() <= 12.001  # up to the bound
    assert abs(float(moved.mean())) < 0.5  # either way
    for row in range(20):  # a ramp shows the map itself: two straight pieces, rising
        knee = int(moved[row].abs().argmax())
        slopes = warped[row, :, 0].diff()
        assert (slopes >= 0).all()
        inner = torch.cat([slopes[: max(knee - 1, 0)].unique(), slopes[knee + 1 :].unique()])
        assert inner.numel() and slopes[: max(knee - 1, 0)].std(correction=0) < 1e-3
        assert slopes[knee + 1 :].std(correction=0) < 1e-3
    batch, lengths = features(length)
    result = augment(batch, lengths, seeds[3:4])[0]
    for band in range(batch.shape[2]):
        wanted = np.interp(warped[3, :, 0], np.arange(length), batch[0, :, band])
        np.testing.assert_allclose(result[:, band], wanted, atol=1e-4)


def test_warping_keeps_to_each_utterance_and_to_time_or_bands() -> None:
    batch, lengths = features(100, 60, 1, 3)
    seeds = torch.tensor([5, 6, 7, 8])
    augment = SpecAugment(max_time_warp=20, max_frequency_warp=3).train()
    together = augment(batch, lengths, seeds)
    for row, length, seed in zip(range(4), lengths, seeds, strict=True):
        alone = augment(batch[row : row + 1, :length], length[None], seed[None])
        torch.testing.assert_close(together[row, :length], alone[0])
        assert (together[row, length:] == 0).all()
    flat = torch.linspace(0, 1, 80).expand(1, 50, 80).contiguous()
    one = torch.tensor([50])
    in_time = SpecAugment(0, 0, 0, 0, max_time_warp=10).train()(flat, one, seeds[:1])
    torch.testing.assert_close(in_time, flat)
    in_bands = SpecAugment(0, 0, 0, 0, max_frequency_warp=3).train()(flat, one, seeds[:1])
    assert 0.001 < (in_bands - flat).abs().max() < 3.1 / 79
    assert torch.equal(in_bands, in_bands[:, :1].expand_as(in_bands))


def test_masks_stay_the_same_where_nothing_is_warped() -> None:
    ones, lengths = torch.ones(2, 80, 40), torch.tensor([80, 50])
    seeds = torch.tensor([1, 2])
    still = SpecAugment(fill="zero").train()(ones, lengths, seeds)
    warped = SpecAugment(fill="zero", max_time_warp=10).train()(ones, lengths, seeds)
    assert torch.equal(still, warped)


def test_gradients_pass_the_masks() -> None:
    batch, lengths = features(40, 20)
    batch.requires_grad_()
    SpecAugment().train()(batch, lengths, torch.tensor([1, 2])).sum().backward()
    assert batch.grad[0].isfinite().all()
    assert (batch.grad[1, 20:] == 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_time_masks": -1}, "num_time_masks=-1 must be a whole number of at least 0"),
        ({"max_frequency_mask": 2.5}, r"max_frequency_mask=2\.5 must be a whole number"),
        ({"max_time_fraction": 20}, "max_time_fraction=20 must be a number within"),
        ({"max_time_warp": 0.5}, r"max_time_warp=0\.5 must be a whole number"),
        ({"fill": "noise"}, "fill='noise' must be one of 'mean', 'zero'"),
    ],
)
def test_settings_of_spec_augment_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        SpecAugment(**settings)


def test_seeds_are_checked() -> None:
    batch, lengths = features(40, 20)
    with pytest.raises(SeqlabError, match="give one seed for each utterance"):
        SpecAugment().train()(batch, lengths, torch.tensor([1]))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("length", [100, 16000, 50000])
def test_noise_is_added_at_its_ratio(snr_db: float, length: int) -> None:
    speech = noise(16000)
    added = add_noise(speech, noise(length, seed=1) * 7, snr_db) - speech
    ratio = 10 * math.log10(speech.square().sum() / added.square().sum())
    assert ratio == pytest.approx(snr_db, abs=1e-3)


def test_silence_takes_no_noise() -> None:
    silence = torch.zeros(10)
    assert torch.equal(add_noise(silence, noise(10), 0.0), silence)
    assert torch.equal(add_noise(noise(10), silence, 0.0), noise(10))


def test_reverberation_equals_convolution() -> None:
    speech = noise(4000)
    decay = torch.exp(-torch.arange(800.0) / 100)
    response = torch.cat([torch.zeros(37), noise(800, seed=1) * decay])
    response[37] = 1.0
    full = scipy.signal.convolve(speech.numpy(), response.numpy())[37 : 37 + 4000]
    expected = full * np.sqrt((speech**2).sum().item() / (full**2).sum())
    np.testing.assert_allclose(reverberate(speech, response), expected, atol=1e-5)


def test_an_echo_free_room_changes_nothing() -> None:
    response = torch.zeros(50)
    response[20] = -0.3
    torch.testing.assert_close(reverberate(noise(300), response), -noise(300), atol=1e-6, rtol=0)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.1, 2.0])
def test_speed_moves_length_and_pitch(factor: float) -> None:
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    faster = change_speed(tone, factor, 16000)
    assert abs(len(faster) - 16000 / factor) <= 1
    peak = int(torch.fft.rfft(faster).abs().argmax()) * 16000 / len(faster)
    assert peak == pytest.approx(1000 * factor, abs=2)


def test_gain_and_shift_by_hand() -> None:
    wave = torch.tensor([1.0, 2.0, 3.0])
    assert change_gain(wave, 20.0).tolist() == pytest.approx([10, 20, 30])
    assert shift_time(wave, -1).tolist() == [2, 3, 0]
    assert shift_time(wave, 2).tolist() == [0, 0, 1]
    assert shift_time(wave, 9).tolist() == shift_time(wave, -9).tolist() == [0, 0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 400), st.sampled_from([np.float32, np.float64]))
def test_containers_types_and_lengths_stay(length: int, dtype: type) -> None:
    wave = np.linspace(-0.5, 0.5, length, dtype=dtype)
    other = np.ones(5, dtype=dtype)
    for result in (
        add_noise(wave, other, 10.0),
        reverberate(wave, other),
        change_gain(wave, -3.0),
        shift_time(wave, 3),
        change_speed(wave, 1.1, 16000),
    ):
        assert isinstance(result, np.ndarray)
        assert result.dtype == dtype
        assert result.ndim == 1
        assert np.isfinite(result).all()
    assert len(reverberate(wave, other)) == length


def test_bad_waveforms_and_sizes_are_refused() -> None:
    wave = noise(100)
    with pytest.raises(SeqlabError, match="noise has 0 samples"):
        add_noise(wave, torch.zeros(0), 10.0)
    with pytest.raises(SeqlabError, match="impulse_response is silent"):
        reverberate(wave, torch.zeros(10))
    with pytest.raises(SeqlabError, match=r"waveform is torch\.float32 of shape \(1, 100\)"):
        change_gain(wave[None], 3.0)
    with pytest.raises(SeqlabError, match="divide int16 samples by 32768"):
        shift_time(torch.zeros(5, dtype=torch.int16), 1)
    with pytest.raises(SeqlabError, match="factor=0 must be a number within"):
        change_speed(wave, 0, 16000)
    with pytest.raises(SeqlabError, match="snr_db=nan"):
        add_noise(wave, wave, math.nan)
