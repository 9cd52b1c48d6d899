"""Errors are one small family: a caller that catches SeqlabError or ValueError catches all."""

from __future__ import annotations

import inspect
import pickle

import pytest

from seqlab import errors

FAMILY = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if value.__module__ == errors.__name__
]


def test_family() -> None:
    assert {error.__name__ for error in FAMILY} >= {
        "SeqlabError", "AudioError", "DataError", "RecipeError", "ModelError", "TrainingError",
        "MissingDependencyError",
    }  # fmt: skip


@pytest.mark.parametrize("error", FAMILY)
def test_every_error(error: type[errors.SeqlabError]) -> None:
    assert issubclass(error, errors.SeqlabError)
    assert issubclass(error, ValueError)
    assert error.__doc__
    again = pickle.loads(pickle.dumps(error("n=3 must be 2; lower n")))  # from worker processes
    assert type(again) is error
    assert str(again) == "n=3 must be 2; lower n"


def test_a_missing_package_is_an_import_error_too() -> None:
    with pytest.raises(ImportError, match="seqlab"):
        raise errors.MissingDependencyError('install "seqlab[synth]"')
