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
    sum_scores,
)
from seqlab.decoding.kernels.layout import (
    FRAME,
    NO_WORD,
    SEPARATOR,
)
from seqlab.decoding.prefix_beam_fusion import Guidance
from seqlab.decoding.prefix_beam_loops import Loops
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

    def final(self, search: Search, loops: Loops) -> list[Hypothesis]:
        """The n-best list at the end of an utterance; never empty."""
        if self.n_best == 1 and not search.settled.tokens and not search.settled.times:
            answer = self._best(search, loops)
            if answer is not None:
                return [answer]
        endings = Endings(*loops.endings(search, ended=True))
        if len(endings.slots) == 0:  # a lexicon allows no prefix to end here
            endings = Endings(*loops.endings(search, ended=False), complete=False)
        if len(endings.slots) == 0:
            return [Hypothesis((), "", -math.inf, confidence=0.0, details={"complete": False})]
        scores = endings.parts[:, SCORE]
        order = np.argsort(-scores, kind="stable")
        total = sum_scores(endings.parts, len(scores))
        answers: dict[str, Hypothesis] = {}
        for which in order.tolist():
            answer = self._hypothesis(search, loops, endings, which, total)
            answers.setdefault(answer.text, answer)
            if len(answers) == self.n_best:
                break
        return list(answers.values())

    def so_far(self, search: Search, loops: Loops) -> tuple[Hypothesis, Hypothesis]:
        """What is final of a stream, and its best answer so far."""
        endings = Endings(*loops.endings(search, ended=False))
        if len(endings.slots) == 0:
            nothing = Hypothesis((), "", -math.inf, confidence=0.0)
            return nothing, nothing
        total = sum_scores(endings.parts, len(endings.parts))
        partial = self._hypothesis(search, loops, endings, 0, total, cut=False)
        settled = sum(map(len, search.settled.tokens))
        words = [word for piece in search.settled.words for word in piece.tolist()]
        tokens = partial.tokens[:settled]
        stable = Hypothesis(
            tokens, self._text(tokens, words), partial.score, partial.token_times[:settled],
            partial.token_confidences[:settled], partial.confidence,
        )  # fmt: skip
        return stable, partial

    def _best(self, search: Search, loops: Loops) -> Hypothesis | None:
        """What a list of one holds, where a prefix may end; ``_hypothesis`` gives the same."""
        count, room = loops.concluded(search, self.frame_s)
        if count < 0:
            return None
        score, acoustic, language, counting, hotwords, posterior, confidence = room.figures.tolist()
        tokens = tuple(room.tokens[:count].tolist())
        words = room.words[: count + 1].tolist() if self.guidance.words.by_tokens else []
        details = {
            "acoustic": acoustic, "language_model": language, "words": counting,
            "hotwords": hotwords, "posterior": posterior, "complete": True,
        }  # fmt: skip
        if words:
            details |= self._spelled(tokens, words)
        starts, ends = room.spans[:, :count].tolist()
        return Hypothesis(
            tokens, self._text(tokens, words), score, tuple(zip(starts, ends, strict=True)),
            tuple(room.confidences[:count].tolist()), confidence, details,
        )  # fmt: skip

    def _hypothesis(
        self, search: Search, loops: Loops, endings: Endings, which: int, total: float,
        cut: bool = True,
    ) -> Hypothesis:  # fmt: skip
        parts: list[float] = endings.parts[which].tolist()
        tokens, words, times, logs = loops.traced(search, int(endings.slots[which]))
        if not endings.complete and cut:
            tokens = tokens[: self._whole(tokens, words)]
        ended = [*words.tolist(), int(endings.words[which])]
        frames, indices = int(search.space.counters[FRAME]), tuple(tokens.tolist())
        spans = times[: len(indices)].tolist()
        # not by NumPy, whose last bits depend on where an array lies
        means = [log / (b - a) for log, (a, b) in zip(logs.tolist(), spans, strict=False)]
        return Hypothesis(
            tokens=indices,
            text=self._text(indices, ended),
            score=parts[SCORE],
            token_times=tuple([(a * self.frame_s, b * self.frame_s) for a, b in spans]),
            token_confidences=tuple([math.exp(mean) if mean < 0 else 1.0 for mean in means]),
            confidence=min(1.0, math.exp(parts[ACOUSTIC] / frames)) if frames else 0.0,
            details=_details(parts, total, endings.complete) | self._spelled(indices, ended),
        )

    def _text(self, tokens: tuple[int, ...], words: list[int]) -> str:
        known = self.guidance.words
        if known.by_tokens:
            return " ".join(known.words[word] for word in words if word >= 0)
        return self.guidance.units.decode(tokens)

    def _spelled(self, tokens: tuple[int, ...], words: list[int]) -> dict[str, Any]:
        """Words that the tokens do not spell, and which tokens stand for them."""
        known, kinds = self.guidance.words, self.guidance.units.kinds
        if not known.by_tokens:
            return {}
        found, first = [], 0
        for index, word in enumerate(words[: len(tokens) + 1]):
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
