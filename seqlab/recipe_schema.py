"""The typed schema of a recipe's components; the only file that knows jsonargparse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from seqlab.errors import RecipeError


def fill_defaults(
    specs: Mapping[str, Mapping[str, Any]], contracts: Mapping[str, tuple[type, tuple[str, ...]]]
) -> dict[str, dict[str, Any]]:
    """Check component specs against the signatures of their classes, and write the defaults out.

    Args:
        specs: Section to spec; the class paths have been judged already, for this imports them.
        contracts: Section to the class its component must be of, and the arguments that are
            filled in later and belong in no recipe.

    Returns:
        Section to ``{class_path, init_args}`` with every argument, in plain lists and scalars.

    Raises:
        RecipeError: A value does not fit its annotation; the message is one line.
    """
    parser = ArgumentParser(exit_on_error=False)
    for section in specs:
        contract, wired = contracts[section]
        parser.add_subclass_arguments(contract, section, skip=set(wired), required=True)
    try:
        filled = parser.parse_object({name: dict(spec) for name, spec in specs.items()}).as_dict()
    except (ArgumentError, TypeError, ValueError) as error:
        raise RecipeError(_one_line(str(error))) from error
    return {
        name: {"class_path": spec["class_path"], "init_args": filled[name].get("init_args", {})}
        for name, spec in specs.items()
    }


def _one_line(message: str) -> str:
    """The deepest key and what it expected, out of a nested message of many lines."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    keys = [line.split('"')[1] for line in lines if line.startswith('Parser key "')]
    expected = next((line for line in reversed(lines) if line.startswith("Given value:")), "")
    return f"{'.'.join(keys)}: {expected or lines[-1]} does not fit the signature of its class"
