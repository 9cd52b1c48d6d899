"""The most probable words after a context, without a look at the whole vocabulary."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled


@compiled
def _enter(word, value, count, best, values):
    """Keep the best words in order: falling log-probability, then rising word."""
    last = len(best) - 1
    if count == len(best):
        if value < values[last] or (value == values[last] and word > best[last]):
            return count
        i = last
    else:
        i = count
        count += 1
    while i > 0 and (values[i - 1] < value or (values[i - 1] == value and best[i - 1] > word)):
        best[i], values[i] = best[i - 1], values[i - 1]
        i -= 1
    best[i], values[i] = word, value
    return count


@compiled
def best_words(node, ranked, seen, starts, words, log_prob, backoff, suffix, best, values):
    """The most probable words after ``node``; returns how many there are.

    Args:
        node: the context.
        ranked: all words but BEGIN by falling unigram probability.
        seen: a byte for each word, all 0; left so.
        starts: with the next four, the successors.
        words: see above.
        log_prob: see above.
        backoff: of each context.
        suffix: of each node.
        best: receives the words.
        values: receives their log-probabilities (float64).
    """
    count, total, context = 0, 0.0, node
    while context != 0:
        for place in range(starts[context], starts[context + 1]):
            word = words[place]
            if seen[word] == 0:
                seen[word] = 1
                count = _enter(word, total + log_prob[place], count, best, values)
        total += backoff[context]
        context = np.int64(suffix[context])
    for i in range(len(ranked)):
        word = ranked[i]
        value = total + log_prob[word]
        if count == len(best) and value < values[count - 1]:
            break
        if seen[word] == 0:
            count = _enter(word, value, count, best, values)
    context = node
    while context != 0:
        for place in range(starts[context], starts[context + 1]):
            seen[words[place]] = 0
        context = np.int64(suffix[context])
    return count
