import numpy as np
import pytest
import torch

from seqlab.errors import SeqlabError
from seqlab.frontend.channel import colored_noise, move_edges, tilt_spectrum


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_power_of_noise_falls_with_the_exponent(exponent):
    rng = np.random.default_rng(0)
    power = np.zeros(4097)
    for _ in range(200):
        power += np.abs(np.fft.rfft(colored_noise(8192, exponent, rng).numpy())) ** 2
    frequency = np.arange(4097)
    band = slice(10, 4000)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.02)


def test_noise_has_unit_power_and_depends_on_the_generator_alone():
    first = colored_noise(1001, 1.0, np.random.default_rng(3))
    again = colored_noise(1001, 1.0, np.random.default_rng(3))
    assert torch.equal(first, again)
    assert first.square().mean().item() == pytest.approx(1, abs=1e-5)
    assert len(colored_noise(0, 1.0, np.random.default_rng(0))) == 0
    assert torch.isfinite(colored_noise(1, 2.0, np.random.default_rng(0))).all()


def test_tilt_has_the_response_of_its_filter():
    impulse = torch.zeros(512)
    impulse[0] = 1
    response = torch.fft.rfft(tilt_spectrum(impulse, 0.3)).abs()
    omega = torch.linspace(0, torch.pi, 257)
    expected = (1 - 2 * 0.3 * omega.cos() + 0.09).sqrt()  # |1 - c exp(-j omega)|
    torch.testing.assert_close(response, expected, atol=1e-5, rtol=0)
    assert tilt_spectrum(torch.zeros(0), 0.3).shape == (0,)


def test_edges_keep_at_least_half():
    assert move_edges(torch.ones(8), -100, -100).tolist() == [1.0] * 4
    assert move_edges(torch.ones(2), 1, 2).tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]


def test_values_out_of_range_are_refused():
    with pytest.raises(SeqlabError, match="exponent"):
        colored_noise(10, 9.0, np.random.default_rng(0))
    with pytest.raises(SeqlabError, match="coefficient"):
        tilt_spectrum(torch.ones(3), 1.5)
    with pytest.raises(SeqlabError, match="waveform"):
        tilt_spectrum(torch.ones(3, 3), 0.5)
