"""Figures of found events, against sed_eval and by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from seqlab.errors import SeqlabError
from seqlab.events.event import Event, events_text
from seqlab.events.matching import by_collar, by_iou
from seqlab.events.metrics import EventCounts, average_precision, event_counts, segment_counts
from seqlab.training.event_figures import event_figures
from seqlab.training.validate import Answer, summarize
from tests.events.recordings import utterance

FIXTURE = json.loads((Path(__file__).parent / "sed_eval.json").read_text())
TRUTH = [[Event(*event) for event in events] for events in FIXTURE["references"]]
FOUND = [[Event(*event) for event in events] for events in FIXTURE["answers"]]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("onset", lambda: event_counts(TRUTH, FOUND, by_collar(0.2))),
        ("onset_offset", lambda: event_counts(TRUTH, FOUND, by_collar(0.2, 0.5))),
        ("segment", lambda: segment_counts(TRUTH, FOUND, 1.0)),
        ("segment_250ms", lambda: segment_counts(TRUTH, FOUND, 0.25)),
    ],
)
def test_figures_are_those_of_sed_eval(name: str, counts) -> None:
    """sed_eval 0.2.1's overall figures, with its optimal matching.

    The times of the fixture are drawn at random and multiples of 1 / 128 s, so that both round
    alike.
    """
    expected, found = FIXTURE["figures"][name], counts()
    assert found.precision == pytest.approx(expected["precision"], abs=1e-9)
    assert found.recall == pytest.approx(expected["recall"], abs=1e-9)
    assert found.f1 == pytest.approx(expected["f_measure"], abs=1e-9)


def test_events_by_hand() -> None:
    """Two of three true ones are found; one found one is of another label, one overlaps less."""
    truth = [[Event("a", 0.0, 1.0), Event("a", 2.0, 4.0)], [Event("b", 0.0, 1.0)]]
    found = [
        [Event("a", 0.4, 1.0), Event("a", 3.2, 4.0), Event("b", 0.0, 1.0)],  # 0.6, 0.4
        [Event("b", 0.0, 2.0)],  # 0.5
    ]
    counts = event_counts(truth, found)
    assert counts == EventCounts(2, 2, 1)
    assert (counts.precision, counts.recall) == (0.5, 2 / 3)
    assert counts.f1 == pytest.approx(4 / 7)
    assert event_counts(truth, found, by_iou(0.55)) == EventCounts(1, 3, 2)
    assert event_counts(truth, found, by_collar()) == EventCounts(1, 3, 2)


def test_a_collar_of_exactly_200_ms() -> None:
    truth, found = [[Event("a", 0.9, 2.0)]], [[Event("a", 1.1, 2.0)]]  # 0.20000000000000007
    assert event_counts(truth, found, by_collar(0.2)).hits == 1


def test_empty_sides() -> None:
    nothing = event_counts([[]], [[]])
    assert math.isnan(nothing.f1) and math.isnan(nothing.precision) and math.isnan(nothing.recall)
    missed = event_counts([[Event("a", 0.0, 1.0)]], [[]])
    assert missed.f1 == 0 == missed.recall and math.isnan(missed.precision)


def test_segments_by_hand() -> None:
    """Seconds 0, 1, 2 are truly active, 1, 2, 3 were found so."""
    truth, found = [[Event("a", 0.5, 3.0)]], [[Event("a", 1.0, 3.2)]]
    assert segment_counts(truth, found) == EventCounts(2, 1, 1)
    twice = [[Event("a", 0.5, 3.0), Event("a", 0.6, 2.0)]]  # one label counts once a segment
    assert segment_counts(twice, found) == EventCounts(2, 1, 1)


def test_average_precision_by_hand() -> None:
    """Ranked: right, wrong, right of 4 true ones; precision 1, 1/2, 2/3: (1 + 2/3) / 4."""
    truth = [[Event("a", t, t + 1.0) for t in (0.0, 2.0, 4.0, 6.0)]]
    found = [
        [
            Event("a", 0.0, 1.0, 0.9),
            Event("a", 0.0, 0.9, 0.8),  # the true one is taken
            Event("a", 2.0, 2.6, 0.7),  # overlaps by 0.6
        ]
    ]
    areas = average_precision(truth, found, [0.5, 0.6, 0.65])
    assert areas[0.5] == pytest.approx((1 + 2 / 3) / 4)
    assert areas[0.6] == areas[0.5] and areas[0.65] == pytest.approx(1 / 4)
    both = average_precision([*truth, [Event("b", 0.0, 1.0)]], [*found, []], [0.5])
    assert both[0.5] == pytest.approx((1 + 2 / 3) / 8)  # b is never found
    assert len(average_precision(truth, found)) == 10


def test_precision_between_is_interpolated() -> None:
    """Wrong, right, right of 2: precision 1/2, 2/3; at the first recall the later one counts."""
    truth = [[Event("a", 0.0, 1.0), Event("a", 2.0, 3.0)]]
    found = [[Event("a", 5.0, 6.0, 0.9), Event("a", 0.0, 1.0, 0.8), Event("a", 2.0, 3.0, 0.7)]]
    assert average_precision(truth, found, [0.5])[0.5] == pytest.approx(2 / 3)
    assert math.isnan(average_precision([[]], found, [0.5])[0.5])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: event_counts([[]], []), "1 recordings of true events and 0 of found"),
        (lambda: segment_counts([[]], [[]], 0), "segment_s=0"),
        (lambda: segment_counts([[]], [[]], math.nan), "segment_s=nan"),
        (lambda: average_precision([[]], [[]], [0.0]), "iou_thresholds=0.0"),
    ],
)
def test_bad_input(call, says: str) -> None:
    with pytest.raises(SeqlabError, match=says):
        call()


def test_evaluation_of_events() -> None:
    texts = [events_text(events) for events in TRUTH]
    answers = [
        Answer(str(n), events_text(events), 0.5, 1.0, events) for n, events in enumerate(FOUND)
    ]
    found = summarize("detection", [utterance(str(n)) for n in range(len(FOUND))], texts, answers)
    counts = event_counts(TRUTH, FOUND)
    assert found.metric == "event_f1" and found.value == pytest.approx(counts.f1)
    assert found.error == pytest.approx(1 - counts.f1)
    assert found.figures["onset_f1"] == pytest.approx(FIXTURE["figures"]["onset"]["f_measure"])
    errors, sizes = (
        sum(getattr(r, name) for r in found.records) for name in ("errors", "reference_length")
    )
    assert 1 - errors / sizes == pytest.approx(found.value)
    low, high = found.interval() or (0, 0)
    assert 0 <= low < found.value < high <= 1
    assert json.loads(json.dumps(found.to_dict()))["figures"]["event_f1"] == found.value


def test_figures_where_nothing_is_found() -> None:
    errors, sizes, figures = event_figures(["0 1 a", ""], ["", ""], [[], []])
    assert (errors, sizes) == ([1, 0], [1, 0])
    assert set(figures.values()) == {0.0}
