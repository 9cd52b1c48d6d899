"""Power or magnitude spectrograms."""

from __future__ import annotations

from torch import Tensor

from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.spectrum import EPSILON


class Spectrogram(FramedFrontend):
    """The spectrum of every frame, all bins from 0 Hz to half the sample rate.

    Use it for networks that learn their own bands, and for pictures. The defaults are those of
    Kaldi's spectrogram with bin 0 left as it is: the log power spectrum of 25 ms frames every
    10 ms, on samples brought to int16 size.

    Args:
        sample_rate: Hz of the waveform.
        win_length: samples of a frame; None takes 25 ms.
        hop_length: samples between frames; None takes 10 ms.
        n_fft: points of the transform, at least ``win_length``; None takes the next power of two.
        window: "povey", "hann" (hanning in Kaldi), "hamming", "blackman", "sine", "rectangular".
        blackman_coeff: constant term of the "blackman" window.
        periodic: the periodic form of the window and not the symmetric one.
        edges: "snip", "mirror", "zero" or "reflect"; see ``LogMel``.
        drop_last: leave out the last centred frame.
        scale: factor on the waveform; 32768 gives int16 size, 1 leaves [-1, 1].
        remove_dc: subtract the mean of each frame first.
        preemphasis: coefficient within [0, 1]; 0 leaves it out.
        dither: standard deviation of added Gaussian noise, in scaled samples; 0 leaves it out.
        dither_seed: seed of the dither.
        power: 2 for the power spectrum, 1 for the magnitude.
        compression: "log" (natural), "log10", "db", "whisper" or "none".
        floor: values below it count as it before compression.
        dynamic_range: raise values to the utterance's maximum less this; None leaves it out. With
            it the front end cannot stream.
        energy: put the log energy of the frame in place of bin 0: "none", "raw" (before
            pre-emphasis and window, as Kaldi does) or "windowed".
        energy_floor: least frame energy; 0 leaves it out.
        delta_order: derivatives over time to append.
        delta_window: frames to each side of their regression.
        delta_method: "kaldi" or "htk".

    Raises:
        SeqlabError: a setting is out of range or does not fit another.

    Example:
        >>> import torch
        >>> Spectrogram(sample_rate=8000).extract(torch.zeros(8000), 8000).shape
        torch.Size([98, 129])
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        win_length: int | None = None,
        hop_length: int | None = None,
        n_fft: int | None = None,
        window: str = "povey",
        blackman_coeff: float = 0.42,
        periodic: bool = False,
        edges: str = "snip",
        drop_last: bool = False,
        scale: float = 32768.0,
        remove_dc: bool = True,
        preemphasis: float = 0.97,
        dither: float = 0.0,
        dither_seed: int = 0,
        power: float = 2.0,
        compression: str = "log",
        floor: float = EPSILON,
        dynamic_range: float | None = None,
        energy: str = "none",
        energy_floor: float = 0.0,
        delta_order: int = 0,
        delta_window: int = 2,
        delta_method: str = "kaldi",
    ) -> None:
        options = FrameOptions(
            sample_rate=sample_rate,
            win_length=win_length,
            hop_length=hop_length,
            n_fft=n_fft,
            window=window,
            blackman_coeff=blackman_coeff,
            periodic=periodic,
            edges=edges,
            drop_last=drop_last,
            scale=scale,
            remove_dc=remove_dc,
            preemphasis=preemphasis,
            dither=dither,
            dither_seed=dither_seed,
            power=power,
            compression=compression,
            floor=floor,
            dynamic_range=dynamic_range,
            energy=energy,
            energy_floor=energy_floor,
            delta_order=delta_order,
            delta_window=delta_window,
            delta_method=delta_method,
        )
        bins = options.layout().n_fft // 2 + 1
        energy_column = None if energy == "none" else 0
        super().__init__(options, None, row_dim=bins, static_dim=bins, energy_column=energy_column)

    def finish(self, features: Tensor) -> Tensor:
        """Static features (B, T, static_dim): the rows themselves."""
        return features
