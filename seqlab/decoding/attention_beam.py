"""Beam search through an attention decoder, token by token, with CTC and a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from seqlab.checks import check_range
from seqlab.contracts import Head, Hypothesis
from seqlab.decoding.attention_search import Ended, Search
from seqlab.decoding.parts import find_head, need_head
from seqlab.decoding.shallow_fusion import ShallowFusion
from seqlab.decoding.token_beam import TokenBeamDecoder
from seqlab.errors import SeqlabError

_CTC_WEIGHT = 0.3


class AttentionBeamDecoder(TokenBeamDecoder):
    """Keeps the best ``beam_size`` beginnings of a text, and makes each longer by one token.

    Use it for attention decoders; beside CTC in a joint head it is the most accurate of the
    decoders for whole recordings. It does not stream.

    A hypothesis has the score (1 - w) ln p(attention) + w ln p(CTC) + the language model's weight
    times its ln p + ``length_bonus`` for each token. Token confidences are the attention
    decoder's probabilities; the utterance's is their geometric mean, the end included. Without
    ``length_bonus`` the search stops exactly when nothing better can come.

    Args:
        head: An attention decoder, or a joint head that has one; in evaluation mode.
        decode_tokens: Maps token indices, without blanks, to text.
        beam_size: Beginnings that are kept, at least 1; 1 is the greedy search.
        ctc_weight: w, in [0, 1]; None: 0.3 where the head has a CTC part, else 0.
        language_model: Over tokens or words, with its weight.
        length_bonus: For each token, in nats; makes up for a preference for short texts.
        n_best: Hypotheses for each utterance, from 1 to ``beam_size``.
        max_length_ratio: Most tokens for each encoded frame, above 0.
        stop_margin: With a ``length_bonus`` above 0, how far in nats an unfinished hypothesis may
            be behind the n-th best finished one and still go on; infinite: as far as its bonuses
            could take it.

    Raises:
        SeqlabError: If an argument is out of range, or the head has no such part.

    Source: Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech
    Recognition", section IV.

    Example:
        >>> import torch
        >>> from seqlab.heads.attention_decoder import TransformerDecoderHead
        >>> head = TransformerDecoderHead(4, num_classes=3, hidden_dim=8, num_layers=1).eval()
        >>> decoder = AttentionBeamDecoder(head, lambda tokens: "ab"[: len(tokens)], beam_size=2)
        >>> answers = decoder.decode(torch.zeros(1, 2, 4), torch.tensor([2]))
        >>> len(answers), answers[0][0].score < 0
        (1, True)
    """

    def __init__(
        self,
        head: Head,
        decode_tokens: Callable[[Sequence[int]], str],
        beam_size: int = 8,
        ctc_weight: float | None = None,
        language_model: ShallowFusion | None = None,
        length_bonus: float = 0.0,
        n_best: int = 1,
        max_length_ratio: float = 1.0,
        stop_margin: float = 10.0,
    ) -> None:
        super().__init__(
            need_head(head, "tokens", False, "attention decoder"),
            decode_tokens,
            beam_size,
            language_model,
            length_bonus,
            n_best,
            max_length_ratio,
            stop_margin,
        )
        self.ctc = find_head(head, "frames")
        if ctc_weight is None:
            ctc_weight = 0.0 if self.ctc is None else _CTC_WEIGHT
        check_range("ctc_weight", ctc_weight, 0, 1, "0.3 is usual")
        if ctc_weight and self.ctc is None:
            raise SeqlabError(
                f"ctc_weight={ctc_weight} needs a CTC head beside the attention decoder, and "
                f"{type(head).__name__} holds none; leave it out"
            )
        self.ctc_weight = ctc_weight

    def _search(self, encoded: Tensor, lengths: Tensor, longest: Tensor) -> list[list[Ended]]:
        search = Search(
            self.head,
            encoded,
            lengths,
            longest,
            beam_size=self.beam_size,
            n_best=self.n_best,
            ctc=self.ctc if self.ctc_weight else None,
            ctc_weight=self.ctc_weight,
            language_model=self.language_model,
            length_bonus=self.length_bonus,
            stop_margin=self.stop_margin,
        )
        return search.run()

    def _hypothesis(self, ended: Ended) -> Hypothesis:
        confidences = [min(1.0, math.exp(value)) for value in ended.token_scores]
        mean = math.fsum(ended.token_scores) / len(ended.token_scores)
        return Hypothesis(
            tokens=ended.tokens,
            text=self.decode_tokens(ended.tokens),
            score=ended.score,
            token_confidences=tuple(confidences[:-1]),
            confidence=min(1.0, math.exp(mean)),
            details=ended.details,
        )
