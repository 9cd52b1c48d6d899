"""Probabilities become events: cases by hand, and properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import median_filter

from seqlab.decoding.events import (
    EventDecoder,
    EventSettings,
    candidate_events,
    find_events,
    median_smoothed,
)
from seqlab.errors import SeqlabError
from seqlab.events.event import Event, events_text
from seqlab.events.overlap import temporal_iou

PLAIN = {"median_s": 0.0, "min_gap_s": 0.0, "min_duration_s": 0.0}
tracks = arrays(np.float64, st.tuples(st.integers(0, 60), st.just(2)), elements=st.floats(0, 1))


def found(track: list[float], **options: float) -> list[tuple[float, float]]:
    """Onset and offset of events of one label, frames of a second."""
    events = find_events(np.array(track)[:, None], ["a"], 1.0, EventSettings(**(PLAIN | options)))
    return [(e.onset_s, e.offset_s) for e in events]


def test_hysteresis_by_hand() -> None:
    track = [0.1, 0.4, 0.6, 0.4, 0.6, 0.2, 0.4, 0.45]
    assert found(track, release=1.0) == [(2, 3), (4, 5)]
    assert found(track, release=0.6) == [(1, 5)]  # 0.4 and 0.45 alone never reach 0.5
    assert found(track, release=0.4) == [(1, 8)]
    assert found(track, threshold=0.7) == []


def test_gap_and_duration_by_hand() -> None:
    track = [0.9, 0.0, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9]
    assert found(track) == [(0, 1), (2, 3), (5, 6), (9, 11)]
    assert found(track, min_gap_s=2.0) == [(0, 3), (5, 6), (9, 11)]  # a gap of 1 is joined
    assert found(track, min_gap_s=2.0, min_duration_s=2.0) == [(0, 3), (9, 11)]
    assert found(track, min_gap_s=3.5) == [(0, 11)]


def test_scores_are_means() -> None:
    (event,) = find_events([[0.5], [1.0], [0.6]], ["a"], 0.1, EventSettings(**PLAIN))
    assert event.score == pytest.approx(0.7)


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 7, 8])
def test_median_is_that_of_scipy(frames: int) -> None:
    values = np.random.default_rng(0).random((50, 3))
    expected = median_filter(values, size=(2 * (frames // 2) + 1, 1), mode="nearest")
    np.testing.assert_array_equal(median_smoothed(values, frames), expected)
    assert median_smoothed(values[:2], 9).shape == (2, 3)
    assert median_smoothed(values[:0], 9).shape == (0, 3)


@settings(deadline=None)
@given(tracks, st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_events_are_apart_and_long_enough(track, threshold, release, gap, duration) -> None:
    options = EventSettings(threshold, {"b": 0.5}, release, 0.0, gap, duration)
    events = find_events(track, ["a", "b"], 0.1, options)
    for label in "ab":
        own = [e for e in events if e.label == label]
        assert all(e.duration_s >= duration - 1e-6 for e in own)
        for before, after in itertools.pairwise(own):
            assert after.onset_s - before.offset_s >= max(gap, 0.1) - 1e-6
        level = {"a": threshold, "b": 0.5}[label]
        for e in own:
            part = track[round(e.onset_s / 0.1) : round(e.offset_s / 0.1), "ab".index(label)]
            assert part.max() >= level and part[0] >= release * level <= part[-1]


@settings(deadline=None)
@given(tracks)
def test_candidates_hold_every_event(track: np.ndarray) -> None:
    """Each event at 0.5 has a candidate that overlaps it by a half; no two overlap by more."""
    options = EventSettings(median_s=0.0)
    candidates = candidate_events(track, ["a", "b"], 0.1, options)
    for event in find_events(track, ["a", "b"], 0.1, options):
        same = [c for c in candidates if c.label == event.label]
        assert any(temporal_iou(event, c) > 0.5 - 1e-9 for c in same)
    scores = [c.score for c in candidates]
    assert scores == sorted(scores, reverse=True)


def test_decoder_ignores_padding() -> None:
    log_probs = torch.full((2, 30, 2), -8.0)
    log_probs[0, 5:15, 1] = -0.05
    log_probs[1, 20:, 0] = -0.05  # beyond its length
    first, second = EventDecoder(["a", "b"], 0.02).decode(log_probs, torch.tensor([30, 18]))
    assert first[0].text == "0.100 0.300 b" == events_text(first[0].details["events"])
    assert first[0].confidence == pytest.approx(math.exp(-0.05), abs=1e-6)
    assert second[0].text == "" and second[0].confidence == 1.0
    assert (
        EventDecoder(["a", "b"], 0.02).decode(log_probs[:1, :0], torch.tensor([0]))[0][0].text == ""
    )
    assert isinstance(first[0].details["candidates"][0], Event)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: EventSettings(threshold=0), "threshold=0 must be a number within"),
        (lambda: EventSettings(thresholds={"a": 2}), "a=2 must be"),
        (lambda: EventSettings(release=0), "release=0"),
        (lambda: EventSettings(median_s=-1), "median_s=-1"),
        (lambda: EventSettings(min_gap_s=math.nan), "min_gap_s=nan"),
        (lambda: find_events([[0.5]], ["a", "b"], 0.1), "a column for each of the 2 labels"),
        (lambda: find_events([0.5], ["a"], 0.1), r"shape \(1,\) must be \(T, C\)"),
        (lambda: find_events([[1.5]], ["a"], 0.1), "within 0 and 1, not NaN"),
        (lambda: find_events([[math.nan]], ["a"], 0.1), "within 0 and 1, not NaN"),
        (lambda: find_events([[0.5]], ["a"], math.nan), "frame_s=nan"),
        (
            lambda: find_events([[0.5]], ["a"], 0.1, EventSettings(thresholds={"b": 0.5})),
            "'b' is not among the labels",
        ),
    ],
)
def test_bad_input(call, says: str) -> None:
    with pytest.raises(SeqlabError, match=says):
        call()
