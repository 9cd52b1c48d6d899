"""Columns of a line of text: the front end of pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.frontend.framing import FrameLayout
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.streaming import StreamingFrontend, Stretch
from seqlab.frontend.validation import (
    as_floating,
    check_recording,
    check_sample_rate,
    check_waveform,
)
from seqlab.image_lines import HEIGHT, SAMPLE_RATE
from seqlab.lengths import check_lengths, is_traced, zero_padding


class Columns(StreamingFrontend):
    """Columns of pixels as feature frames, of a picture that ``load_audio`` read as a signal.

    Use it to read lines of text with the encoders, heads and decoders of speech. Each feature
    frame is ``height`` samples in a row, unchanged; samples that do not fill one are dropped.
    Whatever mixes neighbouring samples (speed, filters, resampling) tears the picture apart, so
    leave such augmentation out.

    Args:
        sample_rate: samples a second, ``height`` times the columns a second; what
            ``load_audio`` gives of a PNG file is 3200 Hz.
        height: rows of the picture; ``load_audio`` scales to 32.

    Raises:
        SeqlabError: a setting is out of range, or the rate is no multiple of the height.

    Example:
        >>> import torch
        >>> Columns().extract(torch.zeros(320 + 31), 3200).shape
        torch.Size([10, 32])
    """

    def __init__(self, sample_rate: int = SAMPLE_RATE, height: int = HEIGHT) -> None:
        super().__init__()
        check_at_least("height", height, 1, "load_audio gives 32 rows")
        check_at_least("sample_rate", sample_rate, 1, "load_audio gives 3200 Hz of a picture")
        if sample_rate % height:
            raise SeqlabError(
                f"sample_rate={sample_rate} must be a multiple of height={height}, so that a "
                "second has whole columns; 3200 and 32 are what load_audio gives"
            )
        self.sample_rate = sample_rate
        self.hop_length = self.win_length = self.output_dim = self.static_dim = height
        self.layout = FrameLayout(height, height, height)
        self.options = _options(sample_rate, height)
        self.register_buffer("window", torch.ones(height), persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Columns of a padded batch.

        Args:
            waveform: samples (B, N) in [-1, 1], or int16 of full scale.
            lengths: samples (B,), int64; what lies beyond them is never read.

        Returns:
            Features (B, T, height), zero beyond the lengths, and their lengths (B,).

        Raises:
            SeqlabError: shape, type or lengths do not fit.
        """
        check_waveform(waveform)
        check_lengths(lengths, waveform.shape[1], "waveform")
        if lengths.shape[0] != waveform.shape[0]:
            raise SeqlabError(
                f"{len(lengths)} lengths for {len(waveform)} waveforms; pass one length for each"
            )
        counts = self.output_lengths(lengths)
        total = waveform.shape[1] // self.hop_length
        if not is_traced(waveform):
            total = int(counts.max()) if len(counts) else 0
        return zero_padding(self._cut(waveform, total), counts), counts

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Whole columns (B,) of waveforms of ``lengths`` samples (B,)."""
        return self.layout.count(lengths)

    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Columns (T, height) of one picture, as ``seqlab.load_audio`` returns it.

        Args:
            waveform: samples (N,), in [-1, 1], or int16; a tensor or NumPy array.
            sample_rate: Hz; must be the front end's own.

        Raises:
            SeqlabError: the sample rate differs, or the waveform does not fit.
        """
        name = type(self).__name__
        check_sample_rate(name, self.sample_rate, sample_rate)
        waveform = torch.as_tensor(waveform, device=self.window.device)
        check_recording(name, waveform, 1)
        return self._cut(waveform.unsqueeze(0), len(waveform) // self.hop_length)[0]

    def static_features(self, stretch: Stretch) -> Tensor:
        """Columns (B, T, height) of streams that run abreast."""
        first = stretch.first * self.hop_length - stretch.offset
        return self._cut(stretch.samples[:, first:], stretch.last - stretch.first)

    def with_deltas(self, features: Tensor, counts: Tensor) -> Tensor:
        """The features as they are."""
        return features

    def _cut(self, samples: Tensor, total: int) -> Tensor:
        """The first ``total`` columns (B, total, height) of samples (B, N)."""
        wanted = as_floating(samples[:, : total * self.hop_length], self.window.dtype)
        return wanted.reshape(len(samples), total, self.hop_length)

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As nn.Module, but half precision leaves features in float32, as in all front ends."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = function(tensor)
            narrow = moved.dtype in (torch.float16, torch.bfloat16)
            return tensor.to(moved.device) if narrow else moved

        result: Self = super()._apply(keep_precision, recurse)  # type: ignore[no-untyped-call]
        return result


def _options(sample_rate: int, height: int) -> FrameOptions:
    """What streaming asks of a front end: nothing is computed, no frame looks at another."""
    return FrameOptions(
        sample_rate=sample_rate,
        win_length=height,
        hop_length=height,
        n_fft=height,
        window="rectangular",
        periodic=False,
        edges="snip",
        drop_last=False,
        scale=1.0,
        remove_dc=False,
        preemphasis=0.0,
        dither=0.0,
        dither_seed=0,
        power=2.0,
        compression="none",
        floor=1e-10,
        dynamic_range=None,
        energy="none",
        energy_floor=0.0,
        delta_order=0,
        delta_window=1,
        delta_method="kaldi",
    )
