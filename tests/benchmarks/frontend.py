"""Speed and memory of the front end against its peers: `python -m tests.benchmarks.frontend`.

x real time is seconds of audio for each second of computing. All systems run in turns in one
process; a process for each number of threads, and one for each figure of memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.frontend_systems import (
    DIFFERENTIABLE,
    KINDS,
    NAMES,
    OURS,
    SAMPLE_RATE,
    build,
    differentiable,
)
from tests.benchmarks.timing import (
    in_a_process,
    interleave,
    memory_growth,
    spread,
    table,
    versions,
)

MODULE = "tests.benchmarks.frontend"
PACKAGES = ("torch", "torchaudio", "librosa", "kaldi-native-fbank", "lhotse", "numba", "numpy")
# name: (recordings, seconds of each, rounds)
SIZES = {"10 s": (1, 10, 41), "64 x 10 s": (64, 10, 7), "1 h": (1, 3600, 3)}
QUICK = {"10 s": (1, 10, 11), "16 x 10 s": (16, 10, 3), "4 min": (1, 240, 3)}
GOALS = {"10 s": 2.0, "64 x 10 s": 2.0, "1 h": 6.0, "forward + backward, 8 x 10 s": 1.3}
GRADIENT = "forward + backward, 8 x 10 s"


def noise(recordings: int, seconds: int) -> Tensor:
    """Noise (B, N), or (N,) for one recording, made in place."""
    shape = (recordings, seconds * SAMPLE_RATE)
    samples = np.empty(shape, np.float32)
    np.random.default_rng(0).standard_normal(dtype=np.float32, out=samples)
    samples *= 0.1
    return torch.from_numpy(samples if recordings > 1 else samples[0])


def _forward_backward(features: Callable[[Tensor], Tensor], waveform: Tensor) -> None:
    leaf = waveform.clone().requires_grad_()
    features(leaf).sum().backward()


def measure(kind: str, sizes: dict[str, tuple[int, int, int]], rounds: int) -> dict[str, Any]:
    """x real time (lower quartile, median, upper quartile) of each task and system."""
    found: dict[str, Any] = {}
    for size, (recordings, seconds, size_rounds) in sizes.items():
        waveform = noise(recordings, seconds)
        tasks = {name: partial(build(name, kind), waveform) for name in NAMES}
        timed = interleave(tasks, size_rounds)
        audio = recordings * seconds
        found[size] = {name: [audio / s for s in spread(timed[name])][::-1] for name in NAMES}
    waveform = noise(8, 10)
    tasks = {
        name: partial(_forward_backward, differentiable(name, kind), waveform)
        for name in DIFFERENTIABLE
    }
    timed = interleave(tasks, rounds)
    found[GRADIENT] = {name: [80 / s for s in spread(timed[name])][::-1] for name in tasks}
    return found


def memory(name: str, kind: str, seconds: int) -> float:
    """Megabytes that features of one recording add at their peak."""
    system = build(name, kind)
    system(noise(1, 10))
    waveform = noise(1, seconds)
    return memory_growth(partial(system, waveform))


def collect(quick: bool) -> dict[str, Any]:
    """All figures: threads -> kind -> task -> system, and memory."""
    extra = ["--quick"] if quick else []
    kinds = KINDS[:1] if quick else KINDS
    speeds = {
        str(threads): {
            kind: in_a_process(MODULE, ["--measure", kind, *extra], threads) for kind in kinds
        }
        for threads in ((1,) if quick else (1, 2))
    }
    names = (OURS, "torchaudio.transforms") if quick else NAMES
    megabytes = {
        kind: {name: in_a_process(MODULE, ["--memory", kind, name, *extra], 1) for name in names}
        for kind in kinds
    }
    return {"x_real_time": speeds, "memory_mb": megabytes, "versions": versions(PACKAGES)}


def ratios(task: dict[str, list[float]]) -> dict[str, float]:
    """Our median over each peer's."""
    return {name: task[OURS][1] / task[name][1] for name in task if name != OURS}


def show(found: dict[str, Any], quick: bool) -> None:
    """Print the tables for people."""
    print("x real time, median of the rounds (quartiles); ratio: seqlab's median over the peer's")
    for threads, kinds in found["x_real_time"].items():
        for kind, tasks in kinds.items():
            for size, task in tasks.items():
                print(f"\n{kind}, {size}, threads: {threads}")
                relative = ratios(task)
                rows = [
                    [
                        name,
                        f"{middle:.0f}",
                        f"{low:.0f} to {high:.0f}",
                        f"{relative[name]:.2f}" if name in relative else "",
                    ]
                    for name, (low, middle, high) in task.items()
                ]
                print(table(["", "x real time", "quartiles", "ratio"], rows))
                goal = f", goal {GOALS[size]}" if size in GOALS else ""
                print(f"over the best peer: {min(relative.values()):.2f}{goal}")
    length = "4 min" if quick else "1 h"
    print(f"\npeak memory growth for {length}, MB (goal for log-mel of 1 h: at most 120)")
    kinds = list(found["memory_mb"])
    names = list(found["memory_mb"][kinds[0]])
    rows = [[name, *(f"{found['memory_mb'][kind][name]:.0f}" for kind in kinds)] for name in names]
    print(table(["", *kinds], rows))
    print("\n" + ", ".join(f"{name} {version}" for name, version in found["versions"].items()))


def main() -> None:
    """Command line; ``--measure`` and ``--memory`` are what the processes of a run call."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object for machines")
    parser.add_argument("--quick", action="store_true", help="smaller, under 45 seconds")
    parser.add_argument("--measure", metavar="KIND", help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs=2, metavar=("KIND", "SYSTEM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sizes = QUICK if options.quick else SIZES
        print(json.dumps(measure(options.measure, sizes, 3 if options.quick else 11)))
    elif options.memory:
        kind, name = options.memory
        print(json.dumps(memory(name, kind, 240 if options.quick else 3600)))
    else:
        found = collect(options.quick)
        if options.json:
            every = found["x_real_time"]
            found["ratios"] = {
                threads: {k: {s: ratios(t) for s, t in tasks.items()} for k, tasks in kinds.items()}
                for threads, kinds in every.items()
            }
            print(json.dumps(found))
        else:
            show(found, options.quick)


if __name__ == "__main__":
    main()
