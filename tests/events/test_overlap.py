"""Temporal overlap and suppression: properties, and cases worked by hand."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from seqlab.errors import SeqlabError
from seqlab.events.event import Event
from seqlab.events.matching import by_collar, by_iou, match_events
from seqlab.events.overlap import (
    iou_matrix,
    non_maximum_suppression,
    soft_non_maximum_suppression,
    temporal_iou,
)

times = st.floats(0, 100, allow_nan=False)
thresholds = st.floats(0, 1)


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    onset = draw(times)
    length = draw(st.floats(0.001, 20))
    return Event(draw(st.sampled_from("ab")), onset, onset + length, draw(st.floats(0, 1)))


some = st.lists(an_event(), max_size=12)


@given(an_event(), an_event())
def test_iou_is_symmetric(one: Event, other: Event) -> None:
    assert temporal_iou(one, other) == temporal_iou(other, one)
    assert 0 <= temporal_iou(one, other) <= 1
    assert temporal_iou(one, one) == 1


@given(an_event(), an_event(), st.floats(0.1, 10))
def test_iou_does_not_depend_on_the_unit(one: Event, other: Event, scale: float) -> None:
    def scaled(e: Event) -> Event:
        return Event(e.label, scale * e.onset_s, scale * e.offset_s)

    assert temporal_iou(scaled(one), scaled(other)) == pytest.approx(
        temporal_iou(one, other), abs=1e-6
    )


def test_iou_by_hand() -> None:
    one = Event("a", 1.0, 3.0)
    others = [(1.0, 3.0), (2.0, 4.0), (1.5, 2.0), (3.0, 4.0), (0.0, 0.5), (0.0, 4.0)]
    expected = [1.0, 1 / 3, 0.25, 0.0, 0.0, 0.5]
    row = iou_matrix([one], [Event("b", *pair) for pair in others])
    np.testing.assert_allclose(row, [expected])
    assert iou_matrix([], [one]).shape == (0, 1)


@given(some, thresholds, st.booleans())
def test_nothing_left_overlaps_by_more(events: list[Event], threshold: float, across: bool) -> None:
    kept = non_maximum_suppression(events, threshold, across_labels=across)
    for one, other in itertools.combinations(kept, 2):
        if across or one.label == other.label:
            assert temporal_iou(one, other) <= threshold
    for event in events:  # what is not left has a better neighbour
        if event not in kept:
            assert any(
                temporal_iou(event, k) > threshold
                and k.score >= event.score
                and (across or k.label == event.label)
                for k in kept
            )
    assert [e.score for e in kept] == sorted((e.score for e in kept), reverse=True)
    again = non_maximum_suppression(kept[::-1], threshold, across_labels=across)
    assert again == kept


@given(some, st.randoms(use_true_random=False))
def test_order_of_the_input_changes_nothing(events: list[Event], order: random.Random) -> None:
    shuffled = list(events)
    order.shuffle(shuffled)
    assert non_maximum_suppression(shuffled) == non_maximum_suppression(events)


def test_suppression_by_hand() -> None:
    a = Event("a", 0.0, 2.0, 0.9)
    b = Event("a", 0.5, 2.0, 0.8)  # overlaps a by 0.75
    c = Event("a", 1.5, 3.5, 0.7)  # a by 1/7, b by 1/6
    d = Event("b", 0.0, 2.0, 0.6)  # a by 1
    assert non_maximum_suppression([d, c, b, a]) == [a, c, d]
    assert non_maximum_suppression([d, c, b, a], across_labels=True) == [a, c]
    assert non_maximum_suppression([a, b, c], 0.1) == [a]
    assert non_maximum_suppression([a, b, c], 1.0) == [a, b, c]
    assert non_maximum_suppression([]) == []


def test_soft_suppression_by_hand() -> None:
    """Bodla et al. 2017, equations for f: 0.8 (1 - 0.75) and 0.7, 0.8 exp(-0.5625 / 0.5)."""
    a, b = Event("a", 0.0, 2.0, 0.9), Event("a", 0.5, 2.0, 0.8)
    c = Event("a", 1.5, 3.5, 0.7)
    linear = soft_non_maximum_suppression([b, c, a], decay="linear")
    assert [(e.onset_s, round(e.score, 9)) for e in linear] == [(0.0, 0.9), (1.5, 0.7), (0.5, 0.2)]
    gaussian = soft_non_maximum_suppression([a, b, c])
    second = 0.7 * math.exp(-((1 / 7) ** 2) / 0.5)
    third = 0.8 * math.exp(-(0.75**2) / 0.5) * math.exp(-((1 / 6) ** 2) / 0.5)
    assert [e.score for e in gaussian] == pytest.approx([0.9, second, third])
    assert len(soft_non_maximum_suppression([a, b, c], min_score=0.5)) == 2


@given(some)
def test_soft_suppression_never_raises_a_score(events: list[Event]) -> None:
    kept = soft_non_maximum_suppression(events, min_score=0.0)
    assert len(kept) == len(events)
    assert sum(e.score for e in kept) <= sum(e.score for e in events) + 1e-9
    scores = [e.score for e in kept]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: non_maximum_suppression([], 1.5), "iou_threshold=1.5"),
        (lambda: non_maximum_suppression([], math.nan), "iou_threshold=nan"),
        (lambda: soft_non_maximum_suppression([], decay="hard"), "decay='hard' must be one of"),  # type: ignore[arg-type]
        (lambda: soft_non_maximum_suppression([], sigma=0), "sigma=0"),
        (lambda: by_iou(0), "iou_threshold=0"),
        (lambda: by_collar(-1), "onset_s=-1"),
        (lambda: by_collar(0.2, 2), "offset_share=2"),
    ],
)
def test_bad_values(call: object, says: str) -> None:
    with pytest.raises(SeqlabError, match=says):
        call()  # type: ignore[operator]


def test_matching_is_the_largest() -> None:
    """A greedy matching by time gives the first answer to the first event, and one pair only."""
    truth = [Event("a", 1.0, 2.0), Event("a", 0.85, 2.0)]
    found = [Event("a", 1.05, 2.0), Event("a", 1.2, 2.0)]  # the second event can have only one
    assert match_events(truth, found, by_collar()) == [(0, 1), (1, 0)]
    assert match_events(truth, [], by_collar()) == [] == match_events([], found, by_collar())


@given(
    st.lists(an_event(), max_size=7),
    st.lists(an_event(), max_size=7),
    st.sampled_from([by_iou(0.2), by_collar(5.0), by_collar(5.0, 0.5)]),
)
def test_matching_against_an_outside_one(truth, found, agrees) -> None:
    """As many pairs as scipy's Hopcroft-Karp, and each allowed."""
    allowed = np.array([[t.label == f.label and agrees(t, f) for f in found] for t in truth])
    pairs = match_events(truth, found, agrees)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert all(allowed[a, b] for a, b in pairs)
    if truth and found:
        expected = maximum_bipartite_matching(csr_matrix(allowed), perm_type="column")
        assert len(pairs) == int((expected >= 0).sum())
