"""Decoded audio kept in memory: decoding dominates the epochs of small corpora."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqlab.data.utterance import Utterance


class AudioCache:
    """Decoded waveforms by key, up to a number of bytes; then new ones are not kept.

    Epochs visit every utterance once, so throwing out old entries would gain nothing.
    Waveforms that are exactly 16-bit are kept so, at half the size; what comes out is bit-equal
    to what went in.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._kept: dict[Any, Tensor] = {}

    def get(self, key: object, part: slice = slice(None)) -> Tensor | None:
        """The waveform (N,) kept under ``key``, or ``part`` of it; None if there is none."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        kept = kept[part]
        return kept.float() / 32768 if kept.dtype == torch.int16 else kept.clone()

    def read(
        self,
        recording: Utterance,
        sample_rate: int,
        part: Callable[[int], slice] = lambda length: slice(None),
    ) -> Tensor:
        """A recording's waveform, or of its N samples ``part(N)``; decoded once if there is room.

        Raises:
            AudioError: it cannot be used.
        """
        kept = self.get(recording, part(len(self._kept.get(recording, ()))))
        if kept is not None:
            return kept
        whole = recording.waveform(sample_rate)
        self.put(recording, whole)
        return whole[part(len(whole))]

    def put(self, key: object, waveform: Tensor) -> None:
        """Keep ``waveform`` (N,) if there is room."""
        scaled = waveform * 32768
        small = scaled.clamp(-32768, 32767).to(torch.int16)
        kept = small if torch.equal(small.float(), scaled) else waveform
        size = kept.numel() * kept.element_size()
        if key not in self._kept and self.used + size <= self.limit:
            self._kept[key] = kept.clone()
            self.used += size
