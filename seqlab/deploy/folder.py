"""The export folder: what is in it, and how it is read without trust.

A folder holds ``export.json`` (plain data), ``model.onnx`` for whole recordings and ``stream.onnx``
for streams, at least one of the two, ``start.onnx`` where the first block of a stream is longer
than the others, ``spotting.json`` where the model has an operating point, and in ``tokenizer``
what a recogniser's tokenizer has learnt.
Nothing in it is code: an ONNX graph is made of known operators, and those of other makers are
refused by onnxruntime; data outside of the graph's own file is refused by ``sessions``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from seqlab.components import build
from seqlab.decoding.keyword import DetectorSettings
from seqlab.deploy.facts import (
    OFFLINE_NAME,
    START_NAME,
    STREAM_NAME,
    ExportFacts,
    SpottingFacts,
    parsed_facts,
    positive,
)
from seqlab.errors import ModelError, SeqlabError
from seqlab.text.base import Tokenizer
from seqlab.values import shown

__all__ = [
    "FACTS_NAME",
    "FORMAT",
    "FORMAT_VERSION",
    "OFFLINE_NAME",
    "SPOTTING_NAME",
    "START_NAME",
    "STREAM_NAME",
    "TOKENIZER_FOLDER",
    "is_export",
    "read_facts",
    "read_graph",
    "read_spotting",
    "read_tokenizer",
]

FORMAT = "seqlab-export"
FORMAT_VERSION = 1
FACTS_NAME = "export.json"
SPOTTING_NAME = "spotting.json"
TOKENIZER_FOLDER = "tokenizer"
MAX_TEXT_BYTES = 2**24  # of export.json and spotting.json
MAX_TOKENIZER_BYTES = 2**26  # of each of its files
MAX_GRAPH_BYTES = 2**31 - 1  # of a protocol buffer


def is_export(folder: str | Path) -> bool:
    """Whether a folder says that it is an export."""
    return (Path(folder).expanduser() / FACTS_NAME).is_file()


def read_facts(folder: Path) -> ExportFacts:
    """Read and check export.json; the graphs are not opened.

    Raises:
        ModelError: Not an export folder, of a newer format, or damaged; the message says which.
    """
    path = folder / FACTS_NAME
    content = _read_json(path)
    if content.get("format") != FORMAT:
        raise ModelError(f'{path} is not of an export ("format" must be {FORMAT!r})')
    version = content.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: format_version {shown(version)} is unknown here (at most {FORMAT_VERSION}); "
            "a newer seqlab can read it"
        )
    try:
        return parsed_facts(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"{path} is damaged: {reason}; export the model again") from None


def read_graph(folder: Path, name: str, facts: ExportFacts) -> bytes:
    """The bytes of a graph, which must be those that were exported.

    Raises:
        ModelError: It is missing, too large, or another.
    """
    path = folder / name
    if not path.is_file():
        raise ModelError(f"{path} is missing; copy or export the model again")
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise ModelError(f"{path} is larger than {MAX_GRAPH_BYTES} bytes; it cannot be a graph")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != facts.digests.get(name):
        raise ModelError(
            f"{path} is not the graph that {FACTS_NAME} names, or is damaged; copy or export the "
            "model again"
        )
    return content


def read_tokenizer(folder: Path, facts: ExportFacts) -> Tokenizer:
    """The tokenizer of a recogniser, which only a class of seqlab can be.

    Raises:
        ModelError: The export has none, a file of it is missing or another, or it is refused.
    """
    if facts.tokenizer is None:
        raise ModelError(
            f"{folder} holds no tokenizer, for it was written by an older seqlab; export it again"
        )
    files = {}
    for name, digest in facts.tokenizer.files.items():
        path = folder / TOKENIZER_FOLDER / name
        if not path.is_file() or path.stat().st_size > MAX_TOKENIZER_BYTES:
            raise ModelError(f"{path} is missing or too large; copy or export the model again")
        files[name] = path.read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ModelError(
                f"{path} is not the file that {FACTS_NAME} names; copy or export the model again"
            )
    try:
        tokenizer: Tokenizer = build(
            facts.tokenizer.spec,
            Tokenizer,  # type: ignore[type-abstract]
            where="tokenizer",
        )
        tokenizer.load_state(files)
    except SeqlabError as error:
        raise ModelError(f"{folder / FACTS_NAME}: {error}; export the model again") from None
    if tuple(tokenizer.tokens) != facts.tokens:
        raise ModelError(f"{folder}: the tokenizer's tokens are not those of {FACTS_NAME}")
    return tokenizer


def read_spotting(folder: Path) -> SpottingFacts | None:
    """The operating point beside the graphs; None where there is none.

    Raises:
        ModelError: It is damaged, or a value is out of range.
    """
    path = folder / SPOTTING_NAME
    if not path.exists():
        return None
    content = _read_json(path)
    try:
        settings = DetectorSettings(**content["settings"])
        window_s, hop_s = (positive(content[name], name) for name in ("window_s", "hop_s"))
        phrases = content.get("phrases", {})
        if not isinstance(phrases, dict):
            raise SeqlabError(f"phrases is {shown(phrases)}, must be a mapping")
        return SpottingFacts(settings, window_s, hop_s, tuple(phrases))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} cannot be used: {error}; export the model again") from None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"{path} is missing; name a folder that seqlab export wrote")
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ModelError(f"{path} is larger than {MAX_TEXT_BYTES} bytes; it cannot be an export's")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} is {shown(content)}, must be a mapping")
    return content
