"""The fast Fourier transform of ``DOUBLES`` frames side by side, compiled."""

from __future__ import annotations

import math

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.lanes import DOUBLES, load, splat, store

_ROW = 2 * DOUBLES  # numbers of one complex row: the real parts of all lanes, then the imaginary

_SIN_3 = np.float64(math.sin(2 * math.pi / 3))
_COS_5 = np.float64(math.cos(2 * math.pi / 5))
_COS_5_2 = np.float64(math.cos(4 * math.pi / 5))
_SIN_5 = np.float64(math.sin(2 * math.pi / 5))
_SIN_5_2 = np.float64(math.sin(4 * math.pi / 5))


@compiled
def _rotate(out, place, real, imaginary, tables, at):
    """Store a complex row, turned by the rotation at ``tables[at]``."""
    cosine = splat(tables[at])
    sine = splat(tables[at + 1])
    store(out, place, real * cosine - imaginary * sine)
    store(out, place + DOUBLES, real * sine + imaginary * cosine)


@compiled
def _pass_2(x, y, rest, stride, tables, at):
    half = _ROW * stride * rest
    for p in range(rest):
        for q in range(stride):
            i = _ROW * (q + stride * p)
            o = _ROW * (q + 2 * stride * p)
            ar, ai = load(x, i), load(x, i + DOUBLES)
            br, bi = load(x, i + half), load(x, i + half + DOUBLES)
            store(y, o, ar + br)
            store(y, o + DOUBLES, ai + bi)
            _rotate(y, o + _ROW * stride, ar - br, ai - bi, tables, at + 2 * p)


@compiled
def _pass_3(x, y, rest, stride, tables, at):
    third, d = _ROW * stride * rest, _ROW * stride
    half, sine = splat(np.float64(0.5)), splat(_SIN_3)
    for p in range(rest):
        t = at + 4 * p
        for q in range(stride):
            i = _ROW * (q + stride * p)
            o = _ROW * (q + 3 * stride * p)
            ar, ai = load(x, i), load(x, i + DOUBLES)
            br, bi = load(x, i + third), load(x, i + third + DOUBLES)
            cr, ci = load(x, i + 2 * third), load(x, i + 2 * third + DOUBLES)
            sr, si = br + cr, bi + ci
            store(y, o, ar + sr)
            store(y, o + DOUBLES, ai + si)
            mr, mi = ar - sr * half, ai - si * half
            ur, ui = (bi - ci) * sine, (cr - br) * sine
            _rotate(y, o + d, mr + ur, mi + ui, tables, t)
            _rotate(y, o + 2 * d, mr - ur, mi - ui, tables, t + 2)


@compiled
def _pass_4(x, y, rest, stride, tables, at):
    quarter, d = _ROW * stride * rest, _ROW * stride
    for p in range(rest):
        t = at + 6 * p
        for q in range(stride):
            i = _ROW * (q + stride * p)
            o = _ROW * (q + 4 * stride * p)
            ar, ai = load(x, i), load(x, i + DOUBLES)
            br, bi = load(x, i + quarter), load(x, i + quarter + DOUBLES)
            cr, ci = load(x, i + 2 * quarter), load(x, i + 2 * quarter + DOUBLES)
            dr, di = load(x, i + 3 * quarter), load(x, i + 3 * quarter + DOUBLES)
            pr, pi, mr, mi = ar + cr, ai + ci, ar - cr, ai - ci
            qr, qi, jr, ji = br + dr, bi + di, di - bi, br - dr
            store(y, o, pr + qr)
            store(y, o + DOUBLES, pi + qi)
            _rotate(y, o + d, mr - jr, mi - ji, tables, t)
            _rotate(y, o + 2 * d, pr - qr, pi - qi, tables, t + 2)
            _rotate(y, o + 3 * d, mr + jr, mi + ji, tables, t + 4)


@compiled
def _pass_5(x, y, rest, stride, tables, at):
    fifth, d = _ROW * stride * rest, _ROW * stride
    c1, c2, s1, s2 = splat(_COS_5), splat(_COS_5_2), splat(_SIN_5), splat(_SIN_5_2)
    for p in range(rest):
        t = at + 8 * p
        for q in range(stride):
            i = _ROW * (q + stride * p)
            o = _ROW * (q + 5 * stride * p)
            ar, ai = load(x, i), load(x, i + DOUBLES)
            br, bi = load(x, i + fifth), load(x, i + fifth + DOUBLES)
            cr, ci = load(x, i + 2 * fifth), load(x, i + 2 * fifth + DOUBLES)
            dr, di = load(x, i + 3 * fifth), load(x, i + 3 * fifth + DOUBLES)
            er, ei = load(x, i + 4 * fifth), load(x, i + 4 * fifth + DOUBLES)
            pr, pi, mr, mi = br + er, bi + ei, br - er, bi - ei
            qr, qi, nr, ni = cr + dr, ci + di, cr - dr, ci - di
            store(y, o, ar + pr + qr)
            store(y, o + DOUBLES, ai + pi + qi)
            ur, ui = ar + pr * c1 + qr * c2, ai + pi * c1 + qi * c2
            vr, vi = mi * s1 + ni * s2, mr * s1 + nr * s2
            _rotate(y, o + d, ur + vr, ui - vi, tables, t)
            _rotate(y, o + 4 * d, ur - vr, ui + vi, tables, t + 6)
            ur, ui = ar + pr * c2 + qr * c1, ai + pi * c2 + qi * c1
            vr, vi = mi * s2 - ni * s1, mr * s2 - nr * s1
            _rotate(y, o + 2 * d, ur + vr, ui - vi, tables, t + 2)
            _rotate(y, o + 3 * d, ur - vr, ui + vi, tables, t + 4)


@compiled
def transform(a, b, radices, tables):
    """Discrete Fourier transform of the complex rows in ``a``, all lanes at once.

    Args:
        a: rows of 2 * DOUBLES numbers, float64; overwritten.
        b: room of the same size; overwritten.
        radices: whose product is the number of rows, int64.
        tables: from ``twiddles``.

    Returns:
        Whichever of ``a`` and ``b`` holds the result, in natural order.

    Source: Stockham 1966, as van Loan 1992 states it ("Computational Frameworks for the Fast
    Fourier Transform", section 1.7), with radices 2 to 5.
    """
    rest, stride, at = 1, 1, 0
    for radix in radices:
        rest *= radix
    for radix in radices:
        rest //= radix
        if radix == 4:
            _pass_4(a, b, rest, stride, tables, at)
        elif radix == 2:
            _pass_2(a, b, rest, stride, tables, at)
        elif radix == 3:
            _pass_3(a, b, rest, stride, tables, at)
        else:
            _pass_5(a, b, rest, stride, tables, at)
        at += 2 * (radix - 1) * rest
        stride *= radix
        a, b = b, a
    return a
