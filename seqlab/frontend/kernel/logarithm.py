"""The natural logarithm of vectors of float32, compiled."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.lanes import splat, split_exponent, where_less

_LEAST = np.float32(2.0**-126)  # of the normal numbers
_RAISE = np.float32(2.0**23)
_INFINITY = np.float32(np.inf)
_LN2_HIGH = np.float32(0.693359375)  # few bits, so that a product with an exponent is exact
_LN2_LOW = np.float32(np.log(2.0) - 0.693359375)
# (ln(1 + f) - f + f ** 2 / 2) / f ** 3 on [sqrt(1/2) - 1, sqrt(2) - 1], f ** 0 first. Of degree 7,
# fitted by iterated weights (Lawson 1961) to the least relative error of ln, which is 5.8e-9.
_SERIES = tuple(
    np.float32(value)
    for value in (
        0.33333331707804675,
        -0.2500082103550082,
        0.20001226865405095,
        -0.1662335729809813,
        0.14201758233792564,
        -0.1316018306265618,
        0.12761575643647435,
        -0.07634493023707954,
    )
)
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7 = _SERIES


@compiled
def logarithm(values):
    """Natural logarithm of every lane, positive float32; within one unit of the last place.

    Denormal numbers have theirs too, and infinity and NaN stay what they are.
    """
    zero, least = splat(np.float32(0)), splat(_LEAST)
    normal = where_less(values, least, values * splat(_RAISE), values)
    raised = where_less(values, least, splat(np.float32(23)), zero)
    mantissa, exponent = split_exponent(normal)
    exponent = exponent - raised
    f = mantissa - splat(np.float32(1))
    square = f * f
    # In two halves, for the one must not wait for the other.
    low = (splat(_C3) * f + splat(_C2)) * square + (splat(_C1) * f + splat(_C0))
    high = (splat(_C7) * f + splat(_C6)) * square + (splat(_C5) * f + splat(_C4))
    series = high * (square * square) + low
    rest = exponent * splat(_LN2_LOW) + (series * f) * square
    rest = rest - square * splat(np.float32(0.5))
    result = exponent * splat(_LN2_HIGH) + (f + rest)
    return where_less(values, splat(_INFINITY), result, values)
