"""The prefix beam search restated: all alignments of a few frames, all readings of each text."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

Tokens = tuple[int, ...]
Words = tuple[str, ...]


def log_probs(seed: int, frames: int, tokens: int, sharpness: float = 1.5) -> torch.Tensor:
    """Random log-probabilities (frames, tokens)."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(frames, tokens, generator=generator) * sharpness).log_softmax(-1)


def all_texts(rows: torch.Tensor, blank: int) -> dict[Tokens, float]:
    """Log-probability of each token sequence: the sum over its alignments."""
    sums: dict[Tokens, list[float]] = defaultdict(list)
    values = rows.double().tolist()
    for path in itertools.product(range(rows.shape[1]), repeat=len(rows)):
        tokens = tuple(token for token, _ in itertools.groupby(path) if token != blank)
        sums[tokens].append(sum(row[token] for row, token in zip(values, path, strict=True)))
    return {tokens: float(np.logaddexp.reduce(paths)) for tokens, paths in sums.items()}


def best_alignment(rows: torch.Tensor, tokens: Tokens, blank: int) -> float:
    """Log-probability of the best path of one token sequence."""
    values = rows.double().tolist()
    return max(
        sum(row[token] for row, token in zip(values, path, strict=True))
        for path in itertools.product(range(rows.shape[1]), repeat=len(rows))
        if tuple(token for token, _ in itertools.groupby(path) if token != blank) == tokens
    )


@dataclass
class Scoring:
    """All that counts beside the acoustics.

    Args:
        readings: of a token sequence, the words it may stand for; none if it is not allowed.
        model: language model of words, or of the texts of tokens.
        token_names: texts of the tokens, for a language model of tokens.
        weight: of the language model.
        bonus: for each word, or token with ``token_names``.
        penalty: for each that the language model does not know.
        hotwords: phrases and boosts.
    """

    readings: Callable[[Tokens], Iterable[Words]]
    model: object = None
    token_names: Sequence[str] = ()
    weight: float = 0.0
    bonus: float = 0.0
    penalty: float = 0.0
    hotwords: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, tokens: Tokens, words: Words) -> float:
        units = tuple(self.token_names[t] for t in tokens) if self.token_names else words
        score = self.bonus * len(units)
        if self.model is not None:
            state = self.model.initial_state()
            for unit in (*units, "</s>"):
                log_prob, state = self.model.advance(state, unit)
                score += self.weight * max(log_prob, -100.0)
                if unit not in self.model.words:
                    score -= self.penalty
        for phrase, boost in self.hotwords.items():
            wanted = tuple(phrase.split())
            starts = range(len(words) - len(wanted) + 1)
            score += boost * sum(words[i : i + len(wanted)] == wanted for i in starts)
        return score

    def n_best(self, rows: torch.Tensor, blank: int) -> list[tuple[float, Tokens, Words]]:
        """All answers, best first: score, tokens and words."""
        found = [
            (acoustic + self(tokens, words), tokens, words)
            for tokens, acoustic in all_texts(rows, blank).items()
            for words in self.readings(tokens)
        ]
        return sorted(found, key=lambda answer: -answer[0])


def split_text(texts: Sequence[str]) -> Callable[[Tokens], list[Words]]:
    """Words of tokens that are parts of text, white space included."""
    return lambda tokens: [tuple("".join(texts[t] for t in tokens).split())]


def only_words(lexicon: Iterable[str], texts: Sequence[str]) -> Callable[[Tokens], list[Words]]:
    """The same, none but words of a lexicon."""
    known, split = set(lexicon), split_text(texts)
    return lambda tokens: [words for words in split(tokens) if known.issuperset(words)]


def spelled(
    lexicon: Mapping[str, Sequence[Tokens]], space: int | None = None
) -> Callable[[Tokens], list[Words]]:
    """All ways to read tokens as words with given spellings, parted by ``space`` or nothing."""

    def read(tokens: Tokens) -> list[Words]:
        if space is not None:
            parts: list[Tokens] = [()]
            for token in tokens:
                parts = [*parts, ()] if token == space else [*parts[:-1], (*parts[-1], token)]
            choices = [[w for w, s in lexicon.items() if part in s] for part in parts if part]
            return list(itertools.product(*choices))
        if not tokens:
            return [()]
        return [
            (word, *rest)
            for word, spellings in lexicon.items()
            for spelling in spellings
            if tokens[: len(spelling)] == spelling
            for rest in read(tokens[len(spelling) :])
        ]

    return read


def is_close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-5)
