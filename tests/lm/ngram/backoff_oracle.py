"""Back-off models in plain Python, from the definition, to hold compiled code against."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from seqlab.lm.ngram.estimation import Estimation, estimate_table
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch

SMOOTHINGS = ("modified_kneser_ney", "witten_bell", "absolute_discounting", "laplace")


class BackoffOracle:
    """p(w | h) by dictionaries of word tuples."""

    def __init__(self, table: BackoffTable) -> None:
        self.words = list(table.ngrams.words)
        self.order, self.unseen = table.order, table.unseen_backoff
        self.log_prob: dict[tuple[str, ...], float] = {}
        self.backoff: dict[tuple[str, ...], float] = {}
        for k in range(1, table.order + 1):
            grams = [tuple(self.words[n] for n in row) for row in table.ngrams.word_numbers(k)]
            self.log_prob.update(zip(grams, table.log_prob[k - 1].tolist(), strict=True))
            if k < table.order:
                self.backoff.update(zip(grams, table.log_backoff[k - 1].tolist(), strict=True))

    @property
    def events(self) -> list[str]:
        return [word for word in self.words if word != "<s>"]

    def ln(self, history: Sequence[str], word: str) -> float:
        """ln p(word | history)."""
        history = tuple(history)[max(0, len(history) - self.order + 1) :]
        if (*history, word) in self.log_prob:
            return self.log_prob[(*history, word)]
        return self.backoff.get(history, self.unseen) + BackoffOracle.ln(self, history[1:], word)

    def p(self, history: Sequence[str], word: str) -> float:
        return math.exp(self.ln(history, word))

    def total(self, history: Sequence[str]) -> float:
        return math.fsum(self.p(history, word) for word in self.events)

    def contexts(self) -> list[tuple[str, ...]]:
        return [(), *(g for g in self.log_prob if len(g) < self.order and g[-1] != "</s>")]


def random_sentences(seed: int, count: int = 30, words: int = 6, longest: int = 8) -> list[str]:
    """Sentences of a few words, some of them frequent."""
    rng = np.random.default_rng(seed)
    names = [chr(ord("a") + i) for i in range(words)]
    weights = 1 / np.arange(1, words + 1)
    weights /= weights.sum()
    return [
        " ".join(rng.choice(names, size=rng.integers(1, longest + 1), p=weights))
        for _ in range(count)
    ]


def estimated(sentences: Sequence[str], order: int = 3, smoothing: str = "witten_bell", **options):
    """The model of some sentences; that discounts fall back on small texts is expected."""
    estimation = Estimation(order=order, smoothing=smoothing, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return estimate_table(list(sentences), estimation, Scratch())
