"""What an encoder costs and sees, measured on the encoder itself: weights, work, reach, delay."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from seqlab.contracts import Encoder
from seqlab.errors import SeqlabError

FRAME_S = 0.01
"""Seconds from one feature frame to the next, where no front end says otherwise."""

_STRIDE_PROBE = 5040  # frames; a multiple of every stride up to 10, and of 12, 14, 15 and 16
_PROBES = (64, 256, 1024)  # feature frames; who reaches beyond the last has no end


@dataclass(frozen=True)
class EncoderCost:
    """What `measure_encoder` found.

    Args:
        parameters: Trained numbers of the encoder.
        macs: Multiplications with addition, of convolutions, linear layers, attention and
            recurrences, for one second of features.
        stride: Feature frames from one encoded frame to the next; None if there is only one.
        past: Feature frames that an encoded frame reads before the first of its own; None for
            more than about a thousand, mostly all there are.
        lookahead: Feature frames that it reads behind the first of its own; None likewise.
        frame_s: Seconds from one feature frame to the next.
    """

    parameters: int
    macs: int
    stride: int | None
    past: int | None
    lookahead: int | None
    frame_s: float = FRAME_S

    @property
    def receptive_field_s(self) -> float | None:
        """Seconds of features that one encoded frame reads; None if either side has no end."""
        if self.past is None or self.lookahead is None:
            return None
        return (self.past + 1 + self.lookahead) * self.frame_s

    @property
    def latency_s(self) -> float | None:
        """Seconds of features behind the first of its own that an encoded frame waits for.

        The frames it stands for are among them; None where ``lookahead`` is.
        """
        return None if self.lookahead is None else self.lookahead * self.frame_s


def measure_encoder(encoder: Encoder, frame_s: float = FRAME_S) -> EncoderCost:
    """Measure an encoder: its weights, its work for a second of features, its reach and delay.

    Args:
        encoder: As it is; it is copied, and neither trained nor changed.
        frame_s: Seconds from one feature frame to the next, above 0.

    Raises:
        SeqlabError: If ``frame_s`` is out of range.

    Example:
        >>> from seqlab.encoders.tdnn import TDNNEncoder
        >>> encoder = TDNNEncoder(4, 8, kernel_sizes=(5, 3), dilations=(1, 2), subsampling=2)
        >>> cost = measure_encoder(encoder)
        >>> cost.parameters, cost.macs == 50 * (5 * 4 * 8 + 3 * 8 * 8), cost.stride
        (384, True, 2)
        >>> cost.past, cost.lookahead
        (6, 6)
    """
    if not 0 < frame_s <= 1:
        raise SeqlabError(f"frame_s={frame_s} must be within (0, 1]; 0.01 is usual")
    frames = max(1, round(1 / frame_s))
    features = torch.zeros(1, frames, encoder.input_dim)
    stride, (past, lookahead) = encoder_stride(encoder), receptive_field(encoder)
    return EncoderCost(
        parameters=sum(weight.numel() for weight in encoder.parameters()),
        macs=count_macs(encoder, features, torch.tensor([frames])),
        stride=stride,
        past=past,
        lookahead=lookahead,
        frame_s=frame_s,
    )


def count_macs(module: nn.Module, *inputs: Any) -> int:
    """Multiplications with addition in one forward pass of ``module`` over ``inputs``.

    Counted are the convolutions, matrix products and attention that torch really runs, recurrent
    layers step by step; not activations, norms and other work on single elements. What a
    convolution multiplies with its own zero padding counts. The pass is in double precision, whose
    kernels all consist of parts that can be counted.

    Args:
        module: In any mode; evaluated in evaluation mode, and left as it was.
        *inputs: What its ``forward`` takes.

    Example:
        >>> count_macs(nn.Linear(3, 5), torch.zeros(7, 3))
        105
    """
    counter = FlopCounterMode(display=False)
    module = copy.deepcopy(module).eval().double()
    precise = [
        value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in inputs
    ]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module(*precise)
    return int(counter.get_total_flops()) // 2


def encoder_stride(encoder: Encoder) -> int | None:
    """Feature frames from one encoded frame to the next; None if the encoder gives only one."""
    first, second = encoder.output_lengths(
        torch.tensor([_STRIDE_PROBE, 2 * _STRIDE_PROBE])
    ).tolist()
    return None if first == second else round(_STRIDE_PROBE / (second - first))


def receptive_field(encoder: Encoder) -> tuple[int | None, int | None]:
    """Feature frames that an encoded frame reads before and behind the first of its own.

    Features are made not-a-number up to a frame, or from one on, and where the encoded frames
    stay numbers they have not read them. That is exact, however little a frame weighs. The
    largest reach of any encoded frame counts.

    Args:
        encoder: In any mode; evaluated in evaluation mode, and left as it was.

    Returns:
        Frames before and behind; each is None if it grows beyond ten seconds of usual features.
        An encoder that gives a single frame reads everything.
    """
    stride = encoder_stride(encoder)
    if stride is None:
        return None, None
    # double precision: the kernels for it multiply nothing that a frame does not read
    encoder = copy.deepcopy(encoder).eval().double()
    period = stride * max(1, int(getattr(encoder, "chunk_frames", 0) or 0))
    past = _reach(encoder, stride, period, before=True)
    return past, _reach(encoder, stride, period, before=False)


def _reach(encoder: Encoder, stride: int, period: int, before: bool) -> int | None:
    """The largest reach over all places of the boundary in a period; None where it has no end."""
    for frames in _PROBES:
        first = period if before else frames // period * period - 2 * period
        reach, place = 0, max(1, first)
        while place < first + period:
            found = _reach_across(_spoilt(encoder, frames, place, before), place, stride, before)
            if found is None:
                break
            reach, place = max(reach, found), place + 1
        else:
            return reach
    return None


def _spoilt(encoder: Encoder, frames: int, place: int, before: bool) -> Tensor:
    """Which encoded frames (T',) read what lies before frame ``place``, or from there on."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, frames, encoder.input_dim)
    features = torch.randn(shape, generator=generator, dtype=torch.float64)
    part = features[:, :place] if before else features[:, place:]
    part.fill_(math.nan)
    with torch.no_grad(), _NanThroughAttention():
        encoded: Tensor = encoder(features, torch.tensor([frames]))[0]
    return encoded[0].isnan().any(-1)


def _reach_across(spoilt: Tensor, place: int, stride: int, before: bool) -> int | None:
    """Frames that encoded ones read across a boundary; None if those at the far end do, too.

    Looking back, from the last frame before ``place`` to the last encoded frame that reads it;
    looking ahead, from the first encoded frame that reads ``place`` or later to that place.
    """
    reading = spoilt.nonzero().flatten()
    if len(reading) == 0:
        return 0
    first, last = int(reading[0]), int(reading[-1])
    if before:
        return None if last == len(spoilt) - 1 else last * stride - (place - 1)
    return None if first == 0 else place - first * stride


class _NanThroughAttention(TorchFunctionMode):
    """Lets not-a-number pass through attention to those only who may look at it.

    Attention multiplies what is hidden by zero, and zero times not-a-number is not a number.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        return _attention(*args, **kwargs)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    spoilt = (key.isnan() | value.isnan()).any(-1).unsqueeze(-2)
    if attn_mask is not None:
        spoilt = spoilt & (attn_mask if attn_mask.dtype == torch.bool else attn_mask.isfinite())
    if is_causal:
        spoilt = spoilt & spoilt.new_ones(query.shape[-2], key.shape[-2]).tril()
    query_spoilt = query.isnan().any(-1, keepdim=True)
    query, key, value = query.nan_to_num(), key.nan_to_num(), value.nan_to_num()
    mixed = functional.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, **options
    )
    return mixed.masked_fill(spoilt.any(-1, keepdim=True) | query_spoilt, math.nan)
