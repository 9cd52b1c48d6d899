"""A recipe's sections held against the signatures of their classes.

The only file that knows jsonargparse, which judges every value's type and fills in defaults. What
goes wrong most often is found before it, for a shorter message.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from seqlab import components
from seqlab.errors import RecipeError, SeqlabError
from seqlab.recipe_file import Override, parse_yaml, settle
from seqlab.values import shown


def check_component(
    raw: Any,
    contract: type,
    wired: Sequence[str],
    *,
    where: str,
    arguments_where: str,
    allow_modules: Sequence[str] = (),
) -> dict[str, Any]:
    """Check a component section; the class path is judged before anything is imported.

    Args:
        raw: ``{class_path, init_args}`` as written, overrides included.
        contract: The class it must be of.
        wired: Arguments that are filled in later and may not be written.
        where: Name of the section.
        arguments_where: Where its arguments are written, for messages.
        allow_modules: Modules outside of seqlab whose classes the caller trusts.

    Raises:
        RecipeError: A class, key or value that does not fit, by its full key.
    """
    path, arguments = components.check_spec(_opened(raw), where)
    path = settle(path, Any, f"{where}.class_path") if isinstance(path, Override) else path
    try:
        cls: type[Any] = components.resolve(path, contract, allow_modules=allow_modules)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    for name, (inner, filled) in getattr(cls, "nested_components", {}).items():
        if arguments.get(name) is not None:
            place = f"{arguments_where}.{name}"
            arguments[name] = _check_nested(arguments[name], inner, filled, place, allow_modules)
    settled = _settle_all(cls, arguments, arguments_where, set(wired))
    checked = components.check_arguments(cls, settled, wired, arguments_where)
    return {"class_path": path, "init_args": components.plain(checked)}


def _check_nested(
    raw: Any, contract: type, wired: tuple[str, ...], where: str, allow_modules: Sequence[str]
) -> Any:
    """Check the components, by name, of an argument at ``where``; defaults are written out."""
    raw = _opened(raw)
    if not isinstance(raw, Mapping):
        return raw  # None, or a mistake that the check of its type reports
    specs = {
        str(name): check_component(
            spec,
            contract,
            wired,
            where=f"{where}.{name}",
            arguments_where=f"{where}.{name}.init_args",
            allow_modules=allow_modules,
        )
        for name, spec in raw.items()
    }
    try:
        return fill_defaults(specs, dict.fromkeys(specs, (contract, wired)))
    except RecipeError as error:
        raise RecipeError(f"{where}.{error}") from error


def check_settings(cls: type[Any], raw: Any, where: str) -> Any:
    """Build a dataclass section, and the sections inside it.

    Raises:
        RecipeError: A key or value that does not fit, by its full key.
    """
    raw = _opened(raw)
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{where} is {shown(raw)}, must be a mapping")
    checked = components.check_arguments(cls, _settle_all(cls, raw, where), where=where)
    try:
        return cls(**checked)
    except SeqlabError as error:
        prefix = "" if str(error).startswith(where) else f"{where}: "
        raise RecipeError(f"{prefix}{error}") from error


def _settle_all(
    cls: type[Any], raw: Mapping[str, Any], where: str, wired: set[str] | None = None
) -> dict[str, Any]:
    types = components.argument_types(cls)
    settled = dict(raw)
    for key in raw.keys() & types.keys() - (wired or set()):
        expected = types[key]
        if dataclasses.is_dataclass(expected) and isinstance(expected, type):
            settled[key] = check_settings(expected, raw[key], f"{where}.{key}")
        else:
            settled[key] = settle(_opened_within(raw[key]), expected, f"{where}.{key}")
    return settled


def _opened_within(value: Any) -> Any:
    """A mapping with the overrides in it read; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return {key: _opened_within(_opened(inner)) for key, inner in value.items()}


def _opened(value: Any) -> Any:
    return parse_yaml(value.text) if isinstance(value, Override) else value


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
        filled = parser.parse_object(copy.deepcopy(dict(specs))).as_dict()
    except (ArgumentError, TypeError, ValueError) as error:
        raise RecipeError(_one_line(str(error))) from error
    return {
        name: {
            "class_path": spec["class_path"],
            # mappings stay as they are: jsonargparse would take the specs in them for its own
            "init_args": filled[name].get("init_args", {})
            | {key: v for key, v in spec["init_args"].items() if isinstance(v, Mapping)},
        }
        for name, spec in specs.items()
    }


def _one_line(message: str) -> str:
    """The deepest key and what it expected, out of a nested message of many lines."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    keys = [line.split('"')[1] for line in lines if line.startswith('Parser key "')]
    expected = next((line for line in reversed(lines) if line.startswith("Given value:")), "")
    return f"{'.'.join(keys)}: {expected or lines[-1]} does not fit the signature of its class"
