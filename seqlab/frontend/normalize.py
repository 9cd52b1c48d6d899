"""Normalisation of features: mean and variance (CMVN) of an utterance or the training set.

``sliding_cmvn.py`` and ``pcen.py`` hold those that follow a recording as it goes on.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from seqlab.checks import check_at_least, check_range
from seqlab.errors import ModelError, SeqlabError
from seqlab.lengths import check_lengths, valid_mask, zero_padding
from seqlab.values import Described


class Normalizer(Described, nn.Module, abc.ABC):
    """Features to features of the same shape; padding neither counts nor changes from zero.

    Those with ``can_stream`` also take a recording piece by piece: all steps and the flush put
    together equal ``forward``.
    """

    needs_fit: ClassVar[bool] = False  # True: ``fit`` must see the training set first
    can_stream: ClassVar[bool] = False  # True: offers the three methods below ``fit``

    @abc.abstractmethod
    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """Learn from (features (B, T, F), lengths (B,)) pairs; most have nothing to learn."""
        return self

    def initial_state(self, batch_size: int = 1) -> Any:
        """State of ``batch_size`` streams before their first frame."""
        raise self._needs_the_whole()

    def step(self, features: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Frames (B, T', F) that the next features (B, T, F) complete, and the new state."""
        raise self._needs_the_whole()

    def flush(self, state: Any) -> Tensor:
        """The frames (B, T, F) that only the end of the stream completes."""
        raise self._needs_the_whole()

    def _needs_the_whole(self) -> SeqlabError:
        return SeqlabError(
            f"{type(self).__name__} needs the whole utterance and cannot stream; use SlidingCMVN "
            "or GlobalCMVN, or collect the frames and call forward"
        )


def check_streams(features: Tensor, streams: int) -> None:
    """Raise SeqlabError unless features are (B, T, F) with B the streams of a state."""
    if features.dim() != 3 or len(features) != streams:
        raise SeqlabError(
            f"features of shape {tuple(features.shape)} must be (B, T, F) with B={streams} as in "
            "the state; call initial_state(batch_size) with the number of streams"
        )


def finite_frames(features: Tensor) -> Tensor:
    """Mask (B, T), bool, True where no feature of a frame (B, T, F) is NaN or infinite."""
    return features.isfinite().all(-1)


def check_features(features: Tensor, lengths: Tensor) -> None:
    """Raise SeqlabError unless features are (B, T, F) and lengths (B,) fit them."""
    if features.dim() != 3 or len(features) != len(lengths):
        raise SeqlabError(
            f"features of shape {tuple(features.shape)} with {len(lengths)} lengths, must be "
            "(B, T, F) with B lengths; add a batch dimension with features.unsqueeze(0)"
        )
    check_lengths(lengths, features.shape[1], "features")


