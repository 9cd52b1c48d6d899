"""Smoothings by name, as recipes and the command line give them."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass

from seqlab.checks import did_you_mean
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.smoothing.base import Smoothing

__all__ = ["SMOOTHINGS", "smoothing_named"]

SMOOTHINGS = {  # name: module and class
    "maximum_likelihood": ("additive", "MaximumLikelihood"),
    "laplace": ("additive", "Laplace"),
    "lidstone": ("additive", "Lidstone"),
    "add_k": ("additive", "Lidstone"),
    "good_turing": ("good_turing", "GoodTuring"),
    "witten_bell": ("witten_bell", "WittenBell"),
    "absolute_discounting": ("absolute", "AbsoluteDiscounting"),
    "kneser_ney": ("kneser_ney", "KneserNey"),
    "modified_kneser_ney": ("kneser_ney", "ModifiedKneserNey"),
    "jelinek_mercer": ("jelinek_mercer", "JelinekMercer"),
    "stupid_backoff": ("stupid_backoff", "StupidBackoff"),
}


def smoothing_named(name: str, /, **options: object) -> Smoothing:
    """The smoothing of this name; use it where a name comes from a recipe or a command line.

    Args:
        name: one of ``SMOOTHINGS``; hyphens and capitals do not matter.
        options: arguments of its constructor.

    Raises:
        SeqlabError: there is no such smoothing, or it has no such option.

    Example:
        >>> smoothing_named("add_k", k=0.01)
        Lidstone(k=0.01)
        >>> smoothing_named("witen_bell")
        Traceback (most recent call last):
        seqlab.errors.SeqlabError: smoothing='witen_bell' is not known; did you mean 'witten_bell'?
    """
    known = SMOOTHINGS.get(name.lower().replace("-", "_")) if isinstance(name, str) else None
    if known is None:
        hint = did_you_mean(str(name), SMOOTHINGS)
        raise SeqlabError(f"smoothing={name!r} is not known{hint}")
    module = importlib.import_module(f"seqlab.lm.ngram.smoothing.{known[0]}")
    smoothing = getattr(module, known[1])
    allowed = [f.name for f in fields(smoothing) if f.init] if is_dataclass(smoothing) else []
    for option in options:
        if option not in allowed:
            hint = did_you_mean(option, allowed) or "; it has none"
            raise SeqlabError(f"smoothing {name!r} has no option {option!r}{hint}")
    result: Smoothing = smoothing(**options)
    return result
