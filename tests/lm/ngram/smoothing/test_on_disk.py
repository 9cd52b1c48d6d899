"""Estimating by way of the disk: the same bits as in memory, of which only parts are needed."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seqlab.lm.ngram import scratch as scratch_module
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.estimation import Estimation
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.registry import smoothing_named

from .test_every import EVERY

ALL = [
    *EVERY,
    ("modified_kneser_ney", {"interpolated": False}),
    ("modified_kneser_ney", {"interpolate_unigrams": False, "like_lmplz": True}),
    ("modified_kneser_ney", {"cutoffs": (0, 0, 1)}),
    ("kneser_ney", {"interpolated": False}),
    ("jelinek_mercer", {"held_out": ["w1 w2 w1 w3", "w900 w1", "w2 w2 w5 w1 w1 w2"]}),
]


def sentences(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 14, count)
    return [" ".join(f"w{n}" for n in random.zipf(1.3, length) % 900) for length in lengths]


def arrays_of(table: BackoffTable) -> Iterator[tuple[str, np.ndarray]]:
    """All arrays of a model that are as long as there are n-grams, but for the unigrams' links."""
    for k, values in enumerate(table.log_prob, 1):
        yield f"log_prob {k}", values
    for k, values in enumerate(table.log_backoff, 1):
        yield f"log_backoff {k}", values
    for k, level in enumerate(table.ngrams.levels[1:], 2):
        for name in ("first", "suffix", "context"):
            yield f"{name} {k}", getattr(level, name)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """So small texts warn of discounts that they cannot tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@pytest.fixture(scope="module")
def counts() -> NGramCounts:
    """Of a small text, in memory."""
    return Estimation(4).count(sentences(100), Scratch())


@pytest.mark.parametrize(("name", "options"), ALL)
def test_the_same_bits_as_in_memory(
    name: str,
    options: dict[str, object],
    counts: NGramCounts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Worked on in parts of 37 rows, and no values or links of the model are in memory."""
    monkeypatch.setattr("seqlab.lm.ngram.smoothing.mixture._STEPS", 20)
    for cutoffs in [()] if "cutoffs" in options else [(), (0, 1, 1), (0, 0, 2), (0, 10**6)]:
        estimation = Estimation(4, smoothing_named(name, **options), cutoffs=cutoffs)
        whole = estimation.estimate(counts, Scratch())
        with monkeypatch.context() as patch, Scratch(tmp_path) as scratch:
            patch.setattr(scratch_module, "CHUNK", 37)
            table = estimation.estimate(estimation.count(sentences(100), scratch), scratch)
        assert table.unseen_backoff == whole.unseen_backoff
        for (what, mine), (_, other) in zip(arrays_of(table), arrays_of(whole), strict=True):
            assert mine.dtype == other.dtype and mine.tobytes() == other.tobytes(), what
            assert getattr(mine, "_mmap", None) is not None, f"{what} is in memory"


@pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, options in ALL if "cutoffs" not in options]
)
def test_memory_holds_parts_only(
    name: str,
    options: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is in memory at a time is less than one byte for each n-gram of the text."""
    monkeypatch.setattr(scratch_module, "CHUNK", 200)
    monkeypatch.setattr("seqlab.lm.ngram.smoothing.mixture._STEPS", 2)
    estimation = Estimation(3, smoothing_named(name, **options), cutoffs=(0, 1, 1))
    with Scratch(tmp_path) as scratch:
        counts = estimation.count(sentences(10000), scratch)
        estimation.estimate(counts, scratch)  # imports and compiles what there is to
        tracemalloc.start()
        try:
            table = estimation.estimate(counts, scratch)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert table.order == 3
    assert peak < sum(counts.ngrams.sizes)
