"""Search for phrases in CTC log-probabilities, as frames come.

A path of a phrase takes its tokens in order, each over one or more frames, with blanks between; its
probability is the product over its frames. What else may have been said (the filler) is every path
of any tokens over the same frames, and these have probability 1 together: so the logarithm of the
path's probability is its log-likelihood ratio against the filler. Divided by the number of tokens
and taken as a probability again, it is a score in [0, 1] for phrases of any length.

On AN4's dev speakers, by a model of letters trained without them (20 words of three letters and
more, said 196 times; 1.31 hours of other speech over all words), 18, 13 and 9 % of the words are
missed at 3, 5 and 10 false alarms per hour. Against the best path as filler, what is itself the
best path cannot be told from what is sure: 5 false alarms per hour remain at any threshold, and
16 and 11 % are missed at 5 and 10. Divided by frames instead of tokens: 19, 13 and 9 %. Not whole
words, 19, 13 and 10 %; so and with the sum over a phrase's paths instead of the best one, 20, 15
and 11 %. The best path is no worse, and tells from when to when a phrase was said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.decoding.kernels.phrases import follow
from seqlab.decoding.scores import check_scores, check_tokens
from seqlab.errors import SeqlabError

__all__ = ["PhraseFrames", "PhraseSearch", "PhraseSearchState"]

Scores = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class PhraseFrames:
    """What is complete at each frame.

    Args:
        scores: (T', P), in [0, 1], of the best path of each phrase that is complete here.
        begins: (T', P), first frame of that path's first token, from the start of the stream.
        ends: (T', P), frame after the last one of its last token.
    """

    scores: Scores
    begins: Counts
    ends: Counts


@dataclass(frozen=True)
class PhraseSearchState:
    """Where a search stands; never changed by a step, and of the same size after any time.

    Args:
        frame: Frames that were seen.
        scores: Of the best paths into each token, of the last frames (D, N).
        begins: Their first frames (D, N).
        blanks: Of the blank, of the last frames (D,).
        edges: Of the best token between words (D,).
        tops: Which token was the best class (D,).
    """

    frame: int
    scores: Scores
    begins: Counts
    blanks: Scores
    edges: Scores
    tops: Counts


class PhraseSearch:
    """Best paths of phrases that begin and end anywhere, in one pass; exact, for any chunking.

    Use it on the log-probabilities of a CTC model; ``PhraseDetector`` makes detections of it.
    Where the model writes something between words (``edges``), phrases are whole words: before
    the first token and after the last one such a token must be heard, or blanks for a while, or
    the stream begins or ends; a missing edge costs as a missing token does. Where words need not
    be whole, the first and the last token last as long as they are the best class of the frames.

    Args:
        phrases: Of each phrase the token sequences that stand for it, one at least.
        num_classes: C of the log-probabilities.
        blank: Index of the blank.
        edges: Tokens between words, or that begin one; none finds phrases inside words, too.
        pause: Most frames of blanks between two tokens, at least 0.
        quiet: Frames of blanks that end a word, at least 1.

    Raises:
        SeqlabError: There are no phrases, one is empty, or a token is no class.

    Source: keyword against filler after Rose and Paul 1990, "A hidden Markov model based keyword
    recognition system", on CTC posteriors as in Zhuang et al. 2016, "Unrestricted vocabulary
    keyword spotting using LSTM-CTC", and Bluche et al. 2020, "Small-footprint open-vocabulary
    keyword spotting with quantized LSTM networks". Here the filler is the sum over all paths,
    pauses are bounded, and words are whole.

    Example:
        >>> probs = [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.9, 0.05, 0.05]]
        >>> search = PhraseSearch([[(1, 2)]], num_classes=3)
        >>> found, _ = search.step(np.log(probs), search.initial_state())
        >>> round(float(found.scores[2, 0] ** 2), 6), int(found.begins[2, 0]), int(found.ends[2, 0])
        (0.256, 0, 3)
    """

    def __init__(
        self,
        phrases: Sequence[Sequence[Sequence[int]]],
        num_classes: int,
        blank: int = 0,
        *,
        edges: Collection[int] = (),
        pause: int = 12,
        quiet: int = 8,
    ) -> None:
        check_at_least("pause", pause, 0)
        check_at_least("quiet", quiet, 1)
        if not phrases:
            raise SeqlabError("there are no phrases; one at least must be searched")
        chains = [(p, tuple(s)) for p, every in enumerate(phrases) for s in every]
        for p, every in enumerate(phrases):
            if not every or not all(map(len, every)):
                raise SeqlabError(f"phrase {p} has no tokens; each spelling needs one at least")
        for p, tokens in chains:
            check_tokens(tokens, num_classes, blank, f"phrase {p}")
        check_tokens(tuple(edges), num_classes, blank, "edges")
        self.num_classes, self.blank, self.num_phrases = num_classes, blank, len(phrases)
        self.edges = np.array(sorted(edges), np.int64)
        self.waits = np.array([pause, quiet], np.int64)
        self.used, columns = np.unique(np.concatenate([s for _, s in chains]), return_inverse=True)
        whole = bool(edges)
        self._chains = (
            columns.astype(np.int64),
            np.cumsum([0, *(len(s) for _, s in chains)]),
            np.array([whole and s[0] not in edges for _, s in chains]),
            np.array([whole] * len(chains)),
            np.array([p for p, _ in chains], np.int64),
        )

    @property
    def quiet(self) -> int:
        """Frames of blanks that end a word; 0 where words need not be whole."""
        return int(self.waits[1]) if len(self.edges) else 0

    def initial_state(self, frame: int = 0) -> PhraseSearchState:
        """The state of a stream that begins with frame ``frame``."""
        size, count = int(self.waits.max()) + 2, len(self._chains[0])
        return PhraseSearchState(
            frame,
            np.full((size, count), -np.inf),
            np.zeros((size, count), np.int64),
            np.zeros(size),
            np.full(size, -np.inf),
            np.full(size, -1, np.int64),
        )

    def step(
        self, log_probs: NDArray[np.floating], state: PhraseSearchState
    ) -> tuple[PhraseFrames, PhraseSearchState]:
        """What is complete at each of the next frames, and the new state.

        Args:
            log_probs: (T', C), natural.
            state: Of the stream; it stays as it is.

        Raises:
            SeqlabError: They are of another shape, above 0, or NaN.
        """
        if log_probs.ndim != 2 or log_probs.shape[1] != self.num_classes:
            raise SeqlabError(
                f"log_probs of shape {log_probs.shape} must be (T', {self.num_classes})"
            )
        check_scores(log_probs.astype(np.float32, copy=False), "the stream")
        values = np.minimum(log_probs.astype(np.float64), 0.0)  # rounding may leave it above
        tops = np.full(self.num_classes, -1, np.int64)
        tops[self.used] = np.arange(len(self.used))
        return self._follow(
            np.ascontiguousarray(values[:, self.used]),
            np.ascontiguousarray(values[:, self.blank]),
            values[:, self.edges].max(axis=1, initial=-np.inf),
            tops[values.argmax(axis=1)],
            state,
        )

    def silence(
        self, frames: int, state: PhraseSearchState
    ) -> tuple[PhraseFrames, PhraseSearchState]:
        """As ``step``, of frames that hold blanks for certain: what the end of a stream completes.

        Args:
            frames: How many, 0 or more.
            state: The same.
        """
        never = np.full((frames, len(self.used)), -np.inf)
        none, other = np.full(frames, -np.inf), np.full(frames, -1, np.int64)
        return self._follow(never, np.zeros(frames), none, other, state)

    def _follow(
        self,
        used: Scores,
        quiet: Scores,
        edges: Scores,
        tops: Counts,
        state: PhraseSearchState,
    ) -> tuple[PhraseFrames, PhraseSearchState]:
        shape = len(used), self.num_phrases
        found = np.full(shape, -np.inf), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        after = PhraseSearchState(
            state.frame + len(used),
            state.scores.copy(),
            state.begins.copy(),
            state.blanks.copy(),
            state.edges.copy(),
            state.tops.copy(),
        )
        follow(
            used, quiet, edges, tops, self._chains, self.waits, state.frame, after.scores,
            after.begins, after.blanks, after.edges, after.tops, found,
        )  # fmt: skip
        return PhraseFrames(np.exp(found[0]), found[1], found[2]), after
