"""Where a token leads from a prefix, and what language model, lexicon and hotwords say of it."""

from __future__ import annotations

import math

from seqlab.decoding.kernels.borrowing import borrowing
from seqlab.decoding.kernels.layout import (
    BOUNDARY,
    DEAD,
    EITHER,
    FIRST,
    GAIN,
    HOT,
    INSIDE,
    LM_FLOOR,
    NO_WORD,
    NODE,
    ROOT,
    SEPARATOR,
    SIDE,
    TOKEN,
    TOKEN_LM,
    TRIE,
    UNKNOWN_WORD,
    WORD,
    WORD_LM,
)
from seqlab.lm.ngram.kernels.query import step
from seqlab.lm.ngram.kernels.tokenise import UNKNOWN


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


@borrowing
def walk(fusion, node, token):
    """The trie node that a token leads to; DEAD where no word goes on like this."""
    for k in range(fusion.spell_at[token], fusion.spell_at[token + 1]):
        edge = find_edge(fusion.edges_at, fusion.edges, node, fusion.spell[k])
        if edge < 0:
            return DEAD
        node = edge + FIRST
    return node


@borrowing
def word_endings(fusion, node):
    """How many words may end at a trie node; beyond the trie it is the unknown one."""
    if node == ROOT:
        return 0
    words = fusion.ends_at[node + 1] - fusion.ends_at[node]
    return 1 if words == 0 and fusion.open else words


@borrowing
def word_ending(fusion, node, which):
    """One of the words that end at a trie node, or UNKNOWN_WORD."""
    first = fusion.ends_at[node]
    return fusion.ends[first + which] if first < fusion.ends_at[node + 1] else UNKNOWN_WORD


@borrowing
def hot_next(fusion, state, symbol):
    """State of the hotwords after a symbol (Aho and Corasick 1975)."""
    while True:
        edge = find_edge(fusion.hot_edges_at, fusion.hot_edges, state, symbol)
        if edge >= 0:
            return edge + 1
        if state == 0:
            return 0
        state = fusion.hot_fail[state]


@borrowing
def hot_text(fusion, state, item):
    """State of the hotwords after a token's or a word's text, and the boosts completed by it."""
    done = 0.0
    for k in range(fusion.text_at[item], fusion.text_at[item + 1]):
        state = hot_next(fusion, state, fusion.text[k])
        done += fusion.hot_done[state]
    return state, done


@borrowing
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


@borrowing
def lm_item(fusion, token, word):
    """What the language model is asked for: its number of a word or token, or -1 for nothing."""
    if fusion.lm == TOKEN_LM:
        return fusion.lm_number[token] if token >= 0 else -1
    if fusion.lm == WORD_LM and word != NO_WORD:
        return fusion.lm_number[word] if word >= 0 else UNKNOWN
    return -1


@borrowing
def lm_log_prob(tables, state, item, new_state):
    """Ln p of a word after a state, at least LM_FLOOR."""
    return max(float(step(tables, state, item, new_state)), LM_FLOOR)


@borrowing
def units(fusion, word):
    """Words, or tokens of a language model of tokens, that a step adds."""
    return 1 if fusion.lm == TOKEN_LM or word != NO_WORD else 0


@borrowing
def gain_bound(fusion, trie, hot):
    """How much a token may multiply the probability of a prefix at most, beyond its own."""
    bonus = max(fusion.bonus, 0.0)
    gain = bonus if fusion.lm == TOKEN_LM else max(0.0, bonus - fusion.ahead[trie])
    if fusion.hot:
        gain += max(0.0, fusion.hot_reach[hot])
    return math.exp(gain)


@borrowing
def is_followed(space, scratch, slot, token, word):
    """Whether the prefix that a token leads to is among those followed: it has its score then."""
    beams, nodes, then = space.beams[space.counters[SIDE]], space.nodes, scratch.then
    child = scratch.first[slot]
    while child >= 0:
        node = beams[child, NODE]
        if nodes[node, TOKEN] == token and nodes[node, WORD] == word:
            return True
        child = then[child]
    return False


@borrowing
def propose(space, scratch, fusion, tables, slot, token, word, trie, chance, least, count):
    """Enter a prefix into the pool if it is worth ``least``; returns the size of the pool."""
    if is_followed(space, scratch, slot, token, word):
        return count
    node = space.beams[space.counters[SIDE], slot, NODE]
    before, hot = space.nodes[node, TRIE], space.nodes[node, HOT]
    extra, log_prob, done = fusion.ahead[trie] - fusion.ahead[before], 0.0, 0.0
    extra += fusion.bonus * units(fusion, word)
    if fusion.hot:
        credit = fusion.hot_credit[hot]
        hot, done = hot_advance(fusion, hot, token, word)
        extra += done + fusion.hot_credit[hot] - credit
    item = lm_item(fusion, token, word)
    if item >= 0:
        if chance * space.values[node, GAIN] < least:
            return count
        log_prob = lm_log_prob(tables, space.states[node], item, scratch.state)
        extra += fusion.weight * log_prob
        if item == UNKNOWN:
            extra -= fusion.penalty
    worth = chance * math.exp(extra)
    if not worth >= least or worth == 0:
        return count
    place = scratch.order[count]
    pool, parts = scratch.pool, scratch.parts
    pool[place, 0], pool[place, 1], pool[place, 2] = -1, slot, token
    pool[place, 3], pool[place, 4] = word, trie
    scratch.pool_hot[place], scratch.worth[place] = hot, worth
    parts[place, 0], parts[place, 1], parts[place, 2] = extra, log_prob, done
    return count + 1


@borrowing
def propose_all(space, scratch, fusion, tables, slot, token, chance, least, count):
    """Enter all prefixes that a token leads to into the pool; returns its size."""
    node = space.beams[space.counters[SIDE], slot, NODE]
    trie, kind = space.nodes[node, TRIE], fusion.kinds[token]
    if kind == INSIDE or kind == EITHER or (trie == ROOT and kind != SEPARATOR):
        after = walk(fusion, trie, token)
        if after != DEAD or fusion.open:
            count = propose(
                space, scratch, fusion, tables, slot, token, NO_WORD, after, chance, least, count
            )
    if kind == INSIDE or (trie == ROOT and kind != SEPARATOR):
        return count
    after = ROOT if kind == SEPARATOR else walk(fusion, ROOT, token)
    if after == DEAD and not fusion.open:
        return count
    if trie == ROOT:
        return propose(
            space, scratch, fusion, tables, slot, token, NO_WORD, after, chance, least, count
        )
    for which in range(word_endings(fusion, trie)):
        word = word_ending(fusion, trie, which)
        count = propose(
            space, scratch, fusion, tables, slot, token, word, after, chance, least, count
        )
    return count
