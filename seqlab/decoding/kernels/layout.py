"""What the compiled loops of the prefix beam search share: the arrays, and their columns.

Probabilities are kept as they are, not as logarithms: they are scaled so that the best prefix stays
near 1, and ``offset`` holds the logarithm of all scales so far. Sums of alignments are then plain
additions, exact to the last bits of a double. A prefix that is exp(-500) times less probable than
the best one vanishes.

What a language model, a lexicon and hotwords say of a prefix depends on the prefix alone. It is the
*extra* score of its node, and a factor in its probability.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# columns of Space.nodes, int32: one row for each prefix (a node of the tree of prefixes)
PARENT, TOKEN, CHILD, SIBLING, TRIE, HOT, WORD, BORN, WORDS, UNKNOWNS, SLOT = range(11)
NODE_COLUMNS = 12
# columns of Space.values, float64: of the same nodes
# GAIN is what a token may multiply the probability by at most, INNER what one within a word may.
# ENDING is ln p of its word; > 0: not asked yet
EXTRA, FACTOR, GAIN, INNER, LM, BOOST, ENDING = range(7)
VALUE_COLUMNS = 8  # a line of the cache
# columns of Space.beams, int32: the prefixes that are followed. N_ is the best alignment that ends
# in the prefix's last token, B_ the best one that ends in a blank.
# LAST and BEFORE are token and parent of the node, which are needed in each frame.
NODE, LAST, BEFORE, N_START, N_ENTRY, B_START, B_END, B_ENTRY = range(8)
BEAM_COLUMNS = 8
# columns of Space.scores, float64: of the same. P_ are sums over alignments, V_ the best alignment,
# _LOG the sum of the last token's log-probabilities in it.
P_N, P_B, TOTAL, V_N, V_B, N_LOG, B_LOG = range(7)
SCORE_COLUMNS = 8  # a line of the cache
# columns of Space.entries, int32: tokens of best alignments, each linked to the one before
E_START, E_END, E_BEFORE = range(3)
ENTRY_COLUMNS = 3
NO_ENTRY = -1  # below it, -2 - i is an entry that has yet to be made, for the token of prefix i
# Space.counters
BEAMS, NODES, ENTRIES, FRAME, SIDE = range(5)
COUNTERS = 5

# kinds of tokens
INSIDE = 0  # goes on with a word, or begins the first
START = 1  # begins a word
SEPARATOR = 2  # stands between words
EITHER = 3  # may do both: only a lexicon knows

ROOT, DEAD, FIRST = 0, 1, 2  # nodes of a trie: the beginning, where no word goes, the first other
NO_WORD, UNKNOWN_WORD = -1, -2
NO_LM, WORD_LM, TOKEN_LM = 0, 1, 2
LM_FLOOR = -100.0  # ln p of what a language model holds for impossible
BOUNDARY = 0  # the symbol of hotwords that stands for the end of a word


class Space(NamedTuple):
    """All that a search remembers from frame to frame.

    Args:
        nodes: prefixes (N, NODE_COLUMNS); a parent stands before its children.
        values: (N, VALUE_COLUMNS).
        states: of the language model (N, K - 1), int64.
        entries: of alignments (M, ENTRY_COLUMNS); an entry stands behind the one before it.
        logs: the sum of each entry's log-probabilities (M,).
        beams: two sides, this frame's and the next one's (2, beam, BEAM_COLUMNS). A prefix keeps
            its place as long as it is followed, but the best one moves to the first place.
        scores: (2, beam, SCORE_COLUMNS).
        counters: COUNTERS numbers.
        offset: logarithm of the scales so far (1,).
    """

    nodes: Any
    values: Any
    states: Any
    entries: Any
    logs: Any
    beams: Any
    scores: Any
    counters: Any
    offset: Any


class Scratch(NamedTuple):
    """Room that a frame needs and the next one overwrites.

    Args:
        pool: new prefixes that may be followed next, as parent's place among those followed, token,
            word, trie node and state of the hotwords (P, 5); the places of those followed, which
            come first, are not used.
        worth: probability of each (P,), those followed first; 0 for what is given up.
        parts: extra score, ln p of the language model, boosts and factor of each new one (P, 4).
        cuts: room for two numbers.
        tokens: that are worth trying: those within words first, then the others, each part with
            the best first (C,).
        others: room for tokens (C,).
        keys: what tokens are sorted by (C,), float32.
        chances: their probabilities (C,).
        known: probabilities of tokens of this frame (C,) ...
        asked: ... which are those of the frame noted here (C,).
        first: of each prefix its first child that is followed as well (beam,).
        then: of each prefix the next child of the same parent (beam,).
        seen: bit k of a prefix's number is set if a child whose token is k modulo 64 is followed
            (beam,), uint64.
        state: of the language model (K - 1,).
    """

    pool: Any
    worth: Any
    parts: Any
    cuts: Any
    tokens: Any
    others: Any
    keys: Any
    chances: Any
    known: Any
    asked: Any
    first: Any
    then: Any
    seen: Any
    state: Any


class Limits(NamedTuple):
    """How wide the search is.

    Args:
        blank: index of the blank.
        beam: prefixes that are followed.
        threshold: nats below the best prefix.
        token_threshold: nats below the best token of a frame.
        max_tokens: tokens that are tried in a frame.
        delay: frames after which the best prefix is final; 0: never.
    """

    blank: Any
    beam: Any
    threshold: Any
    token_threshold: Any
    max_tokens: Any
    delay: Any


class Fusion(NamedTuple):
    """What else than the acoustics counts.

    Args:
        plain: whether nothing else does; the rest is not read then.
        kinds: of each token (C,), int8.
        spell_at: where a token's symbols of the trie begin (C + 1,).
        spell: those symbols.
        edges_at: where a trie node's edges begin (N + 1,). Edge k leads to node k + FIRST.
        edges: their symbols, rising within a node.
        ends_at: where the words that end at a trie node begin (N + 1,).
        ends: their numbers.
        masks: bit k of a trie node's number is set where it has an edge with symbol k (N,), uint64.
        masked: whether these tell all, as no symbol is above 62.
        bits: the bit of each token's symbol, 0 where these do not tell all, or where it has none or
            several (C,), uint64.
        ahead: what the best word below a trie node will add to the score at most (N,).
        leaps: factor by which the probability changes with the step to a trie node (N,), where
            nothing else counts.
        spring: factor by which a token may raise a probability at most at a trie node (N,), but for
            hotwords.
        open: whether words beyond the trie are allowed.
        lm: NO_LM, WORD_LM or TOKEN_LM.
        lm_number: of each word or token in the language model.
        lm_end: number of the sentence end there, or -1.
        weight: of the language model.
        bonus: for each word (or token, with TOKEN_LM).
        penalty: for each that the language model does not know.
        rise: factor by which a token within a word may raise a probability at most, but for
            hotwords.
        hot: whether there are hotwords.
        hot_edges_at: where a state's edges begin. Edge k leads to state k + 1.
        hot_edges: their symbols, rising within a state.
        hot_fail: the state of the longest other match.
        hot_credit: what a state has of boosts that are under way.
        hot_done: boosts that are complete with a state.
        hot_reach: factor by which a token may raise a probability at most.
        text_at: where the symbols of a token begin, or of a word where ``text_of_words``.
        text: those symbols.
        text_of_words: whether hotwords see words only when they end.
        widest: prefixes that one token may lead to from one prefix.
    """

    plain: Any
    kinds: Any
    spell_at: Any
    spell: Any
    edges_at: Any
    edges: Any
    ends_at: Any
    ends: Any
    masks: Any
    masked: Any
    bits: Any
    ahead: Any
    leaps: Any
    spring: Any
    open: Any
    lm: Any
    lm_number: Any
    lm_end: Any
    weight: Any
    bonus: Any
    penalty: Any
    rise: Any
    hot: Any
    hot_edges_at: Any
    hot_edges: Any
    hot_fail: Any
    hot_credit: Any
    hot_done: Any
    hot_reach: Any
    text_at: Any
    text: Any
    text_of_words: Any
    widest: Any
