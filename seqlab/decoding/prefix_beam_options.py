"""Options of the prefix beam search, checked and made into what the search takes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.decoding.kernels.frames import find_peaks
from seqlab.decoding.kernels.layout import NO_LM, TOKEN_LM, WORD_LM, Limits
from seqlab.decoding.prefix_beam_fusion import Guidance, Weights
from seqlab.decoding.prefix_beam_lexicon import Lexicon, WordList
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.decoding.priors import Priors
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.model import NGramModel

Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Log-probabilities (..., T', C), and the largest of each frame (..., T')."""
_INFINITE = 1e30  # nats; compiled loops get a number
_MANY_CLASSES = 128  # from here on torch is quicker at finding the largest


def frames_of(log_probs: Tensor, classes: int, priors: Priors | None = None) -> NDArray[np.float32]:
    """Log-probabilities (..., C) as the search takes them; SeqlabError for other shapes."""
    if log_probs.shape[-1] != classes or not log_probs.is_floating_point():
        raise SeqlabError(
            f"log_probs of shape {tuple(log_probs.shape)}, {log_probs.dtype}, must be floating "
            f"and end with the {classes} tokens; is it another model's?"
        )
    if priors is not None:
        log_probs = priors.divide(log_probs)
    rows: NDArray[np.float32] = log_probs.detach().to("cpu", torch.float32).contiguous().numpy()
    return rows


def jobs_of(rows: NDArray[np.float32], lengths: Tensor, what: str) -> list[Rows]:
    """The valid frames of each utterance of ``rows`` (B, T', C), with the peaks of the frames.

    Raises:
        SeqlabError: one has a frame without a peak; ``what`` with the number names the utterance.
    """
    if rows.shape[2] < _MANY_CLASSES:
        peaks = np.zeros(rows.shape[:2], np.float32)
        find_peaks(rows, lengths.numpy(), peaks)
    else:
        peaks = torch.from_numpy(rows).amax(-1).numpy()
    jobs = [(row[:n], peak[:n]) for row, peak, n in zip(rows, peaks, lengths.tolist(), strict=True)]
    if not np.isfinite(peaks).all():  # it may be in the padding
        for index, (_, peak) in enumerate(jobs):
            _check_finite(peak, what.format(index=index))
    return jobs


def _check_finite(peaks: NDArray[np.float32], what: str) -> None:
    finite = np.isfinite(peaks)
    if not finite.all():
        raise SeqlabError(
            f"frame {int(np.argmin(finite))}{what} holds NaN, +inf, or no finite number and cannot "
            "be decoded; look for NaN in its audio or in the model's weights"
        )


def make_limits(
    units: TokenUnits,
    beam: int,
    beam_threshold: float,
    max_tokens: int | None,
    token_threshold: float,
    max_delay: int | None,
) -> Limits:
    """The width of a search; SeqlabError for an option out of range."""
    for name, value in (("beam_threshold", beam_threshold), ("token_threshold", token_threshold)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise SeqlabError(f"{name}={value!r} must be nats of 0 or more; inf gives up nothing")
    for name, count in (("max_tokens", max_tokens), ("max_delay", max_delay)):
        if count is not None:
            check_at_least(name, count, 1, f"{name}=None sets no limit")
    return Limits(
        units.blank, beam, min(float(beam_threshold), _INFINITE),
        min(float(token_threshold), _INFINITE), max_tokens or len(units), max_delay or 0,
    )  # fmt: skip


def make_weights(
    lm_weight: float, word_bonus: float, unknown_penalty: float, lookahead: bool
) -> Weights:
    """What counts how much; SeqlabError for an option out of range."""
    check_range("lm_weight", lm_weight, 0, 100, "0.3 to 2 is usual")
    check_range("word_bonus", word_bonus, -500, 500, "-3 to 3 is usual")
    check_range("unknown_penalty", unknown_penalty, 0, 500, "0 to 10 is usual")
    return Weights(float(lm_weight), float(word_bonus), float(unknown_penalty), bool(lookahead))


def make_guidance(
    units: TokenUnits,
    model: NGramModel | None,
    lm_unit: str,
    weights: Weights,
    lexicon: Lexicon | None,
) -> Guidance:
    """Words and language model; SeqlabError if they do not fit the tokens."""
    lm = NO_LM if model is None else WORD_LM if lm_unit == "word" else TOKEN_LM
    words = WordList.none()
    if lexicon is not None:
        words = WordList.of_lexicon(lexicon, units)
    elif not units.has_words and (lm == WORD_LM or (lm == NO_LM and weights.word_bonus)):
        raise SeqlabError(
            "these tokens do not say where words begin, so that a language model of words or a "
            "word_bonus needs a lexicon: a mapping from words to their spellings in tokens"
        )
    elif lm == WORD_LM and model is not None:
        words = WordList.of_model(model, units)
    return Guidance(units, words, model, lm, weights)
