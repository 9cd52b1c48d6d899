"""Tensors as the arrays that the compiled loops take."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.compiled import can_compile


def runs_compiled(*tensors: Tensor) -> bool:
    """Whether all lie on a CPU, in single precision or bfloat16, and are not being traced."""
    if torch.compiler.is_compiling() or not can_compile():
        return False
    dtypes = (torch.float32, torch.bfloat16)
    return all(t.device.type == "cpu" and t.dtype in dtypes for t in tensors)


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The memory of a tensor; of bfloat16 its bits."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
