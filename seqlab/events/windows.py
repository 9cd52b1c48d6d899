"""Long recordings in overlapping windows, of which the middles are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seqlab.audio_file import Samples
from seqlab.checks import check_range

__all__ = ["Window", "overlapping_windows"]


@dataclass(frozen=True)
class Window:
    """A part of a recording.

    Args:
        samples: (N,).
        first: Frame of it from which on it is used.
        last: Frame before which; None: up to its end.
    """

    samples: Samples
    first: int
    last: int | None


def overlapping_windows(
    blocks: Iterable[Samples], unit: int, sample_rate: int, window_s: float, margin_s: float
) -> Iterator[Window]:
    """Windows that overlap by two margins, of whose frames those nearer to a cut are not used.

    The last one is as long as is left, up to half as much again as the others.

    Args:
        blocks: Samples (N,) of any length.
        unit: Samples from one frame to the next.
        sample_rate: In Hz.
        window_s: Seconds of a window, 1 to 3600.
        margin_s: Seconds at a cut that are not used, from 0.1 to a quarter of that.

    Raises:
        SeqlabError: A value is out of range.

    Example:
        >>> blocks = [np.zeros(500, np.float32)] * 7
        >>> found = overlapping_windows(blocks, 10, 1000, 1.0, 0.2)
        >>> [(len(window.samples), window.first, window.last) for window in found]
        [(1000, 0, 80), (1000, 20, 80), (1000, 20, 80), (1000, 20, 80), (1100, 20, None)]
    """
    check_range("window_s", window_s, 1, 3600, "30 is usual")
    check_range("margin_s", margin_s, 0.1, window_s / 4, "3 is usual")
    frame_s = unit / sample_rate
    size, margin = round(window_s / frame_s) * unit, round(margin_s / frame_s)
    held, first = np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > size + size // 2:
            yield Window(held[:size], first, size // unit - margin)
            held, first = held[size - 2 * margin * unit :], margin
    yield Window(held, first, None)
