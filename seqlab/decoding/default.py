"""The decoder that a head gets when the caller names none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqlab.contracts import Decoder, Head
from seqlab.decoding.attention_beam import AttentionBeamDecoder
from seqlab.decoding.greedy import GreedyCTCDecoder
from seqlab.decoding.transducer_beam import TransducerBeamDecoder
from seqlab.errors import ModelError


def default_decoder(
    head: Head, decode_tokens: Callable[[Sequence[int]], str], frame_s: float
) -> Decoder:
    """The plainest decoder for a head of texts: fast, and without a language model.

    Args:
        head: Of output "frames" or "tokens".
        decode_tokens: Maps token indices to text.
        frame_s: Seconds from one encoded frame to the next.

    Raises:
        ModelError: The head gives labels, which need no decoder.
    """
    if head.output == "label":
        raise ModelError(f"{type(head).__name__} gives labels, which no decoder reads; classify")
    if head.output == "events":
        raise ModelError(f"{type(head).__name__} gives events; pass an EventDecoder")
    if head.output == "tokens" and head.frame_synchronous:
        return TransducerBeamDecoder(head, decode_tokens, frame_s, beam_size=1)
    if head.output == "tokens":
        return AttentionBeamDecoder(head, decode_tokens, beam_size=1)
    return GreedyCTCDecoder(decode_tokens, blank=getattr(head, "blank", 0), frame_s=frame_s)
