"""What every framed front end shares: batches, blocks of frames, streams, one recording."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.contracts import Frontend
from seqlab.errors import SeqlabError
from seqlab.frontend import presets
from seqlab.frontend.cepstrum import add_deltas
from seqlab.frontend.framing import (
    cut_frames,
    dither_noise,
    preemphasize,
)
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.spectrum import (
    compress,
    limit_range,
    log_energy,
    power_spectrum,
)
from seqlab.frontend.validation import check_recording, check_sample_rate, check_waveform
from seqlab.frontend.window import make_window
from seqlab.lengths import check_lengths, pad_stack, zero_padding


@dataclass(frozen=True)
class StreamState:
    """What a stream carries from one step to the next; all streams of a batch run abreast."""

    samples: Tensor  # (B, n): the last samples, as they came
    offset: int  # samples dropped before them
    frames: int  # frames analysed so far
    history: Tensor  # (B, k, F): the last frames before deltas
    emitted: int  # frames given out so far


class FramedFrontend(Frontend):
    """A front end that maps each frame of samples on its own to a row of features.

    A subclass says what becomes of a block of frames, in ``analyse``; everything else is here.
    On the CPU an utterance is worked through in blocks that fit the cache, so that a long
    recording needs little more memory than its features; elsewhere the batch is one block.
    """

    window: Tensor
    window_transform: Tensor
    block_frames: int = 512  # 0: always one block

    def __init__(self, options: FrameOptions, row_dim: int, static_dim: int) -> None:
        """Take the shared settings, the width of ``analyse`` and that of ``finish``."""
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
        window = make_window(options.window, self.win_length, periodic=options.periodic)
        self.register_buffer("window", window.float(), persistent=False)
        transform = torch.view_as_real(torch.fft.rfft(window, n=self.n_fft)).float()
        self.register_buffer("window_transform", transform, persistent=False)

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

    @property
    def can_stream(self) -> bool:
        """False where a frame depends on the whole utterance (``dynamic_range``)."""
        return self.options.dynamic_range is None

    @abc.abstractmethod
    def analyse(self, frames: Tensor) -> Tensor:
        """Rows (M, row_dim) of frames (M, win_length), each on its own."""

    def spectrum(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Spectrum (M, n_fft // 2 + 1) and, where asked for, log energy (M, 1) of frames."""
        options = self.options
        mean = frames.mean(-1, keepdim=True)
        centred = frames - mean
        energy = None
        if options.energy == "raw":
            source = centred if options.remove_dc else frames
            energy = log_energy(source, options.energy_floor)
        tapered = self._taper(centred)
        transform = torch.fft.rfft(tapered, n=self.n_fft)
        if not options.remove_dc:
            # The mean is transformed apart: a large one would drown the rest in rounding errors.
            mean = mean * (1 - options.preemphasis)
            transform = transform + mean * torch.view_as_complex(self.window_transform)
            tapered = tapered + mean * self.window
        if options.energy == "windowed":
            energy = log_energy(tapered, options.energy_floor)
        return power_spectrum(transform, options.power), energy

    def _taper(self, frames: Tensor) -> Tensor:
        if self.options.preemphasis:
            frames = preemphasize(frames, self.options.preemphasis)
        return frames * self.window

    def compress(self, values: Tensor) -> Tensor:
        """Energies on the scale asked for by ``compression``."""
        return compress(values, self.options.compression, self.options.floor, self.options.power)

    def finish(self, features: Tensor) -> Tensor:
        """Static features (B, T, static_dim) of rows (B, T, row_dim), after ``dynamic_range``."""
        return features

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of a padded batch.

        Args:
            waveform: samples (B, N), floating point, in [-1, 1].
            lengths: samples (B,), int64; what lies beyond them is never read.

        Returns:
            Features (B, T, output_dim), zero beyond the lengths, and their lengths (B,).

        Raises:
            SeqlabError: shape, type or lengths do not fit.
        """
        check_waveform(waveform)
        check_lengths(lengths, waveform.shape[1], "waveform")
        if len(lengths) != len(waveform):
            raise SeqlabError(
                f"{len(lengths)} lengths for {len(waveform)} waveforms; pass one length for each"
            )
        counts = self.output_lengths(lengths)
        with torch.autocast(waveform.device.type, enabled=False):
            features = self._batch_rows(waveform, lengths, counts)
            if self.options.dynamic_range is not None:
                features = limit_range(features, counts, self.options.dynamic_range)
            features = self._with_deltas(self.finish(features), counts)
        return zero_padding(features, counts), counts

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (B,) that ``forward`` returns for waveforms of ``lengths`` samples (B,)."""
        return self.layout.count(lengths)

    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Features of one recording, as ``seqlab.load_audio`` returns it.

        Args:
            waveform: samples (N,), in [-1, 1]; a tensor or NumPy array.
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

    def initial_state(self, batch_size: int = 1) -> StreamState:
        """State of ``batch_size`` streams before their first sample."""
        check_at_least("batch_size", batch_size, 1, "give the number of streams run abreast")
        self._check_streaming()
        samples = self.window.new_zeros(batch_size, 0)
        history = self.window.new_zeros(batch_size, 0, self.static_dim)
        return StreamState(samples, offset=0, frames=0, history=history, emitted=0)

    def step(self, waveform: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """Features that the next samples complete.

        Args:
            waveform: the next samples (B, N) of every stream; any N, 0 included.
            state: from ``initial_state`` or the step before.

        Returns:
            Features (B, T, output_dim), T from 0 up, and the new state. All steps and the flush
            put together equal ``forward``.

        Raises:
            SeqlabError: the waveform does not fit, or ``can_stream`` is False.
        """
        self._check_streaming()
        check_waveform(waveform)
        if len(waveform) != len(state.samples):
            raise SeqlabError(
                f"waveform has {len(waveform)} streams, must have {len(state.samples)} as the "
                "state; call initial_state(batch_size) with the number of streams"
            )
        samples = torch.cat([state.samples, waveform.to(state.samples.dtype)], 1)
        seen = state.offset + samples.shape[1]
        ready = max(self.layout.ready(seen), state.frames)
        new = self._stream_frames(samples, state, ready)
        known = torch.cat([state.history, new], 1)
        features, emitted = self._emit(known, state.emitted, ready, ended=False)
        first = max(state.offset, min(self.layout.start(ready), seen - self.win_length))
        kept = max(0, emitted - self._look_ahead)
        return features, StreamState(
            samples[:, first - state.offset :],
            offset=first,
            frames=ready,
            history=known[:, known.shape[1] - (ready - kept) :],
            emitted=emitted,
        )

    def flush(self, state: StreamState) -> Tensor:
        """The frames (B, T, output_dim) that only the end of the stream completes."""
        self._check_streaming()
        total = self.layout.count(state.offset + state.samples.shape[1])
        new = self._stream_frames(state.samples, state, total)
        known = torch.cat([state.history, new], 1)
        return self._emit(known, state.emitted, total, ended=True)[0]

    @property
    def _look_ahead(self) -> int:
        return self.options.delta_order * self.options.delta_window

    def _batch_rows(self, waveform: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """Rows (B, T, row_dim) of a batch, before anything that joins frames."""
        total = int(counts.max()) if len(counts) else 0
        blocks = self.block_frames > 0 and waveform.device.type == "cpu"
        if not blocks and self.options.edges == "snip":
            waveform = zero_padding(waveform, lengths)  # so that NaN there spoils no gradient
        frames = cut_frames(self._scaled(waveform, 0), lengths, self.layout, 0, total)
        if not blocks:
            return self._rows(frames)
        rows = [self._rows(frames[b, :count]) for b, count in enumerate(counts.tolist())]
        return pad_stack(rows)[0] if rows else self._rows(frames)

    def _rows(self, frames: Tensor) -> Tensor:
        """Rows (..., row_dim) of frames (..., win_length), block by block."""
        flat = frames.flatten(0, -2) if frames.dim() > 2 else frames
        if len(flat) == 0:
            return flat.new_zeros(*frames.shape[:-1], self.row_dim)
        size = self.block_frames if flat.device.type == "cpu" and self.block_frames else len(flat)
        rows = [self.analyse(flat[i : i + size]) for i in range(0, len(flat), size)]
        return torch.cat(rows).reshape(*frames.shape[:-1], self.row_dim)

    def _scaled(self, waveform: Tensor, offset: int) -> Tensor:
        options = self.options
        waveform = waveform.to(self.window.dtype)
        if options.scale != 1:
            waveform = waveform * options.scale
        if options.dither:
            noise = dither_noise(offset, waveform.shape[1], options.dither_seed, waveform.device)
            waveform = waveform + options.dither * noise
        return waveform

    def _stream_frames(self, samples: Tensor, state: StreamState, last: int) -> Tensor:
        lengths = torch.full((len(samples),), state.offset + samples.shape[1])
        scaled = self._scaled(samples, state.offset)
        with torch.autocast(samples.device.type, enabled=False):
            frames = cut_frames(
                scaled, lengths.to(samples.device), self.layout, state.frames, last, state.offset
            )
            return self.finish(torch.stack([self._rows(stream) for stream in frames]))

    def _with_deltas(self, features: Tensor, counts: Tensor) -> Tensor:
        options = self.options
        if options.delta_order == 0:
            return features
        return add_deltas(
            features, counts, options.delta_order, options.delta_window, options.delta_method
        )

    def _emit(self, known: Tensor, emitted: int, total: int, ended: bool) -> tuple[Tensor, int]:
        """Features of the frames that need no more of the future, out of the last ones known."""
        upto = total if ended else max(emitted, total - self._look_ahead)
        counts = torch.full((len(known),), known.shape[1], device=known.device)
        first = total - known.shape[1]
        features = self._with_deltas(known, counts)
        return features[:, emitted - first : upto - first], upto

    def _check_streaming(self) -> None:
        if not self.can_stream:
            raise SeqlabError(
                f"dynamic_range={self.options.dynamic_range} needs the maximum of the whole "
                "utterance, so features cannot stream; collect the samples and call extract, or "
                "set dynamic_range=None"
            )
