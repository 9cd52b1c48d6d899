"""What the beam searches that grow a text token by token have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.contracts import Head, Hypothesis
from seqlab.decoding.shallow_fusion import ShallowFusion
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths


class TokenBeamDecoder(ABC):
    """A beam search over the encoded frames of a batch; subclasses bring the search itself.

    Args:
        head: The part of the model's head that says how likely the next token is.
        decode_tokens: Maps token indices, without blanks, to text.
        beam_size: Texts that are kept, at least 1.
        language_model: Over tokens or words, with its weight.
        length_bonus: For each token, in nats.
        n_best: Hypotheses for each utterance, from 1 to ``beam_size``.
        max_length_ratio: Most tokens for each encoded frame, above 0.
        stop_margin: How far in nats an unfinished hypothesis may be behind, at least 0.

    Raises:
        SeqlabError: If an argument is out of range.
    """

    reads: ClassVar[str] = "encoded"

    def __init__(
        self,
        head: Head,
        decode_tokens: Callable[[Sequence[int]], str],
        beam_size: int,
        language_model: ShallowFusion | None,
        length_bonus: float,
        n_best: int,
        max_length_ratio: float,
        stop_margin: float,
    ) -> None:
        check_at_least("beam_size", beam_size, 1)
        check_at_least("n_best", n_best, 1)
        check_range("max_length_ratio", max_length_ratio, 1e-9, 1e9, "1 is usual")
        if n_best > beam_size:
            raise SeqlabError(f"n_best={n_best} must be at most beam_size={beam_size}")
        if not math.isfinite(length_bonus):
            raise SeqlabError(f"length_bonus={length_bonus} must be a finite number")
        if not stop_margin >= 0:
            raise SeqlabError(f"stop_margin={stop_margin} must be at least 0; 10 is usual")
        self.head = head
        self.decode_tokens = decode_tokens
        self.beam_size = beam_size
        self.language_model = language_model
        self.length_bonus = length_bonus
        self.n_best = n_best
        self.max_length_ratio = max_length_ratio
        self.stop_margin = stop_margin

    @torch.no_grad()
    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        """The n-best list of each utterance, best first.

        Args:
            log_probs: Encoded frames (B, T', D); named as in every decoder.
            lengths: (B,).

        Raises:
            SeqlabError: If shapes do not fit.
        """
        encoded = self.head(log_probs, lengths)
        check_lengths(lengths, encoded.shape[1], "encoded")
        if len(encoded) == 0:
            return []
        longest = (lengths * self.max_length_ratio).ceil().long()
        found = self._search(encoded, lengths, longest)
        return [[self._hypothesis(ended) for ended in answers] for answers in found]

    @abstractmethod
    def _search(self, encoded: Tensor, lengths: Tensor, longest: Tensor) -> Iterable[Iterable[Any]]:
        """The ended searches of each utterance, best first."""

    @abstractmethod
    def _hypothesis(self, ended: Any) -> Hypothesis:
        """What an ended search says."""
