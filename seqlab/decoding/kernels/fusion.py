"""Where a token leads from a prefix, and what language model, lexicon and hotwords say of it."""

from __future__ import annotations

import math

import numpy as np

from seqlab.decoding.kernels.borrowing import borrowing, inlined
from seqlab.decoding.kernels.layout import (
    BOUNDARY,
    DEAD,
    EITHER,
    ENDING,
    FIRST,
    HOT,
    INSIDE,
    LAST,
    LM_FLOOR,
    NO_WORD,
    NODE,
    ROOT,
    SEPARATOR,
    SIDE,
    TOKEN_LM,
    TRIE,
    UNKNOWN_WORD,
    WORD,
    WORD_LM,
)
from seqlab.lm.ngram.kernels.query import step
from seqlab.lm.ngram.kernels.tokenise import UNKNOWN

_ONE = np.uint64(1)
_PAIRS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_EIGHTS, _EACH = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


@borrowing
def find_edge(edges_at, edges, node, symbol):
    """Number of the edge of a node that carries a symbol, or -1."""
    low, high = edges_at[node], edges_at[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if edges[middle] < symbol:
            low = middle + 1
        else:
            high = middle
    return low if low < edges_at[node + 1] and edges[low] == symbol else -1


@inlined
def walk(fusion, node, token):
    """The trie node that a token leads to; DEAD where no word goes on like this."""
    for k in range(fusion.spell_at[token], fusion.spell_at[token + 1]):
        symbol = fusion.spell[k]
        if fusion.masked:
            below = fusion.masks[node]
            bit = _ONE << np.uint64(symbol & 63)
            if below & bit == 0:
                return DEAD
            node = fusion.edges_at[node] + ones(below & (bit - _ONE)) + FIRST
        else:
            edge = find_edge(fusion.edges_at, fusion.edges, node, symbol)
            if edge < 0:
                return DEAD
            node = edge + FIRST
    return node


@inlined
def is_short(fusion, token):
    """Whether a token leads to a trie node in one step."""
    return fusion.spell_at[token + 1] - fusion.spell_at[token] == 1


@inlined
def ones(bits):
    """How many bits of a 64-bit number are set (Wilkes, Wheeler and Gill 1957)."""
    bits -= (bits >> _ONE) & _PAIRS
    bits = (bits & _FOURS) + ((bits >> np.uint64(2)) & _FOURS)
    bits = (bits + (bits >> np.uint64(4))) & _EIGHTS
    return np.int64((bits * _EACH) >> np.uint64(56))  # the compiler knows this as one instruction


@inlined
def word_endings(fusion, node):
    """How many words may end at a trie node; beyond the trie it is the unknown one."""
    if node == ROOT:
        return 0
    words = fusion.ends_at[node + 1] - fusion.ends_at[node]
    return 1 if words == 0 and fusion.open else words


@inlined
def word_ending(fusion, node, which):
    """One of the words that end at a trie node, or UNKNOWN_WORD."""
    first = fusion.ends_at[node]
    return fusion.ends[first + which] if first < fusion.ends_at[node + 1] else UNKNOWN_WORD


@inlined
def hot_next(fusion, state, symbol):
    """State of the hotwords after a symbol (Aho and Corasick 1975)."""
    while True:
        edge = find_edge(fusion.hot_edges_at, fusion.hot_edges, state, symbol)
        if edge >= 0:
            return edge + 1
        if state == 0:
            return 0
        state = fusion.hot_fail[state]


@inlined
def hot_text(fusion, state, item):
    """State of the hotwords after a token's or a word's text, and the boosts completed by it."""
    done = 0.0
    for k in range(fusion.text_at[item], fusion.text_at[item + 1]):
        state = hot_next(fusion, state, fusion.text[k])
        done += fusion.hot_done[state]
    return state, done


@inlined
def hot_advance(fusion, state, token, word):
    """State of the hotwords after a token that ends ``word``, and the boosts completed by it."""
    done = 0.0
    if word != NO_WORD:
        if fusion.text_of_words and word >= 0:
            state, done = hot_text(fusion, state, word)
        state = hot_next(fusion, state, BOUNDARY)
        done += fusion.hot_done[state]
    if not fusion.text_of_words and token >= 0:
        state, more = hot_text(fusion, state, token)
        done += more
    return state, done


@inlined
def lm_item(fusion, token, word):
    """What the language model is asked for: its number of a word or token, or -1 for nothing."""
    if fusion.lm == TOKEN_LM:
        return fusion.lm_number[token] if token >= 0 else -1
    if fusion.lm == WORD_LM and word != NO_WORD:
        return fusion.lm_number[word] if word >= 0 else UNKNOWN
    return -1


@inlined
def lm_log_prob(tables, state, item, new_state):
    """Ln p of a word after a state, at least LM_FLOOR."""
    return max(float(step(tables, state, item, new_state)), LM_FLOOR)


@inlined
def units(fusion, word):
    """Words, or tokens of a language model of tokens, that a step adds."""
    return 1 if fusion.lm == TOKEN_LM or word != NO_WORD else 0


@inlined
def gain_bound(fusion, trie, hot):
    """How much a token may multiply the probability of a prefix at most, beyond its own."""
    gain = fusion.rise
    if fusion.lm != TOKEN_LM:
        gain = fusion.spring[trie]
    if fusion.hot:
        gain *= fusion.hot_reach[hot]
    return gain


@inlined
def inner_bound(fusion, hot):
    """The same for tokens that only go on with a word."""
    return fusion.rise * fusion.hot_reach[hot] if fusion.hot else fusion.rise


@inlined
def propose(space, scratch, fusion, tables, slot, token, chance, least, count):
    """Enter the prefixes that a token leads to into the pool if they are worth ``least``.

    Args:
        space: what the search remembers.
        scratch: room, with the pool.
        fusion: what counts.
        tables: of the language model.
        slot: of the prefix that goes on.
        token: that it goes on with.
        chance: probability of both as far as the acoustics know.
        least: probability that is of interest.
        count: size of the pool.

    Returns:
        the new size of the pool.
    """
    node = space.beams[space.counters[SIDE], slot, NODE]
    trie, kind = space.nodes[node, TRIE], fusion.kinds[token]
    inside, beyond, endings = -1, -1, 0  # where it leads within a word, and behind one
    if kind == INSIDE or kind == EITHER or (trie == ROOT and kind != SEPARATOR):
        inside = walk(fusion, trie, token)
    elif trie == ROOT:
        inside = ROOT
    if trie != ROOT and kind != INSIDE:
        beyond = ROOT
        if kind != SEPARATOR:
            beyond = walk(fusion, ROOT, token)
        endings = word_endings(fusion, trie)
    for which in range(-1, endings):
        word = NO_WORD
        after = inside
        if which >= 0:
            word = word_ending(fusion, trie, which)
            after = beyond
        if after >= 0 and (after != DEAD or fusion.open):
            if not is_followed(space, scratch, slot, token, word):
                count = _enter(
                    space, scratch, fusion, tables, slot, token, which, word, after, chance, least,
                    count,
                )  # fmt: skip
    return count


@inlined
def is_followed(space, scratch, slot, token, word):
    """Whether the prefix that a token leads to is among those followed: it has its score then."""
    if scratch.seen[slot] & (_ONE << np.uint64(token & 63)) == 0:
        return False
    beams, child = space.beams[space.counters[SIDE]], scratch.first[slot]
    while child >= 0:
        if beams[child, LAST] == token and space.nodes[beams[child, NODE], WORD] == word:
            break
        child = scratch.then[child]
    return child >= 0


@inlined
def _enter(
    space, scratch, fusion, tables, slot, token, which, word, trie, chance, least, count
):  # fmt: skip
    """Enter a prefix into the pool if it is worth ``least``; returns the size of the pool."""
    node = space.beams[space.counters[SIDE], slot, NODE]
    hot = space.nodes[node, HOT]
    extra = fusion.ahead[trie] - fusion.ahead[space.nodes[node, TRIE]]
    extra += fusion.bonus * units(fusion, word)
    log_prob, done = 0.0, 0.0
    if fusion.hot:
        credit = fusion.hot_credit[hot]
        hot, done = hot_advance(fusion, hot, token, word)
        extra += done + fusion.hot_credit[hot] - credit
    item = lm_item(fusion, token, word)
    if item >= 0:
        if item == UNKNOWN:
            extra -= fusion.penalty
        log_prob = 1.0
        if fusion.lm == WORD_LM and which == 0:  # asked before, in another frame?
            log_prob = space.values[node, ENDING]
        if log_prob > 0:
            log_prob = lm_log_prob(tables, space.states[node], item, scratch.state)
            if fusion.lm == WORD_LM and which == 0:
                space.values[node, ENDING] = log_prob
        extra += fusion.weight * log_prob
    worth, factor = chance, 1.0
    if extra != 0:
        if which < 0 and item < 0 and trie >= FIRST and not fusion.hot and is_short(fusion, token):
            factor = fusion.leaps[trie]
        else:
            factor = math.exp(extra)
        worth = chance * factor
    if worth >= least and worth > 0:
        pool, parts = scratch.pool, scratch.parts
        pool[count, 0], pool[count, 1], pool[count, 2] = slot, token, word
        pool[count, 3], pool[count, 4], scratch.worth[count] = trie, hot, worth
        parts[count, 0], parts[count, 1] = extra, log_prob
        parts[count, 2], parts[count, 3] = done, factor
        count += 1
    return count