def utterance_statistics(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features (B, T, F), padding zero, and their means and variances (B, 1, F), in one dtype.

    That is float64, whose sums do not depend on how far the batch is padded (float32 on mps, which
    has no other). Frames that are not finite do not count.
    """
    check_features(features, lengths)
    precise = features.dtype if features.device.type == "mps" else torch.float64
    exact = zero_padding(features.to(precise), lengths)
    counted = (finite_frames(exact) & valid_mask(lengths, exact.shape[1])).unsqueeze(-1)
    frames = counted.sum(1, keepdim=True).clamp(min=1)
    average = exact.masked_fill(~counted, 0).sum(1, keepdim=True) / frames
    squares = (exact - average).masked_fill(~counted, 0).square()
    return exact, average, squares.sum(1, keepdim=True) / frames


class UtteranceCMVN(Normalizer):
    """Zero mean and unit variance of each feature over each utterance.

    Use it where microphones and rooms differ; it needs the whole utterance, so it cannot stream.
    A frame that is not finite stays so and does not count for the others.

    Args:
        mean: subtract the mean.
        variance: divide by the standard deviation (of the population, not the sample).
        floor: least standard deviation, so that constant features do not blow up.

    Source: Viikki and Laurila 1998, "Cepstral domain segmental feature vector normalization".

    Example:
        >>> features = torch.tensor([[[1.0], [3.0], [0.0]]])
        >>> UtteranceCMVN()(features, torch.tensor([2])).flatten().tolist()
        [-1.0, 1.0, 0.0]
    """

    def __init__(self, mean: bool = True, variance: bool = True, floor: float = 1e-5) -> None:
        super().__init__()
        check_range("floor", floor, 1e-12, 1e6, "1e-5 is small for log-mel features")
        self.mean, self.variance, self.floor = mean, variance, floor

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""
        exact, average, variance = utterance_statistics(features, lengths)
        result = zero_padding(exact - average, lengths) if self.mean else exact
        if self.variance:
            result = result / variance.clamp_min(self.floor**2).sqrt()
        return result.to(features.dtype)


class PeakReference(Normalizer):
    """Features relative to their maximum in each utterance, which becomes 0.

    Use it after decibels or logarithms to have what librosa's power_to_db(ref=np.max) gives. What
    is not finite stays where it is and does not count.

    Example:
        >>> features = torch.tensor([[[-3.0, 5.0]]])
        >>> PeakReference()(features, torch.tensor([1])).flatten().tolist()
        [-8.0, 0.0]
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Lower features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""
        check_features(features, lengths)
        if features.numel() == 0:
            return features
        unused = ~valid_mask(lengths, features.shape[1]).unsqueeze(-1) | ~features.isfinite()
        peak = features.masked_fill(unused, -torch.inf).amax((1, 2), keepdim=True)
        return zero_padding(features - peak.clamp_min(-1e38), lengths)


class GlobalCMVN(Normalizer):
    """Zero mean and unit variance of each feature over the training set.

    Use it for streaming, and where loudness carries meaning. ``fit`` before use; the statistics
    are saved with the model.

    Args:
        input_dim: features a frame.
        variance: divide by the standard deviation.

    Example:
        >>> normalizer = GlobalCMVN(1).fit([(torch.tensor([[[1.0], [3.0]]]), torch.tensor([2]))])
        >>> normalizer(torch.tensor([[[5.0]]]), torch.tensor([1])).item()
        3.0
    """

    needs_fit = True
    can_stream = True
    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, input_dim: int, variance: bool = True) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1, "take the front end's output_dim")
        self.input_dim, self.variance = input_dim, variance
        self.register_buffer("mean", torch.zeros(input_dim))
        self.register_buffer("std", torch.ones(input_dim))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """Learn mean and standard deviation.

        Args:
            batches: (features (B, T, F), lengths (B,)) pairs of the training set.

        Returns:
            This normalizer.

        Raises:
            SeqlabError: there are no frames, or their values are not finite.

        Source: Chan, Golub and LeVeque 1983, equations 2.1: merging means and sums of squares.
        """
        count, mean, squares = 0, torch.zeros(self.input_dim), torch.zeros(self.input_dim)
        mean, squares = mean.double(), squares.double()
        for features, lengths in batches:
            check_features(features, lengths)
            self._check_width(features)
            rows = features[valid_mask(lengths, features.shape[1])].double().cpu()
            if len(rows) == 0:
                continue
            batch_mean = rows.mean(0)
            step = batch_mean - mean
            total = count + len(rows)
            squares += (rows - batch_mean).square().sum(0) + step.square() * count * len(
                rows
            ) / total
            mean, count = mean + step * len(rows) / total, total
        self._set(count, mean, squares)
        return self

    def _set(self, count: int, mean: Tensor, squares: Tensor) -> None:
        if count == 0:
            raise SeqlabError("0 frames to fit GlobalCMVN on; pass at least one utterance")
        if not (mean.isfinite().all() and squares.isfinite().all()):
            raise SeqlabError(
                "features to fit GlobalCMVN on must be finite, but hold NaN or infinity; look "
                "for damaged recordings in the training set"
            )
        std = (squares / count).sqrt()
        # A feature that never changes (an empty mel band) is centred and left alone.
        std = torch.where(std < 1e-8, 1.0, std)
        self.mean.copy_(mean)
        self.std.copy_(std if self.variance else torch.ones_like(std))
        self.fitted.fill_(True)

    def _check_width(self, features: Tensor) -> None:
        if features.shape[2] != self.input_dim:
            raise SeqlabError(
                f"features have {features.shape[2]} columns, must have input_dim="
                f"{self.input_dim}; build GlobalCMVN with the front end's output_dim"
            )

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays.

        Raises:
            ModelError: ``fit`` was not called and no statistics were loaded.
        """
        check_features(features, lengths)
        self._check_width(features)
        if not self.fitted:
            raise ModelError(
                "GlobalCMVN has no statistics, must be fitted first; call fit on training "
                "features, or load a trained model"
            )
        return zero_padding((features - self.mean) / self.std, lengths)

    def initial_state(self, batch_size: int = 1) -> int:
        """State of ``batch_size`` streams: their number, for each frame stands on its own."""
        check_at_least("batch_size", batch_size, 1, "give the number of streams run abreast")
        return batch_size

    def step(self, features: Tensor, state: int) -> tuple[Tensor, int]:
        """Normalise the next features (B, T, F) of each stream; all of them come out at once."""
        check_streams(features, state)
        lengths = torch.full((state,), features.shape[1], device=features.device)
        return self(features, lengths), state

    def flush(self, state: int) -> Tensor:
        """Nothing (B, 0, F): every frame came out with its own step."""
        return self.mean.new_zeros(state, 0, self.input_dim)
