"""Compiled loops that score words: whole streams, and one word after a state.

A state has one entry for each context length 1 to K - 1, int64: ``slot << 2 | left << 1 | right``
of the k-gram that is the context (unigrams: slot = word number), ``UNSEEN`` where those words are
no k-gram of the model, ``NOTHING`` where the history is shorter or no longer matters.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.index import FLAGS
from seqlab.lm.ngram.kernels.prefetch import prefetch
from seqlab.lm.ngram.kernels.records import (
    find,
    home_of,
    key_of,
    log_backoff_of,
    log_prob_of,
    place_of,
    slot_of,
    slots_of,
    view_of,
)
from seqlab.lm.ngram.kernels.tokenise import BEGIN, UNKNOWN

UNSEEN, NOTHING = -4, -8  # without the bits of the flags
_BLOCK = 256  # words looked up together: what waits in the cache is small, and waits long enough
_ONE, _TWO = np.uint64(1), np.uint64(2)
_ZERO = np.float32(0)


@compiled
def score_stream(tables, stream, log_prob, matched):
    """Score every word of a stream with the words before it.

    Args:
        tables: the model.
        stream: word numbers (N,), int32. BEGIN starts a sentence anew; -1 is a gap, across which
            nothing is remembered. Both score 0 and match nothing.
        log_prob: receives ln p of each word (N,), float32.
        matched: receives the length of the n-gram that was found (N,), uint8.
    """
    block = min(_BLOCK, len(stream))
    entries, backoffs = np.empty(block, np.int64), np.empty(block, np.float32)
    history, asked = np.empty(block, np.int32), np.empty(block, np.int32)
    keys, places = np.empty(block, np.uint64), np.empty(block, np.uint64)
    last = np.full(tables.order + 1, NOTHING, np.int64)  # entries of the word before the block
    last_backoff = np.zeros(tables.order + 1, np.float32)
    known = 0  # words of history before the block
    for begin in range(0, len(stream), _BLOCK):
        count = min(_BLOCK, len(stream) - begin)
        words, out = stream[begin : begin + count], log_prob[begin : begin + count]
        found = matched[begin : begin + count]
        known = _start(tables, words, known, entries, backoffs, history, out, found)
        for order in range(2, tables.order + 1):
            before, backoff = last[order - 1], last_backoff[order - 1]
            last[order - 1] = entries[count - 1]
            last_backoff[order - 1] = backoffs[count - 1]
            questions = _ask(
                tables, order, words, before, backoff, entries, backoffs, history, out, asked, keys
            )
            _fetch(tables, order, keys[:questions], places)
            _answer(tables, order, asked[:questions], keys, places, entries, backoffs, out, found)
        for i in range(count):
            if words[i] == BEGIN or history[i] == 0:
                out[i], found[i] = _ZERO, 0


@compiled
def _start(tables, words, known, entries, backoffs, history, log_prob, matched):
    """Unigrams; returns the words of history after the block."""
    unigrams, size = tables.unigrams, tables.words
    for i in range(len(words)):
        word = words[i]
        if word < 0 or word >= size:
            known = 0
            entries[i], backoffs[i], log_prob[i] = NOTHING, _ZERO, _ZERO
        else:
            known = 1 if word == BEGIN else known + 1
            entries[i] = np.int64(word) << 2 | (1 if word == BEGIN else 3)
            backoffs[i], log_prob[i] = unigrams[2 * word + 1], unigrams[2 * word]
        history[i], matched[i] = known, 1
    return known


@compiled
def _ask(tables, order, words, before, backoff, entries, backoffs, history, log_prob, asked, keys):
    """Back off everywhere, and collect the k-grams that there may be; returns how many."""
    count, view, unseen = 0, view_of(tables), tables.unseen
    for i in range(len(words)):
        suffix, weight = entries[i], backoffs[i]
        asked[count] = i
        keys[count] = key_of(view, before >> 2, words[i])
        count += before & (suffix >> 1) & 1
        log_prob[i] += backoff
        entries[i] = UNSEEN
        backoffs[i] = unseen if history[i] >= order else _ZERO
        before, backoff = suffix, weight
    return count


@compiled
def _fetch(tables, order, keys, places):
    """Places of the home lines of some keys, which are on their way to the cache afterwards."""
    view, records = view_of(tables), tables.records
    for i in range(len(keys)):
        places[i] = home_of(view, order, keys[i])
        prefetch(records, places[i])


@compiled
def _answer(tables, order, asked, keys, places, entries, backoffs, log_prob, matched):
    """Take the k-grams that there are in place of what was backed off to."""
    view = view_of(tables)
    for i in range(len(asked)):
        found, place, record = find(view, order, places[i], keys[i])
        if found:
            word = asked[i]
            matched[word] = order
            entries[word] = _entry(view, order, place, record)
            log_prob[word] = log_prob_of(view, order, place, record)
            backoffs[word] = log_backoff_of(view, order, place, record)


@compiled
def _entry(view, order, place, record):
    """Entry of a state for the k-gram of a record."""
    return np.int64(slot_of(view, order, place) << _TWO | (record >> FLAGS))


@compiled
def sum_sentences(stream, log_prob, sums, known, tokens, unknown):
    """Sums over each sentence of a stream, which begins with BEGIN and ends with END.

    Args:
        stream: word numbers (N,), int32.
        log_prob: of each (N,), float32.
        sums: receives the sum of each sentence, float64.
        known: receives the sum over its known words, float64.
        tokens: receives the number of its words, the end of the sentence counted, int64.
        unknown: receives how many of them are unknown, int64.
    """
    sentence = -1
    for i in range(len(stream)):
        if stream[i] == BEGIN:
            sentence += 1
            sums[sentence], known[sentence] = 0.0, 0.0
            tokens[sentence], unknown[sentence] = 0, 0
            continue
        sums[sentence] += log_prob[i]
        tokens[sentence] += 1
        if stream[i] == UNKNOWN:
            unknown[sentence] += 1
        else:
            known[sentence] += log_prob[i]


@compiled
def step(tables, state, word, new_state):
    """Ln p of a word after a state, and the state after it.

    Equal states have equal entries: what no longer matters is ``NOTHING``. Where unseen contexts
    cost something, the length of the history matters to the end.

    Args:
        tables: the model.
        state: entries of the contexts of 1 to K - 1 words (K - 1,), int64; see the module.
        word: number of the word. BEGIN starts anew; a number that is no word is a gap, across
            which nothing is remembered. Both score 0.
        new_state: receives the state after the word (K - 1,); not the same array as ``state``.

    Returns:
        ln p, float32.
    """
    longest, view = tables.order - 1, view_of(tables)
    unseen, records = tables.unseen, tables.records
    for length in range(longest):
        new_state[length] = NOTHING
    if word < 0 or word >= tables.words:
        return _ZERO
    suffix = np.int64(word) << 2 | 3
    if longest > 0:
        new_state[0] = suffix
    if word == BEGIN:
        return _ZERO
    score, kept = view.unigrams[2 * word], 1
    for length in range(1, longest + 1):  # all places are on their way before the first is read
        if state[length - 1] & 1:
            key = key_of(view, state[length - 1] >> 2, word)
            prefetch(records, home_of(view, length + 1, key))
    for length in range(1, longest + 1):
        context, order = state[length - 1], length + 1
        if context == NOTHING:
            break
        found, place, record = False, np.uint64(0), np.uint64(0)
        if context & (suffix >> 1) & 1:
            key = key_of(view, context >> 2, word)
            found, place, record = find(view, order, home_of(view, order, key), key)
        if found:
            suffix = _entry(view, order, place, record)
            score = log_prob_of(view, order, place, record)
            backoff = log_backoff_of(view, order, place, record)
        else:
            suffix, backoff = np.int64(UNSEEN), unseen
            score += _weight(view, length, context, tables.words, unseen)
        if length < longest:
            new_state[length] = suffix
            if suffix & 1 or backoff != 0 or unseen != 0:
                kept = order
    for length in range(kept, longest):
        new_state[length] = NOTHING
    return score


@compiled
def _weight(view, length, context, words, unseen):
    """What backing off from a context of some length costs; ``context`` is its entry."""
    slot = np.uint64(context) >> _TWO
    if context < 0:
        return unseen
    if length == 1:
        return view.unigrams[_TWO * slot + _ONE] if slot < np.uint64(words) else _ZERO
    if slot >= slots_of(view, length):
        return _ZERO  # a state that was made up does no harm
    place = place_of(view, length, slot)
    return log_backoff_of(view, length, place, view.records[place])


@compiled
def step_batch(tables, states, words, log_prob, new_states):
    """``step`` for each of many states (N, K - 1) and words (N,)."""
    for i in range(len(words)):
        log_prob[i] = step(tables, states[i], words[i], new_states[i])
