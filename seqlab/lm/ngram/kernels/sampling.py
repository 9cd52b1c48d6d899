"""Compiled walks over the successors of each context: scoring and drawing.

A node is a context or n-gram: 0 the empty one, 1 + w the word w, then the longer ones order by
order. The successors of a node stand together and rise by word:
``starts[node]:starts[node + 1]`` are their places in ``words``, ``nodes`` and ``log_prob``.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.tokenise import BEGIN, END, UNKNOWN

_PATIENCE = 1000  # words refused in a row before the words that are left are listed


@compiled
def count_children(context, counts):
    """Add to ``counts`` how many n-grams have each context."""
    for row in range(len(context)):
        counts[context[row]] += 1


@compiled
def place_children(context, last, log_prob, base, ends, words, nodes, out):
    """Enter each n-gram under its context; ``ends`` holds the next free place of each."""
    for row in range(len(context)):
        place = ends[context[row]]
        ends[context[row]] = place + 1
        words[place] = last[row]
        nodes[place] = base + row
        out[place] = log_prob[row]


@compiled
def find_child(node, word, starts, words):
    """Place of ``word`` among the successors of ``node``, or -1."""
    if node == 0:
        return np.int64(word)
    low, end = starts[node], starts[node + 1]
    high = end
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < end and words[low] == word else np.int64(-1)


@compiled
def follow(node, word, starts, words, nodes, log_prob, backoff, suffix):
    """Log-probability of ``word`` after ``node``, the next node, and the place it was found."""
    total = 0.0
    while True:
        place = find_child(node, word, starts, words)
        if place >= 0:
            child = np.int64(nodes[place])
            if child >= len(backoff):  # of the highest order: no context
                child = np.int64(suffix[child])
            return total + log_prob[place], child, place
        total += backoff[node]
        node = np.int64(suffix[node])


@compiled
def _length(node, first_nodes):
    """How many words a node holds."""
    length = 0
    while node >= first_nodes[length + 1]:
        length += 1
    return length


@compiled
def score_stream(
    stream, unseen, first_nodes, out, orders, starts, words, nodes, log_prob, backoff, suffix
):
    """Log-probability and matched order of each word; BEGIN and gaps begin anew and cost nothing.

    A context that is no n-gram costs ``unseen`` for each word that it has to lose.
    """
    node, history = np.int64(0), 0
    longest = len(first_nodes) - 3  # words of a full context
    for i in range(len(stream)):
        word = stream[i]
        if word == BEGIN or word < 0:
            history = 1 if word == BEGIN and longest > 0 else 0
            node, out[i], orders[i] = np.int64(1 + BEGIN if history else 0), 0.0, 0
            continue
        value = 0.0
        if unseen != 0.0:
            value = unseen * (min(history, longest) - _length(node, first_nodes))
        cost, node, place = follow(node, word, starts, words, nodes, log_prob, backoff, suffix)
        out[i] = value + cost
        orders[i] = _length(nodes[place], first_nodes)
        history += 1


@compiled
def trace(stream, top, out, starts, words, nodes, log_prob, backoff, suffix):
    """Node before each word of a stream; BEGIN and gaps begin anew."""
    node = np.int64(0)
    for i in range(len(stream)):
        out[i] = node
        if stream[i] == BEGIN or stream[i] < 0:
            node = np.int64(top if stream[i] == BEGIN else 0)
        else:
            node = follow(node, stream[i], starts, words, nodes, log_prob, backoff, suffix)[1]


@compiled
def accumulate(starts, log_prob, contexts, out):
    """Running sums of the probabilities of the successors of each context."""
    for node in range(contexts):
        total = 0.0
        for place in range(starts[node], starts[node + 1]):
            if node > 0 or place != BEGIN:
                total += np.exp(np.float64(log_prob[place]))
            out[place] = total


@compiled
def fill_distribution(node, starts, words, log_prob, backoff, suffix, out):
    """Log-probabilities of all words after ``node`` to ``out``; that of BEGIN is -inf."""
    depth = 0
    chain = np.empty(16, np.int64)
    while node != 0:
        chain[depth] = node
        depth += 1
        node = np.int64(suffix[node])
    for word in range(len(out)):
        out[word] = log_prob[word]
    for step in range(depth - 1, -1, -1):
        node = chain[step]
        weight = backoff[node]
        if weight != 0.0:
            for word in range(len(out)):
                out[word] += weight
        for place in range(starts[node], starts[node + 1]):
            out[words[place]] = log_prob[place]
    out[BEGIN] = -np.inf


@compiled
def _pick(u, begin, end, sums):
    """First place of begin:end whose running sum is above u."""
    last = end - 1
    while begin < last:
        middle = (begin + last) >> 1
        if sums[middle] > u:
            last = middle
        else:
            begin = middle + 1
    return begin


@compiled
def _draw_left(node, rng, starts, words, log_prob, backoff, suffix, size):
    """Draw after the suffix of ``node`` a word that is no successor of it; -1: there is none."""
    left = np.empty(size)
    fill_distribution(np.int64(suffix[node]), starts, words, log_prob, backoff, suffix, left)
    for place in range(starts[node], starts[node + 1]):
        left[words[place]] = -np.inf
    total = 0.0
    for word in range(size):
        total += np.exp(left[word])
        left[word] = total
    if not total > 0.0:
        return np.int64(-1)
    return _pick(rng.random() * total, np.int64(0), np.int64(size), left)


@compiled
def draw(node, rng, size, starts, words, sums, log_prob, backoff, suffix):
    """Draw a word after ``node``.

    A successor is taken with its own probability. With what is left, a word is drawn from the
    shorter context until it is no successor: exactly the distribution of the back-off model.
    """
    chain = np.empty(16, np.int64)
    chain[0] = node
    level, refused = 0, 0
    while True:
        context = chain[level]
        begin, end = starts[context], starts[context + 1]
        mass = sums[end - 1] if end > begin else 0.0
        all_of_it = end > begin and (
            context == 0 or end - begin >= size - 1 or backoff[context] == -np.inf
        )
        u = rng.random() * (mass if all_of_it else 1.0)
        if not (u < mass or all_of_it):
            level += 1
            chain[level] = suffix[context]
            continue
        word = np.int64(words[_pick(u, begin, end, sums)])
        while level > 0:
            shorter, level = level, level - 1
            if find_child(chain[level], word, starts, words) < 0:
                continue
            refused += 1
            if refused < _PATIENCE:
                level = shorter
                break
            refused = 0
            word = _draw_left(chain[level], rng, starts, words, log_prob, backoff, suffix, size)
            if word < 0:  # rounding alone had left something: begin again
                level = 0
                break
        else:
            return word


@compiled
def _draw_known(node, rng, size, starts, words, sums, log_prob, backoff, suffix):
    """Draw a word that is not UNKNOWN; -1: there is none."""
    for _ in range(_PATIENCE):
        word = draw(node, rng, size, starts, words, sums, log_prob, backoff, suffix)
        if word != UNKNOWN:
            return word
    left = np.empty(size)
    fill_distribution(node, starts, words, log_prob, backoff, suffix, left)
    total = 0.0
    for word in range(size):
        total += np.exp(left[word]) if word != UNKNOWN else 0.0
        left[word] = total
    if not total > 0.0:
        return np.int64(-1)
    return _pick(rng.random() * total, np.int64(0), np.int64(size), left)


@compiled
def draw_words(
    node, rng, unknown, size, starts, words, nodes, sums, log_prob, backoff, suffix, out
):
    """Fill ``out`` with words drawn one after the other, END the last if it comes.

    Returns:
        How many words, and the node after them; -1 for it where UNKNOWN alone could follow.
    """
    for count in range(len(out)):
        if unknown:
            word = draw(node, rng, size, starts, words, sums, log_prob, backoff, suffix)
        else:
            word = _draw_known(node, rng, size, starts, words, sums, log_prob, backoff, suffix)
            if word < 0:
                return count, np.int64(-1)
        out[count] = word
        if word == END:
            return count + 1, node
        node = follow(node, word, starts, words, nodes, log_prob, backoff, suffix)[1]
    return len(out), node
