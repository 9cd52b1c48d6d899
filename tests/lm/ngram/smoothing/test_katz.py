"""Katz back-off with Good-Turing discounts, against the definition in exact fractions."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from fractions import Fraction

import pytest

from seqlab.lm.ngram.smoothing.good_turing import GoodTuring

from .oracle import Lookup, count, ngrams_of

K_MAX = 3


class Katz:
    """p(w | h) by recursion over dictionaries."""

    def __init__(self, text, order, words):
        self.grams = ngrams_of(text, order)
        del self.grams[0][("<s>",)]
        self.words = words
        self.discounts = [self.good_turing(counted) for counted in self.grams]
        self.continued = [Counter() for _ in range(order)]
        for total, counted in zip(self.continued, self.grams, strict=True):
            for gram, c in counted.items():
                total[gram[:-1]] += c

    @staticmethod
    def good_turing(counted):
        n = Counter(counted.values())
        m = Fraction((K_MAX + 1) * n[K_MAX + 1], n[1])
        result = {}
        for r in range(1, K_MAX + 1):
            star = Fraction((r + 1) * n[r + 1], n[r])
            result[r] = (star / r - m) / (1 - m)
            assert 0 < result[r] < 1  # else the text is no good for this test
        return result

    def seen(self, word, history):
        """The discounted relative frequency; 0 where it was not seen."""
        c = self.grams[len(history)][(*history, word)]
        total = self.continued[len(history)][history]
        kept = [self.discounts[len(history)].get(self.grams[len(history)][(*history, w)], 1)
                for w in self.words if self.grams[len(history)][(*history, w)]]  # fmt: skip
        if all(d == 1 for d in kept):
            total += 1
        return self.discounts[len(history)].get(c, 1) * Fraction(c, total)

    def p(self, word, history):
        if history and not self.continued[len(history)][history]:
            return self.p(word, history[1:])
        if self.grams[len(history)][(*history, word)]:
            return self.seen(word, history)
        followed = [w for w in self.words if self.grams[len(history)][(*history, w)]]
        left = 1 - sum(self.seen(w, history) for w in followed)
        if not history:
            return left / (len(self.words) - len(followed))
        return (
            left * self.p(word, history[1:]) / (1 - sum(self.p(w, history[1:]) for w in followed))
        )


def text():
    """Words whose frequencies fall as those of a language do; the seed suits the discounts."""
    generator = random.Random(9)
    words = [f"w{i}" for i in range(400)]
    weights = [1 / (i + 1) ** 1.1 for i in range(len(words))]
    return [generator.choices(words, weights, k=generator.randrange(1, 9)) for _ in range(60)]


@pytest.mark.filterwarnings("error")
def test_equals_the_definition():
    sentences = text()
    ours = Lookup(GoodTuring(k_max=K_MAX).estimate(count(sentences, 3)))
    katz = Katz(sentences, 3, ours.words)
    for gram in itertools.chain.from_iterable(katz.grams):
        assert ours(gram[-1], gram[:-1]) == pytest.approx(math.log(katz.p(gram[-1], gram[:-1])))
    generator = random.Random(1)
    histories = [h for h in katz.continued[2] if len(h) == 2] + [("w0", "none"), ("none", "w0")]
    for _ in range(300):
        word, history = generator.choice(ours.words), generator.choice(histories)
        assert ours(word, history) == pytest.approx(math.log(katz.p(word, history)), rel=1e-5)
