"""The decoder that a head gets when the caller names none."""

from __future__ import annotations

from seqlab.contracts import Decoder, Head
from seqlab.decoding.attention_beam import AttentionBeamDecoder
from seqlab.decoding.events import EventDecoder
from seqlab.decoding.greedy import GreedyCTCDecoder
from seqlab.decoding.transducer_beam import TransducerBeamDecoder
from seqlab.errors import ModelError
from seqlab.text.tokenizers import Tokenizer


def default_decoder(head: Head, tokenizer: Tokenizer, frame_s: float) -> Decoder:
    """The plainest decoder for a head of texts or events: fast, and without a language model.

    Args:
        head: Of output "frames", "tokens" or "events".
        tokenizer: Tokens to text, or to the names of events.
        frame_s: Seconds from one encoded frame to the next.

    Raises:
        ModelError: The head gives labels, which need no decoder.
    """
    if head.output == "label":
        raise ModelError(f"{type(head).__name__} gives labels, which no decoder reads; classify")
    if head.output == "events":
        return EventDecoder(tokenizer.tokens, frame_s)
    if head.output == "tokens" and head.frame_synchronous:
        return TransducerBeamDecoder(head, tokenizer.decode, frame_s, beam_size=1)
    if head.output == "tokens":
        return AttentionBeamDecoder(head, tokenizer.decode, beam_size=1)
    return GreedyCTCDecoder(tokenizer.decode, blank=getattr(head, "blank", 0), frame_s=frame_s)
