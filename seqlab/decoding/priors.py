"""How often a model says each token: divided out, the language model alone says what is likely."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqlab.checks import check_range
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths, valid_mask


@dataclass(frozen=True)
class Priors:
    """Token priors, and the power to which posteriors are divided by them.

    A recogniser learns from its transcripts what is common as well as what it hears. A language
    model that is fused with it would count the first twice.

    Args:
        log_priors: Natural logarithms, one a token, finite.
        weight: Power of the division, within [0, 10]; 0 leaves the posteriors as they are.

    Raises:
        SeqlabError: A value is out of range.

    Source: Bourlard and Morgan 1994, "Connectionist Speech Recognition", section 7.4; for CTC
    Miao et al. 2015, "EESEN", section 3.3, with a weight of 1.

    Example:
        >>> priors = Priors((math.log(0.9), math.log(0.1)), 1.0)
        >>> priors.divide(torch.tensor([0.9, 0.1]).log()).exp().tolist()
        [0.5, 0.5]
    """

    log_priors: tuple[float, ...]
    weight: float = 0.0

    def __post_init__(self) -> None:
        check_range("prior_weight", self.weight, 0, 10, "0.2 to 0.5 are usual")
        if not all(math.isfinite(value) for value in self.log_priors):
            raise SeqlabError("log_priors must be finite numbers; run seqlab tune again")

    @classmethod
    def of(cls, log_probs: Tensor, lengths: Tensor, weight: float = 0.0) -> Priors:
        """The mean posteriors of all valid frames of log_probs (B, T', C), lengths (B,).

        Raises:
            SeqlabError: There are no frames, or the lengths do not fit.
        """
        check_lengths(lengths, log_probs.shape[1], "log_probs")
        frames = log_probs[valid_mask(lengths, log_probs.shape[1])].double()
        if not len(frames):
            raise SeqlabError("priors of 0 frames are not known; pass log_probs that have some")
        mean = torch.logsumexp(frames, 0) - math.log(len(frames))
        least = math.log(torch.finfo(torch.float32).tiny)
        return cls(tuple(mean.clamp(min=least).tolist()), weight)

    def divide(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities (..., C) over the priors, summing to one again.

        Raises:
            SeqlabError: There are more or fewer tokens than priors.
        """
        if self.weight == 0:
            return log_probs
        if log_probs.shape[-1] != len(self.log_priors):
            raise SeqlabError(
                f"{len(self.log_priors)} priors for {log_probs.shape[-1]} tokens; they are those "
                "of another model: run seqlab tune for this one"
            )
        shift = self.weight * torch.tensor(self.log_priors, device=log_probs.device)
        return torch.log_softmax(log_probs - shift.to(log_probs.dtype), dim=-1)


def reweighted(priors: Priors | None, weight: float) -> Priors | None:
    """The priors with another weight; SeqlabError for a weight of none."""
    if priors is None and weight:
        raise SeqlabError(f"prior_weight={weight} needs priors; seqlab tune finds them")
    return None if priors is None else replace(priors, weight=weight)
