"""Samples to posteriors with an exported model, step by step; state goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seqlab.audio_file import Samples
from seqlab.deploy.model import ExportedModel, stream_facts
from seqlab.deploy.sessions import Array, checked

__all__ = ["ExportStream", "ExportWindows", "StreamState"]

_MOST = 32  # windows that are judged at a time


@dataclass(frozen=True)
class StreamState:
    """Where a stream stands; never changed by a step, and of the same size after any time.

    Args:
        held: Samples that were not heard yet.
        tensors: What the graph carries on; empty before the lead is there.
        seen: Samples that came.
        given: Frames that were given.
    """

    held: Samples
    tensors: tuple[Array, ...] = ()
    seen: int = 0
    given: int = 0


class PosteriorStream(Protocol):
    """What a spotter follows."""

    unit: int

    def initial_state(self) -> StreamState:
        """The state before the first sample."""
        ...

    def step(self, samples: Samples, state: StreamState) -> tuple[Array, StreamState]:
        """Posteriors (T', C) that the next samples (n,) complete, and the new state."""
        ...

    def flush(self, state: StreamState) -> Array:
        """Posteriors (T', C) that only the end of the stream completes."""
        ...


class ExportStream:
    """The streaming graph: it hears blocks of one length, so any chunking gives the same bits.

    All steps and the flush together give what the model gives for the whole, but for the frames
    that only zeros beyond the end complete: at most one encoded frame, and half a window of the
    front end where its frames are centred, with what waits for those.

    Args:
        model: With a streaming graph.

    Raises:
        ModelError: It has none.
    """

    def __init__(self, model: ExportedModel) -> None:
        self.model, self.unit = model, model.facts.unit
        self.facts = stream_facts(model)
        facts = self.facts
        mirrored = max([0, *(place + 1 for place in facts.padding)])
        self._least = max(mirrored, facts.lead - len(facts.padding))  # samples of the first state
        self._first = max(mirrored, facts.lead - len(facts.padding) + facts.first)

    def initial_state(self) -> StreamState:
        """The state before the first sample."""
        return StreamState(np.zeros(0, np.float32))

    def step(self, samples: Samples, state: StreamState) -> tuple[Array, StreamState]:
        """What the graph gives (T', C) for the next samples (n,), and the new state.

        Posteriors of a classifier, log-probabilities of a recogniser.
        """
        held, seen = np.concatenate([state.held, samples]), state.seen + len(samples)
        tensors, given, parts = state.tensors, state.given, [self._nothing()]
        if not tensors:
            if len(held) < self._first:
                return self._nothing(), StreamState(held, (), seen, 0)
            held, tensors = self._begin(held)
        while len(held) >= self._size(given):
            found, tensors, held = self._hear(held, tensors, given)
            parts.append(found)
            given += len(found)
        return np.concatenate(parts), StreamState(held.copy(), tensors, seen, given)

    def flush(self, state: StreamState) -> Array:
        """What the last samples complete, though they fill no block (T', C)."""
        facts, held, tensors, given = self.facts, state.held, state.tensors, state.given
        if not tensors:
            if not facts.first or len(held) < self._least:
                return self._nothing()
            held, tensors = self._begin(held)
        heard = len(held) + given * self.unit + (facts.ahead if given else 0)
        left = (heard if facts.drains else heard - facts.ahead) // self.unit - given
        parts = [self._nothing()]
        while left > 0:
            found, tensors, held = self._hear(held, tensors, given)
            parts.append(found[:left])
            given, left = given + len(found), left - len(found)
        return np.concatenate(parts)

    def _size(self, given: int) -> int:
        """Samples of the next block."""
        return self.facts.block if given else self.facts.first or self.facts.block

    def _hear(
        self, held: Samples, tensors: tuple[Array, ...], given: int
    ) -> tuple[Array, tuple[Array, ...], Samples]:
        """What the next block gives, the new tensors, and what is left of the samples.

        Beyond the end of the sound there are zeros, which count as no frames.
        """
        size, facts = self._size(given), self.facts
        block = np.pad(held[:size], (0, max(0, size - len(held))))
        feed = {s.input: tensor for s, tensor in zip(facts.states, tensors, strict=True)}
        session, gives = self.model.stream, size
        if facts.first:
            feed["frames"] = np.full(1, min(len(held), size) // facts.hop)
        if facts.first and not given:
            feed = {name: feed[name] for name in ("samples", "frames") if name in feed}
            session, gives = self.model.start, size - facts.ahead
        assert session is not None, "checked by the constructor"
        found, *after = session({"waveform": block[None], **feed})
        shape = (1, gives // self.unit, len(self.model.facts.tokens))
        said = checked(found, shape, self.model.stream_output)[0]
        return self._judged(said, given), tuple(after), held[size:]

    def _begin(self, held: Samples) -> tuple[Samples, tuple[Array, ...]]:
        """What is left of the first samples once the lead was taken, and the first state."""
        places = np.array(self.facts.padding, np.int64)
        before = np.where(places < 0, np.float32(0), held[places] if len(held) else np.float32(0))
        whole = np.concatenate([before.astype(np.float32), held])
        tensors = [np.zeros(state.shape, state.type) for state in self.facts.states]
        for place, state in enumerate(self.facts.states):
            if state.input == "samples":
                tensors[place] = whole[None, : self.facts.lead]
        return whole[self.facts.lead :], tuple(tensors)

    def _judged(self, found: Array, given: int) -> Array:
        """Zero where no whole window was heard yet."""
        quiet = self.facts.warm_up - given
        if quiet <= 0:
            return found
        found = found.copy()
        found[:quiet] = 0
        return found

    def _nothing(self) -> Array:
        return np.zeros((0, len(self.model.facts.tokens)), np.float32)


class ExportWindows:
    """Any exported classifier, on overlapping windows, each as if it were a recording.

    The frame of a window is the one at its end. Before a whole window was heard all posteriors
    are 0; a stream that ends sooner is judged once, at its end.

    Args:
        model: With a graph for whole recordings.
        window_s: Seconds of a window.
        hop_s: Seconds from one to the next.
    """

    def __init__(self, model: ExportedModel, window_s: float, hop_s: float) -> None:
        self.model = model
        self.unit = max(1, round(hop_s * model.sample_rate))
        self.ahead = max(1, round(window_s / hop_s))
        self.width = self.ahead * self.unit

    def initial_state(self) -> StreamState:
        """The state before the first sample."""
        return StreamState(np.zeros(0, np.float32))

    def step(self, samples: Samples, state: StreamState) -> tuple[Array, StreamState]:
        """Posteriors (T', C) that the next samples (n,) complete, and the new state."""
        held = np.concatenate([state.held, samples])
        parts, given = [self._quiet(0)], state.given
        if len(held) >= self.width:
            if given == 0:
                parts.append(self._quiet(self.ahead - 1))
            windows = np.lib.stride_tricks.sliding_window_view(held, self.width)[:: self.unit]
            for first in range(0, len(windows), _MOST):
                part = np.ascontiguousarray(windows[first : first + _MOST])
                parts.append(self.model.posteriors(part))
            held = held[len(windows) * self.unit :].copy()
        found = np.concatenate(parts)
        return found, StreamState(held, (), state.seen + len(samples), given + len(found))

    def flush(self, state: StreamState) -> Array:
        """Posteriors (T', C) that only the end of the stream completes."""
        if state.given or len(state.held) < self.model.facts.least_samples:
            return self._quiet(0)
        before = self._quiet(max(0, -(-len(state.held) // self.unit) - 1))
        return np.concatenate([before, self.model.posteriors(state.held[None])])

    def _quiet(self, frames: int) -> Array:
        return np.zeros((frames, len(self.model.facts.tokens)), np.float32)
