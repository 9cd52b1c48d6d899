"""What every framed front end shares: batches, blocks of frames, one recording."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from seqlab.compiled import can_compile
from seqlab.errors import SeqlabError
from seqlab.frontend import presets, tables
from seqlab.frontend.cepstrum import add_deltas
from seqlab.frontend.framing import cut_frames, dither_noise, preemphasize
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.rows import DifferentiableRows, compute_ragged_rows, compute_rows
from seqlab.frontend.spectrum import (
    compress,
    limit_range,
    log_energy,
    power_spectrum,
    row_product,
)
from seqlab.frontend.streaming import StreamingFrontend, Stretch
from seqlab.frontend.validation import check_recording, check_sample_rate, check_waveform
from seqlab.frontend.window import make_window
from seqlab.lengths import check_lengths, is_traced, pad_stack, zero_padding

_PCM = 32768  # int16 samples of this size are 1.0
_FEW_FRAMES = 4000  # of all streams, beyond which each has a call of its own
_ENERGIES = {
    "none": tables.NO_ENERGY,
    "raw": tables.RAW_ENERGY,
    "windowed": tables.WINDOWED_ENERGY,
}


class FramedFrontend(StreamingFrontend):
    """A front end that maps each frame of samples on its own to a row of features.

    A subclass says how wide a row is, with which weights the spectrum is summed into bands, and
    what becomes of the rows (``finish``); everything else is here. On a CPU a compiled kernel
    computes the rows in blocks that fit the cache, so that a long recording needs little more
    memory than its features; elsewhere, and where torch traces the model, torch computes the batch
    as a whole. The two agree within float32 rounding.
    """

    window: Tensor
    window_transform: Tensor
    mel: Tensor | None
    block_frames: int = 512  # where the kernel cannot serve a CPU; 0: torch, in one block

    def __init__(
        self,
        options: FrameOptions,
        weights: Tensor | None,
        *,
        row_dim: int,
        static_dim: int,
        energy_column: int | None,
    ) -> None:
        """Take the shared settings and the shape of a row.

        Args:
            options: settings that all framed front ends share.
            weights: what sums the spectrum into bands (n_fft // 2 + 1, n_bands); None keeps it.
            row_dim: columns of a row: the bands, or bins, and the energy where it adds a column.
            static_dim: columns after ``finish``.
            energy_column: 0 or the last column; None where there is no energy.
        """
        super().__init__()
        self.options = options
        self.layout = options.layout()
        self.sample_rate = options.sample_rate
        self.win_length = self.layout.win_length
        self.hop_length = self.layout.hop_length
        self.n_fft = self.layout.n_fft
        self.row_dim = row_dim
        self.static_dim = static_dim
        self.output_dim = static_dim * (options.delta_order + 1)
        self.energy_column = energy_column
        # A spectrum of as many bins as a row has columns gives up bin 0 for the energy.
        bands = self.n_fft // 2 + 1 if weights is None else weights.shape[1]
        self.band_column = row_dim - bands if energy_column == 0 else 0
        window = make_window(
            options.window,
            self.win_length,
            periodic=options.periodic,
            blackman_coeff=options.blackman_coeff,
        )
        self.register_buffer("window", window.float(), persistent=False)
        transform = torch.view_as_real(torch.fft.rfft(window, n=self.n_fft)).float()
        self.register_buffer("window_transform", transform, persistent=False)
        mel = None if weights is None else weights.float()
        self.register_buffer("mel", mel, persistent=False)
        self.tables = self._make_tables(window, mel)

    def _make_tables(self, window: Tensor, mel: Tensor | None) -> tables.Tables | None:
        """Constants of the compiled kernel; None where it has no way to compute these settings."""
        options = self.options
        known = options.power in (1, 2) and tables.can_transform(self.n_fft)
        if not (known and can_compile()):
            return None
        return tables.make_tables(
            window.numpy(),
            self.hop_length,
            self.n_fft,
            None if mel is None else mel.numpy(),
            preemphasis=options.preemphasis,
            remove_dc=options.remove_dc,
            magnitude=options.power == 1,
            energy=_ENERGIES[options.energy],
        )

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
                scale; computed in float32 always.
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
        with torch.autocast(waveform.device.type, enabled=False):
            features = self._batch_rows(waveform, lengths, counts)
            if self.options.dynamic_range is not None:
                features = limit_range(features, counts, self.options.dynamic_range)
            features = self.with_deltas(self.finish(features), counts)
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
        lengths = torch.tensor([len(waveform)], device=waveform.device)
        features, _ = self.forward(waveform.unsqueeze(0), lengths)
        return features[0]

    def static_features(self, stretch: Stretch) -> Tensor:
        """Static features (B, T, static_dim) of streams that run abreast."""
        samples, offset = stretch.samples, stretch.offset
        lengths = torch.full((len(samples),), stretch.length, device=samples.device)
        with torch.autocast(samples.device.type, enabled=False):
            if self._uses_kernel(samples) and not samples.requires_grad:
                counts = torch.full((len(samples),), stretch.last)
                rows = compute_rows(self, samples, lengths, counts, stretch.first, offset)
                return self.finish(rows)
            scaled = self.scaled(samples, offset)
            frames = cut_frames(scaled, lengths, self.layout, stretch.first, stretch.last, offset)
            return self.finish(torch.stack([self._rows_in_blocks(stream) for stream in frames]))

    def ragged_static_features(self, stretches: Sequence[Stretch]) -> list[Tensor]:
        """Static features (T, static_dim) of single streams; on a CPU all in one go."""
        plain = all(self._uses_kernel(s.samples) and not s.samples.requires_grad for s in stretches)
        if not plain or sum(s.last - s.first for s in stretches) > _FEW_FRAMES:
            return super().ragged_static_features(stretches)
        with torch.autocast("cpu", enabled=False):
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
            return compute_rows(self, waveform, lengths, counts)
        if self.block_frames == 0 or waveform.device.type != "cpu" or is_traced(waveform):
            return self.torch_rows(waveform, lengths, counts)
        total = int(counts.max()) if len(counts) else 0
        frames = cut_frames(self.scaled(waveform, 0), lengths, self.layout, 0, total)
        each = zip(frames, counts.tolist(), strict=True)
        blocks = [self._rows_in_blocks(item[:count]) for item, count in each]
        return pad_stack(blocks)[0] if blocks else frames.new_zeros(0, total, self.row_dim)

    def torch_rows(self, waveform: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """Rows (B, T, row_dim) of a batch, by torch and in one block."""
        if self.options.edges == "snip":
            waveform = zero_padding(waveform, lengths)  # so that NaN there spoils no gradient
        samples = self.scaled(waveform, 0)
        if not is_traced(waveform):
            total = int(counts.max()) if len(counts) else 0
            frames = cut_frames(samples, lengths, self.layout, 0, total)
        elif self.options.edges == "snip" and samples.shape[1] >= self.win_length:
            frames = samples.unfold(1, self.win_length, self.hop_length)
        else:  # a shape may not depend on values
            total = self.layout.count(samples.shape[1])
            frames = cut_frames(samples, lengths, self.layout, 0, total)
        if frames.shape[0] * frames.shape[1] == 0:
            return frames.new_zeros(*frames.shape[:2], self.row_dim)
        return self.analyse(frames.flatten(0, 1)).reshape(*frames.shape[:2], self.row_dim)

    def _rows_in_blocks(self, frames: Tensor) -> Tensor:
        """Rows (T, row_dim) of frames (T, win_length), block by block."""
        if len(frames) == 0:
            return frames.new_zeros(0, self.row_dim)
        size = self.block_frames or len(frames)
        return torch.cat([self.analyse(frames[i : i + size]) for i in range(0, len(frames), size)])

    def analyse(self, frames: Tensor) -> Tensor:
        """Rows (M, row_dim) of frames (M, win_length), each on its own, by torch."""
        spectrum, energy = self._spectrum(frames)
        bands = spectrum if self.mel is None else row_product(spectrum, self.mel)
        if energy is not None:
            bands = bands[..., bands.shape[-1] + 1 - self.row_dim :]
            bands = torch.cat([energy, bands] if self.energy_column == 0 else [bands, energy], -1)
        return self.compressed(bands)

    def compressed(self, rows: Tensor) -> Tensor:
        """Rows (M, row_dim) of energies on the scale of the features."""
        if self.energy_column is None:
            return self.compress(rows)
        first = self.energy_column == 0
        energy = log_energy(rows[:, :1] if first else rows[:, -1:], self.options.energy_floor)
        bands = self.compress(rows[:, 1:] if first else rows[:, :-1])
        return torch.cat([energy, bands] if first else [bands, energy], -1)

    def compress(self, values: Tensor) -> Tensor:
        """Energies on the scale asked for by ``compression``."""
        return compress(values, self.options.compression, self.options.floor, self.options.power)

    def _spectrum(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Spectrum (M, n_fft // 2 + 1) and, where asked for, energy (M, 1) of frames."""
        options = self.options
        mean = frames.mean(-1, keepdim=True)
        centred = frames - mean
        energy = None
        if options.energy == "raw":
            source = centred if options.remove_dc else frames
            energy = source.square().sum(-1, keepdim=True)
        tapered = centred
        if options.preemphasis:
            tapered = preemphasize(centred, options.preemphasis)
        tapered = tapered * self.window
        transform = torch.fft.rfft(tapered, n=self.n_fft)
        if not options.remove_dc:
            # The mean is transformed apart: a large one would drown the rest in rounding errors.
            mean = mean * (1 - options.preemphasis)
            transform = transform + mean * torch.view_as_complex(self.window_transform)
            tapered = tapered + mean * self.window
        if options.energy == "windowed":
            energy = tapered.square().sum(-1, keepdim=True)
        return power_spectrum(transform, options.power), energy

    def scaled(self, samples: Tensor, offset: int) -> Tensor:
        """Samples (B, n), from number ``offset`` on, as frames read them: scaled and dithered."""
        factor = self.options.scale / (1 if samples.is_floating_point() else _PCM)
        samples = samples.to(self.window.dtype)
        if factor != 1:
            samples = samples * factor
        return samples + self._dither(samples, offset) if self.options.dither else samples

    def prepare_samples(self, samples: Tensor, offset: int) -> tuple[Tensor, np.float32]:
        """Samples (B, n) for the kernel, and the factor that is still to be applied to them."""
        if samples.dtype == torch.float32 and not self.options.dither:
            return samples, np.float32(self.options.scale)
        return self.scaled(samples, offset), np.float32(1)

    def _dither(self, samples: Tensor, offset: int) -> Tensor:
        options = self.options
        noise = dither_noise(offset, samples.shape[1], options.dither_seed, samples.device)
        return options.dither * noise

    def _clear_padding(self, features: Tensor, counts: Tensor) -> Tensor:
        if features.requires_grad or not self._uses_kernel(features):
            return zero_padding(features, counts)
        for row, count in zip(features, counts.tolist(), strict=True):
            row[count:] = 0  # in place: a copy of an hour costs more than its features
        return features

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As nn.Module, but half precision leaves the constants as they are: it ruins spectra."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = function(tensor)
            narrow = moved.dtype in (torch.float16, torch.bfloat16)
            return tensor.to(moved.device) if narrow else moved

        result: Self = super()._apply(keep_precision, recurse)  # type: ignore[no-untyped-call]
        return result
