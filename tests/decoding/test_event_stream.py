"""Events of a stream are those of the whole, each as soon as it is certain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decoding.event_stream import EventStream
from seqlab.decoding.events import EventSettings, find_events
from seqlab.errors import SeqlabError
from seqlab.events.event import Event


def made(seed: int, total: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.uniform(0, 1, (total, 2))
    return np.repeat(values, random.integers(1, 4), axis=0)[:total]


def key(event: Event) -> tuple[float, str]:
    return event.onset_s, event.label


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    total=st.integers(0, 60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    median=st.sampled_from([0.0, 0.1, 0.3, 0.5]),
    gap=st.sampled_from([0.0, 0.1, 0.2, 0.5]),
    shortest=st.sampled_from([0.0, 0.1, 0.3]),
    release=st.sampled_from([0.3, 0.6, 1.0]),
)
def test_any_chunking_equals_the_whole(
    seed: int, total: int, cuts: list[int], median: float, gap: float, shortest: float,
    release: float,
) -> None:  # fmt: skip
    values = made(seed, total)
    chosen = EventSettings(0.6, {"b": 0.8}, release, median, gap, shortest)
    expected = sorted(find_events(values, ["a", "b"], 0.1, chosen), key=key)
    stream = EventStream(["a", "b"], 0.1, chosen)
    state, found = stream.initial_state(), list[Event]()
    for piece in np.split(values, sorted(min(cut, total) for cut in cuts)):
        before = state
        some, state = stream.step(piece, state)
        assert stream.step(piece, before)[0] == some  # nothing is remembered
        found += some
    found = sorted([*found, *stream.flush(state)], key=key)
    assert [(e.label, e.onset_s, e.offset_s) for e in found] == [
        (e.label, e.onset_s, e.offset_s) for e in expected
    ]
    np.testing.assert_allclose([e.score for e in found], [e.score for e in expected], atol=1e-9)


def test_an_event_comes_once_nothing_can_change_it() -> None:
    chosen = EventSettings(0.5, median_s=0.3, min_gap_s=0.2, min_duration_s=0.0)
    stream = EventStream(["a"], 0.1, chosen)
    state, heard = stream.initial_state(), []
    for place in range(20):
        value = 0.9 if 3 <= place < 8 else 0.0
        found, state = stream.step([[value]], state)
        heard += [(place, event.offset_s) for event in found]
    # Half the median and the gap after its end, in frame 8 + 1 + 2 - 1.
    assert heard == [(10, pytest.approx(0.8))]


def test_state_stays_as_small_through_hours_of_one_event() -> None:
    stream = EventStream(["a"], 0.01)
    state = stream.initial_state()
    for _ in range(50):
        found, state = stream.step(np.full((1000, 1), 0.9), state)
        assert not found and len(state.held) <= 11
    [event] = stream.flush(state)
    assert event.offset_s == pytest.approx(500) and event.score == pytest.approx(0.9)


def test_bad_input() -> None:
    with pytest.raises(SeqlabError, match="'b' is not among the labels"):
        EventStream(["a"], 0.1, EventSettings(thresholds={"b": 0.5}))
    with pytest.raises(SeqlabError, match="frame_s"):
        EventStream(["a"], 0.0)
    stream = EventStream(["a"], 0.1)
    with pytest.raises(SeqlabError, match=r"must be \(T, 1\)"):
        stream.step(np.zeros((3, 2)), stream.initial_state())
    with pytest.raises(SeqlabError, match="within 0 and 1"):
        stream.step([[np.nan]], stream.initial_state())
