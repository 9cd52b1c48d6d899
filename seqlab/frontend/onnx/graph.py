"""An ONNX graph under construction: one call a node, plain numbers and arrays as inputs."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlab.errors import MissingDependencyError

Value = str | int | float | Sequence[int] | NDArray[Any] | Tensor


def require(name: str) -> Any:
    """Module ``name``, of the extra that exports need.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} is not installed, and ONNX export needs it; run pip install "
            f'"seqlab[onnx]" ({error})'
        ) from error


class Graph:
    """Nodes and constants of a graph; calling it adds a node and returns the name of its result.

    Inputs are names of earlier results, or constants: an int or a list of them becomes int64, a
    float, also in arrays and tensors, becomes float32, or float64 in the block of ``in_double``.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self._real: type[np.floating] = np.float32
        self._onnx = require("onnx")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._known: dict[tuple[Any, ...], str] = {}

    def __call__(self, kind: str, *inputs: Value, name: str | None = None, **settings: Any) -> str:
        """Name of the result of an operator.

        Args:
            kind: the operator.
            inputs: names of results, or constants; "" leaves an optional input out.
            name: of the result; None makes one up.
            settings: attributes of the operator.
        """
        result = name or f"{kind.lower()}_{len(self._nodes)}"
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        self._nodes.append(self._onnx.helper.make_node(kind, names, [result], **settings))
        return result

    @contextlib.contextmanager
    def in_double(self) -> Iterator[None]:
        """A block in which floats become float64."""
        self._real = np.float64
        try:
            yield
        finally:
            self._real = np.float32

    def cast(self, value: Value, kind: str) -> str:
        """``value`` as another type, such as "INT64"."""
        return self("Cast", value, to=getattr(self._onnx.TensorProto, kind))

    def part(self, value: str, begin: int, end: int | None, axis: int = -1, step: int = 1) -> str:
        """``value[begin:end:step]`` along an axis; None reaches to the end of it."""
        beyond = np.iinfo(np.int64).max if step > 0 else np.iinfo(np.int64).min
        return self("Slice", value, [begin], [int(beyond) if end is None else end], [axis], [step])

    @property
    def nodes(self) -> list[Any]:
        """The nodes so far, for a graph of another make."""
        return list(self._nodes)

    @property
    def constants(self) -> list[Any]:
        """The constants so far."""
        return list(self._constants)

    def _constant(self, value: int | float | Sequence[int] | NDArray[Any] | Tensor) -> str:
        if isinstance(value, Tensor):
            value = value.detach().cpu().numpy()
        if not isinstance(value, np.ndarray):
            value = np.array(value, self._real if isinstance(value, float) else np.int64)
        if value.dtype.kind == "f":
            value = value.astype(self._real)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            self._known[key] = f"constant_{len(self._known)}"
            array = self._onnx.numpy_helper.from_array(value, self._known[key])
            self._constants.append(array)
        return self._known[key]

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any], facts: dict[str, str]) -> Any:
        """The finished, checked model.

        Args:
            inputs: value descriptions of the inputs.
            outputs: value descriptions of the outputs.
            facts: what the model says about itself.
        """
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, "features", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="seqlab")
        model.ir_version = helper.find_min_ir_version_for(opsets)
        helper.set_model_props(model, facts)
        self._onnx.checker.check_model(model, full_check=True)
        return model
