"""A language model beside a search that goes token by token."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqlab.checks import check_choice
from seqlab.contracts import LanguageModel
from seqlab.errors import SeqlabError

UNITS = ("token", "word")


@dataclass(frozen=True)
class FusionState:
    """What the language model knows of a hypothesis.

    Args:
        state: The language model's own.
        score: Its natural log-probability of the units so far.
        tokens: Of the hypothesis, where words are counted.
        words: Words that have been scored.
    """

    state: Any
    score: float = 0.0
    tokens: tuple[int, ...] = field(default=(), repr=False)
    words: int = 0


class ShallowFusion:
    """Scores hypotheses by a language model over tokens or over words.

    Use it with a beam search over an attention decoder or a transducer. A model over words scores
    a word when the next one begins, and the last word with the end.

    Args:
        model: Any language model.
        weight: Times its natural log-probabilities, at least 0; 0.2 to 0.6 is usual.
        tokens: What the model calls each token, by index; of the tokenizer, as a rule. A space
            alone is handed on as the sign ``▁``, as n-gram models of characters have it.
        decode_tokens: Maps token indices to text; for words only.
        unit: "token" or "word": what the language model was trained on.
        end: What the model calls the end of a sentence; None if it knows none.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Gulcehre et al. 2015, "On Using Monolingual Corpora in Neural Machine Translation",
    section 4.1.

    Example:
        >>> from seqlab.lm.ngram.model import NGramModel
        >>> model = NGramModel.estimate(["a b", "a b"], order=2, smoothing="witten_bell")
        >>> fusion = ShallowFusion(model, 0.5, tokens=["<blank>", "a", "b"])
        >>> start = fusion.initial_state()
        >>> fusion.extend(start, 1).score > fusion.extend(start, 2).score
        True
    """

    def __init__(
        self,
        model: LanguageModel,
        weight: float,
        tokens: Sequence[str],
        decode_tokens: Callable[[Sequence[int]], str] | None = None,
        unit: str = "token",
        end: str | None = "</s>",
    ) -> None:
        check_choice("unit", unit, UNITS)
        if not 0 <= weight < math.inf:
            raise SeqlabError(f"weight={weight} of the language model must be at least 0")
        if unit == "word" and decode_tokens is None:
            raise SeqlabError("a language model over words needs decode_tokens; pass it")
        self.model = model
        self.weight = weight
        self.names = ["▁" if token == " " else token for token in tokens]
        self.decode_tokens = decode_tokens
        self.unit = unit
        self.end = end

    def initial_state(self) -> FusionState:
        """State of the empty hypothesis."""
        return FusionState(self.model.initial_state())

    def extend(self, state: FusionState, token: int) -> FusionState:
        """State after one more token."""
        if self.unit == "token":
            return self._said(state, [self.names[token]])
        tokens = (*state.tokens, token)
        words = self._words(tokens)[:-1]
        after = self._said(state, words[state.words :])
        return FusionState(after.state, after.score, tokens, max(len(words), state.words))

    def ended(self, state: FusionState) -> float:
        """Log-probability of the whole hypothesis, its end included."""
        rest = self._words(state.tokens)[state.words :] if self.unit == "word" else []
        if self.end is not None:
            rest.append(self.end)
        return self._said(state, rest).score

    def _words(self, tokens: Sequence[int]) -> list[str]:
        assert self.decode_tokens is not None  # checked by the constructor
        return self.decode_tokens(tokens).split()

    def _said(self, state: FusionState, units: Sequence[str]) -> FusionState:
        inner, score = state.state, state.score
        for unit in units:
            gained, inner = self.model.advance(inner, unit)
            score += float(gained)
        return FusionState(inner, score, state.tokens, state.words)
