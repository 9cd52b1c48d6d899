"""Counting and Kneser-Ney in plain Python, from the definitions, to hold the fast code against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def count(sentences: Sequence[Sequence[str]], order: int, marks: bool = True) -> Counter[tuple]:
    """How often each n-gram of up to ``order`` words occurs; None among the words is a gap."""
    result: Counter[tuple] = Counter()
    for sentence in sentences:
        words = ["<s>", *sentence, "</s>"] if marks else list(sentence)
        for end in range(1, len(words) + 1):
            for k in range(1, min(order, end) + 1):
                gram = tuple(words[end - k : end])
                if None not in gram:
                    result[gram] += 1
    return result


def left_types(
    sentences: Sequence[Sequence[str]], order: int, marks: bool = True
) -> Counter[tuple]:
    """How many different words, ``<s>`` and a gap included, stand before each n-gram."""
    before: set[tuple] = set()
    for sentence in sentences:
        words = ["<s>", *sentence, "</s>"] if marks else [None, *sentence]  # a gap between lines
        for end in range(1, len(words) + 1):
            for k in range(1, min(order - 1, end - 1) + 1):
                gram = tuple(words[end - k : end])
                if None not in gram:
                    before.add((words[end - k - 1], gram))
    return Counter(gram for _, gram in before)


def kneser_ney(
    counts: Counter[tuple], types: Counter[tuple], order: int, discounts: Sequence[float]
) -> dict[tuple, float]:
    """p(w | h) of every n-gram h w, interpolated, the same discounts at each order."""
    adjusted = {
        gram: 0
        if gram == ("<s>",)
        else n
        if len(gram) == order or gram[0] == "<s>"
        else types[gram]
        for gram, n in counts.items()
    }
    vocabulary = {"<unk>", "</s>"} | {gram[0] for gram in counts if len(gram) == 1} - {"<s>"}

    def probability(gram: tuple) -> float:
        if not gram:
            return 1 / len(vocabulary)
        history, word = gram[:-1], gram[-1]
        rows = {g: a for g, a in adjusted.items() if len(g) == len(gram) and g[:-1] == history}
        total = sum(rows.values())
        if total == 0:
            return probability((*history[1:], word) if history else ())
        taken = {g: (0.0, *discounts)[min(a, 3)] for g, a in rows.items()}
        own = rows.get(gram, 0) - taken.get(gram, 0.0)
        shorter = probability((*history[1:], word) if history else ())
        return own / total + sum(taken.values()) / total * shorter

    return {gram: probability(gram) for gram in adjusted if gram != ("<s>",)}
