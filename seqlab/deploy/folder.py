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
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqlab.components import build
from seqlab.decoding.keyword import DetectorSettings
from seqlab.errors import ModelError, SeqlabError
from seqlab.text.base import Tokenizer
from seqlab.values import shown

FORMAT = "seqlab-export"
FORMAT_VERSION = 1
FACTS_NAME = "export.json"
OFFLINE_NAME = "model.onnx"
STREAM_NAME = "stream.onnx"
START_NAME = "start.onnx"
SPOTTING_NAME = "spotting.json"
TOKENIZER_FOLDER = "tokenizer"
MAX_TEXT_BYTES = 2**24  # of export.json and spotting.json
MAX_TOKENIZER_BYTES = 2**26  # of each of its files
MAX_GRAPH_BYTES = 2**31 - 1  # of a protocol buffer
MAX_ELEMENTS = 2**24  # of a state
TASKS = ("classification", "transcription", "detection")
JOINERS = ("characters", "words", "subwords")
TYPES = ("float32", "int64", "bool")


@dataclass(frozen=True)
class State:
    """A tensor that a stream carries from one call to the next; zero at its start."""

    input: str
    output: str
    shape: tuple[int, ...]
    type: str


@dataclass(frozen=True)
class StreamFacts:
    """How ``stream.onnx`` is fed.

    Before the first sample stand ``padding``: for each the number of the sample that it copies, or
    -1 for a zero. Of the sound thus lengthened the first ``lead`` samples are put into the state
    ``samples``; then follow blocks of ``block`` samples, each of which gives
    ``block / unit`` encoded frames. The first ``warm_up`` frames have not heard a whole window.

    Where ``first`` is above 0 frames wait for others, and ``start.onnx`` hears a first block of as
    many samples; it gives ``(first - ahead) / unit`` encoded frames and the first of all states but
    ``samples``. Both graphs then take ``frames``, how many times ``hop`` samples of a block are of
    the sound. Blocks beyond its end, with fewer or none, give what still waits, if the stream
    ``drains``.
    """

    block: int
    lead: int
    padding: tuple[int, ...]
    warm_up: int
    states: tuple[State, ...]
    hop: int
    first: int = 0
    ahead: int = 0
    drains: bool = False


@dataclass(frozen=True)
class TokenizerFacts:
    """What a tokenizer is built of: a class of seqlab, its arguments, digests of its files."""

    spec: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True)
class ExportFacts:
    """What export.json says, checked.

    Args:
        task: "classification", "transcription" or "detection" (of sound events).
        tokens: Labels, or tokens with the blank first.
        joiner: How tokens become text: "characters", "words", "subwords" (sentencepiece's); None
            if none of these does.
        sample_rate: In Hz.
        unit: Samples from one encoded frame to the next.
        least_samples: Without which there is no encoded frame.
        offline: Whether there is ``model.onnx``.
        stream: Of ``stream.onnx``, if there is one.
        digests: SHA-256 of each graph, by file name.
        synthetic: Whether the training speech was.
        tokenizer: Class and arguments of a recogniser's, and the SHA-256 of its files by name.
    """

    task: str
    tokens: tuple[str, ...]
    joiner: str | None
    sample_rate: int
    unit: int
    least_samples: int
    offline: bool
    stream: StreamFacts | None
    digests: Mapping[str, str]
    synthetic: bool
    tokenizer: TokenizerFacts | None = None


@dataclass(frozen=True)
class SpottingFacts:
    """The operating point of an export."""

    settings: DetectorSettings
    window_s: float
    hop_s: float
    phrases: tuple[str, ...] = ()


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
        return _facts(content)
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
        window_s, hop_s = (_positive(content[name], name) for name in ("window_s", "hop_s"))
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


