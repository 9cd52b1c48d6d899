"""Finds every implementation of a contract by walking the package; no list to keep."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TypeVar

from torch import nn

import seqlab
from seqlab.contracts import Encoder, Frontend, Head

T = TypeVar("T", bound=nn.Module)

ROOMS = {Frontend: "frontend", Encoder: "encoders", Head: "heads"}


def implementations(contract: type[T]) -> list[type[T]]:
    """Concrete public classes of ``contract`` defined anywhere in seqlab, sorted by name."""
    prefix = f"seqlab.{ROOMS[contract]}."
    for module in pkgutil.walk_packages(seqlab.__path__, "seqlab."):
        if module.name.startswith(prefix):
            importlib.import_module(module.name)
    found, queue = set(), [contract]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if child.__module__.startswith("seqlab.") and not inspect.isabstract(child):
                found.add(child)
    return sorted(found, key=lambda kind: kind.__qualname__)


def required_arguments(kind: type) -> list[str]:
    """Names of the constructor's arguments without a default."""
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]
