"""int8 weights and activations for a traced network, calibrated on recordings.

Convolutions and matrix products are quantised (operators Conv, MatMul and Gemm), statically, by
onnxruntime: weights symmetric and by channel, activations by the range that they had on the
recordings. The front end stays as it is: its spectrum spans more than eight bits do.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.deploy.sessions import Array, require_runtime
from seqlab.errors import ModelError
from seqlab.export.network import StartNetwork
from seqlab.export.plan import StreamPlan
from seqlab.frontend.onnx.export import check_frontend
from seqlab.frontend.onnx.graph import require
from seqlab.model import SpeechModel

__all__ = ["OPERATORS", "quantised", "stream_feeds", "whole_feeds"]

OPERATORS = ("Conv", "MatMul", "Gemm")
_MOST = 256  # feeds of the calibration, all of whose activations are kept

Feed = Mapping[str, Array]


def whole_feeds(model: SpeechModel, recordings: Sequence[Tensor]) -> list[Feed]:
    """What the network for whole recordings is fed."""
    feeds: list[Feed] = []
    for recording in recordings[:_MOST]:
        with torch.inference_mode():
            features, lengths = model.frontend(recording[None], torch.tensor([len(recording)]))
        if features.shape[1]:
            feeds.append({"features": features.numpy(), "lengths": lengths.numpy()})
    return feeds


def stream_feeds(
    model: SpeechModel, plan: StreamPlan, recordings: Sequence[Tensor]
) -> tuple[list[Feed], list[Feed]]:
    """What the networks for the first block, if it is longer, and for the others are fed.

    That is blocks of static features with the states before them.
    """
    first: list[Feed] = []
    feeds: list[Feed] = []
    width, start = check_frontend(model.frontend).static_dim, StartNetwork(plan.network)
    for recording in recordings:
        tensors = list(plan.network.tensors)
        with torch.inference_mode():
            features, _ = model.frontend(recording[None], torch.tensor([len(recording)]))
            features = features[:, :, :width]
            extra: Feed = {}
            if plan.first:
                long, count = features[:, : plan.first], torch.full((1,), plan.first)
                if long.shape[1] < plan.first:
                    continue
                first.append({"features": long.numpy(), "frames": count.numpy()})
                tensors, features = start(long, count)[1:], features[:, plan.first :]
                extra = {"frames": np.full(1, plan.frames)}
            for block in torch.split(features, plan.frames, dim=1):
                if block.shape[1] < plan.frames:
                    break
                states = {f"state_{place}": t.numpy() for place, t in enumerate(tensors)}
                feeds.append({"features": block.numpy(), **states, **extra})
                tensors = plan.network(block, tensors)[1:]
    step = max(1, len(feeds) // _MOST)
    return first[:_MOST], feeds[::step][:_MOST]


class _Reader:
    """Feeds one after the other, as onnxruntime asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next feed, or None after the last."""
        return next(self._left, None)


def quantised(network: Any, feeds: Sequence[Feed]) -> Any:
    """The traced network, an ``onnx.ModelProto``, in int8.

    Raises:
        ModelError: There is nothing to calibrate on, or onnxruntime cannot quantise it.
        MissingDependencyError: onnx or onnxruntime is not installed.
    """
    if not feeds:
        raise ModelError("no recording to calibrate int8 on is long enough; give longer ones")
    onnx = require("onnx")
    require_runtime()
    quantization = require("onnxruntime.quantization")
    prepared = require("onnxruntime.quantization.shape_inference").quant_pre_process
    with tempfile.TemporaryDirectory() as name, _quiet():
        folder = Path(name)
        onnx.save(network, folder / "float.onnx")
        ready = folder / "ready.onnx"
        try:
            prepared(folder / "float.onnx", ready, skip_symbolic_shape=True)
            quantization.quantize_static(
                ready,
                folder / "int8.onnx",
                _Reader(feeds),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibration_providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # onnxruntime raises whatever comes to it
            raise ModelError(f"onnxruntime cannot quantise this network: {error}") from error
        return onnx.load(folder / "int8.onnx")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
