"""All length arithmetic of the toolkit: frame counts, convolutions, padding, masks, CTC fit.

Every function takes an int or an int64 tensor and returns the same kind, so that a single file,
a batch and a pre-flight check over a manifest share one formula.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from seqlab.errors import SeqlabError

Length = TypeVar("Length", int, Tensor)


def _not_negative(length: Length) -> Length:
    return length.clamp(min=0) if isinstance(length, Tensor) else max(length, 0)


def frame_count(samples: Length, win_length: int, hop_length: int) -> Length:
    """Whole frames in ``samples``, the first starting at sample 0 (Kaldi's snip_edges).

    >>> frame_count(16000, 400, 160), frame_count(399, 400, 160)
    (98, 0)
    """
    return _not_negative((samples - win_length) // hop_length + 1)


def frame_count_rounded(samples: Length, hop_length: int) -> Length:
    """Frames when edges are reflected (Kaldi, snip_edges=False): samples / hop, rounded half up.

    >>> frame_count_rounded(16000, 160), frame_count_rounded(79, 160)
    (100, 0)
    """
    return (samples + hop_length // 2) // hop_length


def frame_count_centered(samples: Length, n_fft: int, hop_length: int) -> Length:
    """Frames of a centred STFT, n_fft // 2 samples padded on both sides (librosa, torch.stft).

    >>> frame_count_centered(16000, 512, 160)
    101
    """
    return frame_count(samples + 2 * (n_fft // 2), n_fft, hop_length)


def conv_length(
    length: Length, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Length:
    """Output length of a convolution or pooling; ``padding`` counts one side.

    >>> conv_length(100, 3, stride=2, padding=1)
    50
    """
    span = dilation * (kernel_size - 1) + 1
    return _not_negative((length + 2 * padding - span) // stride + 1)


def strided_length(length: Length, stride: int) -> Length:
    """Output length where every ``stride``-th frame is kept, the first included: a ceiling.

    >>> strided_length(101, 4), strided_length(0, 4)
    (26, 0)
    """
    return (length + stride - 1) // stride  # ONNX divides negative shapes towards zero


def resampled_length(samples: Length, from_rate: int, to_rate: int) -> Length:
    """Samples that stand for the same stretch of time at another rate: a ceiling.

    >>> resampled_length(8000, 8000, 16000), resampled_length(100, 44100, 16000)
    (16000, 37)
    """
    return -(-samples * to_rate // from_rate)


def valid_mask(lengths: Tensor, max_length: int | None = None) -> Tensor:
    """Mask (B, T), bool, True on real frames, from lengths (B,).

    >>> valid_mask(torch.tensor([1, 3])).tolist()
    [[True, False, False], [True, True, True]]
    """
    if max_length is None:
        max_length = int(lengths.max()) if lengths.numel() else 0
    return torch.arange(max_length, device=lengths.device) < lengths.unsqueeze(-1)


def zero_padding(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Sequence (B, T, ...) with everything beyond ``lengths`` (B,) set to zero, NaN included."""
    valid = valid_mask(lengths, sequence.shape[1])
    valid = valid.reshape(valid.shape + (1,) * (sequence.dim() - 2))
    return sequence.masked_fill(~valid, 0)


def pad_stack(sequences: Sequence[Tensor], value: float = 0) -> tuple[Tensor, Tensor]:
    """Stack sequences (T_i, ...) into (B, T, ...), padded with ``value``, and lengths (B,).

    >>> batch, lengths = pad_stack([torch.ones(1), torch.ones(3)])
    >>> batch.tolist(), lengths.tolist()
    ([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], [1, 3])
    """
    if not sequences:
        raise SeqlabError("0 sequences cannot be stacked; pass at least one")
    lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
    padded = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value)
    return padded, lengths.to(padded.device)


def ctc_required_length(tokens: Sequence[int]) -> int:
    """Encoded frames CTC needs for ``tokens``: one each, and a blank between equal neighbours.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 3.

    >>> ctc_required_length([3, 3, 5])
    4
    """
    return len(tokens) + sum(a == b for a, b in itertools.pairwise(tokens))


def is_traced(tensor: Tensor) -> bool:
    """Whether torch records or transforms what happens to a tensor, so that no values can be read.

    So it is under torch.compile, torch.export and the transforms of torch.func.

    >>> is_traced(torch.zeros(1)), torch.func.vmap(lambda x: x + is_traced(x))(torch.zeros(1))
    (False, tensor([1.]))
    """
    if torch.compiler.is_compiling():
        return True
    try:
        tensor.untyped_storage()
    except NotImplementedError:
        return True
    return False


def check_lengths(lengths: Tensor, max_length: int, what: str) -> None:
    """Raise SeqlabError unless ``lengths`` is int64 (B,) within [0, max_length].

    The range goes unchecked where ``is_traced``.
    """
    if lengths.dim() != 1 or lengths.dtype != torch.int64:
        raise SeqlabError(
            f"lengths of {what} are {lengths.dtype} of shape {tuple(lengths.shape)}, "
            "must be int64 (B,); pass torch.tensor([...]) of sample or frame counts"
        )
    if is_traced(lengths) or lengths.numel() == 0:
        return
    if int(lengths.max()) > max_length or int(lengths.min()) < 0:
        raise SeqlabError(
            f"lengths of {what} reach from {int(lengths.min())} to {int(lengths.max())}, must be "
            f"within 0 and the padded length {max_length}; relative lengths are not accepted"
        )
