"""Changes that make training data more varied: of features (SpecAugment) and of waveforms.

No function here draws on a global random state. SpecAugment takes a seed for every utterance,
and the changes of waveforms take their sizes as arguments.
"""

from __future__ import annotations

import math
from typing import TypeVar, cast

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlab.checks import check_choice, check_range
from seqlab.errors import AudioError, SeqlabError
from seqlab.frontend.bending import bend
from seqlab.frontend.hashing import uniform
from seqlab.frontend.spectrum import fast_size
from seqlab.lengths import check_lengths, zero_padding
from seqlab.values import Described

Waveform = TypeVar("Waveform", Tensor, NDArray[np.floating])
FILLS = ("mean", "zero")


class SpecAugment(Described, nn.Module):
    """Masks stretches of time and bands of features in training; passes features on otherwise.

    Use it in nearly every training; it costs little. Every utterance is masked by its own seed,
    so the masks do not depend on the batch, the process or the machine. Warping along the bands
    of a mel spectrogram makes other vocal tracts of one voice, which helps where few speakers
    were recorded.

    Args:
        num_time_masks: stretches of time to mask, at least 0.
        max_time_mask: longest stretch, frames.
        num_frequency_masks: bands to mask, at least 0.
        max_frequency_mask: widest band, features.
        max_time_fraction: longest stretch as a share of the utterance, within [0, 1].
        fill: "mean" puts each feature's mean over the utterance under the masks, "zero" puts 0,
            which is the same after mean normalisation.
        max_time_warp: how far, in frames, a random point of the utterance is moved at most, the
            rest being stretched and squeezed linearly; 0 leaves it out. In utterances shorter
            than four times that, a quarter of their length.
        max_frequency_warp: the same along the bands. Of 80 mel bands up to 8 kHz, 2 are about a
            tenth of the frequency at 2 kHz.

    Source: Park et al. 2019, "SpecAugment", section 2, with the bound p of time masks; warping of
    bands after Jaitly and Hinton 2013, "Vocal tract length perturbation (VTLP) improves speech
    recognition", with the bend drawn at random.

    Example:
        >>> augment = SpecAugment(num_time_masks=1, num_frequency_masks=0, fill="zero").train()
        >>> masked = augment(torch.ones(1, 50, 4), torch.tensor([50]), torch.tensor([3]))
        >>> set(masked.flatten().tolist()) <= {0.0, 1.0}
        True
    """

    def __init__(
        self,
        num_time_masks: int = 2,
        max_time_mask: int = 40,
        num_frequency_masks: int = 2,
        max_frequency_mask: int = 20,
        max_time_fraction: float = 0.2,
        fill: str = "mean",
        max_time_warp: int = 0,
        max_frequency_warp: int = 0,
    ) -> None:
        super().__init__()
        counts = {
            "num_time_masks": num_time_masks,
            "max_time_mask": max_time_mask,
            "num_frequency_masks": num_frequency_masks,
            "max_frequency_mask": max_frequency_mask,
            "max_time_warp": max_time_warp,
            "max_frequency_warp": max_frequency_warp,
        }
        for name, count in counts.items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise SeqlabError(
                    f"{name}={count!r} must be a whole number of at least 0; 0 leaves it out"
                )
        check_range("max_time_fraction", max_time_fraction, 0, 1, "0.2 is common")
        check_choice("fill", fill, FILLS)
        self.num_time_masks, self.max_time_mask = num_time_masks, max_time_mask
        self.num_frequency_masks = num_frequency_masks
        self.max_frequency_mask = max_frequency_mask
        self.max_time_fraction, self.fill = max_time_fraction, fill
        self.max_time_warp, self.max_frequency_warp = max_time_warp, max_frequency_warp

    def forward(self, features: Tensor, lengths: Tensor, seeds: Tensor) -> Tensor:
        """Mask features in training mode.

        Args:
            features: (B, T, F).
            lengths: frames (B,).
            seeds: (B,), int64, one for each utterance; take other ones in each epoch.

        Returns:
            Features (B, T, F), zero beyond the lengths.

        Raises:
            SeqlabError: shapes or seeds do not fit.
        """
        check_lengths(lengths, features.shape[1], "features")
        if seeds.shape != lengths.shape or seeds.dtype != torch.int64:
            raise SeqlabError(
                f"seeds are {seeds.dtype} of shape {tuple(seeds.shape)}, must be int64 of shape "
                f"{tuple(lengths.shape)}; give one seed for each utterance"
            )
        if not self.training:
            return features
        features = self._warped(zero_padding(features, lengths), lengths, seeds)
        fill = features.new_zeros(())
        if self.fill == "mean":
            frames = lengths.clamp(min=1).reshape(-1, 1, 1)
            fill = (features.sum(1, keepdim=True, dtype=torch.float64) / frames).to(features.dtype)
        masked = torch.where(self._masks(features, lengths, seeds), fill, features)
        return zero_padding(masked, lengths)

    def _warped(self, features: Tensor, lengths: Tensor, seeds: Tensor) -> Tensor:
        """Features moved along time and along the bands."""
        seeds = seeds.to(features.device).unsqueeze(1)
        first = 2 * (self.num_time_masks + self.num_frequency_masks)
        counters = torch.arange(first, first + 4, device=features.device)
        draws = uniform(seeds, counters).to(torch.float32)
        if self.max_time_warp:
            features = bend(features, draws[:, :2], lengths.to(draws.device), self.max_time_warp)
        if self.max_frequency_warp:
            bands = lengths.new_full(lengths.shape, features.shape[2]).to(draws.device)
            moved = bend(features.transpose(1, 2), draws[:, 2:], bands, self.max_frequency_warp)
            features = moved.transpose(1, 2)
        return features

    def _masks(self, features: Tensor, lengths: Tensor, seeds: Tensor) -> Tensor:
        """True where masked, (B, T, F)."""
        total = self.num_time_masks + self.num_frequency_masks
        counters = torch.arange(2 * total, device=features.device)
        draws = uniform(seeds.to(features.device).unsqueeze(1), counters)
        draws = draws.reshape(len(seeds), total, 2)
        in_time, in_frequency = draws[:, : self.num_time_masks], draws[:, self.num_time_masks :]
        longest = (lengths.double() * self.max_time_fraction).floor().clamp(max=self.max_time_mask)
        widest = lengths.new_full(lengths.shape, min(self.max_frequency_mask, features.shape[2]))
        width = lengths.new_full(lengths.shape, features.shape[2])
        time_mask = _stretches(in_time, longest, lengths, features.shape[1])
        frequency_mask = _stretches(in_frequency, widest, width, features.shape[2])
        return time_mask.unsqueeze(2) | frequency_mask.unsqueeze(1)


