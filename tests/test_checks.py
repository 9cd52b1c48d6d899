"""Shared checks of arguments: what passes, and what the message says."""

from __future__ import annotations

import math

import pytest

from seqlab.checks import check_at_least, check_choice, check_probability, check_range
from seqlab.errors import SeqlabError


@pytest.mark.parametrize("value", ["hann", None, 1])
def test_a_choice_passes(value: object) -> None:
    check_choice("window", value, ["hann", None, 1])


@pytest.mark.parametrize(
    ("value", "hint"),
    [("HANN", "; did you mean 'hann'?"), ("zz", ""), (True, ""), (1.0, ""), ([], "")],
)
def test_another_value_is_named_with_what_is_allowed(value: object, hint: str) -> None:
    with pytest.raises(SeqlabError) as caught:
        check_choice("window", value, ["hann", None, 1])
    assert str(caught.value) == f"window={value!r} must be one of 'hann', None, 1{hint}"


@pytest.mark.parametrize("value", [1, 1.5, "3", True, None, math.nan])
def test_whole_numbers_only(value: object) -> None:
    with pytest.raises(SeqlabError, match=r"^n=.* must be a whole number of at least 2; try 3$"):
        check_at_least("n", value, 2, "try 3")


@pytest.mark.parametrize("value", [-1, 2.1, "1", True, None, math.nan, math.inf])
def test_numbers_within_a_range_only(value: object) -> None:
    with pytest.raises(SeqlabError, match=r"^p=.* must be a number within \[0, 2\]; try 1$"):
        check_range("p", value, 0, 2, "try 1")


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, "0", False, None, math.nan])
def test_probabilities_below_one_only(value: object) -> None:
    with pytest.raises(SeqlabError, match="at least 0 and below 1"):
        check_probability("dropout", value)
