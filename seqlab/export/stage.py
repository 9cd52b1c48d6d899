"""What stands between static features and the encoder in a stream: explicit state, no branches."""

from __future__ import annotations

import abc

from torch import Tensor, nn

__all__ = ["Stage"]


class Stage(nn.Module, abc.ABC):
    """Features to features in a stream, in a form that can be traced.

    ``ahead`` is how many frames it waits for beyond each, ``least`` how many it gives at once at
    the start.
    """

    ahead: int
    least: int

    @abc.abstractmethod
    def initial(self) -> list[Tensor]:
        """The state before the first frame: zeros."""

    @abc.abstractmethod
    def follow(
        self, features: Tensor, tensors: list[Tensor], fed: Tensor, total: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The next frames, later by ``ahead``.

        Args:
            features: (1, T, F), of which the first is number ``fed``.
            tensors: The state.
            fed: (1,) frames before them.
            total: (1,) frames of the sound, as far as it is known.

        Returns:
            (1, T, F'), of which the first is number ``fed - ahead``, and the new state.
        """
