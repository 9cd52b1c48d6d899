"""Recipe overrides on the command line: ``--section.key value`` among a command's own options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from seqlab.errors import RecipeError


def take_overrides(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Split arguments into the command's own and the overrides, in any order.

    Every ``--name`` that the parser does not know is an override, and takes one value.

    Args:
        parser: knows the command's own options.
        arguments: as typed.

    Returns:
        The arguments for ``parser``, and overrides in the form ``--name=value``.

    Raises:
        RecipeError: an override without a value.

    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("-o", "--output")
    >>> take_overrides(parser, ["--seed", "1", "r.yaml", "-o", "x", "--optimizer.lr=-1"])
    (['r.yaml', '-o', 'x'], ['--seed=1', '--optimizer.lr=-1'])
    """
    own: list[str] = []
    overrides: list[str] = []
    known = parser._option_string_actions
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if not argument.startswith("--") or argument == "--":
            own.append(argument)
        elif name in known:
            own.append(argument)
            if not equals and known[name].nargs is None:
                own.extend(value for value in [next(rest, None)] if value is not None)
        elif equals:
            overrides.append(argument)
        else:
            value = next(rest, None)
            if value is None:
                raise RecipeError(f"override {name} has no value; write {name} VALUE")
            overrides.append(f"{name}={value}")
    return own, overrides
