"""Corpora as they are downloaded become manifests: one file a corpus, found by its name."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seqlab.checks import did_you_mean
from seqlab.data.manifest import Utterance, write_manifest
from seqlab.data.summary import Summary, summarize
from seqlab.errors import DataError

Splits = dict[str, list[Utterance]]


def corpus_names() -> list[str]:
    """Names that ``prepare`` knows.

    >>> "fsdd" in corpus_names()
    True
    """
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def corpus_help(corpus: str) -> str:
    """What a corpus's layout and options are: the docstring of its ``prepare``.

    Raises:
        DataError: unknown corpus.
    """
    return inspect.getdoc(_module(corpus).prepare) or ""


def prepare(
    corpus: str,
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    /,
    **options: Any,
) -> Summary:
    """Write ``DEST/<split>.jsonl.gz`` for each split of a corpus, and ``DEST/summary.json``.

    Args:
        corpus: one of ``corpus_names()``.
        source: the folder, or file, as downloaded.
        dest: folder of the manifests; made where missing, older manifests are replaced.
        **options: of this corpus, see ``corpus_help``; texts are converted to their types.

    Returns:
        Figures and warnings.

    Raises:
        DataError: unknown corpus or option, or the source is not what the corpus looks like.
        AudioError: an audio file cannot be used.
    """
    module = _module(corpus)
    source, dest = Path(source).expanduser(), Path(dest).expanduser()
    if dest.exists() and not dest.is_dir():
        raise DataError(f"{dest} is a file, must be a folder for the manifests; choose another")
    arguments = _arguments(module.prepare, corpus, options)
    if "dest" in inspect.signature(module.prepare).parameters:
        arguments["dest"] = dest
    splits: Splits = module.prepare(source, **arguments)
    summary = summarize(
        corpus,
        splits,
        notes=getattr(module, "NOTES", ()),
        shared_speakers=getattr(module, "SHARED_SPEAKERS", ""),
    )
    for split, utterances in splits.items():
        write_manifest(utterances, dest / f"{split}.jsonl.gz")
    summary.save(dest / "summary.json")
    return summary


def _module(corpus: str) -> ModuleType:
    names = corpus_names()
    if corpus not in names:
        raise DataError(f"corpus {corpus!r} is not known{did_you_mean(corpus, names)}")
    return importlib.import_module(f"{__name__}.{corpus}")


def _arguments(
    function: Callable[..., Any], corpus: str, options: dict[str, Any]
) -> dict[str, Any]:
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "dest"
    }
    converted = {}
    for name, value in options.items():
        if name not in parameters:
            hint = did_you_mean(name, parameters)
            raise DataError(f"{corpus} has no option {name!r}{hint}")
        converted[name] = _convert(value, parameters[name].annotation, f"{corpus}: {name}")
    return converted


def _convert(value: Any, kind: Any, what: str) -> Any:
    if not isinstance(value, str) or kind not in (int, float, bool):
        return value
    if kind is bool:
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise DataError(f"{what}={value!r} must be true or false")
    try:
        return kind(value)
    except ValueError:
        raise DataError(f"{what}={value!r} must be a number ({kind.__name__})") from None
