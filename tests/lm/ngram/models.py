"""Small random models for tests, and what they say in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.words import BEGIN, Words


def random_table(rng, order, vocabulary=6, count=20, unseen=0.0):
    """A table of random n-grams with random values, some of them special."""
    words = Words(f"w{i}" for i in range(vocabulary - 3))
    grams = [np.zeros((0, 1), np.int32)]
    for k in range(2, order + 1):
        drawn = rng.integers(0, vocabulary, (count, k))
        drawn[:, 1:][drawn[:, 1:] == BEGIN] = 0
        grams.append(np.unique(drawn, axis=0).astype(np.int32))
    ngrams, _ = link_ngrams(words, grams)
    log_prob = [-rng.exponential(3, n).astype(np.float32) for n in ngrams.sizes]
    log_prob[0][BEGIN] = -np.inf
    log_prob[0][rng.integers(0, vocabulary)] = -np.inf
    weights = [rng.normal(-1, 1, n).astype(np.float32) for n in ngrams.sizes[:-1]]
    for k, weight in enumerate(weights, 1):
        level = ngrams.levels[k]
        leaf = np.ones(len(weight), bool)
        leaf[level.context] = False
        weight[leaf & (rng.random(len(leaf)) < 0.7)] = 0
    return BackoffTable(ngrams, tuple(log_prob), tuple(weights), unseen)


@st.composite
def tables(draw, orders=(1, 9)):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    order = draw(st.integers(*orders))
    size = draw(st.integers(4, 12))
    unseen = draw(st.sampled_from([0.0, float(np.float32(np.log(0.4)))]))
    return random_table(rng, order, size, draw(st.integers(0, 40)), unseen)


class Oracle:
    """The back-off recursion over a dict of tuples; float32 sums in the order of the contexts."""

    def __init__(self, table):
        self.order, self.unseen = table.order, np.float32(table.unseen_backoff)
        self.log_prob, self.log_backoff = {}, {}
        for k in range(1, table.order + 1):
            grams = [tuple(g) for g in table.ngrams.word_numbers(k).tolist()]
            self.log_prob.update(zip(grams, table.log_prob[k - 1], strict=True))
            if k < table.order:
                self.log_backoff.update(zip(grams, table.log_backoff[k - 1], strict=True))

    def score(self, word, history):
        """ln p of a word after all the words of its history, and the order that was found."""
        history = tuple(history[max(0, len(history) - self.order + 1) :])
        for k in range(len(history), -1, -1):
            context = history[len(history) - k :]
            if (*context, word) in self.log_prob:
                break
        total = self.log_prob[(*context, word)]
        for longer in range(k + 1, len(history) + 1):
            total = total + self.log_backoff.get(history[len(history) - longer :], self.unseen)
        return np.float32(total), k + 1

    def stream(self, numbers):
        """ln p and order found of each word of a stream."""
        result, history = [], []
        for word in numbers:
            if word < 0 or word == BEGIN:
                history = [] if word < 0 else [BEGIN]
                result.append((np.float32(0), 0))
            else:
                result.append(self.score(word, history))
                history = [*history, word]
        return result
