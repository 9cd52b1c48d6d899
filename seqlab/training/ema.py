"""A moving average of the weights, kept beside the training and used in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from seqlab.errors import ModelError

_WARM_UP = 10  # steps that soften the start; see `MovingAverage.rate`


class MovingAverage:
    """The exponential moving average of a model's weights over the optimizer steps.

    Use it where the weights themselves still jump at the end of a training: their average is
    usually better than any of them, and costs one more copy of the weights. Statistics of batch
    norm are averaged alike; counters are the model's own.

    Args:
        model: Its weights now are the first average; it must keep its tensors from then on, as
            optimizers and ``load_state_dict`` do.
        decay: Share of the old average that each step keeps, in (0, 1); the average reaches back
            about 1 / (1 - decay) steps.

    Source: Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging", in
    its exponential form; at step t the decay is at most (1 + t) / (10 + t), as in TensorFlow's
    ``ExponentialMovingAverage``, so that the random first weights are soon forgotten.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.ones_(model.weight)
        >>> average = MovingAverage(model, decay=0.9)
        >>> _ = nn.init.zeros_(model.weight)
        >>> average.update(step=1)  # keeps (1 + 1) / (10 + 1) of the old
        >>> round(average.state_dict()["weight"].item(), 4)
        0.1818
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._all = {name: value.detach() for name, value in model.state_dict().items()}
        self._own = {k: value for k, value in self._all.items() if value.is_floating_point()}
        self._average = {name: value.clone() for name, value in self._own.items()}

    def rate(self, step: int) -> float:
        """Share of the old average that optimizer step ``step``, from 1, keeps."""
        return min(self.decay, (1 + step) / (_WARM_UP + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after optimizer step ``step``, from 1, into the average."""
        weight = 1 - self.rate(step)
        torch._foreach_lerp_(list(self._average.values()), list(self._own.values()), weight)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights, with the model's own counters."""
        return self._all | self._average

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            ModelError: The tensors are not those of this model.
        """
        for name, value in self._average.items():
            if name not in state or state[name].shape != value.shape:
                raise ModelError(f"the moving average lacks {name} of shape {tuple(value.shape)}")
            value.copy_(state[name])

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it the model has the averaged weights; afterwards its own, to the last bit."""
        own = {name: value.clone() for name, value in self._own.items()}
        try:
            self._put(self._average)
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._own[name].copy_(value)


def judged_weights(average: MovingAverage | None) -> contextlib.AbstractContextManager[None]:
    """A context in which the model has the weights to judge it by: averaged, if any are."""
    return contextlib.nullcontext() if average is None else average.in_use()
