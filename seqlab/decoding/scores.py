"""Checks of log-probabilities and of tokens, which need no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import SeqlabError

__all__ = ["check_scores", "check_tokens"]

_ABOVE_ONE = 1e-3  # rounding of log-softmax in half precision


def check_scores(scores: NDArray[np.float32], name: str) -> None:
    """Raise SeqlabError unless ``scores`` (T, C) are log-probabilities, -inf allowed."""
    most = scores.max(axis=1, initial=-np.inf)
    if not np.isfinite(most).all():  # NaN spreads to the maximum
        raise SeqlabError(
            f"log_probs of {name} hold NaN, or a frame without any probability, and cannot be "
            "aligned; look for NaN in its audio or in the model's weights"
        )
    if most.max(initial=0.0) > _ABOVE_ONE:
        raise SeqlabError(
            f"log_probs of {name} reach {most.max():.3g}, must be at most 0; "
            "apply log_softmax to logits"
        )


def check_tokens(tokens: Sequence[int], num_classes: int, blank: int, name: str) -> None:
    """Raise SeqlabError unless all ``tokens`` are classes other than the blank."""
    for token in tokens:
        if not 0 <= token < num_classes or token == blank:
            raise SeqlabError(
                f"target {token} of {name} must be a class from 0 to {num_classes - 1}, and not "
                f"the blank {blank}; was the text encoded with the model's own tokenizer?"
            )
