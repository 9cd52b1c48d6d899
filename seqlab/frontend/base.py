"""What every framed front end shares: batches, streams, one recording."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd import forward_ad

from seqlab.errors import SeqlabError
from seqlab.frontend import presets
from seqlab.frontend.cepstrum import add_deltas
from seqlab.frontend.framing import cut_frames
from seqlab.frontend.rows import DifferentiableRows, compute_ragged_rows, compute_rows
from seqlab.frontend.spectral import SpectralFrontend
from seqlab.frontend.spectrum import limit_range
from seqlab.frontend.streaming import Stretch
from seqlab.frontend.validation import check_recording, check_sample_rate, check_waveform
from seqlab.lengths import check_lengths, is_traced, pad_stack, zero_padding

_FEW_FRAMES = 4000  # of all streams, beyond which each has a call of its own


class FramedFrontend(SpectralFrontend):
    """A front end that maps each frame of samples on its own to a row of features.

    A subclass says how wide a row is, with which weights the spectrum is summed into bands, and
    what becomes of the rows (``finish``); everything else is here. On a CPU a compiled kernel
    computes the rows a few frames at a time and the spectrum in float64, so that a long recording
    needs little more memory than its features; elsewhere, and where torch traces the model, torch
    computes the batch as a whole in float32. The two agree within the rounding of float32.
    """

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> Self:
        """Front end with the settings of a known toolkit.

        Args:
            name: "kaldi", "htk", "librosa", "torchaudio" or "whisper".
            overrides: constructor arguments that replace the preset's.

        Raises:
            SeqlabError: no such preset for this front end, or no such argument.
        """
        return cls(**presets.settings(cls, name, overrides))

    @abc.abstractmethod
    def finish(self, features: Tensor) -> Tensor:
        """Static features (B, T, static_dim) of rows (B, T, row_dim), after ``dynamic_range``."""

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of a padded batch.

        Args:
            waveform: samples (B, N) in [-1, 1], floating point of any precision, or int16 of full
                scale; brought to float32 always.
            lengths: samples (B,), int64; what lies beyond them is never read.

        Returns:
            Features (B, T, output_dim), float32, zero beyond the lengths, and their lengths (B,).
            T is the greatest of them; under torch.compile, torch.export and torch.func it is the
            number of frames of N samples, for there a shape may not depend on values.

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
        with _full_precision(waveform.device.type):
            features = self._joined(self._batch_rows(waveform, lengths, counts), counts)
        return self._clear_padding(features, counts), counts

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (B,) that ``forward`` returns for waveforms of ``lengths`` samples (B,)."""
        return self.layout.count(lengths)

    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Features of one recording, as ``seqlab.load_audio`` returns it.

        Args:
            waveform: samples (N,), in [-1, 1], or int16; a tensor or NumPy array.
            sample_rate: Hz of the recording; must be the front end's own.

        Returns:
            Features (T, output_dim).

        Raises:
            SeqlabError: the sample rate differs, or the waveform does not fit.
        """
        name = type(self).__name__
        check_sample_rate(name, self.sample_rate, sample_rate)
        waveform = torch.as_tensor(waveform, device=self.window.device)
        check_recording(name, waveform, self.options.scale)
        if waveform.requires_grad or not self._uses_kernel(waveform):
            lengths = torch.tensor([len(waveform)], device=waveform.device)
            return self.forward(waveform.unsqueeze(0), lengths)[0][0]
        # The same by whole numbers: for a short recording, tensors of one cost as much as it does.
        count = self.layout.count(len(waveform))
        with _full_precision("cpu"):
            rows = compute_rows(self, waveform.unsqueeze(0), [len(waveform)], [count])
            return self._joined(rows, [count])[0]

    def static_features(self, stretch: Stretch) -> Tensor:
        """Static features (B, T, static_dim) of streams that run abreast."""
        samples, offset = stretch.samples, stretch.offset
        lengths = torch.full((len(samples),), stretch.length, device=samples.device)
        with _full_precision(samples.device.type):
            if self._uses_kernel(samples) and not samples.requires_grad:
                streams = len(samples)
                wanted = [stretch.length] * streams, [stretch.last] * streams
                return self.finish(compute_rows(self, samples, *wanted, stretch.first, offset))
            scaled = self.scaled(samples, offset)
            frames = cut_frames(scaled, lengths, self.layout, stretch.first, stretch.last, offset)
            return self.finish(torch.stack([self._rows_in_blocks(stream) for stream in frames]))

    def ragged_static_features(self, stretches: Sequence[Stretch]) -> list[Tensor]:
        """Static features (T, static_dim) of single streams; on a CPU all in one go."""
        plain = all(self._uses_kernel(s.samples) and not s.samples.requires_grad for s in stretches)
        if not plain or sum(s.last - s.first for s in stretches) > _FEW_FRAMES:
            return super().ragged_static_features(stretches)
        with _full_precision("cpu"):
            features = self.finish(compute_ragged_rows(self, stretches)[None])[0]
        return list(torch.split(features, [each.last - each.first for each in stretches]))

    def with_deltas(self, features: Tensor, counts: Tensor) -> Tensor:
        """Features (B, T, output_dim) of static ones (B, T, static_dim) of ``counts`` frames."""
        options = self.options
        if options.delta_order == 0:
            return features
        return add_deltas(
            features, counts, options.delta_order, options.delta_window, options.delta_method
        )

    def _joined(self, rows: Tensor, counts: Tensor | Sequence[int]) -> Tensor:
        """Features (B, T, output_dim) of rows (B, T, row_dim) of ``counts`` frames (B,)."""
        if self.options.dynamic_range is not None:
            rows = limit_range(rows, torch.as_tensor(counts), self.options.dynamic_range)
        features = self.finish(rows)
        if self.options.delta_order == 0:
            return features
        return self.with_deltas(features, torch.as_tensor(counts))

    # Rows ----------------------------------------------------------------------------------

    def _uses_kernel(self, waveform: Tensor) -> bool:
        """Whether the compiled kernel computes these samples; a matter of settings, not of size."""
        return (
            not is_traced(waveform)
            and self.tables is not None
            and self.block_frames > 0
            and waveform.device.type == "cpu" == self.window.device.type
            and self.window.dtype == torch.float32
            and forward_ad.unpack_dual(waveform).tangent is None  # type: ignore[no-untyped-call]
        )

    def _batch_rows(self, waveform: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """Rows (B, T, row_dim) of a batch, before anything that joins frames."""
        if self._uses_kernel(waveform):
            if waveform.requires_grad and torch.is_grad_enabled():
                rows: Tensor = DifferentiableRows.apply(waveform, self, lengths, counts)
                return rows
            return compute_rows(self, waveform, lengths.tolist(), counts.tolist())
        if self.block_frames == 0 or waveform.device.type != "cpu" or is_traced(waveform):
            return self.torch_rows(waveform, lengths, counts)
        total = int(counts.max()) if len(counts) else 0
        frames = cut_frames(self.scaled(waveform, 0), lengths, self.layout, 0, total)
        each = zip(frames, counts.tolist(), strict=True)
        blocks = [self._rows_in_blocks(item[:count]) for item, count in each]
        return pad_stack(blocks)[0] if blocks else frames.new_zeros(0, total, self.row_dim)

    def _clear_padding(self, features: Tensor, counts: Tensor) -> Tensor:
        if features.requires_grad or not self._uses_kernel(features):
            return zero_padding(features, counts)
        for row, count in zip(features, counts.tolist(), strict=True):
            if count < len(row):
                row[count:] = 0  # in place: a copy of an hour costs more than its features
        return features


def _full_precision(device: str) -> AbstractContextManager[Any]:
    """A block without autocast; leaving out what is not on saves a short recording time."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
