"""seqlab encoders: the table of all there are, of recipes and of models."""

from __future__ import annotations

import json
import re

import pytest

from seqlab.contracts import Encoder
from tests.cli.conftest import Call, Trained
from tests.contract.discovery import implementations

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.mark.slow
def test_every_encoder_there_is(call: Call) -> None:
    outcome = call("encoders", "--input-dim", 13, "--json")
    rows = json.loads(outcome.out)
    assert {row["encoder"] for row in rows} == {kind.__name__ for kind in implementations(Encoder)}
    assert {"LeNetEncoder", "ResNetEncoder"} <= {row["encoder"] for row in rows}
    assert all(row["parameters"] > 0 and row["macs"] > 0 for row in rows)
    assert all(row["latency_s"] is not None for row in rows if row["streams"])


@pytest.mark.slow
def test_causal_ones_alone(call: Call) -> None:
    outcome = call("encoders", "--input-dim", 13, "--causal")
    names = [line.split()[0] for line in outcome.out.splitlines()[1:]]
    assert "TDNNEncoder" in names and "ConformerEncoder" not in names
    assert all(line.endswith("yes") for line in outcome.out.splitlines()[1:])


def test_of_a_recipe_and_its_model(call: Call, keywords: Trained) -> None:
    outcome = call("encoders", keywords.recipe, keywords.run, "--json")
    recipe, model = json.loads(outcome.out)
    assert recipe["encoder"] == str(keywords.recipe)
    assert {**model, "encoder": ""} == {**recipe, "encoder": ""}
    table = call("encoders", keywords.recipe)
    assert re.search(rf"{recipe['parameters']:,} +[\d,.]+ M", table.out)


def test_overrides_change_a_recipe_only(call: Call, keywords: Trained) -> None:
    path = "seqlab.encoders.cnn.lenet.LeNetEncoder"
    outcome = call("encoders", keywords.recipe, "--encoder.class_path", path, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)[0]["stride"] == 4
    outcome = call("encoders", keywords.run, "--encoder.class_path", path)
    assert outcome.code == 2
    assert "is for recipes; the model" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input-dim", "0"], "input_dim=0 must be a whole number of at least 1"),
        (["--encoder.x", "3"], "--encoder.x=3 is for recipes; name one"),
        (["nothing.yaml"], "nothing.yaml does not exist"),
        (["nothing.yaml", "--causal"], "--causal is for the list of all encoders"),
    ],
)
def test_mistakes_are_one_line(call: Call, arguments: list[str], message: str) -> None:
    outcome = call("encoders", *arguments)
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert message in outcome.err