def _stretches(draws: Tensor, longest: Tensor, size: Tensor, positions: int) -> Tensor:
    """Union (B, positions) of random stretches within [0, size); draws (B, masks, 2)."""
    length = (draws[..., 0] * (longest.unsqueeze(1) + 1)).floor()
    start = (draws[..., 1] * (size.unsqueeze(1) - length + 1)).floor()
    place = torch.arange(positions, device=draws.device)
    start, length = start.unsqueeze(2), length.unsqueeze(2)
    return ((place >= start) & (place < start + length)).any(1)


def add_noise(waveform: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """Waveform with noise added at a signal-to-noise ratio.

    Args:
        waveform: samples (N,).
        noise: samples (M,), M at least 1; cut to N from its start, or repeated up to N.
        snr_db: ratio of mean powers over the N samples, in decibels.

    Returns:
        Noisy waveform (N,); unchanged where either of the two is silent.

    Raises:
        AudioError: a shape does not fit.

    Example:
        >>> add_noise(torch.ones(2), torch.tensor([1.0, -1.0]), 0.0).tolist()
        [2.0, 0.0]
    """
    signal, added = _tensor(waveform, "waveform"), _tensor(noise, "noise")
    check_range("snr_db", snr_db, -200, 200, "0 is as loud as the waveform, 20 is faint")
    if len(added) == 0:
        raise AudioError("noise has 0 samples, must have at least 1; leave the empty file out")
    added = added.repeat(-(-len(signal) // len(added)))[: len(signal)]
    powers = [float(part.double().square().sum()) for part in (signal, added)]
    if min(powers) > 0:
        signal = signal + added * math.sqrt(powers[0] / powers[1] * 10 ** (-snr_db / 10))
    return _like(signal, waveform)


def reverberate(waveform: Waveform, impulse_response: Waveform) -> Waveform:
    """Waveform as heard in a room.

    Args:
        waveform: samples (N,).
        impulse_response: response of the room (M,), M at least 1, at the same sample rate.

    Returns:
        Waveform (N,) of the same power; the direct sound (the largest peak of the response)
        stays where it was, and what rings on after the end is cut off.

    Raises:
        AudioError: a shape does not fit, or the response is silent.
    """
    signal = _tensor(waveform, "waveform")
    response = _tensor(impulse_response, "impulse_response")
    if len(response) == 0 or not bool(response.any()):
        raise AudioError("impulse_response is silent, must hold a peak; leave the file out")
    direct = int(response.abs().argmax())
    n_fft = fast_size(len(signal) + len(response) - 1)
    # numpy's transforms take half of the time of torch's on a CPU, or less
    parts = [part.detach().cpu().numpy() for part in (signal, response)]
    whole = np.fft.irfft(math.prod(np.fft.rfft(part, n_fft) for part in parts), n_fft)
    wet = torch.from_numpy(whole[direct : direct + len(signal)]).to(signal)
    powers = [float(part.double().square().sum()) for part in (signal, wet)]
    if min(powers) > 0:
        wet = wet * math.sqrt(powers[0] / powers[1])
    return _like(wet, waveform)


def change_speed(waveform: Waveform, factor: float, sample_rate: int) -> Waveform:
    """Waveform played faster or slower, which moves its pitch and tempo alike.

    Args:
        waveform: samples (N,).
        factor: above 1 is faster; within [0.1, 10].
        sample_rate: Hz; it stays the same.

    Returns:
        Waveform of about N / factor samples.

    Raises:
        SeqlabError: the factor is out of range.

    Source: Ko et al. 2015, "Audio augmentation for speech recognition".
    """
    signal = _tensor(waveform, "waveform")
    check_range("factor", factor, 0.1, 10, "0.9, 1.0 and 1.1 are common")
    if factor == 1 or len(signal) == 0:
        return _like(signal, waveform)
    samples = signal.detach().cpu().numpy()
    faster = soxr.resample(samples, sample_rate * factor, sample_rate)
    return _like(torch.from_numpy(faster).to(signal.device), waveform)


def change_gain(waveform: Waveform, gain_db: float) -> Waveform:
    """Waveform louder or softer; it may pass [-1, 1] and is not clipped.

    Args:
        waveform: samples (N,).
        gain_db: decibels within [-200, 200].

    Returns:
        Waveform (N,).

    Example:
        >>> change_gain(torch.tensor([0.5]), -20.0).item()
        0.05000000074505806
    """
    check_range("gain_db", gain_db, -200, 200, "6 doubles the amplitude, -6 halves it")
    return _like(_tensor(waveform, "waveform") * 10 ** (gain_db / 20), waveform)


def shift_time(waveform: Waveform, samples: int) -> Waveform:
    """Waveform moved later (positive) or earlier (negative), silence filling the gap.

    Args:
        waveform: samples (N,).
        samples: how far; beyond N nothing is left.

    Returns:
        Waveform (N,).

    Example:
        >>> shift_time(torch.tensor([1.0, 2.0, 3.0]), 1).tolist()
        [0.0, 1.0, 2.0]
    """
    signal = _tensor(waveform, "waveform")
    samples = max(-len(signal), min(samples, len(signal)))
    return _like(torch.nn.functional.pad(signal, (samples, -samples)), waveform)


def _tensor(waveform: Tensor | NDArray[np.floating], name: str) -> Tensor:
    tensor = torch.as_tensor(waveform)
    if tensor.dim() != 1 or not tensor.is_floating_point():
        raise AudioError(
            f"{name} is {tensor.dtype} of shape {tuple(tensor.shape)}, must be floating point "
            "(N,); take one channel, and divide int16 samples by 32768"
        )
    return tensor


def _like(result: Tensor, original: Waveform) -> Waveform:
    """The result in the container that the caller passed in."""
    if isinstance(original, Tensor):
        return result.to(original.dtype)
    return cast(Waveform, result.numpy().astype(original.dtype, copy=False))
