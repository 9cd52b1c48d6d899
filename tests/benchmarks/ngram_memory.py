"""Estimating in bounded memory: a text that outgrows it, and that the disk changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.ngram_process import worker
from tests.benchmarks.ngram_texts import Text
from tests.benchmarks.timing import table

ORDER = 3
MEMORY, GOAL_MB = "1G", 1300
SMALL_WORDS, SMALL_MEMORY = 10_000_000, "512M"  # a text that just outgrows the smallest memory


def measure(large: Path, small: Text) -> dict[str, Any]:
    """Memory and time of a large text with a limit; equality of both ways on a small one.

    Args:
        large: text to estimate from; scratch files go beside it.
        small: text that fits into memory without a limit.
    """
    saved = str(large.with_suffix(".ngram"))
    usage = worker("estimate", text=str(large), order=ORDER, threads=1, memory=MEMORY, binary=saved)
    same = worker(
        "same", text=str(small.train), test=str(small.test), order=ORDER, memory=SMALL_MEMORY
    ).parts
    return {
        "memory": MEMORY,
        "order": ORDER,
        "bytes": large.stat().st_size,
        "ngrams": usage.parts["ngrams"],
        "wall_s": usage.wall_s,
        "cpu_s": usage.cpu_s,
        "peak_mb": usage.peak_mb,
        "small_text": {"name": small.name, "memory": SMALL_MEMORY, **same},
    }


def show(found: Mapping[str, Any]) -> None:
    """Print the figures for people."""
    print(
        f"\nBounded memory: {found['bytes'] / 1e6:.0f} MB of text, order {found['order']}, "
        f"memory={found['memory']}, estimated and saved, whole process"
    )
    figures = [
        f"{found['wall_s']:.1f}",
        f"{found['cpu_s']:.1f}",
        f"{found['ngrams'] / 1e6:.1f}",
        f"{found['peak_mb']:.0f}",
        f"{GOAL_MB}",
    ]
    print(table(["", "wall s", "CPU s", "M n-grams", "peak MB", "goal"], [["seqlab", *figures]]))
    small = found["small_text"]
    by_disk, in_memory = small["perplexities"]
    print(
        f"{small['name']}, memory={small['memory']} ({'by' if small['on_disk'] else 'without'} "
        f"the disk) and no limit: perplexity {by_disk:.10g} "
        f"and {in_memory:.10g}, {small['ngrams']} n-grams, "
        f"{'equal bit for bit' if small['equal'] else 'NOT EQUAL'}"
    )
