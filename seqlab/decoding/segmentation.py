"""Long recordings against long texts: where each utterance was said, and which were not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.decoding.align import (
    Alignment,
    check_log_probs,
    make_alignment,
)
from seqlab.decoding.scores import check_scores, check_tokens
from seqlab.decoding.trellis import Graph, best_path
from seqlab.errors import SeqlabError


def segment(
    log_probs: Tensor,
    utterances: Sequence[Sequence[int]],
    *,
    blank: int = 0,
    frame_s: float = 1.0,
    gap_cost: float = 1.0,
    skip_cost: float = 3.0,
    window: int = 16384,
) -> list[Alignment | None]:
    """Find the utterances of a text, in their order, in a recording of any length.

    Use it to cut an audio book or a lecture into utterances with the help of its text. Before,
    between and after the utterances anything may be said, and utterances may be missing in the
    recording: these are skipped. An utterance said differently is found, with a low confidence.

    Time grows with T' times the smaller of N and ``window``, about 10 s for an hour of speech.
    Memory is about 130 MB for an hour with the default window, beside the log-probabilities.

    Args:
        log_probs: (T', C), natural, of the whole recording.
        utterances: tokens of each, without blanks; one without tokens counts as skipped.
        blank: index of the blank.
        frame_s: seconds from one frame to the next, above 0; 1 gives times in frames.
        gap_cost: price of a frame between utterances that is not blank, in nats beyond its best
            class, 0 to 100. Lower: more speech is left out.
        skip_cost: price of each token of an utterance that is skipped, in nats, 0 to 100. Lower:
            more text is left out.
        window: tokens of the text that are looked at in one frame, at least 512. An unspoken
            stretch of the text longer than a quarter of them can hide the rest. If all tokens fit,
            the best path is found exactly.

    Returns:
        For each utterance its alignment, or None where it is skipped. An alignment's path begins
        with the first frame of its first token and ends with the last of its last.

    Raises:
        SeqlabError: a value out of range, a token that is no class or the blank, or
            log-probabilities that are not finite or above 0.

    Source: Kuerzinger et al. 2020, "CTC-Segmentation of Large Corpora for German End-to-End Speech
    Recognition". Other than there, gaps cost something, utterances can be skipped, scores are
    relative to the best class of each frame, and a confidence is a mean per token.

    Example:
        >>> import torch
        >>> said = [3, 3, 1, 2, 0, 3, 3, 2, 1, 3]  # 3 stands for speech that is not in the text
        >>> log_probs = torch.nn.functional.one_hot(torch.tensor(said), 4).mul(0.96).add(0.01).log()
        >>> found = segment(log_probs, [[1, 2], [1, 1, 1, 1], [2, 1]])
        >>> [(one.starts, one.ends) if one else None for one in found]
        [((2, 3), (3, 4)), None, ((7, 8), (8, 9))]
    """
    check_log_probs(log_probs, 2, blank, frame_s)
    remedy = "about 1 and 3 suit most models"
    check_range("gap_cost", gap_cost, 0, 100, remedy)
    check_range("skip_cost", skip_cost, 0, 100, remedy)
    check_at_least("window", window, 512)
    scores = np.ascontiguousarray(log_probs.detach().float().cpu().numpy())
    check_scores(scores, "the recording")
    for index, tokens in enumerate(utterances):
        check_tokens(tokens, scores.shape[1], blank, f"utterance {index} of the text")
    sizes = np.array([len(tokens) for tokens in utterances], np.int64)
    labels = np.array([token for tokens in utterances for token in tokens], np.int64)
    if not len(labels) or not len(scores):
        return [None] * len(utterances)
    kept = sizes[sizes > 0]
    gaps = np.concatenate([[0], np.cumsum(kept)])
    found = best_path(
        scores, Graph(labels, gaps, skip_cost * kept.astype(np.float64), gap_cost), blank, window
    )
    if found is None:
        raise SeqlabError(
            f"the recording's {len(scores)} frames end before its text of {len(labels)} tokens "
            f"does, with window={window}; cut the text to what was said, or raise window"
        )
    return _by_utterance(scores, labels, *found, sizes, frame_s, blank)


def _by_utterance(
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    sizes: NDArray[np.int64],
    frame_s: float,
    blank: int,
) -> list[Alignment | None]:
    alignments: list[Alignment | None] = []
    begin = 0
    for size in sizes.tolist():
        own = slice(begin, begin + size)
        begin += size
        if not size or starts[own.start] < 0:
            alignments.append(None)
            continue
        first, last = int(starts[own][0]), int(ends[own][-1])
        alignments.append(
            make_alignment(scores, labels[own], starts[own], ends[own], first, last, frame_s, blank)
        )
    return alignments
