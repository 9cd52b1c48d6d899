"""Plain values: held against annotations, remembered by what they built, and misspelt names."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from seqlab.errors import RecipeError


class Described:
    """Base of everything that a recipe can name: remembers what it was constructed with.

    So that a model put together by hand can be saved like one from a recipe. The arguments,
    defaults included, are ``constructor_arguments``; ``seqlab.components.describe`` reads them.
    An argument that maps names to specs of further components is in ``nested_components``, with
    their contract and the arguments that are filled in.
    """

    constructor_arguments: dict[str, Any]
    nested_components: ClassVar[Mapping[str, tuple[type, tuple[str, ...]]]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments; copying and unpickling come without, and bring the old ones."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls).bind(*args, **kwargs)
        except TypeError:  # the constructor is about to say so, or there is no constructor call
            return self
        bound.apply_defaults()
        object.__setattr__(self, "constructor_arguments", dict(bound.arguments))
        return self


def not_default(settings: Any, names: Iterable[str]) -> dict[str, Any]:
    """Those fields ``names`` of a dataclass whose value is not their default.

    Use it to refuse settings that would have no effect.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    values = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in values.items() if value != _default(fields[name])}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is dataclasses.MISSING:
        return field.default
    return field.default_factory()


def shown(value: object) -> str:
    """The value as a message quotes it: on one line, long ones cut.

    >>> shown(list(range(100)))
    '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16...'
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_value(value: Any, expected: Any, where: str) -> Any:
    """Return ``value`` if it fits the annotation ``expected``; lists become tuples on demand.

    >>> check_value([1, 2], tuple[int, ...], "strides")
    (1, 2)
    >>> check_value("many", int, "num_layers")
    Traceback (most recent call last):
    seqlab.errors.RecipeError: num_layers is 'many', must be int
    """
    fits, converted = _convert(value, expected)
    if not fits:
        raise RecipeError(f"{where} is {shown(value)}, must be {_type_name(expected)}")
    return converted


def _convert(value: Any, expected: Any) -> tuple[bool, Any]:
    origin, parts = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        tries = (_convert(value, part) for part in parts)
        return next((result for result in tries if result[0]), (False, value))
    if origin is Literal:
        return any(value == p and type(value) is type(p) for p in parts), value
    if expected in (None, type(None)):
        return value is None, value
    if expected in (int, float, str, bool):
        kinds = (int, float) if expected is float else (expected,)
        fits = isinstance(value, kinds) and (expected is bool or not isinstance(value, bool))
        return fits, value
    if (origin or expected) is tuple:
        return _convert_tuple(value, parts)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping), value
    if (origin or expected) is list or (isinstance(origin, type) and issubclass(origin, Sequence)):
        if not isinstance(value, (list, tuple)):
            return False, value
        results = [_convert(item, parts[0] if parts else Any) for item in value]
        return all(fits for fits, _ in results), [item for _, item in results]
    return True, value


def _convert_tuple(value: Any, parts: tuple[Any, ...]) -> tuple[bool, Any]:
    if not isinstance(value, (list, tuple)):
        return False, value
    if not parts or parts[-1] is Ellipsis:
        kinds = [parts[0] if parts else Any] * len(value)
    else:
        kinds = list(parts)
    if len(kinds) != len(value):
        return False, value
    results = [_convert(item, kind) for item, kind in zip(value, kinds, strict=True)]
    return all(fits for fits, _ in results), tuple(item for _, item in results)


def _type_name(expected: Any) -> str:
    if typing.get_origin(expected) is Literal:
        return "one of " + ", ".join(repr(part) for part in typing.get_args(expected))
    if expected in (None, type(None)):
        return "null"
    if typing.get_origin(expected) in (typing.Union, types.UnionType):
        return " or ".join(_type_name(part) for part in typing.get_args(expected))
    if expected in (int, float, str, bool):
        return str(expected.__name__)
    origin, parts = typing.get_origin(expected), typing.get_args(expected)
    if origin is tuple and parts[-1] is not Ellipsis:
        return "a list of " + ", ".join(_type_name(part) for part in parts)
    if parts and (origin in (list, tuple) or (origin and issubclass(origin, Sequence))):
        return f"a list of {_type_name(parts[0])}"
    return str(expected)
