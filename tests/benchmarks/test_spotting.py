"""A stream that is heard for hours stays as it was: memory, times, scores."""

from __future__ import annotations

import pytest

from seqlab.decoding.keyword import Detection
from tests.benchmarks.spotting import made_sound, moved, soak


def test_passes_are_alike() -> None:
    figures = soak(made_sound(20), 3, block_s=1.0)
    assert figures["last_pass_equals_second"] and figures["detections_a_pass"] > 3
    assert figures["greatest_move_of_a_time_s"] < 1e-9
    assert len(figures["megabytes_after_each_pass"]) == 3


def test_a_time_that_drifts_is_seen() -> None:
    early = [Detection(1.0, 2.0, "go", 0.5), Detection(3.0, 4.0, "go", 0.5)]
    late = [Detection(11.0, 12.0, "go", 0.5), Detection(13.0, 14.001, "go", 0.5)]
    assert moved(early, late, 10.0) == pytest.approx(0.001)
    assert moved(early, late[:1], 10.0) == float("inf")


@pytest.mark.slow
def test_four_hours() -> None:
    figures = soak(made_sound(600), 24, block_s=1.0)
    assert figures["last_pass_equals_second"] and figures["detections_a_pass"] > 100
    assert figures["greatest_move_of_a_time_s"] < 1e-9
    assert figures["megabytes_added_after_first_pass"] < 8
    assert figures["times_real_time"] > 20
