"""Activations against their published formulas."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.blocks.activation import ACTIVATION_NAMES, activation
from seqlab.errors import SeqlabError

POINTS = [-20.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 20.0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


FORMULAS = {
    "relu": lambda x: max(0.0, x),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: -math.log1p(math.exp(-x)),
    "tanh": math.tanh,
    "softsign": lambda x: x / (1 + abs(x)),
    "swish": lambda x: x * sigmoid(x),  # Ramachandran et al. 2017
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),  # Misra 2019, equation 1
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),  # Hendrycks and Gimpel 2016
}


def test_every_name_has_a_formula():
    assert set(FORMULAS) == set(ACTIVATION_NAMES)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_formula(name):
    values = activation(name)(torch.tensor(POINTS, dtype=torch.float64))
    expected = torch.tensor([FORMULAS[name](x) for x in POINTS], dtype=torch.float64)
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("ReLU", "relu"), ("leakyrelu", "leaky_relu"), ("logsigmoid", "log_sigmoid"), ("gleu", "elu")],
)
def test_unknown_name_gets_a_suggestion(name, suggestion):
    with pytest.raises(SeqlabError, match="did you mean") as caught:
        activation(name)
    assert name in str(caught.value) and suggestion in str(caught.value)


def test_name_like_no_other_lists_all():
    with pytest.raises(SeqlabError, match=r"must be one of .*'elu', .*'gelu'"):
        activation("zzz")
