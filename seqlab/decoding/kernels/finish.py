"""The end of an utterance: final scores of the prefixes, their tokens and times."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from seqlab.decoding.kernels.borrowing import borrowing, inlined
from seqlab.decoding.kernels.fusion import (
    hot_advance,
    lm_item,
    lm_log_prob,
    units,
    word_ending,
    word_endings,
)
from seqlab.decoding.kernels.layout import (
    B_END,
    B_ENTRY,
    B_LOG,
    B_START,
    BEAMS,
    BOOST,
    E_BEFORE,
    E_END,
    E_START,
    EXTRA,
    FRAME,
    HOT,
    LM,
    N_ENTRY,
    N_LOG,
    N_START,
    NO_WORD,
    NODE,
    PARENT,
    ROOT,
    SIDE,
    TOKEN,
    TOKEN_LM,
    TOTAL,
    TRIE,
    UNKNOWNS,
    V_B,
    V_N,
    WORD,
    WORDS,
)
from seqlab.lm.ngram.kernels.tokenise import UNKNOWN

# columns of what ``score_endings`` fills
SCORE, ACOUSTIC, LANGUAGE, COUNTING, HOTWORDS = range(5)
PARTS = 5
# behind them in Room.figures
POSTERIOR, CONFIDENCE = 5, 6
FIGURES = 7


class Room(NamedTuple):
    """Room for one answer, which ``conclude`` fills.

    Args:
        slots: for prefixes that may end (E,).
        ended: for their last words (E,).
        parts: for their scores (E, PARTS).
        states: of the language model (2, K - 1).
        tokens: of the best one (N,).
        words: that its tokens end, and behind them its last one (N + 1,).
        spans: when its tokens begin and end (2, N), seconds.
        confidences: of its tokens (N,).
        times: for frames (N, 2).
        logs: for log-probabilities (N,).
        figures: its scores, then its posterior and confidence (FIGURES,).
    """

    slots: Any
    ended: Any
    parts: Any
    states: Any
    tokens: Any
    words: Any
    spans: Any
    confidences: Any
    times: Any
    logs: Any
    figures: Any


@borrowing
def conclude(space, fusion, tables, frame_s, room):
    """The best answer of an utterance that has ended, of which nothing has been forgotten.

    Args:
        space: what the search remembers.
        fusion: what else counts.
        tables: of the language model.
        frame_s: seconds from frame to frame.
        room: receives the answer.

    Returns:
        how many tokens it has, or -1 where no prefix may end.
    """
    parts, figures, words = room.parts, room.figures, room.words
    count = score_endings(
        space, fusion, tables, True, room.slots, room.ended, parts, room.states
    )  # fmt: skip
    if count == 0:
        return -1
    best = 0
    for ending in range(1, count):
        if parts[ending, SCORE] > parts[best, SCORE]:
            best = ending
    for column in range(PARTS):
        figures[column] = parts[best, column]
    figures[POSTERIOR] = min(1.0, math.exp(figures[SCORE] - sum_scores(parts, count)))
    frames = space.counters[FRAME]
    figures[CONFIDENCE] = min(1.0, math.exp(figures[ACOUSTIC] / frames)) if frames > 0 else 0.0
    length, timed = trace(space, room.slots[best], room.tokens, words, room.times, room.logs)
    _reverse(room.tokens, length)
    _reverse(words, length)
    words[length] = room.ended[best]
    _measure(room, timed, frame_s)
    return length


@inlined
def _measure(room, timed, frame_s):
    """Seconds and confidences of tokens, whose frames are known with the last one first."""
    for k in range(timed):
        begin, end = room.times[timed - 1 - k, 0], room.times[timed - 1 - k, 1]
        mean = room.logs[timed - 1 - k] / (end - begin)
        room.spans[0, k], room.spans[1, k] = begin * frame_s, end * frame_s
        room.confidences[k] = math.exp(mean) if mean < 0 else 1.0


@inlined
def _reverse(numbers, count):
    for k in range(count // 2):
        numbers[k], numbers[count - 1 - k] = numbers[count - 1 - k], numbers[k]


@borrowing
def sum_scores(parts, count):
    """Logarithm of the summed probabilities of ``count`` endings, 1 or more."""
    best, total = parts[0, SCORE], 0.0
    for ending in range(1, count):
        best = max(best, parts[ending, SCORE])
    if best == -np.inf:
        return best
    for ending in range(count):
        total += math.exp(parts[ending, SCORE] - best)
    return best + math.log(total)


@borrowing
def score_endings(space, fusion, tables, ended, slots, words, parts, states):
    """Final scores of the prefixes followed, once for each word that may end with them.

    Args:
        space: what the search remembers.
        fusion: what else counts.
        tables: of the language model.
        ended: whether the utterance has ended, so that a last word and the sentence end count;
            a lexicon refuses prefixes that end within a word then.
        slots: receives the prefix of each ending (E,).
        words: receives its last word (E,), NO_WORD for none, UNKNOWN_WORD for one without number.
        parts: receives score, acoustic score, and the weighted ones of the language model, of
            counts of words, and of hotwords (E, 5).
        states: room for two states of the language model (2, K - 1).

    Returns:
        how many endings there are.
    """
    count, side = 0, space.counters[SIDE]
    for slot in range(space.counters[BEAMS]):
        node = space.beams[side, slot, NODE]
        trie = ROOT if fusion.plain or not ended else space.nodes[node, TRIE]
        endings = 1 if trie == ROOT else word_endings(fusion, trie)
        for which in range(endings):
            if count == len(slots):
                return count
            slots[count] = slot
            words[count] = NO_WORD if trie == ROOT else word_ending(fusion, trie, which)
            _score(space, fusion, tables, ended, slot, words[count], parts[count], states)
            count += 1
    return count


@inlined
def _score(space, fusion, tables, ended, slot, word, parts, states):
    """Scores of one ending."""
    side = space.counters[SIDE]
    node = space.beams[side, slot, NODE]
    parts[ACOUSTIC] = math.log(space.scores[side, slot, TOTAL]) + space.offset[0]
    parts[LANGUAGE], parts[COUNTING], parts[HOTWORDS] = 0.0, 0.0, 0.0
    if not fusion.plain:
        nodes, values, last = space.nodes, space.values, 0
        parts[ACOUSTIC] -= values[node, EXTRA]
        log_prob, boost = values[node, LM], values[node, BOOST]
        counted, unknown = nodes[node, WORDS], nodes[node, UNKNOWNS]
        for k in range(states.shape[1]):
            states[0, k] = space.states[node, k]
        item = -1
        if word != NO_WORD:
            item = lm_item(fusion, -1, word)
            if fusion.lm != TOKEN_LM:
                counted += units(fusion, word)
        if item >= 0:
            log_prob += lm_log_prob(tables, states[0], item, states[1])
            unknown, last = unknown + (1 if item == UNKNOWN else 0), 1
        if ended and fusion.lm_end >= 0:
            log_prob += lm_log_prob(tables, states[last], fusion.lm_end, states[1 - last])
        if fusion.hot:
            boost += hot_advance(fusion, nodes[node, HOT], -1, word)[1]
        parts[LANGUAGE], parts[HOTWORDS] = fusion.weight * log_prob, boost
        parts[COUNTING] = fusion.bonus * counted - fusion.penalty * unknown
    parts[SCORE] = parts[ACOUSTIC] + parts[LANGUAGE] + parts[COUNTING] + parts[HOTWORDS]


@borrowing
def trace(space, slot, tokens, words, times, logs):
    """Tokens of a prefix, last one first, since the part that is final for all prefixes.

    Args:
        space: what the search remembers.
        slot: the prefix.
        tokens: receives them (N,).
        words: receives the word that each ends (N,).
        times: receives first frame and frame after the last of each (M, 2), in the best alignment;
            times of more tokens than ``tokens`` may still be open.
        logs: receives the sum of log-probabilities of each over these frames (M,).

    Returns:
        the number of tokens, and the number of times.
    """
    nodes, side, entries = space.nodes, space.counters[SIDE], space.entries
    row, scores = space.beams[side, slot], space.scores[side, slot]
    node, length, timed = row[NODE], 0, 0
    if nodes[node, TOKEN] >= 0:
        if scores[V_B] >= scores[V_N]:
            times[0, 0], times[0, 1], logs[0] = row[B_START], row[B_END], scores[B_LOG]
            entry = row[B_ENTRY]
        else:
            times[0, 0], times[0, 1], logs[0] = row[N_START], space.counters[FRAME], scores[N_LOG]
            entry = row[N_ENTRY]
        timed = 1
        while entry >= 0:
            times[timed, 0], times[timed, 1] = entries[entry, E_START], entries[entry, E_END]
            logs[timed] = space.logs[entry]
            entry, timed = entries[entry, E_BEFORE], timed + 1
    while nodes[node, PARENT] >= 0:
        tokens[length], words[length] = nodes[node, TOKEN], nodes[node, WORD]
        node, length = nodes[node, PARENT], length + 1
    return length, timed
