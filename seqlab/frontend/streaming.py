"""Front ends step by step: what a stream carries along, and which frames it can give out."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.contracts import Frontend
from seqlab.errors import SeqlabError
from seqlab.frontend.framing import FrameLayout
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.validation import check_waveform


@dataclass(frozen=True)
class StreamState:
    """What a stream carries from one step to the next; all streams of a batch run abreast."""

    samples: Tensor  # (B, n): the last samples, as they came
    offset: int  # samples dropped before them
    frames: int  # frames analysed so far
    history: Tensor  # (B, k, F): the last frames before deltas
    emitted: int  # frames given out so far


class StreamingFrontend(Frontend):
    """Steps and flush of a front end whose static features read one frame each."""

    options: FrameOptions
    layout: FrameLayout
    window: Tensor
    win_length: int
    static_dim: int

    @property
    def can_stream(self) -> bool:
        """False where a frame depends on the whole utterance (``dynamic_range``)."""
        return self.options.dynamic_range is None

    @abc.abstractmethod
    def static_features(
        self, samples: Tensor, offset: int, first: int, last: int, length: int
    ) -> Tensor:
        """Static features (B, last - first, static_dim) of the frames from ``first`` to ``last``.

        Args:
            samples: (B, n), from sample number ``offset`` on.
            offset: samples dropped before them.
            first: first frame.
            last: frame after the last.
            length: samples of the recording, as far as it is known.
        """

    @abc.abstractmethod
    def with_deltas(self, features: Tensor, counts: Tensor) -> Tensor:
        """Features (B, T, output_dim) of static ones (B, T, static_dim) of ``counts`` frames."""

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
        new = self.static_features(samples, state.offset, state.frames, ready, seen)
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
        seen = state.offset + state.samples.shape[1]
        total = self.layout.count(seen)
        new = self.static_features(state.samples, state.offset, state.frames, total, seen)
        known = torch.cat([state.history, new], 1)
        return self._emit(known, state.emitted, total, ended=True)[0]

    @property
    def _look_ahead(self) -> int:
        return self.options.delta_order * self.options.delta_window

    def _emit(self, known: Tensor, emitted: int, total: int, ended: bool) -> tuple[Tensor, int]:
        """Features of the frames that need no more of the future, out of the last ones known."""
        upto = total if ended else max(emitted, total - self._look_ahead)
        counts = torch.full((len(known),), known.shape[1], device=known.device)
        first = total - known.shape[1]
        features = self.with_deltas(known, counts)
        return features[:, emitted - first : upto - first], upto

    def _check_streaming(self) -> None:
        if not self.can_stream:
            raise SeqlabError(
                f"dynamic_range={self.options.dynamic_range} needs the maximum of the whole "
                "utterance, so features cannot stream; collect the samples and call extract, or "
                "set dynamic_range=None"
            )
