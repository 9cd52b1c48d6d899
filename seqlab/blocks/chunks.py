"""What the frames of an encoder may see: whole utterances, or chunks and what came before them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.lengths import valid_mask

_LARGEST_CHUNK = 25  # encoded frames: a second at 40 ms
_WHOLE_SHARE = 0.5  # of the training batches see whole utterances


class View(NamedTuple):
    """What the frames of one pass through the layers of an encoder may see.

    Args:
        lengths: (B,), int64; real ones among the T frames of the pass.
        visible: bool, broadcast to (B, H, T, P + T): True where a frame, in the rows, may look at
            one of the P past and T present frames.
        rotary: (2, P + T, d / 2), the rotary positions of the past and present frames, or None.
        chunk_frames: Frames in a chunk; 0 for whole utterances.
        kept_frames: Frames that a stream keeps for later; -1 keeps all.
    """

    lengths: Tensor
    visible: Tensor
    rotary: Tensor | None = None
    chunk_frames: int = 0
    kept_frames: int = 0


def visible_frames(
    lengths: Tensor, frames: int, past: int = 0, chunk_frames: int = 0, left_chunks: int = -1
) -> Tensor:
    """Mask, bool, broadcast to (B, H, T, P + T), of what each frame may look at.

    Without chunks every valid frame is seen by all. With them a frame sees its own chunk, to its
    end, and ``left_chunks`` chunks before it. Padding sees itself at least, lest a softmax be
    empty; it is never seen by a real frame.

    Args:
        lengths: (B,), int64, real ones among the present frames.
        frames: Present frames T.
        past: Past frames P, whole chunks of them.
        chunk_frames: Frames in a chunk; 0 for whole utterances, without past.
        left_chunks: Chunks seen before the own one; -1 for all.

    Source: Zhang et al. 2020, "Unified Streaming and Non-streaming Two-pass End-to-end Model for
    Speech Recognition" (chunk-based attention).

    >>> visible_frames(torch.tensor([3]), 3, chunk_frames=2, left_chunks=0)[0, 0].int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    valid = valid_mask(lengths + past, past + frames)
    if chunk_frames == 0:
        return (valid | (lengths == 0).unsqueeze(1))[:, None, None]
    position = torch.arange(past + frames, device=lengths.device)
    own = position[past:, None]
    distance = own // chunk_frames - position // chunk_frames
    near = distance >= 0
    if left_chunks >= 0:
        near = near & (distance <= left_chunks)
    return ((near & valid[:, None]) | (own == position))[:, None]


def draw_chunk_frames() -> int:
    """A chunk size for one training batch, from torch's random numbers; 0 for whole utterances.

    Half of the batches see whole utterances, the others chunks of 1 to 25 encoded frames, each
    size as often.

    Source: Zhang et al. 2020, as above (dynamic chunk training).
    """
    drawn = float(torch.rand(()))
    if drawn < _WHOLE_SHARE:
        return 0
    return 1 + int((drawn - _WHOLE_SHARE) / (1 - _WHOLE_SHARE) * _LARGEST_CHUNK)