def _facts(content: dict[str, Any]) -> ExportFacts:
    tokens, digests = content["tokens"], content["digests"]
    if not isinstance(tokens, list) or not tokens or not all(isinstance(t, str) for t in tokens):
        raise SeqlabError("tokens must be a list of one text at least")
    names = {OFFLINE_NAME, STREAM_NAME, START_NAME}
    if not isinstance(digests, dict) or not digests or not digests.keys() <= names:
        raise SeqlabError(f"digests must be of {' or '.join(sorted(names))}")
    stream = None if content["stream"] is None else _stream(content["stream"], content["unit"])
    if (stream is None) == (STREAM_NAME in digests):
        raise SeqlabError(f"stream and the digest of {STREAM_NAME} must come together")
    if bool(stream and stream.first) != (START_NAME in digests):
        raise SeqlabError(f"a longer first block and the digest of {START_NAME} go together")
    facts = ExportFacts(
        task=_one_of(content["task"], TASKS, "task"),
        tokens=tuple(tokens),
        joiner=None if content["joiner"] is None else _one_of(content["joiner"], JOINERS, "joiner"),
        sample_rate=_whole(content["sample_rate"], "sample_rate", 1, 10**6),
        unit=_whole(content["unit"], "unit", 1, 10**7),
        least_samples=_whole(content["least_samples"], "least_samples", 1, 10**9),
        offline=OFFLINE_NAME in digests,
        stream=stream,
        digests=digests,
        synthetic=content.get("synthetic") is True,
        tokenizer=_tokenizer(content.get("tokenizer")),
    )
    if stream is not None and stream.block % facts.unit:
        raise SeqlabError(f"block={stream.block} must be a multiple of unit={facts.unit}")
    if stream is not None and stream.first and (stream.first - stream.ahead) % facts.unit:
        raise SeqlabError(
            f"first={stream.first} less ahead={stream.ahead} must be a multiple of "
            f"unit={facts.unit}"
        )
    return facts


def _tokenizer(content: Any) -> TokenizerFacts | None:
    if content is None:
        return None
    spec, files = content["spec"], content["files"]
    if not isinstance(spec, dict) or not isinstance(files, dict):
        raise SeqlabError("tokenizer must hold a spec and files")
    for name in files:
        if name != Path(name).name or name in ("", ".", ".."):
            raise SeqlabError(f"tokenizer file {shown(name)} must be a plain file name")
    return TokenizerFacts(spec, files)


def _stream(content: dict[str, Any], unit: Any) -> StreamFacts:
    padding = [_whole(place, "padding", -1, 10**7) for place in content["padding"]]
    states = tuple(_state(state) for state in content["states"])
    facts = StreamFacts(
        block=_whole(content["block"], "block", 1, 10**8),
        lead=_whole(content["lead"], "lead", 0, 10**7),
        padding=tuple(padding),
        warm_up=_whole(content["warm_up"], "warm_up", 0, 10**7),
        states=states,
        hop=_whole(content.get("hop", unit), "hop", 1, 10**7),
        first=_whole(content.get("first", 0), "first", 0, 10**8),
        ahead=_whole(content.get("ahead", 0), "ahead", 0, 10**8),
        drains=content.get("drains") is True,
    )
    if facts.ahead > facts.first:
        raise SeqlabError(f"ahead={facts.ahead} must be at most first={facts.first}")
    if len(padding) > 10**6:
        raise SeqlabError(f"padding of {len(padding)} samples must be at most a million")
    return facts


def _state(content: dict[str, Any]) -> State:
    names = [content["input"], content["output"]]
    if not all(isinstance(name, str) for name in names):
        raise SeqlabError(f"names of a state {shown(names)} must be texts")
    shape = tuple(_whole(size, "shape", 1, MAX_ELEMENTS) for size in content["shape"])
    if math.prod(shape) > MAX_ELEMENTS:
        raise SeqlabError(f"a state of shape {shape} must hold at most {MAX_ELEMENTS} values")
    return State(names[0], names[1], shape, _one_of(content["type"], TYPES, "type"))


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SeqlabError(f"{name}={shown(value)} must be a whole number from {low} to {high}")
    return value


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 60:
        raise SeqlabError(f"{name}={shown(value)} must be above 0 and at most 60 seconds")
    return float(value)


def _one_of(value: Any, known: tuple[str, ...], name: str) -> str:
    if value not in known:
        raise SeqlabError(f"{name}={shown(value)} must be one of {', '.join(known)}")
    return str(value)
