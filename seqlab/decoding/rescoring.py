"""A second look at n-best lists: by a language model, or by a head that reads whole texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlab.contracts import Decoder, Head, Hypothesis, LanguageModel
from seqlab.decoding.parts import find_head, need_head
from seqlab.errors import SeqlabError
from seqlab.lengths import pad_stack
from seqlab.lm.ngram.rescoring import rescore_batch

_AT_ONCE = 64  # hypotheses that a head scores together

NBest = list[Hypothesis]


def rescore_by_language_model(
    nbests: Sequence[Sequence[Hypothesis]],
    model: LanguageModel,
    weight: float,
    length_bonus: float = 0.0,
    sentence: Callable[[Hypothesis], Any] | None = None,
) -> list[NBest]:
    """Add ``weight`` ln p(text) + ``length_bonus`` for each unit to every score, and sort anew.

    Use it where the language model is too slow for the search, as neural ones are.

    Args:
        nbests: Of each utterance.
        model: Any language model.
        weight: Of its natural log-probabilities, finite.
        length_bonus: For each unit of the sentence, finite.
        sentence: What the model scores of a hypothesis, a text or a list of units; its text, if
            None, whose units are words.

    Returns:
        Hypotheses with their new scores, best first; ``details`` has "language", and "first" with
        the score before.

    Raises:
        SeqlabError: A number is not finite, or the model gives no numbers.

    Example:
        >>> class Short:
        ...     def score_batch(self, sentences):
        ...         return [-float(len(sentence)) for sentence in sentences]
        >>> nbest = [Hypothesis((1, 1), "aa", -1.0), Hypothesis((1,), "a", -1.2)]
        >>> [h.text for h in rescore_by_language_model([nbest], Short(), weight=0.5)[0]]
        ['a', 'aa']
    """
    units = sentence or (lambda hypothesis: hypothesis.text)
    given = [[(units(hypothesis), hypothesis.score) for hypothesis in nbest] for nbest in nbests]
    result = []
    for nbest, rows in zip(nbests, rescore_batch(given, model, weight, length_bonus), strict=True):
        again = [_rescored(nbest[row.rank], row.score, language=row.language) for row in rows]
        result.append(again)
    return result


@torch.no_grad()
def rescore_by_head(
    nbests: Sequence[Sequence[Hypothesis]],
    head: Head,
    encoded: Tensor,
    lengths: Tensor,
    weight: float,
) -> list[NBest]:
    """Add ``weight`` times what a head says of the whole text to every score, and sort anew.

    Use it with an attention decoder or a transducer after a search by CTC: as good as searching
    the head itself where the list holds the right text, and much faster.

    Args:
        nbests: Of each utterance.
        head: Of output "tokens", or a joint head that has one; in evaluation mode.
        encoded: (B, T', D).
        lengths: (B,).
        weight: Of the head's natural log-probabilities, finite.

    Returns:
        Hypotheses with their new scores, best first; ``details`` has "head", and "first" with the
        score before.

    Raises:
        SeqlabError: The head says no texts, the weight is not finite, or there is not one list
            for each utterance.

    Source: Zhang et al. 2020, "Unified Streaming and Non-streaming Two-pass End-to-end Model for
    Speech Recognition", section 2.3.
    """
    if not math.isfinite(weight):
        raise SeqlabError(f"weight={weight} must be a finite number; 0 leaves the head out")
    if len(nbests) != len(encoded):
        raise SeqlabError(
            f"{len(nbests)} n-best lists for {len(encoded)} utterances; pass one each"
        )
    part = _telling(head)
    flat = [(row, h) for row, nbest in enumerate(nbests) for h in nbest]
    found: list[float] = []
    for start in range(0, len(flat), _AT_ONCE):
        rows, hypotheses = zip(*flat[start : start + _AT_ONCE], strict=True)
        found += _scores(part, encoded, lengths, list(rows), hypotheses)
    scores = iter(found)
    result = []
    for nbest in nbests:
        again = []
        for hypothesis in nbest:
            told = next(scores)
            total = hypothesis.score + (weight * told if weight else 0.0)
            again.append(_rescored(hypothesis, total, head=told))
        result.append(sorted(again, key=lambda hypothesis: -hypothesis.score))
    return result


class TwoPassDecoder:
    """A search through CTC, whose n-best list is put in a new order.

    Use it with joint heads: nearly as good as an attention beam search, at the speed of CTC.

    The final score is that of the first pass + ``head_weight`` ln p(head) + ``lm_weight``
    ln p(language model) + ``length_bonus`` for each word.

    Args:
        head: A joint head, of CTC and an attention decoder or transducer; in evaluation mode.
        first: Decodes CTC's log-probabilities to n-best lists, such as a prefix beam search.
        head_weight: Of the attention decoder or transducer; 0 leaves it out.
        language_model: Over words; None leaves it out.
        lm_weight: Of its natural log-probabilities.
        length_bonus: For each word, where there is a language model.

    Raises:
        SeqlabError: The head lacks a part, ``first`` reads something else, or a weight is not
            finite.

    Example:
        >>> from seqlab.decoding.greedy import GreedyCTCDecoder
        >>> from seqlab.heads.joint import JointHead
        >>> first = GreedyCTCDecoder(lambda tokens: "a" * len(tokens), frame_s=0.04)
        >>> decoder = TwoPassDecoder(JointHead(4, 3).eval(), first)
        >>> answers = decoder.decode(torch.zeros(1, 5, 4), torch.tensor([5]))
        >>> sorted(answers[0][0].details)
        ['first', 'head']
    """

    reads: ClassVar[str] = "encoded"

    def __init__(
        self,
        head: Head,
        first: Decoder,
        head_weight: float = 1.0,
        language_model: LanguageModel | None = None,
        lm_weight: float = 0.5,
        length_bonus: float = 0.0,
    ) -> None:
        self.ctc = need_head(head, "frames", False, "CTC head")
        if getattr(first, "reads", "log_probs") != "log_probs":
            raise SeqlabError(
                f"first is {type(first).__name__}, must read log-probabilities; take a CTC decoder"
            )
        for name, value in (
            ("head_weight", head_weight),
            ("lm_weight", lm_weight),
            ("length_bonus", length_bonus),
        ):
            if not math.isfinite(value):
                raise SeqlabError(f"{name}={value} must be a finite number; 0 leaves it out")
        self.head = _telling(head) if head_weight else None
        self.first = first
        self.head_weight = head_weight
        self.language_model = language_model
        self.lm_weight = lm_weight
        self.length_bonus = length_bonus

    @torch.no_grad()
    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[NBest]:
        """The n-best list of each utterance, best first.

        Args:
            log_probs: Encoded frames (B, T', D); named as in every decoder.
            lengths: (B,).

        Raises:
            SeqlabError: If shapes do not fit.
        """
        nbests = self.first.decode(self.ctc(log_probs, lengths), lengths)
        if self.head is not None:
            nbests = rescore_by_head(nbests, self.head, log_probs, lengths, self.head_weight)
        if self.language_model is not None:
            nbests = rescore_by_language_model(
                nbests, self.language_model, self.lm_weight, self.length_bonus
            )
        return nbests


def _telling(head: Head) -> Head:
    """The part of a head that says how probable a text is."""
    found = find_head(head, "tokens", False)
    return found or need_head(head, "tokens", True, "attention decoder or transducer")


def _scores(
    head: Head,
    encoded: Tensor,
    lengths: Tensor,
    rows: list[int],
    hypotheses: Sequence[Hypothesis],
) -> list[float]:
    """What a head says of the texts of utterances ``rows``."""
    texts = [torch.tensor(h.tokens, dtype=torch.int64) for h in hypotheses]
    targets, sizes = (part.to(encoded.device) for part in pad_stack(texts))
    chosen = torch.tensor(rows, device=encoded.device)
    scores: Tensor = head.score(encoded[chosen], lengths[chosen], targets, sizes)  # type: ignore[operator]
    found: list[float] = scores.double().tolist()
    return found


def _rescored(hypothesis: Hypothesis, score: float, **said: float) -> Hypothesis:
    first = hypothesis.details.get("first", hypothesis.score)
    details = {**hypothesis.details, "first": first, **said}
    return replace(hypothesis, score=score, details=details)
