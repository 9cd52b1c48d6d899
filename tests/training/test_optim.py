"""Optimizers against their papers' first steps, worked by hand, and the split of weight decay."""

import math

import pytest
import torch
from torch import nn

from seqlab.errors import RecipeError
from seqlab.training.optim import OptimizerConfig, build_optimizer, parameter_groups


def moved(config: OptimizerConfig, gradients: list[float]) -> float:
    """Where a single weight that starts at 1 ends after the given gradients."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimizer = build_optimizer(model, config)
    for gradient in gradients:
        model.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    return float(model.weight.detach())


# Each expected value is the update formula of the paper, carried out by hand for the gradients
# 2 and 1 at lr 0.1.
BY_HAND = {
    # theta - lr * g
    "sgd": (OptimizerConfig("sgd", lr=0.1), 1 - 0.1 * 2 - 0.1 * 1),
    # v = 0.9 v + g: 2, 2.8
    "momentum": (OptimizerConfig("sgd", lr=0.1, momentum=0.9), 1 - 0.1 * 2 - 0.1 * 2.8),
    # step by g + 0.9 v: 3.8, 1 + 0.9 * 2.8
    "nesterov": (
        OptimizerConfig("sgd", lr=0.1, momentum=0.9, nesterov=True),
        1 - 0.1 * 3.8 - 0.1 * (1 + 0.9 * 2.8),
    ),
    # g / sqrt(sum of squares): 2 / 2, 1 / sqrt(5)
    "adagrad": (OptimizerConfig("adagrad", lr=0.1), 1 - 0.1 - 0.1 / math.sqrt(5)),
    # s = 0.99 s + 0.01 g^2: 0.04, 0.0496
    "rmsprop": (
        OptimizerConfig("rmsprop", lr=0.1),
        1 - 0.1 * 2 / math.sqrt(0.04) - 0.1 * 1 / math.sqrt(0.0496),
    ),
    # m-hat: 2, (0.9 * 0.2 + 0.1) / 0.19; v-hat: 4, (0.999 * 0.004 + 0.001) / 0.001999
    "adam": (
        OptimizerConfig("adam", lr=0.1),
        1 - 0.1 * 2 / 2 - 0.1 * (0.28 / 0.19) / math.sqrt(0.004996 / 0.001999),
    ),
    # decays first: theta * (1 - lr * wd), then as Adam
    "adamw": (
        OptimizerConfig("adamw", lr=0.1, weight_decay=0.5),
        (0.95 - 0.1) * 0.95 - 0.1 * (0.28 / 0.19) / math.sqrt(0.004996 / 0.001999),
    ),
    # L2: the gradient is g + wd * theta
    "sgd with decay": (
        OptimizerConfig("sgd", lr=0.1, weight_decay=0.5),
        (1 - 0.1 * 2.5) - 0.1 * (1 + 0.5 * 0.75),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_steps_by_hand(name: str) -> None:
    config, expected = BY_HAND[name]
    assert moved(config, [2.0, 1.0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
def test_weight_decay_reaches_the_weights_of_every_optimizer(name: str) -> None:
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(model, OptimizerConfig(name, lr=0.1, weight_decay=0.3))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


def test_norms_biases_and_vectors_do_not_decay() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 3)
            self.norm = nn.LayerNorm([3, 2])  # a norm of two dimensions
            self.batch_norm = nn.BatchNorm1d(3)
            self.lstm = nn.LSTM(3, 2)
            self.position_bias = nn.Parameter(torch.zeros(2, 4))
            self.scale = nn.Parameter(torch.ones(4))
            self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)

    model = Model()
    decaying, rest = parameter_groups(model, 0.1)
    names = {parameter: name for name, parameter in model.named_parameters()}
    assert {names[p] for p in decaying["params"]} == {
        "conv.weight",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
    }
    assert len(decaying["params"]) + len(rest["params"]) == len(names) - 1


def test_shared_parameters_are_taken_once() -> None:
    model = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)])
    model[1].weight = model[0].weight
    (group,) = parameter_groups(model, 0.1)
    assert len(group["params"]) == 1


def test_a_model_without_parameters_is_refused() -> None:
    with pytest.raises(RecipeError, match="0 trainable parameters"):
        build_optimizer(nn.Identity(), OptimizerConfig())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lion"}, "optimizer.name=lion must be one of sgd"),
        ({"lr": 0.0}, "optimizer.lr=0.0 must be above 0"),
        ({"lr": math.nan}, "optimizer.lr=nan must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be at least 0"),
        ({"eps": 0.0}, "eps=0.0 must be above 0"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\]=1.0 must be in \[0, 1\)"),
        ({"name": "adam", "momentum": 0.9}, "momentum=0.9 goes with sgd or rmsprop"),
        ({"name": "sgd", "nesterov": True}, "nesterov=true needs"),
        ({"name": "sgd", "betas": (0.9, 0.98)}, r"betas=\(0.9, 0.98\) goes with adam, adamw, not"),
        ({"name": "adamw", "alpha": 0.9}, "alpha=0.9 goes with rmsprop, not adamw; leave it out"),
        ({"name": "sgd", "eps": 1e-3}, "eps=0.001 goes with adagrad"),
    ],
)
def test_values_out_of_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        OptimizerConfig(**settings)
