"""Deltas and normalisers as they are traced: explicit state, and no course that depends on values.

Between the front end's static features and the encoder stand up to two stages. In a stream each is
given a block of frames and gives as many, later by the frames that it waits for (``ahead``). The
first block is longer, so that its answer begins with the first frame. Frames beyond the end of the
sound count as little as those before its start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.errors import ModelError
from seqlab.export.running_gain import RunningGain
from seqlab.export.sliding import SlidingMean, WholeSlidingMean
from seqlab.export.stage import Stage
from seqlab.export.whole import UtteranceMean, UtterancePeak
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.normalize import GlobalCMVN, Normalizer, PeakReference, UtteranceCMVN
from seqlab.frontend.pcen import PCEN
from seqlab.frontend.sliding_cmvn import SlidingCMVN
from seqlab.model import SpeechModel

__all__ = ["Deltas", "Scale", "Stages", "traceable"]


class Scale(Stage):
    """What a fitted ``GlobalCMVN`` does, without asking whether it is fitted."""

    mean: Tensor
    std: Tensor

    def __init__(self, normalizer: GlobalCMVN) -> None:
        super().__init__()
        self.ahead, self.least = 0, 1
        self.register_buffer("mean", normalizer.mean.clone())
        self.register_buffer("std", normalizer.std.clone())

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features (B, T, F); what lies beyond the lengths is cleared by every encoder."""
        return (features - self.mean) / self.std

    def initial(self) -> list[Tensor]:
        """No state."""
        return []

    def follow(
        self, features: Tensor, tensors: list[Tensor], fed: Tensor, total: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """As ``Stage.follow``; each frame for itself."""
        return self(features), tensors


class Deltas(Stage):
    """``cepstrum.add_deltas`` in a stream.

    Args:
        frontend: Whose options say which.
    """

    def __init__(self, frontend: FramedFrontend) -> None:
        super().__init__()
        options = frontend.options
        self.order, self.window = options.delta_order, options.delta_window
        self.nested = options.delta_method == "htk"
        self.ahead, self.least = self.order * self.window, 1
        self.width = frontend.static_dim

    def initial(self) -> list[Tensor]:
        """The frames before the first."""
        return [torch.zeros(1, 2 * self.ahead, self.width)]

    def follow(
        self, features: Tensor, tensors: list[Tensor], fed: Tensor, total: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """As ``Stage.follow``."""
        known = torch.cat([tensors[0], features], 1)
        first = fed - 2 * self.ahead
        slope = _slope(self.window)
        orders, weights = [known], [1.0]
        for _ in range(self.order):
            weights = slope if self.nested else _convolved(weights, slope)
            source = orders[-1] if self.nested else known
            orders.append(_regressed(source, first, total, weights))
        count = features.shape[1]
        every = torch.cat(orders, -1)[:, self.ahead : self.ahead + count]
        return every, [known[:, count:]]


def _slope(window: int) -> list[float]:
    squares = sum(k * k for k in range(-window, window + 1))
    return [k / squares for k in range(-window, window + 1)]


def _convolved(first: list[float], second: list[float]) -> list[float]:
    result = [0.0] * (len(first) + len(second) - 1)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            result[i + j] += one * other
    return result


def _regressed(known: Tensor, first: Tensor, total: Tensor, weights: list[float]) -> Tensor:
    """Weighted sum over the neighbours of frames (1, n, F), of which one is number ``first``.

    The first and the last frame of the sound stand beyond it. What needs frames that are not
    known comes out wrong, and is not used.
    """
    reach, count = len(weights) // 2, known.shape[1]
    place = torch.arange(-reach, count + reach)
    index = torch.minimum((place + first).clamp(min=0), total - 1) - first
    extended = known.index_select(1, index.clamp(min=0, max=count - 1))
    parts = [
        weight * extended[:, begin : begin + count]
        for begin, weight in enumerate(weights)
        if weight
    ]
    return torch.stack(parts).sum(0)


class Stages(nn.Module):
    """What stands between the static features of a model and its encoder, in a stream.

    Args:
        model: Whose front end and normaliser can stream.

    Raises:
        ModelError: The normaliser was not fitted, or is not known here.
    """

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        found: list[Stage] = []
        frontend = model.frontend
        if isinstance(frontend, FramedFrontend) and frontend.options.delta_order:
            found.append(Deltas(frontend))
        if model.normalizer is not None:
            found.append(_streamed(model.normalizer, frontend.output_dim))
        self.stages = found
        self.parts = nn.ModuleList(found)  # whose buffers are traced
        self.ahead = sum(stage.ahead for stage in found)
        self.least = max([1, *(stage.least for stage in found)])

    @property
    def waits(self) -> bool:
        """Whether frames wait for others to come, so that a stream has a longer first block."""
        return self.ahead > 0 or self.least > 1

    @property
    def counts(self) -> bool:
        """Whether a stage must know how many frames came before."""
        return self.waits or any(isinstance(stage, SlidingMean) for stage in self.stages)

    def initial(self) -> list[list[Tensor]]:
        """The state before the first frame; that of the frames fed, and of the sound, last."""
        counters = [torch.zeros(1, dtype=torch.int64) for _ in range(2 * self.counts)]
        return [*(stage.initial() for stage in self.stages), counters]

    def forward(
        self, features: Tensor, state: list[list[Tensor]], real: Tensor | None, begins: bool
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """The next features for the encoder, and the new state.

        Args:
            features: Static ones (1, T, F).
            state: From ``initial`` or the step before.
            real: (1,) of these features that are of the sound; None: all.
            begins: Whether they are the first; then ``ahead`` fewer come out.
        """
        *states, counters = state
        if real is None:
            real = torch.full((1,), features.shape[1])
        fed, seen = counters or [torch.zeros(1, dtype=torch.int64)] * 2
        total, after = seen + real, []
        if counters:
            counters = [fed + features.shape[1], total]
        for stage, tensors in zip(self.stages, states, strict=True):
            features, tensors = stage.follow(features, tensors, fed, total)
            after.append(tensors)
            if begins:
                features = features[:, stage.ahead :]
            else:
                fed = fed - stage.ahead
        return features, [*after, counters]


def _streamed(normalizer: Normalizer, width: int) -> Stage:
    """The normaliser for a stream.

    Raises:
        ModelError: It was not fitted, or is not known here.
    """
    if isinstance(normalizer, PCEN):
        return RunningGain(normalizer, width)
    if isinstance(normalizer, SlidingCMVN):
        return SlidingMean(normalizer, width)
    if isinstance(normalizer, GlobalCMVN):
        return _scale(normalizer)
    raise ModelError(
        f"{type(normalizer).__name__} cannot be exported for streams; train with GlobalCMVN, "
        "SlidingCMVN, PCEN or no normalizer, or export with --offline"
    )


def traceable(normalizer: Normalizer | None) -> nn.Module | None:
    """The normaliser of whole recordings as a module whose course depends on no value.

    Raises:
        ModelError: It was not fitted.
    """
    if isinstance(normalizer, PCEN):
        return RunningGain(normalizer, 0)
    if isinstance(normalizer, SlidingCMVN):
        return WholeSlidingMean(normalizer)
    if isinstance(normalizer, UtteranceCMVN):
        return UtteranceMean(normalizer)
    if isinstance(normalizer, PeakReference):
        return UtterancePeak(normalizer)
    return _scale(normalizer) if isinstance(normalizer, GlobalCMVN) else normalizer


def _scale(normalizer: GlobalCMVN) -> Scale:
    if not bool(normalizer.fitted):
        raise ModelError("GlobalCMVN has no statistics; train the model before it is exported")
    return Scale(normalizer)
