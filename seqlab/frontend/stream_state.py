"""What a stream of features carries along: split, joined, and taken elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn, Self

import torch
from torch import Tensor

from seqlab.errors import SeqlabError
from seqlab.values import shown

_TENSORS = {"samples": 2, "history": 3}  # and their dimensions


@dataclass(frozen=True)
class StreamState:
    """What a stream carries from one step to the next; all streams of a batch run abreast.

    It stays as small as a frame or two, however long the stream, and belongs to the front end that
    made it: no other takes it, not even one with other settings.
    """

    samples: Tensor  # (B, n): the last samples, as they came
    offset: int  # samples dropped before them
    frames: int  # frames analysed so far
    history: Tensor  # (B, k, F): the last frames before deltas
    emitted: int  # frames given out so far
    source: str  # names the front end and its settings

    @property
    def seen(self) -> int:
        """Samples that came so far."""
        return self.offset + self.samples.shape[1]

    def split(self) -> list[StreamState]:
        """One state for each stream, to keep, drop or carry on alone."""
        pairs = zip(torch.split(self.samples, 1), torch.split(self.history, 1), strict=True)
        return [self._of(samples, history) for samples, history in pairs]

    def _of(self, samples: Tensor, history: Tensor) -> StreamState:
        return StreamState(samples, self.offset, self.frames, history, self.emitted, self.source)

    def to_dict(self) -> dict[str, Tensor | int | str]:
        """Tensors, numbers and a string alone, which ``torch.save`` writes and any pipe carries."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # A copy: torch.save would write all the memory that a part of a tensor lies in.
        return {n: v.detach().clone() if n in _TENSORS else v for n, v in values.items()}

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], device: torch.device | str | None = None
    ) -> Self:
        """Undo ``to_dict``; the first step checks that state and front end belong together.

        Args:
            content: from ``to_dict``, perhaps of another process.
            device: where the front end is; None leaves the tensors where they are.

        Raises:
            SeqlabError: something is missing, of another type, shape or sign.

        Example:
            >>> from seqlab.frontend.logmel import LogMel
            >>> state = LogMel().step(torch.zeros(1, 500), LogMel().initial_state())[1]
            >>> StreamState.from_dict(state.to_dict()).seen
            500
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(content, Mapping) or set(content) != set(names):
            given = sorted(map(str, content)) if isinstance(content, Mapping) else content
            raise SeqlabError(
                f"the state of a stream holds {shown(given)}, must hold {', '.join(names)}; pass "
                "what StreamState.to_dict returned"
            )
        for name, dimensions in _TENSORS.items():
            _check_tensor(name, content[name], dimensions)
        for name in ("offset", "frames", "emitted"):
            if type(content[name]) is not int or content[name] < 0:
                _refuse(name, shown(content[name]), "a whole number of at least 0")
        if not isinstance(content["source"], str):
            _refuse("source", shown(content["source"]), "a string")
        if len(content["samples"]) != len(content["history"]):
            streams = len(content["samples"]), len(content["history"])
            _refuse("samples", f"of {streams[0]} streams", f"of {streams[1]}, as history")
        moved = {name: content[name].to(device) for name in _TENSORS}
        return cls(**{**content, **moved})


def join_states(states: Sequence[StreamState]) -> StreamState:
    """One state of all streams, for ``step`` to carry on as one batch; undoes ``split``.

    Args:
        states: states of one front end that have seen equally many samples, at least one.

    Raises:
        SeqlabError: there are none, or they do not run abreast or belong to several front ends.

    Example:
        >>> from seqlab.frontend.logmel import LogMel
        >>> single, pair = LogMel().initial_state(), LogMel().initial_state(2)
        >>> join_states([single, pair]).samples.shape
        torch.Size([3, 0])
    """
    if not states:
        raise SeqlabError("0 states cannot be joined; pass at least one, from initial_state")
    first = states[0]
    if any(state.source != first.source for state in states):
        raise SeqlabError(
            "states of different front ends cannot be joined; keep a list of states for each"
        )
    seen = sorted({state.seen for state in states})
    if len(seen) > 1:
        raise SeqlabError(
            f"states that have seen {seen[0]} and {seen[-1]} samples cannot be joined, for the "
            "streams of a batch run abreast; keep them in a list and call step_ragged"
        )
    samples = torch.cat([state.samples for state in states])
    return first._of(samples, torch.cat([state.history for state in states]))


def _check_tensor(name: str, value: object, dimensions: int) -> None:
    rule = f"a floating-point tensor of {dimensions} dimensions"
    if not isinstance(value, Tensor):
        _refuse(name, shown(value), rule)
    if not value.is_floating_point() or value.dim() != dimensions or value.shape[0] == 0:
        _refuse(name, f"{value.dtype} of shape {tuple(value.shape)}", rule)


def _refuse(name: str, value: str, rule: str) -> NoReturn:
    raise SeqlabError(
        f"{name} of the state of a stream is {value}, must be {rule}; pass what "
        "StreamState.to_dict returned"
    )
