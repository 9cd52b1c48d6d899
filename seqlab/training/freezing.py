"""Parts of a model that rest while the others learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from seqlab.errors import RecipeError

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


def freeze(model: SpeechModel, names: Sequence[str]) -> int:
    """Stop the gradient of all weights of the modules ``names``; see `rest`.

    Args:
        model: Any.
        names: Modules by their path, such as "encoder" or "encoder.layers.0".

    Returns:
        How many weights rest.

    Raises:
        RecipeError: There is no such module, or it has no weights; nothing is frozen then.
    """
    modules = [_module(model, name) for name in names]
    resting = {parameter for module in modules for parameter in module.parameters()}
    for parameter in resting:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in resting)


def rest(module: nn.Module) -> None:
    """Put into evaluation mode what has weights, none of which learns.

    A batch norm whose weights rest must not follow the statistics of the new data either, and a
    dropout in front of it would only disturb. To be called whenever ``train()`` was.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(2).requires_grad_(False), nn.Linear(2, 2))
        >>> rest(network.train())
        >>> [part.training for part in network]
        [False, True]
    """
    for part in module.modules():
        weights = list(part.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            part.eval()


def _module(model: SpeechModel, name: str) -> nn.Module:
    known: dict[str, nn.Module] = dict(model.named_modules())
    if name not in known:
        top = name
        while top not in known:
            top = top.rpartition(".")[0]
        within = [path for path, _ in known[top].named_children()]
        raise RecipeError(
            f"warm_start.frozen names {name!r}, which the model does not have; "
            f"{top or 'it'} has {', '.join(within) or 'nothing within'}"
        )
    if not any(True for _ in known[name].parameters()):
        raise RecipeError(f"warm_start.frozen names {name!r}, which has no weights; leave it out")
    return known[name]
