"""Beam search through a transducer, all hypotheses equally far along frames and tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from seqlab.contracts import Head, Hypothesis
from seqlab.decoding.parts import need_head
from seqlab.decoding.shallow_fusion import ShallowFusion
from seqlab.decoding.token_beam import TokenBeamDecoder
from seqlab.decoding.transducer_search import Ended, Search
from seqlab.errors import SeqlabError


class TransducerBeamDecoder(TokenBeamDecoder):
    """Keeps the best ``beam_size`` texts so far, and goes one frame or one token on with each.

    Use it for transducers. All hypotheses have the same number of frames and tokens together, so
    that they can be compared; two ways to the same text are added up. With ``beam_size`` 1 it is
    the greedy search.

    A hypothesis has the score ln p(transducer), summed over the ways that were kept, + the
    language model's weight times its ln p + ``length_bonus`` for each token. Token times are those
    of the frame that said the token on the best of these ways; confidences are the probability
    it had there, the utterance's the geometric mean of these.

    Args:
        head: A transducer, or a joint head that has one; in evaluation mode.
        decode_tokens: Maps token indices, without blanks, to text.
        frame_s: Seconds from one encoded frame to the next, above 0.
        beam_size: Texts that are kept, at least 1.
        language_model: Over tokens or words, with its weight.
        length_bonus: For each token, in nats.
        n_best: Hypotheses for each utterance, from 1 to ``beam_size``.
        max_length_ratio: Most tokens for each encoded frame, above 0.
        stop_margin: With a ``length_bonus`` above 0, how far in nats the unfinished hypotheses
            may be behind the n-th best finished one and still go on.

    Raises:
        SeqlabError: If an argument is out of range, or the head has no such part.

    Source: Saon et al. 2020, "Alignment-Length Synchronous Decoding for RNN Transducer",
    algorithm 1. Deviation: the search goes on while the ways that are left could still win.

    Example:
        >>> import torch
        >>> from seqlab.heads.transducer import TransducerHead
        >>> head = TransducerHead(4, num_classes=3, hidden_dim=8).eval()
        >>> decoder = TransducerBeamDecoder(head, lambda tokens: "ab"[: len(tokens)], frame_s=0.04)
        >>> answers = decoder.decode(torch.zeros(1, 2, 4), torch.tensor([2]))
        >>> len(answers), answers[0][0].score < 0
        (1, True)
    """

    def __init__(
        self,
        head: Head,
        decode_tokens: Callable[[Sequence[int]], str],
        frame_s: float,
        beam_size: int = 4,
        language_model: ShallowFusion | None = None,
        length_bonus: float = 0.0,
        n_best: int = 1,
        max_length_ratio: float = 1.0,
        stop_margin: float = 10.0,
    ) -> None:
        super().__init__(
            need_head(head, "tokens", True, "transducer"),
            decode_tokens,
            beam_size,
            language_model,
            length_bonus,
            n_best,
            max_length_ratio,
            stop_margin,
        )
        if not (math.isfinite(frame_s) and frame_s > 0):
            raise SeqlabError(f"frame_s={frame_s} must be above 0; it is hop times subsampling")
        self.frame_s = frame_s

    def _search(self, encoded: Tensor, lengths: Tensor, longest: Tensor) -> list[list[Ended]]:
        search = Search(
            self.head,
            encoded,
            lengths,
            longest,
            beam_size=self.beam_size,
            n_best=self.n_best,
            language_model=self.language_model,
            length_bonus=self.length_bonus,
            stop_margin=self.stop_margin,
        )
        return search.run()

    def _hypothesis(self, ended: Ended) -> Hypothesis:
        scores = ended.token_scores
        mean = math.fsum(scores) / len(scores) if scores else 0.0
        return Hypothesis(
            tokens=ended.tokens,
            text=self.decode_tokens(ended.tokens),
            score=ended.score,
            token_times=tuple(
                (frame * self.frame_s, (frame + 1) * self.frame_s) for frame in ended.frames
            ),
            token_confidences=tuple(min(1.0, math.exp(value)) for value in scores),
            confidence=min(1.0, math.exp(mean)),
            details=ended.details,
        )
