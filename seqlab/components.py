"""A class path and its arguments become an object of the right contract.

The only file that resolves class paths. A path is text from a recipe or a model directory, so it
is judged before anything is imported: only classes of this package are built, unless the caller
allows another module by name.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import typing
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from seqlab.checks import did_you_mean
from seqlab.errors import RecipeError, SeqlabError
from seqlab.values import Described, check_value, shown

Component = TypeVar("Component")

# Modules that the caller of the surrounding ``build`` trusts: components within a component
# are built under the same trust.
_trusted: ContextVar[tuple[str, ...]] = ContextVar("trusted modules", default=())


def check_class_path(class_path: object, allow_modules: Sequence[str] = ()) -> str:
    """Return ``class_path`` if it may be imported; imports nothing.

    Args:
        class_path: Dotted path such as ``seqlab.encoders.mlp.MLPEncoder``.
        allow_modules: Further modules, by full name, whose classes the caller trusts.

    Raises:
        RecipeError: Not a dotted path, private, or outside of what is allowed.

    >>> check_class_path("subprocess.Popen")
    Traceback (most recent call last):
    seqlab.errors.RecipeError: class_path 'subprocess.Popen' is not a seqlab class; ...
    """
    if not isinstance(class_path, str):
        raise RecipeError(
            f"class_path is {shown(class_path)}, must be text such as 'seqlab.module.Name'"
        )
    parts = class_path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise RecipeError(
            f"class_path {shown(class_path)} must be a dotted path: seqlab.module.Name"
        )
    if parts[0] == "seqlab" and not any(part.startswith("_") for part in parts):
        return class_path
    if any(class_path.startswith(f"{module}.") for module in allow_modules):
        return class_path
    raise RecipeError(
        f"class_path {shown(class_path)} is not a seqlab class; it is refused unless its module "
        "is named in allow_modules"
    )


def resolve(
    class_path: object, contract: type[Component], *, allow_modules: Sequence[str] = ()
) -> type[Component]:
    """Return the class that ``class_path`` names, checked to be a concrete ``contract``.

    Raises:
        RecipeError: The path is not allowed, does not exist, or names something else.
    """
    path = check_class_path(class_path, allow_modules)
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        hint = did_you_mean(path, available(contract, near=module_name))
        raise RecipeError(
            f"class_path {path!r}: there is no module {module_name!r}{hint}"
        ) from None
    found = getattr(module, name, None)
    if not isinstance(found, type):
        hint = did_you_mean(path, available(contract, near=module_name))
        raise RecipeError(f"class_path {path!r}: no class {name!r} there{hint}")
    if not issubclass(found, contract):
        raise RecipeError(f"class_path {path!r} is not {_article(contract)}; name one that is")
    if inspect.isabstract(found):
        raise RecipeError(f"class_path {path!r} is abstract; name a class derived from it")
    check_class_path(f"{found.__module__}.{found.__name__}", allow_modules)
    return found


def available(contract: type, near: str = "seqlab") -> list[str]:
    """Class paths of the ``contract`` in the package that holds the module ``near``, sorted."""
    package_name = ".".join(near.split(".")[:2])
    if package_name.split(".")[0] != "seqlab" or importlib.util.find_spec(package_name) is None:
        return []
    package = importlib.import_module(package_name)
    modules = [package] + [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package_name}.")
        if "__" not in found.name
    ]
    return sorted(
        {
            f"{member.__module__}.{member.__name__}"
            for module in modules
            for member in vars(module).values()
            if isinstance(member, type)
            and issubclass(member, contract)
            and member.__module__ == module.__name__
            and not inspect.isabstract(member)
        }
    )


def check_spec(spec: object, where: str) -> tuple[object, dict[str, Any]]:
    """Split a spec ``{class_path, init_args}`` into its two parts; anything else is an error."""
    if not isinstance(spec, Mapping):
        raise RecipeError(
            f"{where} is {shown(spec)}, must be a mapping with class_path and init_args"
        )
    for key in spec:
        if key not in ("class_path", "init_args"):
            hint = did_you_mean(str(key), ["class_path", "init_args"])
            raise RecipeError(
                f"{where}: unknown key {key!r}{hint} (arguments of the class go under init_args)"
            )
    if "class_path" not in spec:
        raise RecipeError(f"{where} names no class; add class_path: seqlab....")
    arguments = spec.get("init_args") or {}
    if not isinstance(arguments, Mapping):
        raise RecipeError(f"{where}.init_args is {shown(arguments)}, must be a mapping")
    return spec["class_path"], dict(arguments)


def check_keys(section: object, known: Sequence[str], where: str) -> dict[str, Any]:
    """Return the mapping ``section`` with every known key, None where absent; refuse others."""
    if not isinstance(section, Mapping):
        raise RecipeError(f"{where} is {shown(section)}, must be a mapping")
    for key in section:
        if key not in known:
            place = f"{where}: " if where else ""
            raise RecipeError(f"{place}unknown key {key!r}{did_you_mean(str(key), known)}")
    return {key: section.get(key) for key in known}


def check_arguments(
    cls: type, arguments: Mapping[str, Any], wired: Iterable[str] = (), where: str = "init_args"
) -> dict[str, Any]:
    """Return ``arguments`` with lists turned to tuples where the signature of ``cls`` says so.

    Args:
        cls: The class whose constructor will take them.
        arguments: From a recipe or from JSON.
        wired: Names the toolkit fills in itself; writing them by hand is an error.
        where: Prefix of the keys in messages, such as ``encoder.init_args``.

    Raises:
        RecipeError: An unknown, wired or missing argument, or a value of the wrong type.
    """
    wired = set(wired)
    parameters = _parameters(cls)
    types = argument_types(cls)
    checked = {}
    for name, value in arguments.items():
        if name in wired:
            raise RecipeError(f"{where}.{name} is filled in from the rest of the recipe; remove it")
        if name not in parameters:
            hint = did_you_mean(str(name), parameters.keys() - wired)
            raise RecipeError(f"{where}.{name}: {cls.__name__} has no such argument{hint}")
        checked[name] = check_value(value, types.get(name, Any), f"{where}.{name}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in checked and name not in wired:
            raise RecipeError(f"{where}: {cls.__name__} needs {name!r}; add it")
    return checked


def argument_types(cls: type) -> dict[str, Any]:
    """The annotation of each argument of the constructor; ``Any`` where there is none."""
    types = typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    return {name: types.get(name, Any) for name in _parameters(cls)}


def build(
    spec: object,
    contract: type[Component],
    *,
    allow_modules: Sequence[str] = (),
    where: str | None = None,
    **wired: Any,
) -> Component:
    """Build the component that a spec ``{"class_path": ..., "init_args": {...}}`` describes.

    Args:
        spec: The description, from a recipe or from a model's ``config.json``.
        contract: The class it must be of, such as ``contracts.Encoder``.
        allow_modules: Further modules, by full name, whose classes the caller trusts, also within
            the component.
        where: Name of the section in messages; the contract's name by default.
        **wired: Arguments that come from the other components. Those the constructor does not
            take are left out; writing one of them in the spec is an error.

    Returns:
        The component; ``describe`` gives its spec back.

    Raises:
        RecipeError: The class or an argument is refused; the message names the key.
    """
    where = where or contract.__name__.lower()
    allow_modules = (*allow_modules, *_trusted.get())
    class_path, arguments = check_spec(spec, where)
    try:
        cls = resolve(class_path, contract, allow_modules=allow_modules)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    arguments = check_arguments(cls, arguments, wired, f"{where}.init_args")
    taken = {name: value for name, value in wired.items() if name in _parameters(cls)}
    token = _trusted.set(allow_modules)
    try:
        component = cls(**arguments, **taken)
    except SeqlabError as error:
        raise RecipeError(f"{where} ({cls.__name__}): {error}") from error
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        RuntimeError,
        MemoryError,
    ) as error:
        first_line = str(error).partition("\n")[0]
        raise RecipeError(
            f"{where}: {cls.__name__} cannot be built from these arguments: {first_line}"
        ) from error
    finally:
        _trusted.reset(token)
    return component


def describe(component: object, wired: Iterable[str] = ()) -> dict[str, Any]:
    """Return the spec that builds an equal component: JSON values only, defaults written out.

    Args:
        component: From ``build`` or made by hand; its class derives from `Described`, as the
            contracts do.
        wired: Arguments to leave out, because they come from other components.

    Raises:
        RecipeError: The class does not remember its arguments, or one is not plain data.
    """
    cls = type(component)
    path = f"{cls.__module__}.{cls.__qualname__}"
    if not isinstance(component, Described) or not hasattr(component, "constructor_arguments"):
        raise RecipeError(f"{path} does not remember its arguments; derive it from Described")
    left_out = set(wired)
    arguments = {k: v for k, v in component.constructor_arguments.items() if k not in left_out}
    return {"class_path": path, "init_args": plain(arguments, path)}


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(cls).parameters
    return {name: p for name, p in found.items() if p.kind not in variable}


def plain(value: Any, where: str = "value") -> Any:
    """Return ``value`` as JSON can hold it, tuples as lists; RecipeError for anything else."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item, where) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item, where) for key, item in value.items()}
    raise RecipeError(f"{where}: {shown(value)} is not plain data (numbers, text, lists, mappings)")


def _article(contract: type) -> str:
    return ("an " if contract.__name__[0] in "AEIOU" else "a ") + contract.__name__
