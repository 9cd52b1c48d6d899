"""Optimizers by name, with weight decay only where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from seqlab.errors import RecipeError
from seqlab.values import not_default

_USERS = {
    "betas": ("adam", "adamw"),
    "alpha": ("rmsprop",),
    "eps": ("adagrad", "rmsprop", "adam", "adamw"),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """The update rule, as a recipe's ``optimizer`` section holds it.

    Args:
        name: "sgd" (Robbins and Monro 1951; with ``momentum``: Polyak 1964, Nesterov 1983),
            "adagrad" (Duchi et al. 2011), "rmsprop" (Hinton 2012), "adam" (Kingma and Ba 2015)
            or "adamw" (Loshchilov and Hutter 2019).
        lr: Learning rate that the schedule's factors multiply, above 0.
        weight_decay: Decay of weights, at least 0; never applied to norms, biases and other
            parameters of one dimension. Added to the gradient, except "adamw": decoupled.
        momentum: In [0, 1); only "sgd" and "rmsprop" use it.
        nesterov: Nesterov's momentum; only "sgd", and with a ``momentum`` above 0.
        betas: Averaging of gradient and squared gradient, each in [0, 1); "adam" and "adamw".
        alpha: Averaging of the squared gradient, in [0, 1); "rmsprop".
        eps: Added to the denominator, above 0; all but "sgd".

    Raises:
        RecipeError: A value is outside its range or does not go with ``name``.

    >>> OptimizerConfig(name="sgd", lr=0.1, momentum=0.9).momentum
    0.9
    """

    name: Literal["sgd", "adagrad", "rmsprop", "adam", "adamw"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.name not in ("sgd", "adagrad", "rmsprop", "adam", "adamw"):
            raise RecipeError(
                f"optimizer.name={self.name} must be one of sgd, adagrad, rmsprop, adam, adamw"
            )
        if not self.lr > 0:
            raise RecipeError(f"optimizer.lr={self.lr} must be above 0; 1e-3 is a common start")
        if not self.weight_decay >= 0:
            raise RecipeError(
                f"optimizer.weight_decay={self.weight_decay} must be at least 0; 0 is no decay"
            )
        if not self.eps > 0:
            raise RecipeError(f"optimizer.eps={self.eps} must be above 0; 1e-8 is common")
        fractions = {"momentum": self.momentum, "alpha": self.alpha}
        fractions |= {f"betas[{i}]": beta for i, beta in enumerate(self.betas)}
        for name, value in fractions.items():
            if not 0 <= value < 1:
                raise RecipeError(f"optimizer.{name}={value} must be in [0, 1); lower it")
        if self.momentum and self.name not in ("sgd", "rmsprop"):
            raise RecipeError(
                f"optimizer.momentum={self.momentum} goes with sgd or rmsprop, not "
                f"{self.name}; use betas there"
            )
        for name, value in not_default(self, _USERS).items():
            if self.name not in _USERS[name]:
                raise RecipeError(
                    f"optimizer.{name}={value} goes with {', '.join(_USERS[name])}, not "
                    f"{self.name}; leave it out"
                )
        if self.nesterov and not (self.name == "sgd" and self.momentum):
            raise RecipeError(
                "optimizer.nesterov=true needs name=sgd and a momentum above 0, not "
                f"name={self.name} and momentum={self.momentum}; set them, or leave nesterov out"
            )


def decays(owner: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies to parameter ``name`` of module ``owner``.

    Norms, biases and every parameter of fewer than two dimensions do not decay: shrinking them
    does not regularise, it shifts the function.

    >>> layer = nn.Linear(2, 3)
    >>> decays(layer, "weight", layer.weight), decays(layer, "bias", layer.bias)
    (True, False)
    """
    return parameter.dim() >= 2 and "bias" not in name and "Norm" not in type(owner).__name__


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that decay and those that do not.

    Args:
        model: The module to train; a parameter that several modules share is taken once.
        weight_decay: Decay of the matrices and kernels, at least 0.

    Returns:
        Parameter groups for a torch optimizer, empty groups left out.
    """
    decaying: dict[nn.Parameter, bool] = {}
    for owner in model.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.requires_grad:
                decaying.setdefault(parameter, decays(owner, name, parameter))
    groups = [
        {"params": [p for p, yes in decaying.items() if yes], "weight_decay": weight_decay},
        {"params": [p for p, yes in decaying.items() if not yes], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Make the torch optimizer that ``config`` describes.

    Args:
        model: The module to train; only parameters that require gradients are taken.
        config: The update rule.

    Returns:
        The optimizer, its learning rate at ``config.lr``.

    Raises:
        RecipeError: The model has no trainable parameter.
    """
    groups = parameter_groups(model, config.weight_decay)
    if not groups:
        raise RecipeError(
            "the model has 0 trainable parameters, must have at least 1; set requires_grad"
        )
    lr, eps, betas = config.lr, config.eps, (config.betas[0], config.betas[1])
    match config.name:
        case "sgd":
            return torch.optim.SGD(
                groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, fused=True
            )
        case "adagrad":
            return torch.optim.Adagrad(groups, lr=lr, eps=eps)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, lr=lr, alpha=config.alpha, eps=eps, momentum=config.momentum
            )
        case "adam":
            return torch.optim.Adam(groups, lr=lr, betas=betas, eps=eps, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=True)
