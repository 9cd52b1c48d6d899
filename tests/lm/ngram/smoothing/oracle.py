"""Counting and looking up n-grams one by one, in plain Python: what the tests compare with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.words import BEGIN, Words

Gram = tuple[str, ...]


def ngrams_of(sentences: Sequence[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """How often each k-gram occurs, sentences between <s> and </s>."""
    result: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        marked = ("<s>", *sentence, "</s>")
        for k in range(1, order + 1):
            result[k - 1].update(marked[i : i + k] for i in range(len(marked) - k + 1))
    return result


def count(
    sentences: Sequence[Sequence[str]], order: int, vocabulary: Sequence[str] | None = None
) -> NGramCounts:
    """Counts of sentences that are cut into words; words are numbered in sorted order."""
    seen = {word for sentence in sentences for word in sentence} - {"<unk>"}
    words = Words(sorted(seen) if vocabulary is None else vocabulary)
    if vocabulary is not None:
        sentences = [[w if w in words else "<unk>" for w in sentence] for sentence in sentences]
    counted = ngrams_of(sentences, order)
    lists = [sorted(grams) for grams in counted]
    numbers = [
        np.array([[words.find(w) for w in gram] for gram in grams], np.int32).reshape(-1, k)
        for k, grams in enumerate(lists, 1)
    ]
    ngrams, sources = link_ngrams(words, numbers)
    occurrences, left = [], []
    for k, (grams, source) in enumerate(zip(lists, sources, strict=True), 1):
        assert k == 1 or (source >= 0).all()
        occurrences.append(np.array([counted[k - 1][grams[i]] if i >= 0 else 0 for i in source]))
        if k < order:
            types = Counter(gram[1:] for gram in counted[k])
            left.append(np.array([types[grams[i]] if i >= 0 else 0 for i in source], np.int64))
    integers = tuple(np.asarray(o, np.int64) for o in occurrences)
    return NGramCounts(ngrams, integers, tuple(left))


@dataclass
class Lookup:
    """ln p(w | h) of a back-off table, by the definition, from dictionaries."""

    table: BackoffTable

    def __post_init__(self) -> None:
        words = self.table.ngrams.words
        self.words = [w for n, w in enumerate(words) if n != BEGIN]
        self.log_prob: dict[Gram, float] = {}
        self.log_backoff: dict[Gram, float] = {}
        for k, values in enumerate(self.table.log_prob, 1):
            grams = [tuple(words[n] for n in row) for row in self.table.ngrams.word_numbers(k)]
            assert values.dtype == np.float32 and len(values) == len(grams)
            self.log_prob.update(zip(grams, values.tolist(), strict=True))
            if k < self.table.order:
                backoff = self.table.log_backoff[k - 1]
                assert backoff.dtype == np.float32 and len(backoff) == len(grams)
                self.log_backoff.update(zip(grams, backoff.tolist(), strict=True))
        assert not any(math.isnan(v) for v in self.log_prob.values())
        assert self.log_prob[("<s>",)] == -math.inf

    def __call__(self, word: str, history: Sequence[str] = ()) -> float:
        """ln p(word | history), of which the last n - 1 words count."""
        h = tuple(history)[max(len(history) - self.table.order + 1, 0) :]
        if (*h, word) in self.log_prob:
            return self.log_prob[(*h, word)]
        if not h:
            return self.log_prob[("<unk>",)]
        return self.log_backoff.get(h, self.table.unseen_backoff) + self(word, h[1:])

    def p(self, word: str, history: str = "") -> float:
        """p(word | history), the history's words parted by spaces."""
        return math.exp(self(word, history.split()))

    def total(self, history: Sequence[str] = ()) -> float:
        """Sum of p(w | history) over all words that can be predicted."""
        return math.fsum(math.exp(self(word, history)) for word in self.words)


def log_probs(table: BackoffTable, numbers: np.ndarray) -> np.ndarray:
    """ln p of each word of a stream after all before it since <s> (N,), by searching in arrays."""
    place = np.arange(len(numbers))
    since = place - np.maximum.accumulate(np.where(numbers == BEGIN, place, 0))
    rows, values = numbers.astype(np.int64), table.log_prob[0][numbers].astype(np.float64)
    for k, level in enumerate(table.ngrams.levels[1:], 2):
        keys = level.suffix.astype(np.int64) << 32 | level.first  # they rise
        wanted = np.full(len(numbers), -1, np.int64)
        wanted[k - 1 :] = rows[k - 1 :] << 32 | numbers[: 1 - k]
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        there = (rows >= 0) & (wanted >= 0) & (keys[found] == wanted)
        history = np.concatenate([[-1], rows[:-1]])
        backoff = np.where(history >= 0, table.log_backoff[k - 2][history], table.unseen_backoff)
        longer = np.where(there, table.log_prob[k - 1][found], backoff + values)
        values = np.where(since >= k - 1, longer, values)
        rows = np.where(there, found, -1)
    return values
