"""Text drawn from a model, and the words that a model expects next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least, check_range
from seqlab.errors import DataError
from seqlab.lm.ngram.kernels.completion import best_words
from seqlab.lm.ngram.kernels.sampling import draw_words
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.successors import Successors, check_sums_to_one
from seqlab.lm.ngram.words import END, UNKNOWN

__all__ = ["complete", "sample", "sample_many"]

_ROOM = 256  # words drawn at a time
_ONLY_UNKNOWN = (
    "no word can follow, or <unk> alone, which unknown=False leaves out; let unknown=True, or "
    "smooth the model"
)


def sample(
    model: BackoffTable | Successors,
    rng: np.random.Generator | int,
    max_words: int = 100,
    temperature: float = 1.0,
    top_k: int | None = None,
    prefix: str | Sequence[str] = "",
    unknown: bool = True,
) -> list[str]:
    """Draw a sentence from a model, word by word, exactly from its distributions.

    To see what a model has learnt. Without ``temperature`` and ``top_k`` a word costs a few
    searches among the words listed after its context; a temperature looks at every word.

    Args:
        model: the model, or its successors, which can be kept for many calls.
        rng: source of randomness, or a seed.
        max_words: where a sentence without an end is cut, at least 1.
        temperature: probabilities are raised to 1 / temperature, above 0; below 1 makes likely
            words likelier.
        top_k: draw from the most probable words only, at least 1.
        prefix: words that the sentence begins with.
        unknown: whether ``<unk>`` may be drawn; otherwise the other words share its probability.

    Returns:
        The words after the prefix, ``</s>`` left out. There are ``max_words`` where it was cut.

    Raises:
        DataError: an argument out of range, stupid back-off, which has no distribution, or
            ``unknown=False`` where nothing but ``<unk>`` can follow.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> words = Words(["a"])
        >>> log_prob = np.array([-np.inf, -np.inf, -1e9, 0.0], np.float32)
        >>> sample(BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ()), 0, 3)
        ['a', 'a', 'a']
    """
    return sample_many(model, 1, rng, max_words, temperature, top_k, prefix, unknown)[0]


def sample_many(
    model: BackoffTable | Successors,
    count: int,
    rng: np.random.Generator | int,
    max_words: int = 100,
    temperature: float = 1.0,
    top_k: int | None = None,
    prefix: str | Sequence[str] = "",
    unknown: bool = True,
) -> list[list[str]]:
    """Draw ``count`` sentences, at least 1; the arguments are those of ``sample``."""
    check_sums_to_one(model, "sampling")
    check_at_least("count", count, 1)
    check_at_least("max_words", max_words, 1)
    if top_k is not None:
        check_at_least("top_k", top_k, 1)
    if isinstance(rng, int):
        check_at_least("rng", rng, 0)
    check_range(
        "temperature", temperature, 1e-300, 1e300, "for the most probable word take top_k=1"
    )
    successors = Successors.of(model)
    generator = np.random.default_rng(rng)
    state = _state_after(successors, prefix)
    result = []
    for _ in range(count):
        if temperature == 1.0 and top_k is None:
            numbers = _draw(successors, state, generator, max_words, unknown)
        else:
            numbers = _draw_tempered(
                successors, state, generator, max_words, temperature, top_k, unknown
            )
        result.append([successors.words[number] for number in numbers if number != END])
    return result


def _state_after(model: Successors, prefix: str | Sequence[str]) -> int:
    words = prefix.split() if isinstance(prefix, str) else prefix
    return model.state_of([max(model.words.find(word), UNKNOWN) for word in words])


def _draw(
    model: Successors, state: int, rng: np.random.Generator, max_words: int, unknown: bool
) -> list[int]:
    starts, last, nodes, log_prob, backoff, suffix = model.arrays
    numbers: list[int] = []
    while len(numbers) < max_words and (not numbers or numbers[-1] != END):
        out = np.empty(min(max_words - len(numbers), _ROOM), np.int32)
        count, state = draw_words(
            state, rng, unknown, len(model.words), starts, last, nodes, model.sums, log_prob,
            backoff, suffix, out,
        )  # fmt: skip
        if state < 0:
            raise DataError(_ONLY_UNKNOWN)
        numbers += out[:count].tolist()
    return numbers


def _draw_tempered(
    model: Successors,
    state: int,
    rng: np.random.Generator,
    max_words: int,
    temperature: float,
    top_k: int | None,
    unknown: bool,
) -> list[int]:
    numbers: list[int] = []
    while len(numbers) < max_words and (not numbers or numbers[-1] != END):
        if top_k is None:
            values = model.distribution(state)
            words = np.arange(len(values), dtype=np.int32)
        else:
            words, values = _best(model, state, top_k + (not unknown))
        if not unknown:
            words, values = words[words != UNKNOWN], values[words != UNKNOWN]
        values, words = values[:top_k], words[:top_k]
        if values.max() == -np.inf:
            raise DataError(_ONLY_UNKNOWN)
        with np.errstate(over="ignore"):  # a temperature near 0 leaves the best words alone
            sums = np.cumsum(np.exp((values - values.max()) / temperature))
        place = np.searchsorted(sums, rng.random() * sums[-1], side="right")
        numbers.append(int(words[min(place, len(words) - 1)]))
        state = model.advance(state, numbers[-1])[1]
    return numbers


def _best(
    model: Successors, state: int, count: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The most probable words after a state and their log-probabilities, falling."""
    count = min(count, len(model.words) - 1)
    best, values = np.empty(count, np.int32), np.empty(count)
    starts, last, _, log_prob, backoff, suffix = model.arrays
    seen = np.zeros(len(model.words), np.uint8)
    found = best_words(
        state, model.ranked, seen, starts, last, log_prob, backoff, suffix, best, values
    )
    return best[:found], values[:found]


def complete(
    model: BackoffTable | Successors,
    prefix: str | Sequence[str],
    count: int = 10,
    bos: bool = True,
) -> list[tuple[str, float]]:
    """The most probable next words, backed-off ones included, and their log-probabilities.

    For predictive typing. It looks at the words listed after the context and its shorter forms,
    and at the most frequent words; not at the whole vocabulary.

    Args:
        model: the model, or its successors, which can be kept for many calls.
        prefix: a text or its words; one that the model does not know counts as ``<unk>``.
        count: how many words, at least 1; ``</s>`` is one of them.
        bos: whether the prefix begins a sentence.

    Returns:
        Words and natural log-probabilities, falling; of equals the smaller word number first.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> words = Words(["a", "b"])
        >>> log_prob = np.log(np.float32([0.1, 1e-9, 0.4, 0.2, 0.3]))
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> [(word, round(value, 2)) for word, value in complete(table, "", count=2)]
        [('</s>', -0.92), ('b', -1.2)]
    """
    check_at_least("count", count, 1)
    successors = Successors.of(model)
    words = prefix.split() if isinstance(prefix, str) else prefix
    numbers = [max(successors.words.find(word), UNKNOWN) for word in words]
    state = successors.state_of(numbers, bos)
    forgotten = min(len(numbers) + bos, successors.order - 1) - successors.depth(state)
    best, values = _best(successors, state, count)
    values += successors.unseen_backoff * forgotten
    return [
        (successors.words[int(word)], float(value))
        for word, value in zip(best, values, strict=True)
    ]
