"""Mean and variance normalisation over a window that slides along the recording."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.frontend.normalize import Normalizer, check_features, check_streams, finite_frames

LEAST_VARIANCE = 1e-10  # Kaldi's floor
_BLOCK = 2048  # frames normalised in one go


@dataclass(frozen=True)
class SlidingState:
    """What a stream carries along: the frames that still wait, and sums up to each past frame."""

    frames: Tensor  # (B, k, F): frames not yet given out
    sums: Tensor  # (B, m, S), float64: sums of all frames before frame ``first``, ``first`` + 1 ...
    first: int
    seen: int


class SlidingCMVN(Normalizer):
    """Zero mean, and unit variance if asked for, over the frames around each frame.

    Use it for streams, and for recordings whose channel changes. It streams: with
    ``center=False`` a frame comes out at once, but for the first, which wait for ``min_window``
    frames; with ``center=True`` a frame waits for half a window.

    Args:
        window: frames of the window, at least 1. Without ``center`` it is the frame itself and
            this many before it, one more, as in Kaldi.
        min_window: frames that the first frames see, from the start on; the delay of a stream
            that starts. At most ``window``; not used with ``center``.
        center: put the window around the frame and not before it. At the ends of the recording it
            is moved inwards and keeps its size.
        variance: divide by the standard deviation, of the population. A window of one frame then
            gives zeros.

    Raises:
        SeqlabError: a setting is out of range.

    Source: Kaldi's apply-cmvn-sliding. Sums are kept in double precision, in time that does not
    depend on the window. Unlike there, a frame that is not finite counts in no window.

    Example:
        >>> features = torch.tensor([[[1.0], [3.0], [8.0]]])
        >>> SlidingCMVN(window=1, min_window=1)(features, torch.tensor([3])).flatten().tolist()
        [0.0, 1.0, 2.5]
    """

    can_stream = True

    def __init__(
        self,
        window: int = 600,
        min_window: int = 100,
        center: bool = False,
        variance: bool = False,
    ) -> None:
        super().__init__()
        check_at_least("window", window, 1, "600 frames of 10 ms are common")
        check_at_least("min_window", min_window, 1, "100 frames of 10 ms are common")
        if min_window > window and not center:
            raise SeqlabError(
                f"min_window={min_window} must be at most window={window}; lower it, or widen the "
                "window"
            )
        self.window, self.min_window = window, min_window
        self.center, self.variance = center, variance

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""
        check_features(features, lengths)
        rows = [
            self._whole(row[None, :length])[0]
            for row, length in zip(features, lengths.tolist(), strict=True)
        ]
        padded = [nn.functional.pad(row, (0, 0, 0, features.shape[1] - len(row))) for row in rows]
        return torch.stack(padded) if padded else features

    def _whole(self, features: Tensor) -> Tensor:
        """All frames (1, T, F) of one recording, in pieces so that what is at work fits a cache."""
        state, pieces = self.initial_state(), []
        for first in range(0, features.shape[1], _BLOCK):
            piece, state = self.step(features[:, first : first + _BLOCK], state)
            pieces.append(piece)
        return torch.cat([*pieces, self.flush(state)], 1) if pieces else features

    def initial_state(self, batch_size: int = 1) -> SlidingState:
        """State of ``batch_size`` streams before their first frame."""
        check_at_least("batch_size", batch_size, 0, "give the number of streams run abreast")
        nothing = torch.zeros(batch_size, 0, 0)
        return SlidingState(nothing, nothing.double(), first=0, seen=0)

    def step(self, features: Tensor, state: SlidingState) -> tuple[Tensor, SlidingState]:
        """The frames that need no more of the future, once the next have come.

        Args:
            features: the next frames (B, T, F) of every stream; any T, 0 included.
            state: from ``initial_state`` or the step before.

        Returns:
            Normalised frames (B, T', F) and the new state. All steps and the flush put together
            equal ``forward``.
        """
        check_streams(features, len(state.frames))
        state = self._extend(features, state)
        seen, emitted = state.seen, state.seen - state.frames.shape[1]
        ready = max(emitted, self._ready(seen))
        result = self._normalize(state, emitted, ready, None)
        begin, _ = self._bounds(torch.tensor([ready]))
        first = max(min(int(begin), seen - self.window), 0)
        return result, SlidingState(
            state.frames[:, ready - emitted :],
            state.sums[:, first - state.first :],
            first=first,
            seen=seen,
        )

    def flush(self, state: SlidingState) -> Tensor:
        """The frames (B, T, F) that waited for more to come."""
        emitted = state.seen - state.frames.shape[1]
        return self._normalize(state, emitted, state.seen, state.seen)

    def _ready(self, seen: int) -> int:
        """Frames whose window ends within the first ``seen`` frames."""
        if self.center:
            return seen - self.window + self.window // 2 + 1 if seen >= self.window else 0
        return seen if seen >= self.min_window else 0

    def _bounds(self, frame: Tensor, total: int | None = None) -> tuple[Tensor, Tensor]:
        """First frame of the windows of frames (T,), and that after the last.

        Args:
            frame: numbers of frames.
            total: frames of the recording; None where its end is not known.
        """
        if self.center:
            begin = (frame - self.window // 2).clamp(min=0)
            end = begin + self.window
        else:
            begin = (frame - self.window).clamp(min=0)
            end = (frame + 1).clamp(min=self.min_window)
        if total is None:
            return begin, end
        beyond = (end - total).clamp(min=0)
        return (begin - beyond).clamp(min=0), end.clamp(max=total)

    def _extend(self, features: Tensor, state: SlidingState) -> SlidingState:
        """The state with more frames, none of them given out yet."""
        good = finite_frames(features).unsqueeze(-1)
        values = features.double().masked_fill(~good, 0)
        terms = [values, values.square()] if self.variance else [values]
        terms.append(good.double())
        new = torch.cat(terms, -1)
        sums, frames = state.sums, state.frames
        if sums.shape[1] == 0:
            sums = new.new_zeros(len(new), 1, new.shape[2])
            frames = features[:, :0]
        # The sum so far goes in first: so chunks add up in the order of the whole, to the bit.
        running = torch.cat([sums[:, -1:], new], 1).cumsum(1)
        return SlidingState(
            torch.cat([frames, features], 1),
            torch.cat([sums[:, :-1], running], 1),
            first=state.first,
            seen=state.seen + features.shape[1],
        )

    def _normalize(self, state: SlidingState, first: int, last: int, total: int | None) -> Tensor:
        """Frames ``first`` to ``last`` of the stream, the first of which is the first waiting."""
        place = torch.arange(first, last, device=state.frames.device)
        low, high = (bound - state.first for bound in self._bounds(place, total))
        sums = state.sums.index_select(1, high) - state.sums.index_select(1, low)
        return self._apply_sums(state.frames[:, : last - first], sums)

    def _apply_sums(self, frames: Tensor, sums: Tensor) -> Tensor:
        """Frames (B, T, F) less the mean, over the deviation, that sums (B, T, S) amount to."""
        width = frames.shape[2]
        count = sums[..., -1:].clamp(min=1)
        mean = sums[..., :width] / count
        result = frames - mean
        if self.variance:
            variance = sums[..., width : 2 * width] / count - mean.square()
            result = result / variance.clamp_min(LEAST_VARIANCE).sqrt()
            result = torch.where((count > 1) | ~frames.isfinite(), result, 0)
        return result.to(frames.dtype)
