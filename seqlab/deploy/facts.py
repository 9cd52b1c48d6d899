"""What ``export.json`` says of an export, checked; the graphs are not opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqlab.decoding.keyword import DetectorSettings
from seqlab.errors import SeqlabError
from seqlab.values import shown

__all__ = [
    "ExportFacts",
    "SpottingFacts",
    "State",
    "StreamFacts",
    "TokenizerFacts",
    "parsed_facts",
    "positive",
]

OFFLINE_NAME = "model.onnx"
STREAM_NAME = "stream.onnx"
START_NAME = "start.onnx"
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


def parsed_facts(content: dict[str, Any]) -> ExportFacts:
    """The facts that the content of export.json holds.

    Raises:
        SeqlabError: A value is not what it must be; KeyError and TypeError where one is missing or
            of another kind.
    """
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


def positive(value: Any, name: str) -> float:
    """A number of seconds above 0 and at most 60; SeqlabError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 60:
        raise SeqlabError(f"{name}={shown(value)} must be above 0 and at most 60 seconds")
    return float(value)


def _one_of(value: Any, known: tuple[str, ...], name: str) -> str:
    if value not in known:
        raise SeqlabError(f"{name}={shown(value)} must be one of {', '.join(known)}")
    return str(value)
