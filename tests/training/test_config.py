"""Training settings out of range name the value, the rule and the remedy."""

from typing import Any

import pytest

from seqlab.errors import RecipeError
from seqlab.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "training.epochs=0 must be at least 1; raise it"),
        ({"accumulate": 0}, "training.accumulate=0 must be at least 1"),
        ({"max_steps": 0}, "training.max_steps=0 must be at least 1; leave it out"),
        ({"checkpoint_every_steps": -1}, "checkpoint_every_steps=-1 must be at least 1"),
        ({"early_stopping_patience": 0}, "early_stopping_patience=0 must be at least 1"),
        ({"gradient_clip": 0.0}, "gradient_clip=0.0 must be above 0"),
        ({"average_last": -1}, "average_last=-1 must be at least 0"),
        ({"result": "averaged"}, "needs training.average_last of at least 1"),
        ({"precision": "int8"}, "training.precision=int8 must be one of no, bf16, fp16"),
        ({"monitor": "wer"}, "training.monitor=wer must be one of metric, loss"),
    ],
)
def test_values_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TrainingConfig(**settings)
