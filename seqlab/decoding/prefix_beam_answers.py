"""From prefixes to hypotheses: text, times, confidences and parts of the score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.contracts import Hypothesis
from seqlab.decoding.kernels.finish import (
    ACOUSTIC,
    COUNTING,
    HOTWORDS,
    LANGUAGE,
    SCORE,
    score_endings,
    trace,
)
from seqlab.decoding.kernels.layout import (
    BEAMS,
    ENTRIES,
    FRAME,
    NO_WORD,
    NODES,
    SEPARATOR,
    Fusion,
)
from seqlab.decoding.prefix_beam_fusion import Guidance
from seqlab.decoding.prefix_beam_space import Search


@dataclass(frozen=True)
class Endings:
    """Prefixes with their last words, and final scores.

    Args:
        slots: prefix of each (E,).
        words: last word of each (E,).
        parts: scores (E, 5).
        complete: whether the utterance may end like this.
    """

    slots: NDArray[np.int32]
    words: NDArray[np.int32]
    parts: NDArray[np.float64]
    complete: bool = True


@dataclass(frozen=True)
class Answers:
    """Makes hypotheses of a search.

    Args:
        guidance: what the search was guided by.
        frame_s: seconds from frame to frame.
        n_best: hypotheses that are wanted.
    """

    guidance: Guidance
    frame_s: float
    n_best: int

    def final(self, search: Search, fusion: Fusion) -> list[Hypothesis]:
        """The n-best list at the end of an utterance; never empty."""
        endings = self._endings(search, fusion, ended=True)
        if len(endings.slots) == 0:  # a lexicon allows no prefix to end here
            found = self._endings(search, fusion, ended=False)
            endings = Endings(found.slots, found.words, found.parts, complete=False)
        if len(endings.slots) == 0:
            return [Hypothesis((), "", -math.inf, confidence=0.0, details={"complete": False})]
        scores = endings.parts[:, SCORE]
        order = np.argsort(-scores, kind="stable")
        total = float(np.logaddexp.reduce(scores))
        answers: dict[str, Hypothesis] = {}
        for which in order.tolist():
            answer = self._hypothesis(search, endings, which, total)
            answers.setdefault(answer.text, answer)
            if len(answers) == self.n_best:
                break
        return list(answers.values())

    def so_far(self, search: Search, fusion: Fusion) -> tuple[Hypothesis, Hypothesis]:
        """What is final of a stream, and its best answer so far."""
        endings = self._endings(search, fusion, ended=False)
        if len(endings.slots) == 0:
            nothing = Hypothesis((), "", -math.inf, confidence=0.0)
            return nothing, nothing
        total = float(np.logaddexp.reduce(endings.parts[:, SCORE]))
        partial = self._hypothesis(search, endings, 0, total, cut=False)
        settled = sum(map(len, search.settled.tokens))
        words = np.concatenate([np.zeros(0, np.int32), *search.settled.words])
        tokens = partial.tokens[:settled]
        stable = Hypothesis(
            tokens, self._text(tokens, words), partial.score, partial.token_times[:settled],
            partial.token_confidences[:settled], partial.confidence,
        )  # fmt: skip
        return stable, partial

    def _endings(self, search: Search, fusion: Fusion, ended: bool) -> Endings:
        room = int(search.space.counters[BEAMS]) * (fusion.widest if ended else 1)
        slots, words = np.empty(room, np.int32), np.empty(room, np.int32)
        parts = np.empty((room, 5))
        states = np.empty((2, search.space.states.shape[1]), np.int64)
        count = score_endings(
            search.space, fusion, self.guidance.tables, ended, slots, words, parts, states
        )
        return Endings(slots[:count], words[:count], parts[:count])

    def _hypothesis(
        self, search: Search, endings: Endings, which: int, total: float, cut: bool = True
    ) -> Hypothesis:
        slot, parts = int(endings.slots[which]), endings.parts[which].tolist()
        tokens, words, times, logs = _traced(search, slot)
        if not endings.complete and cut:
            tokens = tokens[: self._whole(tokens, words)]
        words = np.append(words, endings.words[which])
        times, logs = times[: len(tokens)], logs[: len(tokens)]
        frames, indices = int(search.space.counters[FRAME]), tuple(tokens.tolist())
        means = (logs / (times[:, 1] - times[:, 0])).tolist()
        return Hypothesis(
            tokens=indices,
            text=self._text(indices, words),
            score=parts[SCORE],
            token_times=tuple(map(tuple, (times * self.frame_s).tolist())),
            # not by NumPy, whose last bits depend on where an array lies
            token_confidences=tuple([min(1.0, math.exp(mean)) for mean in means]),
            confidence=min(1.0, math.exp(parts[ACOUSTIC] / frames)) if frames else 0.0,
            details=_details(parts, total, endings.complete) | self._spelled(indices, words),
        )

    def _text(self, tokens: tuple[int, ...], words: NDArray[np.int32]) -> str:
        known = self.guidance.words
        if known.by_tokens:
            return " ".join(known.words[word] for word in words.tolist() if word >= 0)
        return self.guidance.units.decode(tokens)

    def _spelled(self, tokens: tuple[int, ...], words: NDArray[np.int32]) -> dict[str, Any]:
        """Words that the tokens do not spell, and which tokens stand for them."""
        known, kinds = self.guidance.words, self.guidance.units.kinds
        if not known.by_tokens:
            return {}
        found, first = [], 0
        for index, word in enumerate(words[: len(tokens) + 1].tolist()):
            if word >= 0:
                found.append((known.words[word], first, index))
            if index < len(tokens) and (word >= 0 or kinds[tokens[index]] == SEPARATOR):
                first = index + int(kinds[tokens[index]] == SEPARATOR)
        return {"words_at": tuple(found)}

    def _whole(self, tokens: NDArray[np.int32], words: NDArray[np.int32]) -> int:
        """How many tokens there are up to the last word of the lexicon that is whole."""
        ended = np.flatnonzero(words != NO_WORD)
        if len(ended) == 0:
            return 0
        last = int(ended[-1])  # this token parts two words, or begins the next one
        return last + int(self.guidance.units.kinds[tokens[last]] == SEPARATOR)


def _details(parts: list[float], total: float, complete: bool) -> dict[str, Any]:
    return {
        "acoustic": parts[ACOUSTIC],
        "language_model": parts[LANGUAGE],
        "words": parts[COUNTING],
        "hotwords": parts[HOTWORDS],
        "posterior": min(1.0, math.exp(parts[SCORE] - total)),
        "complete": complete,
    }


def _traced(
    search: Search, slot: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Tokens, words, times and log-probabilities of a prefix from the beginning."""
    space, settled = search.space, search.settled
    nodes, entries = int(space.counters[NODES]), int(space.counters[ENTRIES]) + 1
    tokens, words = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    times, logs = np.empty((entries, 2), np.int32), np.empty(entries)
    length, timed = trace(space, slot, tokens, words, times, logs)
    return (
        np.concatenate([*settled.tokens, tokens[:length][::-1]]),
        np.concatenate([*settled.words, words[:length][::-1]]),
        np.concatenate([*settled.times, times[:timed][::-1]]),
        np.concatenate([*settled.logs, logs[:timed][::-1]]),
    )
