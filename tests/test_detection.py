"""Miss rates and false alarms; the Poisson bounds against a published table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqlab.detection import (
    Trial,
    best_scores,
    counted_curve,
    detection_curve,
    miss_rates,
    most_events,
)
from seqlab.errors import SeqlabError

TRIALS = [
    Trial("go", 0.9, "ann", 10.0),
    Trial("go", 0.4, "bob", 0.0),
    Trial("stop", 0.6, "bob", 0.0),
    Trial("stop", -math.inf, None, None),
]


def test_counted_curve_by_hand() -> None:
    """One of four hours of audio; keywords at 0.3, 0.6, 0.9."""
    curve = counted_curve([0.9, 0.3, 0.6], [0.1, 0.5, 0.7, 0.95], [20, 8, 2, 0], 4.0)
    assert curve.thresholds.tolist() == [0.1, 0.5, 0.7, 0.95, math.inf]
    assert curve.false_alarms_per_hour.tolist() == [5, 2, 0.5, 0, 0]
    np.testing.assert_allclose(curve.false_rejection_rates, [0, 1 / 3, 2 / 3, 1, 1])
    assert curve.at(2.0) == (pytest.approx(1 / 3), 0.5)
    assert curve.at(1.9) == (pytest.approx(2 / 3), 0.7)
    assert curve.at(0.0) == (1.0, math.inf)
    assert curve.resolution == 0.25


def test_an_alarm_that_never_ends_is_no_virtue() -> None:
    curve = counted_curve([0.9], [0.1, 0.2, 0.5], [1, 1, 9], 1.0)
    assert curve.false_alarms_per_hour.tolist() == [9, 9, 9, 0]


def test_counted_equals_scored_where_alarms_are_apart() -> None:
    keywords, alarms = [0.9, 0.8, 0.4], [0.85, 0.5, 0.45]
    scored = detection_curve(keywords, alarms, 2.0)
    levels = scored.thresholds[:-1]
    counts = [sum(a >= level for a in alarms) for level in levels]
    counted = counted_curve(keywords, levels, counts, 2.0)
    for field in ("thresholds", "false_rejection_rates", "false_alarms_per_hour"):
        np.testing.assert_array_equal(getattr(counted, field), getattr(scored, field))


def test_best_scores() -> None:
    scores = [0.1, 0.9, 0.3, 0.2]
    assert best_scores(scores, [(-5, 1), (1, 2), (2, 100)]).tolist() == [0.1, 0.9, 0.3]
    assert best_scores(scores, [(7, 9), (3, 2)]).tolist() == [-math.inf, -math.inf]


def test_miss_rates_of_groups() -> None:
    thresholds = {"go": 0.5, "stop": 0.6}
    by = {
        group: {
            name: (m.missed, m.total) for name, m in miss_rates(TRIALS, thresholds, group).items()
        }
        for group in ("label", "speaker", "snr_db")
    }
    assert by["label"] == {"go": (1, 2), "stop": (1, 2)}
    assert by["speaker"] == {"ann": (0, 1), "bob": (1, 2), "-": (1, 1)}
    assert by["snr_db"] == {"0": (1, 2), "10": (0, 1), "-": (1, 1)}
    low, high = miss_rates(TRIALS, thresholds)["go"].interval
    assert 0.09 < low < 0.1 and 0.9 < high < 0.91  # Wilson, 1 of 2


@pytest.mark.parametrize(
    ("events", "bound"), [(0, 2.996), (1, 4.744), (2, 6.296), (5, 10.513), (10, 16.962)]
)
def test_poisson_bounds(events: int, bound: float) -> None:
    """Half the tabulated chi-squared quantile of 2 n + 2 degrees at 0.95: 5.991, 9.488, ..."""
    assert most_events(events) == pytest.approx(bound, abs=6e-4)
    from scipy.stats import chi2

    for confidence in (0.5, 0.9, 0.99):
        exact = chi2.ppf(confidence, 2 * events + 2) / 2
        assert most_events(events, confidence) == pytest.approx(exact, rel=1e-9)
    assert most_events(3000) == pytest.approx(chi2.ppf(0.95, 6002) / 2, rel=1e-9)


def test_silence_for_some_hours_is_no_proof() -> None:
    curve = counted_curve([0.9], [0.5], [0], negative_hours=2.7)
    assert curve.most_alarms(0.0) == pytest.approx(2.996 / 2.7, abs=1e-3)
    assert curve.most_alarms(1 / 2.7) == pytest.approx(4.744 / 2.7, abs=1e-3)


def test_bad_input() -> None:
    with pytest.raises(SeqlabError, match="must rise"):
        counted_curve([0.5], [0.5, 0.4], [1, 0], 1.0)
    with pytest.raises(SeqlabError, match="must rise"):
        counted_curve([0.5], [0.5], [1, 0], 1.0)
    with pytest.raises(SeqlabError, match="not NaN"):
        counted_curve([math.nan], [0.5], [1], 1.0)
    with pytest.raises(SeqlabError, match="by='room'"):
        miss_rates(TRIALS, {}, "room")
    with pytest.raises(SeqlabError, match="'go' has no threshold"):
        miss_rates(TRIALS, {"stop": 0.5})
    with pytest.raises(SeqlabError, match="no trials"):
        miss_rates([], {})
    with pytest.raises(SeqlabError, match=r"must be \(T,\)"):
        best_scores([[0.5]], [])
    with pytest.raises(SeqlabError, match="events=-1"):
        most_events(-1)
