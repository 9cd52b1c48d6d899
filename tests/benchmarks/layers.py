"""Milliseconds of a training pass through layers: ``python -m tests.benchmarks.layers [--json]``.

Batch norm, ReLU and dropout forward and backward on one thread: the house's layers, which leave out
padding, beside torch's, which do not, on the same tensors, interleaved. The last column is the
ratio of medians, torch's time over ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.blocks.dropout import Dropout, ReluDropout
from seqlab.blocks.normalization import MaskedBatchNorm
from tests.benchmarks.timing import interleave, table, versions

SHAPES = {"frames": (20, 110, 320), "long frames": (8, 800, 256), "images": (32, 50, 40, 16)}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
P = 0.1


def ours(width: int, lengths: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    norm, relu_dropout, dropout = MaskedBatchNorm(width), ReluDropout(P), Dropout(P)
    return {
        "batch norm": lambda values: norm(values, lengths),
        "ReLU, dropout": relu_dropout,
        "dropout": dropout,
    }


def torchs(width: int) -> dict[str, Callable[[Tensor], Tensor]]:
    norm = nn.BatchNorm1d(width)
    return {
        "batch norm": lambda values: norm(values.flatten(0, -2)).view(values.shape),
        "ReLU, dropout": nn.Sequential(nn.ReLU(), nn.Dropout(P)),
        "dropout": nn.Dropout(P),
    }


def both_ways(layer: Callable[[Tensor], Tensor], values: Tensor) -> Callable[[], None]:
    """Forward, then backward with a gradient of the result's precision."""
    values = values.clone().requires_grad_()
    grad = torch.randn(values.shape).to(layer(values).dtype)

    def run() -> None:
        values.grad = None
        layer(values).backward(grad)

    return run


def measure(rounds: int) -> list[dict[str, Any]]:
    found = []
    for shape_name, shape in SHAPES.items():
        lengths = torch.linspace(shape[1] // 2, shape[1], shape[0]).long()
        for dtype_name, dtype in DTYPES.items():
            values = torch.randn(shape).to(dtype)
            mine, theirs = ours(shape[-1], lengths), torchs(shape[-1])
            for layer in mine:
                tasks = {"ours": both_ways(mine[layer], values)}
                tasks["torch"] = both_ways(theirs[layer], values)
                times = {
                    k: statistics.median(v) * 1e3 for k, v in interleave(tasks, rounds).items()
                }
                found.append({"shape": shape_name, "dtype": dtype_name, "layer": layer} | times)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = measure(args.rounds)
    if args.json:
        print(json.dumps({"versions": versions(("numba", "torch")), "measured": found}, indent=1))
        return
    rows = [
        [
            f"{row['shape']} {SHAPES[row['shape']]}",
            row["dtype"],
            row["layer"],
            f"{row['ours']:.3f}",
            f"{row['torch']:.3f}",
            f"{row['torch'] / row['ours']:.1f}",
        ]
        for row in found
    ]
    print(table(["shape", "precision", "layer", "ours, ms", "torch, ms", "ratio"], rows))
    print(f"one thread, {args.rounds} rounds; {versions(('numba', 'torch'))}")


if __name__ == "__main__":
    main()
