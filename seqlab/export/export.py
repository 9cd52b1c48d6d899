"""A trained model becomes a folder that runs without torch."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import seqlab
from seqlab.checks import check_range
from seqlab.components import describe
from seqlab.deploy.folder import (
    FACTS_NAME,
    FORMAT,
    FORMAT_VERSION,
    OFFLINE_NAME,
    SPOTTING_NAME,
    START_NAME,
    STREAM_NAME,
    TOKENIZER_FOLDER,
    is_export,
)
from seqlab.errors import ModelError
from seqlab.export.check import Agreement, compare
from seqlab.export.graphs import (
    join_stream,
    join_whole,
    trace_start,
    trace_stream,
    trace_whole,
)
from seqlab.export.plan import (
    StreamPlan,
    least_samples,
    plan_stream,
    steady,
    why_not_exported,
)
from seqlab.export.quantise import quantised, stream_feeds, whole_feeds
from seqlab.inference.operating_point import OperatingPoint
from seqlab.inference.posteriors import unit_of
from seqlab.model import SpeechModel

__all__ = ["FLOAT_TOLERANCE", "INT8_TOLERANCE", "export_model"]

FLOAT_TOLERANCE, INT8_TOLERANCE = 1e-4, 0.1
_LONGEST_S = 10.0  # of a recording that is heard for calibration and check
_ELEMENT_TYPES = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}


def export_model(
    model: SpeechModel,
    folder: str | os.PathLike[str],
    *,
    recordings: Sequence[Tensor],
    offline: bool = True,
    streaming: bool | None = None,
    int8: bool = False,
    block_s: float = 0.1,
    window_s: float = 1.0,
    tolerance: float | None = None,
    operating_point: OperatingPoint | None = None,
) -> Agreement:
    """Write a model as ONNX graphs with the front end inside, checked against torch.

    Use it to run a trained model without torch: by ``seqlab.deploy``, or by onnxruntime in any
    language. The folder appears whole or not at all; an older export is replaced.

    Args:
        model: A classifier, a recogniser with ``CTCHead``, or one of sound events; in any mode, on
            any device.
        folder: Where to.
        recordings: Waveforms (N,) at the model's rate that the export is checked on, and int8 is
            calibrated on; the first 10 s of each count.
        offline: Write a graph for whole recordings.
        streaming: Write a graph for streams; None: where the model can.
        int8: Quantise the network, not the front end.
        block_s: Seconds that the streaming graph hears at a time, within [0.01, 10].
        window_s: Seconds that a classifier without ``KeywordHead`` judges in a stream.
        tolerance: Greatest difference of a probability from torch; None: 1e-4, or 0.1 of int8.
        operating_point: Of the model, to go with it.

    Returns:
        How far the export lies from torch.

    Raises:
        ModelError: The model cannot be exported, for a reason that the message names; it differs
            from torch by more than ``tolerance``; or the folder is something else.
        MissingDependencyError: onnx, onnxscript or onnxruntime is not installed.
        SeqlabError: An argument, or a setting of the front end, is out of range.
    """
    limit = tolerance if tolerance is not None else INT8_TOLERANCE if int8 else FLOAT_TOLERANCE
    check_range("tolerance", limit, 0, 1, "it is of probabilities")
    if not offline and not streaming:
        raise ModelError("neither offline nor streaming: there is nothing to export; ask for one")
    target = Path(os.path.abspath(Path(folder).expanduser()))
    _check_target(target)
    with steady(model):
        reason = why_not_exported(model)
        if reason is not None:
            raise ModelError(f"this model cannot be exported: {reason}")
        plan = _plan(model, streaming, offline, block_s, window_s)
        heard = [r[: round(_LONGEST_S * model.sample_rate)] for r in recordings]
        graphs = _graphs(model, plan, offline, heard if int8 else None)
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
        try:
            fresh.mkdir(parents=True)
            facts = _facts(model, plan, int8)
            _write(fresh, graphs, facts, operating_point)
            if facts["tokenizer"] is not None:
                _write_tokenizer(fresh / TOKENIZER_FOLDER, model)
            agreement = compare(model, fresh, heard, window_s)
            agreement.check(limit)
            _write_facts(fresh, {**facts, "check": agreement.as_dict()}, graphs)
            _swap(fresh, target)
        except OSError as error:
            raise ModelError(f"{target} cannot be written: {error.strerror or error}") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return agreement


def _plan(
    model: SpeechModel, streaming: bool | None, offline: bool, block_s: float, window_s: float
) -> StreamPlan | None:
    """The layout of the streaming graph; None where none is asked for, or none is possible."""
    if streaming is False:
        return None
    try:
        return plan_stream(model, block_s, window_s)
    except ModelError:
        if streaming or not offline:
            raise
        return None


def _graphs(
    model: SpeechModel, plan: StreamPlan | None, offline: bool, calibration: Sequence[Tensor] | None
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    if offline:
        network = trace_whole(model)
        if calibration is not None:
            network = quantised(network, whole_feeds(model, calibration))
        found[OFFLINE_NAME] = join_whole(model, network).SerializeToString()
    if plan is not None:
        said = "posteriors" if model.head.output == "label" else "log_probs"
        network = trace_stream(model, plan, said)
        start = trace_start(model, plan, said) if plan.first else None
        if calibration is not None:
            first, feeds = stream_feeds(model, plan, calibration)
            network = quantised(network, feeds)
            start = start and quantised(start, first)
        found[STREAM_NAME] = join_stream(model, network, plan.frames).SerializeToString()
        if start is not None:
            found[START_NAME] = join_stream(model, start, plan.first).SerializeToString()
    return found


def _facts(model: SpeechModel, plan: StreamPlan | None, int8: bool) -> dict[str, Any]:
    single = math.isnan(model.frame_s)  # one encoded frame for the whole
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {"seqlab": seqlab.__version__, "torch": str(torch.__version__)},
        "network": type(model.encoder).__name__,
        "head": type(model.head).__name__,
        "precision": "int8" if int8 else "float32",
        "task": model.task,
        "tokens": model.tokenizer.tokens,
        "joiner": _joiner(model),
        "sample_rate": model.sample_rate,
        "unit": model.frontend.hop_length if single else unit_of(model),
        "least_samples": least_samples(model),
        "synthetic": bool(model.facts.get("synthetic")),
        "tokenizer": _tokenizer_facts(model),
        "stream": None if plan is None else _stream_facts(plan, model.frontend.hop_length),
    }


def _tokenizer_facts(model: SpeechModel) -> dict[str, Any] | None:
    """Of a recogniser, which needs it to spell phrases."""
    if model.task != "transcription":
        return None
    digests = {name: _digest(content) for name, content in model.tokenizer.state().items()}
    return {"spec": describe(model.tokenizer), "files": digests}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _stream_facts(plan: StreamPlan, hop: int) -> dict[str, Any]:
    states = []
    if plan.start.lead:
        names = {"input": "samples", "output": "next_samples"}
        states.append({**names, "shape": [1, plan.start.lead], "type": "float32"})
    for place, tensor in enumerate(plan.network.tensors):
        if tensor.dtype not in _ELEMENT_TYPES:
            raise ModelError(f"a state of type {tensor.dtype} cannot be exported")
        names = {"input": f"state_{place}", "output": f"next_state_{place}"}
        shape, kind = list(tensor.shape), _ELEMENT_TYPES[tensor.dtype]
        states.append({**names, "shape": shape, "type": kind})
    return {
        "block": plan.block,
        "lead": plan.start.lead,
        "padding": list(plan.start.padding),
        "warm_up": plan.warm_up,
        "states": states,
        "hop": hop,
        "first": plan.first * hop,
        "ahead": plan.ahead * hop,
        "drains": plan.drains,
    }


def _joiner(model: SpeechModel) -> str | None:
    """How tokens become text, as ``seqlab.deploy`` knows; None if in none of its ways."""
    if model.task != "transcription":
        return None
    kinds = {"character": "characters", "word": "words", "subword": "subwords"}
    return kinds.get(model.tokenizer.unit)


def _write(
    folder: Path,
    graphs: dict[str, bytes],
    facts: dict[str, Any],
    operating_point: OperatingPoint | None,
) -> None:
    for name, content in graphs.items():
        (folder / name).write_bytes(content)
    if operating_point is not None:
        operating_point.save(folder)
    _write_facts(folder, facts, graphs)


def _write_tokenizer(folder: Path, model: SpeechModel) -> None:
    folder.mkdir()
    for name, content in model.tokenizer.state().items():
        (folder / name).write_bytes(content)


def _write_facts(folder: Path, facts: dict[str, Any], graphs: dict[str, bytes]) -> None:
    digests = {name: _digest(content) for name, content in graphs.items()}
    text = json.dumps({**facts, "digests": digests}, indent=1, ensure_ascii=False)
    (folder / FACTS_NAME).write_text(text + "\n", encoding="utf-8")


def _check_target(target: Path) -> None:
    """Raise ModelError unless nothing, an empty folder or an export would be replaced."""
    if not target.exists():
        return
    known = {FACTS_NAME, OFFLINE_NAME, STREAM_NAME, START_NAME, SPOTTING_NAME, TOKENIZER_FOLDER}
    names = {path.name for path in target.iterdir()} if target.is_dir() else {""}
    if names and not (is_export(target) and names <= known):
        raise ModelError(f"{target} exists and is no export; choose another path or remove it")


def _swap(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    old = fresh.with_suffix(".old")
    target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def made_recordings(sample_rate: int, count: int = 3) -> list[Tensor]:
    """Sound (N,) of changing colour and level, where there are no recordings: the same always."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        seconds = 1.0 + 0.5 * number
        noise = random.standard_normal(round(seconds * sample_rate))
        level = np.repeat(random.uniform(0, 1, len(noise) // 800 + 1), 800)[: len(noise)]
        colour = level * np.roll(noise, 1)
        found.append(torch.from_numpy((0.1 * level * (noise + colour)).astype(np.float32)))
    return found
