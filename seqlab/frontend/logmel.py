"""Log-mel filter banks: the usual input of speech recognisers."""

from __future__ import annotations

from torch import Tensor

from seqlab.checks import check_choice
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.mel import mel_matrix
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.spectrum import EPSILON
from seqlab.frontend.vtln import Warp

POSITIONS = ("first", "last")


class LogMel(FramedFrontend):
    """Energies in mel bands, on a logarithmic scale.

    Use it for most recognisers and keyword spotters. The defaults are Kaldi's filter banks with
    80 bands: 25 ms frames every 10 ms, on samples brought to int16 size.

    Args:
        sample_rate: Hz of the waveform.
        n_mels: bands, at most n_fft // 2 + 1.
        win_length: samples of a frame; None takes 25 ms.
        hop_length: samples between frames; None takes 10 ms.
        n_fft: points of the transform, at least ``win_length``; None takes the next power of two.
            ``win_length`` itself is Kaldi's round_to_power_of_two=false.
        window: "povey", "hann" (hanning in Kaldi), "hamming", "blackman", "sine", "rectangular".
        blackman_coeff: constant term of the "blackman" window.
        periodic: the periodic form of the window (librosa, torch.stft) and not the symmetric one.
        edges: what frames read beyond the ends: "snip" (whole frames only), "mirror" (Kaldi's
            snip_edges=False), and for centred frames "zero", "reflect" or "edge" (the end samples
            held); librosa's and torch's center=False is "snip".
        drop_last: leave out the last centred frame, as Whisper does.
        scale: factor on the waveform. 32768 gives the int16 size that Kaldi and HTK work on; 1
            leaves [-1, 1], as people often feed kaldi-native-fbank and torchaudio. In a natural
            log of power the two differ by 2 ln 32768 = 20.794, and in what falls below ``floor``.
        remove_dc: subtract the mean of each frame first.
        preemphasis: coefficient within [0, 1]; 0 leaves it out.
        dither: standard deviation of added Gaussian noise, in scaled samples; 0 leaves it out.
            The noise depends on ``dither_seed`` and the number of the sample alone.
        dither_seed: seed of the dither.
        power: of the spectrum: 2 for power, 1 for magnitude.
        f_min: Hz where the first band begins.
        f_max: Hz where the last band ends; None takes half of ``sample_rate``, and 0 and below
            count from there, as in Kaldi.
        mel_scale: "htk" or "slaney".
        mel_norm: None (height 1), "slaney" (equal area), or a number p: p-norm 1, as in librosa.
        mel_triangles: sides straight in "mel" (Kaldi), in "hz" (librosa, torchaudio), or "htk".
        vtln_warp: frequencies are divided by it to fit a speaker's vocal tract; 1 leaves it out.
        vtln_low: Hz of the lower bend of the warp, above ``f_min``.
        vtln_high: Hz of its upper bend; a negative one counts from half of ``sample_rate``.
        compression: "log" (natural), "log10", "db", "whisper" or "none".
        floor: band energies below it count as it.
        dynamic_range: raise values to the utterance's maximum less this, in the units of the
            features; None leaves it out. With it the front end cannot stream.
        energy: append the log energy of the frame: "none", "raw" (before pre-emphasis and window)
            or "windowed".
        energy_floor: least frame energy; 0 leaves it out.
        energy_position: "first" (Kaldi) or "last" (HTK).
        delta_order: derivatives over time to append; 2 gives deltas and delta-deltas.
        delta_window: frames to each side of their regression.
        delta_method: "kaldi" or "htk"; they differ at the ends of an utterance.

    Unusual input, for this and all other framed front ends:

    - Silence gives the log of ``floor``. Bands below ``floor`` are lost; a larger ``scale`` keeps
      them. With 32768, noise of 1e-6 of full scale is as exact as loud noise.
    - On a CPU the spectrum is computed in float64, so that bands are exact to 1e-5 nats however far
      below the loudest they lie: beside a pure tone, clipped, under an offset of 1000 times the
      signal. Elsewhere it is float32: 1.5e-4 within 12 nats (52 dB) of the peak, up to half a nat
      further down, and 1e-3 in Kaldi's lowest bands under such an offset.
    - NaN and infinity spoil the frames that read the sample, and those whose deltas read them.
    - Under one frame, "snip" gives no frames; the other edges fill up what is missing.
    - ``extract`` refuses another sample rate, and floating-point samples of int16 size.
    - A band so narrow that no bin falls into it stays constant; the constructor warns of it.

    Raises:
        SeqlabError: a setting is out of range or does not fit another.

    Source: Davis and Mermelstein 1980; Kaldi's src/feat; The HTK Book, chapter 5. Dither is drawn
    once a sample, not once a frame as in Kaldi, so that overlapping frames agree.

    Example:
        >>> import torch
        >>> LogMel(n_mels=40).extract(torch.zeros(16000), 16000).shape
        torch.Size([98, 40])
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_mels: int = 80,
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
        f_min: float = 20.0,
        f_max: float | None = None,
        mel_scale: str = "htk",
        mel_norm: float | str | None = None,
        mel_triangles: str = "mel",
        vtln_warp: float = 1.0,
        vtln_low: float = 100.0,
        vtln_high: float = -500.0,
        compression: str = "log",
        floor: float = EPSILON,
        dynamic_range: float | None = None,
        energy: str = "none",
        energy_floor: float = 0.0,
        energy_position: str = "first",
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
        check_choice("energy_position", energy_position, POSITIONS)
        weights = mel_matrix(
            sample_rate,
            options.layout().n_fft,
            n_mels,
            f_min=f_min,
            f_max=f_max,
            scale=mel_scale,
            norm=mel_norm,
            triangles=mel_triangles,
            warp=Warp(vtln_warp, vtln_low, vtln_high),
        )
        width = n_mels + (energy != "none")
        at = 0 if energy_position == "first" else n_mels
        energy_column = None if energy == "none" else at
        super().__init__(
            options, weights, row_dim=width, static_dim=width, energy_column=energy_column
        )

    def finish(self, features: Tensor) -> Tensor:
        """Static features (B, T, static_dim): the rows themselves."""
        return features
