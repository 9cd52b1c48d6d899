"""An encoder's layers compiled for training, where the machine has a compiler."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.errors import TrainingError

Forwards = Mapping[nn.Module, Callable[..., Any]]


def compiled_layers(
    encoder: nn.Module, device: torch.device, noted: Callable[[str], None]
) -> Forwards:
    """The layers of an encoder through ``torch.compile``, for batches of any length.

    Use it for long trainings: the first steps take some minutes more, the others less time.
    Results differ from those without by rounding, and dropout may draw other numbers. Layers are
    what the encoder holds in module lists; as they are alike, they are compiled only once.

    Args:
        encoder: On ``device``; it stays as it is.
        device: A small function is compiled for it first, to see whether that works.
        noted: Is told, in one sentence, if nothing is compiled.

    Returns:
        What to put in the place of each layer's ``forward``; nothing where nothing is compiled.
    """
    lists = [part for part in encoder.children() if isinstance(part, nn.ModuleList)]
    layers = [layer for part in lists for layer in part]
    if not layers:
        noted(f"training.compile: {type(encoder).__name__} has no list of layers to compile")
        return {}
    try:
        _try_compiler(device)
    except Exception as error:  # a missing compiler shows as almost anything
        lines = str(error).strip().splitlines() or [type(error).__name__]
        noted(
            f"training.compile: nothing can be compiled on this machine ({lines[0][:120]}); the "
            "training goes on without, at its usual speed"
        )
        return {}
    return {layer: torch.compile(layer.forward, dynamic=True) for layer in layers}


@contextlib.contextmanager
def replaced(forwards: Forwards) -> Iterator[None]:
    """Within it the modules run these in the place of their own ``forward``.

    Raises:
        TrainingError: One of them cannot be compiled.
    """
    if not forwards:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # a second that others need not wait

    for module, forward in forwards.items():
        module.forward = forward
    try:
        with warnings.catch_warnings():  # where it breaks a graph it looks at .grad everywhere
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor")
            yield
    except TorchDynamoException as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrainingError(
            f"training.compile: a layer of the encoder cannot be compiled ({first[:120]}); "
            "set training.compile: false"
        ) from error
    finally:
        for module in forwards:
            del module.forward


def _try_compiler(device: torch.device) -> None:
    """Compile and run a small function, forwards and backwards."""

    def small(values: Tensor) -> Tensor:
        return (values.exp() + 1).log().sum()

    values = torch.zeros(8, 3, device=device, requires_grad=True)
    torch.autograd.backward(torch.compile(small, dynamic=True)(values))
