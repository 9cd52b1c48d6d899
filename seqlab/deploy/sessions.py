"""A graph in onnxruntime, with what it takes and gives checked before it is fed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.deploy.protobuf import has_outside_data
from seqlab.errors import MissingDependencyError, ModelError

Array = NDArray[Any]


class Session:
    """A graph that is ready to run.

    Args:
        content: The ONNX model.
        name: For messages.
        inputs: Names that it must take, exactly.
        outputs: Names that it must give, at least.
        threads: That onnxruntime may use, 1 or more.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        ModelError: It is no graph that onnxruntime runs, or another than the names say.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        threads: int = 1,
    ) -> None:
        runtime = require_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # its errors come as exceptions
        self.name = name
        try:
            outside = has_outside_data(content)
        except ModelError as error:
            raise ModelError(f"{name} cannot be run: {error}") from None
        if outside:
            raise ModelError(f"{name} names data outside of its file, must hold all of it")
        try:
            self._session = runtime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class for each kind, all from Exception
            raise ModelError(f"{name} cannot be run: {_first_line(error)}") from None
        takes = [value.name for value in self._session.get_inputs()]
        gives = [value.name for value in self._session.get_outputs()]
        if sorted(takes) != sorted(inputs) or not set(outputs) <= set(gives):
            raise ModelError(
                f"{name} takes {takes} and gives {gives}, must take {list(inputs)} and give "
                f"{list(outputs)}; export the model again"
            )
        self.outputs = list(outputs)

    def __call__(self, feed: Mapping[str, Array]) -> list[Array]:
        """The outputs, in the order of ``outputs``.

        Raises:
            ModelError: onnxruntime cannot compute them.
        """
        try:
            found: list[Array] = self._session.run(self.outputs, dict(feed))
        except Exception as error:
            raise ModelError(f"{self.name} fails: {_first_line(error)}") from None
        return found


def require_runtime() -> Any:
    """The module onnxruntime.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingDependencyError(
            "exported models run in onnxruntime, which is not installed; run pip install "
            f'"seqlab[onnx]" ({error})'
        ) from None


def checked(array: Array, shape: tuple[int | None, ...], name: str) -> Array:
    """The array, if it has a shape (None: any size) and is float32.

    Raises:
        ModelError: It has not.
    """
    fits = array.ndim == len(shape) and all(
        wanted is None or size == wanted for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != np.float32:
        raise ModelError(
            f"{name} is {array.dtype} of shape {array.shape}, must be float32 of shape "
            f"{tuple('any' if size is None else size for size in shape)}; export the model again"
        )
    return array


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
