"""The text of a recipe: strict YAML, and overrides from a command line laid over it."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seqlab.errors import RecipeError
from seqlab.values import check_value

MAX_BYTES = 2**20
_TAG = "tag:yaml.org,2002:"
_WORDS = {  # what an unquoted word means; everything else is text, "no" and "1:30" included
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
}
_RESOLVERS = [(_TAG + name, re.compile(f"^(?:{pattern})$")) for name, pattern in _WORDS.items()]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers and booleans; no duplicate keys, no aliases."""

    yaml_implicit_resolvers = {None: _RESOLVERS}  # noqa: RUF012 - as the base class has it

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise RecipeError(f"line {line}: YAML aliases (*name) are not read; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
                raise RecipeError(f"line {line}: a key must be a plain word; quote it if it is one")
            if key.value in seen:
                raise RecipeError(f"line {line}: key {key.value!r} is written twice; drop one")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that this reader or a YAML 1.1 reader would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _resolver in _RESOLVERS:
    _Dumper.add_implicit_resolver(*_resolver, first=None)


@dataclass(frozen=True)
class Override:
    """A value from the command line, whose meaning depends on the type that is wanted."""

    text: str


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a recipe's YAML, every key once and every value plain data.

    Raises:
        RecipeError: Missing, a directory, not text, not YAML, or not a mapping of sections.
    """
    if not path.is_file():
        state = "is a directory" if path.is_dir() else "does not exist"
        raise RecipeError(f"the file {state}; name a recipe (*.yaml)")
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"byte {error.start} is not UTF-8 text; is this a recipe?") from None
    if len(content) > MAX_BYTES:
        raise RecipeError(f"the file is larger than {MAX_BYTES} bytes; it cannot be a recipe")
    raw = parse_yaml(text)
    if not isinstance(raw, dict):
        raise RecipeError(f"holds {type(raw).__name__}, must be a mapping of sections (data: ...)")
    return raw


def parse_yaml(text: str) -> Any:
    """Plain data of YAML text.

    >>> parse_yaml("{lr: 1e-3, precision: no, speaker: 007}")
    {'lr': 0.001, 'precision': 'no', 'speaker': '007'}
    """
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise RecipeError(f"{line}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"is not YAML: {str(error).splitlines()[0]}") from None
    _refuse_not_finite(value)
    return value


def dump_yaml(value: Any) -> str:
    """YAML text that ``parse_yaml`` reads back to the same plain data."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def merge_overrides(
    raw: Mapping[str, Any], overrides: Sequence[str], component_sections: Sequence[str]
) -> dict[str, Any]:
    """Lay overrides over a recipe's plain data; the values become `Override`.

    Args:
        raw: As ``read_yaml`` returns it; not changed.
        overrides: ``--section.key=value``, or ``--section.key`` and ``value``.
        component_sections: Sections that hold a class and its arguments; a new class in one of
            them drops the arguments of the old class.

    Raises:
        RecipeError: An override without a value, or into something that has no keys.
    """
    merged = dict(raw)
    for name, text in _pairs(overrides):
        keys = name.split(".")
        if keys[0] in component_sections and (len(keys) == 1 or keys[1:] == ["class_path"]):
            _replace_component(merged, keys, text)
            continue
        section = merged
        for depth, key in enumerate(keys[:-1]):
            inner = section.get(key)
            if inner is not None and not isinstance(inner, Mapping):
                above = ".".join(keys[: depth + 1])
                raise RecipeError(f"override --{name}: {above} has no keys; override {above}")
            section[key] = dict(inner or {})
            section = section[key]
        section[keys[-1]] = Override(text)
    return merged


def settle(value: Any, expected: Any, where: str) -> Any:
    """Return ``value`` if it fits the annotation; an `Override` is read as that type."""
    if not isinstance(value, Override):
        return check_value(value, expected, where)
    try:
        parsed = parse_yaml(value.text)
    except RecipeError:
        parsed = value.text
    try:
        return check_value(parsed, expected, where)
    except RecipeError as error:
        try:
            return check_value(value.text, expected, where)
        except RecipeError:
            raise error from None


def _pairs(overrides: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    rest = iter(overrides)
    for token in rest:
        name, equals, text = token.partition("=")
        if not name.startswith("--") or not all(name[2:].split(".")):
            raise RecipeError(f"override {token!r} must be --section.key=value")
        value = text if equals else next(rest, None)
        if value is None:
            raise RecipeError(f"override {name} has no value; write {name}=VALUE")
        pairs.append((name[2:], value))
    return pairs


def _replace_component(merged: dict[str, Any], keys: Sequence[str], text: str) -> None:
    value = parse_yaml(text)
    if len(keys) == 1 and not isinstance(value, str):
        merged[keys[0]] = value
        return
    old = merged.get(keys[0])
    if not isinstance(old, Mapping) or old.get("class_path") != text:
        merged[keys[0]] = {"class_path": text}


def _refuse_not_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{value} is not a finite number; write one that is")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _refuse_not_finite(item)
