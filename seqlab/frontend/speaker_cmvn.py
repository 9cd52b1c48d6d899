"""Mean and variance normalisation by an utterance and by what else its speaker said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.normalize import GlobalCMVN, Normalizer, utterance_statistics
from seqlab.lengths import zero_padding


class SpeakerCMVN(Normalizer):
    """Mean and standard deviation between those of the utterance and those of its speaker.

    Use it where one voice, microphone and room say many short utterances, whose own statistics
    are more about the words than about the voice. ``fit`` on the speaker's recordings before use;
    the statistics are saved with the model. ``seqlab.training.adaptation`` puts it in the place of
    ``UtteranceCMVN``.

    Args:
        input_dim: features a frame, at least 1.
        weight: of the speaker's statistics, in [0, 1]; 0 is ``UtteranceCMVN``, 1 hears nothing of
            the utterance.
        mean: subtract the mean.
        variance: divide by the standard deviation.
        floor: least standard deviation.

    Example:
        >>> import torch
        >>> said = torch.tensor([[[2.0], [4.0]]]), torch.tensor([2])
        >>> speaker = SpeakerCMVN(1, weight=0.5, variance=False).fit([said])
        >>> speaker(torch.tensor([[[6.0], [8.0]]]), torch.tensor([2])).flatten().tolist()
        [1.0, 3.0]
    """

    needs_fit = True

    def __init__(
        self,
        input_dim: int,
        weight: float = 0.5,
        mean: bool = True,
        variance: bool = True,
        floor: float = 1e-5,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1, "take the front end's output_dim")
        check_range("weight", weight, 0.0, 1.0, "0.5 gives both their half")
        check_range("floor", floor, 1e-12, 1e6, "1e-5 is small for log-mel features")
        self.input_dim, self.weight = input_dim, weight
        self.mean, self.variance, self.floor = mean, variance, floor
        self.speaker = GlobalCMVN(input_dim)

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """Learn the speaker's mean and standard deviation from (features, lengths) pairs.

        Raises:
            SeqlabError: there are no frames, or their values are not finite.
        """
        self.speaker.fit(batches)
        return self

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays.

        Raises:
            SeqlabError: before ``fit``, or the features are of another width.
        """
        if not self.speaker.fitted:
            raise SeqlabError(
                "SpeakerCMVN has no statistics of a speaker, must be fitted first; call fit with "
                "the features of what they said"
            )
        if features.dim() == 3 and features.shape[-1] != self.input_dim:
            raise SeqlabError(
                f"features of shape {tuple(features.shape)} must be (B, T, {self.input_dim}) as in "
                "fit; use the same front end"
            )
        exact, average, variance = utterance_statistics(features, lengths)
        result, rest = exact, 1 - self.weight
        if self.mean:
            mean = self.weight * self.speaker.mean.to(exact) + rest * average
            result = zero_padding(exact - mean, lengths)
        if self.variance:
            # The root of a constant feature would have no gradient.
            deviation = variance.clamp_min(self.floor**2).sqrt()
            blended = self.weight * self.speaker.std.to(exact) + rest * deviation
            result = result / blended.clamp_min(self.floor)
        return result.to(features.dtype)
