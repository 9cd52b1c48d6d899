"""Resampling against soxr, torchaudio and closed forms."""

from __future__ import annotations

import math

import pytest
import soxr
import torch
import torchaudio.functional
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.audio import resample
from seqlab.errors import AudioError
from tests.sounds import noise, tone


class TestResample:
    @pytest.mark.parametrize(
        "rates", [(44100, 16000), (8000, 16000), (48000, 8000), (16000, 17600)]
    )
    @pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
    def test_tone_keeps_its_shape(self, rates: tuple[int, int], share: float) -> None:
        """Below 90 % of the lower Nyquist frequency a tone stays a tone, within 0.01 dB."""
        frequency = share * min(rates) / 2
        got = resample(tone(frequency, rates[0], 1.0).float(), *rates)
        expected = tone(frequency, rates[1], 1.0)
        middle = slice(len(got) // 4, 3 * len(got) // 4)
        error = (got.double() - expected)[middle].square().mean() / expected[middle].square().mean()
        assert 10 * math.log10(error) < -60

    @pytest.mark.parametrize("rates", [(44100, 16000), (48000, 8000)])
    def test_what_lies_above_the_new_nyquist_frequency_vanishes(
        self, rates: tuple[int, int]
    ) -> None:
        got = resample(tone(0.55 * rates[1], rates[0], 1.0).float(), *rates)
        middle = got[len(got) // 4 : 3 * len(got) // 4].double()
        assert 10 * math.log10(middle.square().mean() / 0.125) < -110

    @pytest.mark.parametrize("rates", [(44100, 16000), (8000, 16000), (16000, 8000)])
    def test_against_torchaudio_and_soxr(self, rates: tuple[int, int]) -> None:
        """Band-limited noise, against torchaudio's long Kaiser filter and soxr's VHQ."""
        low = torch.from_numpy(noise(1.0)[:, 0])
        spectrum = torch.fft.rfft(low)
        spectrum[round(0.8 * len(spectrum) * min(rates) / rates[0]) :] = 0
        waveform = torch.fft.irfft(spectrum, len(low))
        got = resample(waveform, *rates)
        kaiser = torchaudio.functional.resample(
            waveform, *rates, lowpass_filter_width=64, rolloff=0.9475937167399596,
            resampling_method="sinc_interp_kaiser", beta=14.769656459379492,
        )  # fmt: skip
        finest = torch.from_numpy(soxr.resample(waveform.numpy(), *rates, "VHQ"))
        middle = slice(500, len(got) - 500)
        for peer in (kaiser, finest):
            assert (got[middle] - peer[: len(got)][middle]).abs().max() < 5e-4

    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(0, 400),
        st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
        st.sampled_from([8000, 16000, 17600, 44100]),
    )
    def test_length_and_batch(self, samples: int, from_rate: int, to_rate: int) -> None:
        waveform = torch.randn(2, 3, samples, generator=torch.Generator().manual_seed(0))
        got = resample(waveform, from_rate, to_rate)
        assert got.shape == (2, 3, math.ceil(samples * to_rate / from_rate))
        assert torch.equal(got[1, 2], resample(waveform[1, 2], from_rate, to_rate))

    def test_bad_input(self) -> None:
        with pytest.raises(AudioError, match="int16"):
            resample(torch.zeros(100, dtype=torch.int16), 8000, 16000)
        with pytest.raises(AudioError, match="to_rate=0"):
            resample(torch.zeros(100), 8000, 0)
