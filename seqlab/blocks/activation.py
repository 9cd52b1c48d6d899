"""Activation functions by name, as recipes write them."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from seqlab.checks import check_choice

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "log_sigmoid": nn.LogSigmoid,
    "tanh": nn.Tanh,
    "softsign": nn.Softsign,
    "swish": nn.SiLU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
}

ACTIVATION_NAMES = tuple(sorted(_ACTIVATIONS))


def activation(name: str) -> nn.Module:
    """A new activation module of the given name; use it wherever a recipe chooses one.

    Args:
        name: One of relu, leaky_relu (slope 0.01), elu (alpha 1), sigmoid, log_sigmoid, tanh,
            softsign, swish or silu (the same), mish, gelu (exact, by the error function).

    Returns:
        An element-wise module without parameters.

    Raises:
        SeqlabError: If the name is not known; a close spelling is suggested.

    Example:
        >>> import torch
        >>> activation("leaky_relu")(torch.tensor([-1.0, 2.0]))
        tensor([-0.0100,  2.0000])
    """
    check_choice("activation", name, _ACTIVATIONS)
    return _ACTIVATIONS[name]()
