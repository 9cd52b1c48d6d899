"""Front ends step by step: which frames the next samples complete."""

from __future__ import annotations

import abc
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.contracts import Frontend
from seqlab.errors import SeqlabError
from seqlab.frontend.framing import FrameLayout
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.stream_state import StreamState, join_states
from seqlab.frontend.validation import as_floating, check_waveform
from seqlab.lengths import check_lengths, pad_stack

__all__ = ["StreamState", "StreamingFrontend", "join_states"]


@dataclass(frozen=True)
class Stretch:
    """Frames of a stream that are to be computed, and the samples they read."""

    samples: Tensor  # (B, n), from sample number ``offset`` on
    offset: int  # samples dropped before them
    first: int  # first frame
    last: int  # frame after the last
    length: int  # samples of the recording, as far as it is known


class StreamingFrontend(Frontend):
    """Steps and flush of a front end whose static features read one frame each.

    ``step`` carries a batch of streams that run abreast. Streams that bring different numbers of
    samples, come and go, are kept as a list of states and carried by ``step_ragged``.
    """

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
    def static_features(self, stretch: Stretch) -> Tensor:
        """Static features (B, last - first, static_dim) of streams that run abreast."""

    def ragged_static_features(self, stretches: Sequence[Stretch]) -> list[Tensor]:
        """Static features (last - first, static_dim) of single streams."""
        return [self.static_features(stretch)[0] for stretch in stretches]

    @abc.abstractmethod
    def with_deltas(self, features: Tensor, counts: Tensor) -> Tensor:
        """Features (B, T, output_dim) of static ones (B, T, static_dim) of ``counts`` frames."""

    def initial_state(self, batch_size: int = 1) -> StreamState:
        """State of ``batch_size`` streams before their first sample."""
        check_at_least("batch_size", batch_size, 1, "give the number of streams run abreast")
        self._check_streaming()
        samples = self.window.new_zeros(batch_size, 0)
        history = self.window.new_zeros(batch_size, 0, self.static_dim)
        return StreamState(samples, 0, 0, history, 0, self.stream_source)

    def step(self, waveform: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """Features that the next samples complete.

        Args:
            waveform: the next samples (B, N) of every stream; any N, 0 included.
            state: from ``initial_state`` or the step before.

        Returns:
            Features (B, T, output_dim), T from 0 up, and the new state. All steps and the flush
            put together equal ``forward``.

        Raises:
            SeqlabError: waveform or state do not fit, or ``can_stream`` is False.
        """
        self._check_state(state)
        check_waveform(waveform)
        if waveform.shape[0] != state.samples.shape[0]:
            raise SeqlabError(
                f"waveform has {len(waveform)} streams, must have {len(state.samples)} as the "
                "state; call initial_state(batch_size) with the number of streams"
            )
        stretch = self._stretch(state, self._as_kept(waveform))
        known = torch.cat([state.history, self.static_features(stretch)], 1)
        upto = self._sure(stretch.last)
        features = self._between(known, stretch.last, state.emitted, upto)
        return features, self._moved_on(stretch, known, upto)

    def flush(self, state: StreamState) -> Tensor:
        """The frames (B, T, output_dim) that only the end of the stream completes.

        Raises:
            SeqlabError: the state does not fit, or ``can_stream`` is False.
        """
        self._check_state(state)
        rest = self._rest(state)
        known = torch.cat([state.history, self.static_features(rest)], 1)
        return self._between(known, rest.last, state.emitted, rest.last)

    def step_ragged(
        self, waveform: Tensor, lengths: Tensor, states: Sequence[StreamState]
    ) -> tuple[Tensor, Tensor, list[StreamState]]:
        """Features that the next samples complete, of streams that do not run abreast.

        Use it to serve many live streams in one call. Each begins with ``initial_state()`` put
        into the list, and ends when its state is taken out and given to ``flush``.

        Args:
            waveform: the next samples (B, N) of every stream, padded.
            lengths: how many they are (B,), int64, 0 included.
            states: one of a single stream for each, from ``initial_state``, from ``split`` or the
                step before.

        Returns:
            Features (B, T, output_dim), zero beyond their number (B,), that number, and the new
            states. Each stream has, to the bit, what ``step`` gives it alone.

        Raises:
            SeqlabError: waveform, lengths or states do not fit, or ``can_stream`` is False.

        Example:
            >>> from seqlab.frontend.logmel import LogMel
            >>> frontend = LogMel(n_mels=40)
            >>> states = [frontend.initial_state() for _ in range(2)]
            >>> waveform, lengths = torch.zeros(2, 800), torch.tensor([800, 400])
            >>> features, counts, states = frontend.step_ragged(waveform, lengths, states)
            >>> features.shape, counts.tolist()
            (torch.Size([2, 3, 40]), [3, 1])
        """
        check_waveform(waveform)
        check_lengths(lengths, waveform.shape[1], "waveform")
        if not len(waveform) == len(lengths) == len(states):
            raise SeqlabError(
                f"{len(waveform)} waveforms, {len(lengths)} lengths and {len(states)} states, must "
                "be equally many; pass one of each for every stream"
            )
        kept = self._as_kept(waveform)
        pieces = [kept[i : i + 1, :count] for i, count in enumerate(lengths.tolist())]
        for state in states:
            self._check_state(state, single=True)
        stretches = [self._stretch(*pair) for pair in zip(states, pieces, strict=True)]
        ends = [self._sure(stretch.last) for stretch in stretches]
        knowns, features, counts = self._ragged(states, stretches, ends)
        moved = zip(stretches, knowns, ends, strict=True)
        return features, counts, [self._moved_on(*each) for each in moved]

    def flush_ragged(self, states: Sequence[StreamState]) -> tuple[Tensor, Tensor]:
        """The frames that only the end completes, of streams that do not run abreast.

        Args:
            states: one of a single stream for each.

        Returns:
            Features (B, T, output_dim), zero beyond their number (B,), and that number.
        """
        for state in states:
            self._check_state(state, single=True)
        stretches = [self._rest(state) for state in states]
        return self._ragged(states, stretches, [stretch.last for stretch in stretches])[1:]

    # What a stream knows -------------------------------------------------------------------

    @functools.cached_property
    def stream_source(self) -> str:
        """Short name of the class and its settings, by which a state knows its front end."""
        kind = type(self)
        text = f"{kind.__module__}.{kind.__qualname__} {sorted(self.constructor_arguments.items())}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _as_kept(self, waveform: Tensor) -> Tensor:
        """Samples (B, N) as a state keeps them: of the window's type, in [-1, 1]."""
        return as_floating(waveform, self.window.dtype)

    def _stretch(self, state: StreamState, waveform: Tensor) -> Stretch:
        """The frames that the next samples (B, N) complete."""
        samples = torch.cat([state.samples, waveform], 1)
        seen = state.offset + samples.shape[1]
        return Stretch(samples, state.offset, state.frames, self.layout.ready(seen), seen)

    def _rest(self, state: StreamState) -> Stretch:
        """The frames that the end of the stream completes."""
        total = self.layout.count(state.seen)
        return Stretch(state.samples, state.offset, state.frames, total, state.seen)

    @property
    def _look_ahead(self) -> int:
        return self.options.delta_order * self.options.delta_window

    def _sure(self, ready: int) -> int:
        """Frames that need no more of the future, of ``ready`` static ones."""
        return max(0, ready - self._look_ahead)

    def _needed(self, seen: int, ready: int) -> int:
        """First sample that later frames read."""
        return max(0, min(self.layout.start(ready), seen - self.win_length))

    def _between(self, known: Tensor, total: int, begin: int, end: int) -> Tensor:
        """Features of frames ``begin`` to ``end``, of the last static ones, up to ``total``."""
        if self.options.delta_order == 0:
            return known
        if begin == end:
            return known.new_zeros(known.shape[0], 0, self.output_dim)
        counts = torch.full((known.shape[0],), known.shape[1], device=known.device)
        first = total - known.shape[1]
        return self.with_deltas(known, counts)[:, begin - first : end - first]

    def _moved_on(self, stretch: Stretch, known: Tensor, emitted: int) -> StreamState:
        needed = self._needed(stretch.length, stretch.last)
        held = stretch.last - self._sure(emitted)
        return StreamState(
            stretch.samples[:, needed - stretch.offset :],
            needed,
            stretch.last,
            known[:, known.shape[1] - held :],
            emitted,
            self.stream_source,
        )

    def _ragged(
        self, states: Sequence[StreamState], stretches: Sequence[Stretch], ends: Sequence[int]
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Static frames (1, k, F) of each stream, features of all, and how many they are."""
        if not states:
            nothing = self.window.new_zeros(0, 0, self.static_dim)
            counts = torch.zeros(0, dtype=torch.int64, device=nothing.device)
            return [], self.with_deltas(nothing, counts), counts
        new = self.ragged_static_features(stretches)
        pairs = zip(states, new, strict=True)
        knowns = [torch.cat([state.history, rows[None]], 1) for state, rows in pairs]
        held, lengths = pad_stack([known[0] for known in knowns])
        features = self.with_deltas(held, lengths)
        wanted = zip(features, knowns, stretches, states, ends, strict=True)
        pieces = [
            item[begin : begin + end - state.emitted]
            for item, known, stretch, state, end in wanted
            for begin in [state.emitted - (stretch.last - known.shape[1])]
        ]
        return knowns, *pad_stack(pieces)

    # Checks --------------------------------------------------------------------------------

    def _check_streaming(self) -> None:
        if not self.can_stream:
            raise SeqlabError(
                f"dynamic_range={self.options.dynamic_range} needs the maximum of the whole "
                "utterance, so features cannot stream; collect the samples and call extract, or "
                "set dynamic_range=None"
            )

    def _check_state(self, state: StreamState, single: bool = False) -> None:
        self._check_streaming()
        name = type(self).__name__
        if not isinstance(state, StreamState) or state.source != self.stream_source:
            raise SeqlabError(
                f"the state does not come from this {name} or one with equal settings; call its "
                "initial_state at the start of a stream, and hand on what step returns"
            )
        ready = self.layout.ready(state.seen)
        emitted = self._sure(ready)
        streams = state.samples.shape[0]
        history = (streams, ready - self._sure(emitted), self.static_dim)
        position = (self._needed(state.seen, ready), ready, emitted)
        if position != (state.offset, state.frames, state.emitted) or history != tuple(
            state.history.shape
        ):
            raise SeqlabError(
                f"the state of a stream of {name} contradicts itself: {state.seen} samples make "
                f"{ready} frames; pass on states as step returned them, unchanged"
            )
        if state.samples.device != self.window.device:
            raise SeqlabError(
                f"the state is on {state.samples.device}, must be on {self.window.device} as "
                f"{name}; move it with StreamState.from_dict(state.to_dict(), device)"
            )
        if single and streams != 1:
            raise SeqlabError(
                f"a state holds {streams} streams, must hold 1; take it apart with state.split()"
            )
