"""Detections from posteriors: worked by hand, and the same under any chunking."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.decoding.keyword import (
    Detection,
    DetectorSettings,
    KeywordDetector,
    keyword_labels,
    smoothed,
)
from seqlab.errors import SeqlabError

LABELS = ["<unknown>", "go", "stop"]


def detector(**settings: object) -> KeywordDetector:
    chosen = {"smoothing_s": 0, "refractory_s": 0, "release": 1.0, **settings}
    return KeywordDetector(LABELS, 0.1, DetectorSettings(**chosen))


def of(go: list[float], stop: list[float] | None = None) -> np.ndarray:
    other = np.array(stop or [0.0] * len(go))
    return np.stack([1 - np.array(go) - other, np.array(go), other], 1).clip(0, 1)


def fired(found: KeywordDetector, posteriors: np.ndarray) -> list[tuple[str, int]]:
    """Label and frame of each detection."""
    answers, _ = found.step(posteriors, found.initial_state())
    return [(d.label, round(d.time_s / 0.1) - 1) for d in answers]


def test_a_label_fires_once_at_its_threshold() -> None:
    assert fired(detector(), of([0.1, 0.5, 0.9, 0.6, 0.2])) == [("go", 1)]
    assert fired(detector(threshold=0.9), of([0.1, 0.5, 0.9, 0.6, 0.2])) == [("go", 2)]
    assert fired(detector(threshold=0.91), of([0.1, 0.5, 0.9, 0.6, 0.2])) == []


def test_hysteresis() -> None:
    wobbling = of([0.6, 0.45, 0.6, 0.2, 0.6])
    assert fired(detector(), wobbling) == [("go", 0), ("go", 2), ("go", 4)]
    # 0.45 is not below 0.8 * 0.5, 0.2 is.
    assert fired(detector(release=0.8), wobbling) == [("go", 0), ("go", 4)]
    assert fired(detector(release=0.0), wobbling) == [("go", 0)]


def test_refractory_time() -> None:
    twice = of([0.9, 0.0, 0.9, 0.0, 0.9])
    assert fired(detector(), twice) == [("go", 0), ("go", 2), ("go", 4)]
    assert fired(detector(refractory_s=0.2), twice) == [("go", 0), ("go", 2), ("go", 4)]
    assert fired(detector(refractory_s=0.3), twice) == [("go", 0), ("go", 4)]
    assert fired(detector(refractory_s=0.5), twice) == [("go", 0)]
    # Still there when it is over: fires then.
    assert fired(detector(refractory_s=0.3), of([0.9, 0, 0.9, 0.9, 0.9])) == [("go", 0), ("go", 3)]


def test_labels_do_not_wait_for_each_other() -> None:
    both = of([0.0, 0.5, 0.0, 0.1], [0.0, 0.5, 0.9, 0.0])
    assert fired(detector(refractory_s=9), both) == [("go", 1), ("stop", 1)]
    single = detector(thresholds={"stop": 0.8})
    assert fired(single, both) == [("go", 1), ("stop", 2)]


def test_smoothing_is_a_mean_that_looks_back() -> None:
    """By hand: means of three of 0 0 | 0.3 0.9 0.6 0.0 are 0.1 0.4 0.6 0.5."""
    values = np.array([[0.3], [0.9], [0.6], [0.0]])
    np.testing.assert_allclose(smoothed(values, np.zeros((2, 1))).ravel(), [0.1, 0.4, 0.6, 0.5])
    three = detector(smoothing_s=0.3, threshold=0.55, release=0.6)
    [found], _ = three.step(of([0.3, 0.9, 0.6, 0.0]), three.initial_state())
    # Risen at frame 1, whose 0.4 is not below 0.6 * 0.55; fires at the end of frame 2.
    assert found == Detection(pytest.approx(0.1), pytest.approx(0.3), "go", pytest.approx(0.6))


def test_labels_in_angle_brackets_never_fire() -> None:
    assert fired(detector(), of([0.0] * 5)) == []
    assert keyword_labels(["<unknown>", "<", "a"]) == ["<", "a"]
    with pytest.raises(SeqlabError, match="hold no keyword"):
        KeywordDetector(["<unknown>", "<silence>"], 0.1)


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[int], DetectorSettings]:
    levels = st.sampled_from([0.0, 0.1, 0.35, 0.45, 0.5, 0.7, 1.0])
    rows = draw(st.lists(st.tuples(levels, levels), max_size=40))
    values = np.array([[0.0, *row] for row in rows]).reshape(-1, 3)
    cuts = draw(st.lists(st.integers(0, len(rows)), max_size=6))
    settings = DetectorSettings(
        threshold=draw(st.sampled_from([0.2, 0.5, 0.9])),
        smoothing_s=draw(st.sampled_from([0.0, 0.2, 0.5])),
        release=draw(st.sampled_from([0.0, 0.8, 1.0])),
        refractory_s=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )
    return values, sorted(cuts), settings


@given(streams())
def test_any_chunking_gives_the_same(case: tuple[np.ndarray, list[int], DetectorSettings]) -> None:
    values, cuts, settings = case
    found = KeywordDetector(LABELS, 0.1, settings)
    whole, end = found.step(values, found.initial_state())
    state, parts = found.initial_state(), []
    for begin, stop in itertools.pairwise([0, *cuts, len(values)]):
        some, state = found.step(values[begin:stop], state)
        parts += some
    assert parts == whole  # to the bit
    assert state.frame == end.frame and (state.history == end.history).all()


@given(streams(), st.integers(0, 60))
def test_skipping_equals_zeros(
    case: tuple[np.ndarray, list[int], DetectorSettings], n: int
) -> None:
    values, _, settings = case
    found = KeywordDetector(LABELS, 0.1, settings)
    _, state = found.step(values, found.initial_state())
    skipped, quick = found.skip(n, state)
    zeros, slow = found.step(np.zeros((n, 3)), state)
    assert skipped == zeros and quick.frame == slow.frame
    assert found.step(values, quick)[0] == found.step(values, slow)[0]


def test_a_day_does_not_drift() -> None:
    """The same hour again and again: the same detections, an hour later to the microsecond."""
    found = KeywordDetector(LABELS, 0.01, DetectorSettings(0.3, smoothing_s=0.3))
    values = np.random.default_rng(0).random((360_000, 3)) ** 4
    state, hours = found.initial_state(), []
    for _ in range(24):
        heard, state = found.step(values, state)
        hours.append([(round(d.time_s % 3600, 6), d.label, d.score) for d in heard])
    assert len(hours[1]) > 100
    assert all(hour == hours[1] for hour in hours[2:])
    assert state.frame == 24 * 360_000 and state.history.shape == (29, 3)


def test_bad_input() -> None:
    found = detector()
    for posteriors, message in [
        (np.zeros((4, 2)), r"must be \(T', 3\)"),
        (np.full((1, 3), np.nan), "not NaN"),
        (np.full((1, 3), -2.0), "not logarithms"),
    ]:
        with pytest.raises(SeqlabError, match=message):
            found.step(posteriors, found.initial_state())
    with pytest.raises(SeqlabError, match="did you mean 'stop'"):
        KeywordDetector(LABELS, 0.1, DetectorSettings(thresholds={"stpo": 0.5}))
    with pytest.raises(SeqlabError, match="threshold=0"):
        DetectorSettings(threshold=0)
    with pytest.raises(SeqlabError, match=r"go=1\.5"):
        DetectorSettings(thresholds={"go": 1.5})
    with pytest.raises(SeqlabError, match="frame_s=0"):
        KeywordDetector(LABELS, 0)
