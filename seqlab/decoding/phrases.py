"""Search for phrases in CTC log-probabilities: each phrase against anything else, as frames come.

A path of a phrase takes its tokens in order, each over one or more frames, with blanks between; its
score is what it lost against the best class of every one of its frames, which stands for anything
that may have been said (the filler). Divided by the number of tokens and taken as a probability it
is 1 where the model itself would write the phrase, and lies within [0, 1] for every phrase.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.decoding.align import check_scores, check_tokens
from seqlab.decoding.kernels.phrases import follow
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
    """

    frame: int
    scores: Scores
    begins: Counts
    blanks: Scores
    edges: Scores


class PhraseSearch:
    """Best paths of phrases that begin and end anywhere, in one pass; exact, for any chunking.

    Use it on the log-probabilities of a CTC model; ``PhraseDetector`` makes detections of it.
    Where the model writes something between words (``edges``), phrases are whole words: before
    the first token and after the last one such a token must be heard, or blanks for a while, or
    the stream begins or ends; a missing edge costs as a missing token does.

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
    keyword spotting with quantized LSTM networks". Here the filler is the best path over the
    same frames, pauses are bounded, and words are whole.

    Example:
        >>> probs = [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.45, 0.45], [0.9, 0.05, 0.05]]
        >>> search = PhraseSearch([[(1, 2)]], num_classes=3)
        >>> found, _ = search.step(np.log(probs), search.initial_state())
        >>> found.scores[2].tolist(), found.begins[2].tolist(), found.ends[2].tolist()
        ([1.0], [0], [3])
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
        values = log_probs.astype(np.float64)
        lost = values - values.max(axis=1, keepdims=True)
        quiet = np.ascontiguousarray(lost[:, self.blank])
        edges = lost[:, self.edges].max(axis=1, initial=-np.inf)
        return self._follow(np.ascontiguousarray(lost[:, self.used]), quiet, edges, state)

    def silence(
        self, frames: int, state: PhraseSearchState
    ) -> tuple[PhraseFrames, PhraseSearchState]:
        """As ``step``, of frames that hold blanks for certain: what the end of a stream completes.

        Args:
            frames: How many, 0 or more.
            state: The same.
        """
        never = np.full((frames, len(self.used)), -np.inf)
        return self._follow(never, np.zeros(frames), np.full(frames, -np.inf), state)

    def _follow(
        self, lost: Scores, quiet: Scores, edges: Scores, state: PhraseSearchState
    ) -> tuple[PhraseFrames, PhraseSearchState]:
        shape = len(lost), self.num_phrases
        found = np.full(shape, -np.inf), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        rings = [r.copy() for r in (state.scores, state.begins, state.blanks, state.edges)]
        follow(lost, quiet, edges, self._chains, self.waits, state.frame, *rings, found)
        after = PhraseSearchState(state.frame + len(lost), *rings)
        return PhraseFrames(np.exp(found[0]), found[1], found[2]), after
