"""What becomes of one frame: its spectrum, bands and energy, by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from seqlab.compiled import can_compile
from seqlab.frontend.framing import cut_frames, dither_noise, preemphasize
from seqlab.frontend.kernel import tables
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.spectrum import (
    EPSILON,
    compress,
    log_energy,
    log_scale,
    power_spectrum,
    row_product,
)
from seqlab.frontend.streaming import StreamingFrontend
from seqlab.frontend.validation import as_floating
from seqlab.frontend.window import make_window
from seqlab.lengths import is_traced, zero_padding

_ENERGIES = {
    "none": tables.NO_ENERGY,
    "raw": tables.RAW_ENERGY,
    "windowed": tables.WINDOWED_ENERGY,
}


class SpectralFrontend(StreamingFrontend):
    """The settings of a front end, and its rows by torch.

    This is the path of GPUs, of ``torch.compile`` and of gradients of gradients, and the plain
    statement of what the compiled kernel computes.
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
        window = self.exact_window()
        self.register_buffer("window", window.float(), persistent=False)
        transform = _window_transform(window, self.n_fft)
        self.register_buffer("window_transform", transform.float(), persistent=False)
        mel = None if weights is None else weights.float()
        self.register_buffer("mel", mel, persistent=False)
        self.tables = self._make_tables(window, mel)

    def exact_window(self) -> Tensor:
        """Window (win_length,), float64; ``window`` is this in the precision of the front end."""
        options = self.options
        return make_window(
            options.window,
            self.win_length,
            periodic=options.periodic,
            blackman_coeff=options.blackman_coeff,
        )

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
            compression=self._compression(),
        )

    def _compression(self) -> tables.Compression:
        options = self.options
        factor, shift = 0.0, 0.0
        if options.compression != "none":
            factor, shift = log_scale(options.compression, options.power)
        least = max(options.energy_floor, EPSILON)
        return tables.Compression(options.floor, least, factor, shift)

    @property
    def kernel_compresses(self) -> bool:
        """Whether the kernel knows the compression: no subclass has another."""
        kind, here = type(self), SpectralFrontend
        return kind.compress is here.compress and kind.compressed is here.compressed

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
        energy, bands = self._columns(rows)
        bands = self.compress(bands)
        if energy is None:
            return bands
        energy = log_energy(energy, self.options.energy_floor)
        return torch.cat([energy, bands] if self.energy_column == 0 else [bands, energy], -1)

    def _columns(self, rows: Tensor) -> tuple[Tensor | None, Tensor]:
        """The column of the energy, where there is one, and the others."""
        if self.energy_column is None:
            return None, rows
        if self.energy_column == 0:
            return rows[:, :1], rows[:, 1:]
        return rows[:, -1:], rows[:, :-1]

    def compress(self, values: Tensor) -> Tensor:
        """Energies on the scale asked for by ``compression``."""
        options = self.options
        return compress(values, options.compression, options.floor, options.power)

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
        samples = as_floating(samples, self.window.dtype)
        if self.options.scale != 1:
            samples = samples * self.options.scale
        return samples + self._dither(samples, offset) if self.options.dither else samples

    def prepare_samples(self, samples: Tensor, offset: int) -> tuple[Tensor, float]:
        """Samples (n,) for the kernel, and the factor that is still to be applied to them."""
        if samples.dtype == torch.float32 and not self.options.dither:
            return samples, float(self.options.scale)
        return self.scaled(samples[None], offset)[0], 1.0

    def _dither(self, samples: Tensor, offset: int) -> Tensor:
        options = self.options
        noise = dither_noise(offset, samples.shape[1], options.dither_seed, samples.device)
        return options.dither * noise

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As nn.Module, but half precision leaves the constants as they are: it ruins spectra."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = function(tensor)
            narrow = moved.dtype in (torch.float16, torch.bfloat16)
            return tensor.to(moved.device) if narrow else moved

        before = self.window.dtype
        result: Self = super()._apply(keep_precision, recurse)  # type: ignore[no-untyped-call]
        if before != self.window.dtype == torch.float64:  # the digits that float32 had no room for
            window = self.exact_window()
            self.window = window.to(self.window)
            self.window_transform = _window_transform(window, self.n_fft).to(self.window)
        return result


def _window_transform(window: Tensor, n_fft: int) -> Tensor:
    """Real and imaginary parts (n_fft // 2 + 1, 2) of the transform of a window."""
    return torch.view_as_real(torch.fft.rfft(window, n=n_fft))
