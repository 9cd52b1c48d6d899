"""A stream that is heard for hours stays as it was: memory, times, scores."""

from __future__ import annotations

import pytest

from tests.benchmarks.spotting import made_sound, soak


def test_passes_are_alike() -> None:
    figures = soak(made_sound(20), 3, block_s=1.0)
    assert figures["last_pass_equals_second"] and figures["detections_a_pass"] > 3


@pytest.mark.slow
def test_four_hours() -> None:
    figures = soak(made_sound(600), 24, block_s=1.0)
    assert figures["last_pass_equals_second"] and figures["detections_a_pass"] > 100
    assert figures["megabytes_added_after_first_pass"] < 8
    assert figures["times_real_time"] > 20
