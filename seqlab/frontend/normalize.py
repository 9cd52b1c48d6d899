"""Normalisation of features: cepstral mean and variance (CMVN), and PCEN."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from seqlab.checks import check_at_least, check_range
from seqlab.errors import ModelError, SeqlabError
from seqlab.lengths import check_lengths, valid_mask, zero_padding
from seqlab.values import Described


class Normalizer(Described, nn.Module, abc.ABC):
    """Features to features of the same shape; padding neither counts nor changes from zero."""

    needs_fit: ClassVar[bool] = False  # True: ``fit`` must see the training set first

    @abc.abstractmethod
    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """Learn from (features (B, T, F), lengths (B,)) pairs; most have nothing to learn."""
        return self


def _check_features(features: Tensor, lengths: Tensor) -> None:
    if features.dim() != 3 or len(features) != len(lengths):
        raise SeqlabError(
            f"features of shape {tuple(features.shape)} with {len(lengths)} lengths, must be "
            "(B, T, F) with B lengths; add a batch dimension with features.unsqueeze(0)"
        )
    check_lengths(lengths, features.shape[1], "features")


class UtteranceCMVN(Normalizer):
    """Zero mean and unit variance of each feature over each utterance.

    Use it where microphones and rooms differ; it needs the whole utterance, so it cannot stream.

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
        _check_features(features, lengths)
        frames = lengths.clamp(min=1).reshape(-1, 1, 1)
        # Sums in double precision do not depend on how far the batch is padded.
        precise = features.dtype if features.device.type == "mps" else torch.float64
        exact = zero_padding(features.to(precise), lengths)
        average = exact.sum(1, keepdim=True) / frames
        centred = zero_padding(exact - average, lengths)
        result = centred if self.mean else exact
        if self.variance:
            variance = centred.square().sum(1, keepdim=True) / frames
            result = result / variance.clamp_min(self.floor**2).sqrt()
        return result.to(features.dtype)


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
            _check_features(features, lengths)
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
        _check_features(features, lengths)
        self._check_width(features)
        if not self.fitted:
            raise ModelError(
                "GlobalCMVN has no statistics, must be fitted first; call fit on training "
                "features, or load a trained model"
            )
        return zero_padding((features - self.mean) / self.std, lengths)


class PCEN(Normalizer):
    """Per-channel energy normalisation: automatic gain control, then a root.

    Use it for far-field speech and keyword spotting, on mel energies that are not compressed:
    ``LogMel(compression="none")``.

    Args:
        smoothing: weight of the newest frame in the running mean, within (0, 1].
        gain: strength of the gain control, within [0, 1].
        bias: added before the root, at least 0.
        power: the root, within (0, 1].
        epsilon: keeps silence from being divided by zero.

    Source: Wang et al. 2017, "Trainable frontend for robust and far-field keyword spotting",
    equations 1 and 2; the running mean starts at the first frame.

    Example:
        >>> PCEN(gain=1.0, bias=0.0, power=1.0)(torch.full((1, 2, 1), 7.0), torch.tensor([2]))
        tensor([[[1.0000],
                 [1.0000]]])
    """

    def __init__(
        self,
        smoothing: float = 0.025,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__()
        check_range("smoothing", smoothing, 1e-6, 1, "0.025 suits frames every 10 ms")
        check_range("gain", gain, 0, 1, "0.98 is common")
        check_range("bias", bias, 0, 1e6, "2 is common")
        check_range("power", power, 1e-3, 1, "0.5 is common")
        check_range("epsilon", epsilon, 1e-20, 1e6, "1e-6 is common")
        self.smoothing, self.gain, self.bias = smoothing, gain, bias
        self.power, self.epsilon = power, epsilon

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise energies (B, T, F) of ``lengths`` (B,) frames; the shape stays.

        Raises:
            SeqlabError: an energy is negative, as log-mel features are.
        """
        _check_features(features, lengths)
        features = zero_padding(features, lengths)
        if features.shape[1] == 0:
            return features
        lowest = float(features.detach().nan_to_num().min()) if features.numel() else 0.0
        if lowest < 0:
            raise SeqlabError(
                f"features reach {lowest:g}, must be energies of at least 0; build the front end "
                'with compression="none"'
            )
        running = features[:, 0]
        means = [running]
        for frame in features.unbind(1)[1:]:
            running = running + self.smoothing * (frame - running)
            means.append(running)
        level = (torch.stack(means, 1) + self.epsilon).pow(-self.gain)
        return zero_padding(self._root(features * level), lengths)

    def _root(self, values: Tensor) -> Tensor:
        # Without a bias, a root has no finite slope at zero.
        base = values + self.bias if self.bias else values.clamp_min(self.epsilon)
        lowest = self.bias if self.bias else 0.0
        root: Tensor = torch.pow(base, self.power)
        return root - float(lowest**self.power)
