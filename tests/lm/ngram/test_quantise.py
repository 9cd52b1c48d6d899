"""Rounding of values: few centres, little error, and what must stay exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import ModelError
from seqlab.lm.ngram.quantise import Codebook, code_bits_for, fit_centres

values = st.lists(
    st.sampled_from([0.0, -np.inf, -1.0]) | st.floats(-100, 2, width=32), max_size=300
)


@settings(max_examples=100, deadline=None)
@given(values, st.integers(3, 20))
def test_every_value_goes_to_its_nearest_centre(numbers, count):
    array = np.array(numbers, np.float32)
    centres = fit_centres(array, count)
    assert len(centres) <= count and (np.diff(centres) > 0).all() and centres.dtype == np.float32
    book = Codebook(centres, centres, 8)
    codes = book.codes(array, array)
    got = book.padded()[0][(codes >> np.uint64(54)).astype(int)]
    assert (codes >> np.uint64(54) == (codes >> np.uint64(46)) & np.uint64(255)).all()
    for value, rounded in zip(array.tolist(), got.tolist(), strict=True):
        if value in (0.0, -np.inf) or len(set(numbers)) <= count:
            assert rounded == pytest.approx(value, abs=1e-30)
        else:
            best = min(abs(value - c) for c in centres.tolist())
            assert abs(value - rounded) <= best * (1 + 1e-5) + 1e-5


@pytest.mark.parametrize(("count", "error"), [(4, 0.1175), (8, 0.03454), (16, 0.009497)])
def test_error_is_the_least_that_there_is_for_a_normal_distribution(count, error):
    """Max (1960), "Quantizing for minimum distortion", table I."""
    sample = np.random.default_rng(0).normal(size=400_000).astype(np.float32)
    nearest = np.abs(sample[:, None] - fit_centres(sample, count)).min(1)
    assert np.mean(nearest.astype(np.float64) ** 2) == pytest.approx(error, rel=0.02)


def test_codes_make_room_for_long_keys():
    assert [code_bits_for(n) for n in (0, 46, 47, 48, 54)] == [8, 8, 7, 7, 4]
    with pytest.raises(ModelError, match="keys of 55 bits must have at most 54"):
        code_bits_for(55)
