"""Line charts as plain numbers, ready for a template to draw as SVG; nothing here makes markup."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 30
_TINY = 1e-300  # smaller spans vanish when they are divided


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its pixel and its text."""

    position: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A data point: its pixels, and the text that shows when the pointer rests on it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """One series: SVG polyline points, dots where there are few, its name and last value."""

    name: str
    points: str
    dots: list[Dot]
    last: str


@dataclass(frozen=True)
class Chart:
    """A chart of lines over one x axis."""

    title: str
    x_label: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers that span [low, high].

    >>> nice_ticks(0.0, 0.87)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    span = high - low
    if not span > 0:
        return [low]
    raw = span / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.9)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def short(value: float) -> str:
    """A number in few characters.

    >>> short(0.00012), short(0.25), short(1500.0), short(31.25)
    ('1.2e-04', '0.25', '1500', '31.25')
    """
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e5:
        return f"{value:.2g}" if abs(value) >= 1e5 else f"{value:.1e}"
    return f"{value:.4g}"


def line_chart(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str = "epoch",
    from_zero: bool = False,
) -> Chart | None:
    """A chart of named series of (x, y); None where there is nothing finite to draw.

    Args:
        title: what the y axis shows.
        series: name to points; points that are not finite are left out.
        x_label: what the x axis shows.
        from_zero: let the y axis include 0.
    """
    kept = {
        name: finite
        for name, points in series.items()
        if (finite := [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)])
    }
    if not kept:
        return None
    every = [point for points in kept.values() for point in points]
    x_low, x_high = _range([x for x, _ in every], margin=0.0)
    y_low, y_high = _range([y for _, y in every] + [0.0] * from_zero, margin=0.04)

    def to_x(x: float) -> float:
        return round(LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def to_y(y: float) -> float:
        share = (y - y_low) / (y_high - y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    lines = [
        Line(
            name,
            " ".join(f"{to_x(x)},{to_y(y)}" for x, y in points),
            [
                Dot(to_x(x), to_y(y), f"{name}, {x_label} {short(x)}: {short(y)}")
                for x, y in (points if len(points) <= 40 else points[-1:])
            ],
            f"{points[-1][1]:.3g}",
        )
        for name, points in kept.items()
    ]
    return Chart(
        title,
        x_label,
        lines,
        [Tick(to_x(x), short(x)) for x in nice_ticks(x_low, x_high)],
        [Tick(to_y(y), short(y)) for y in nice_ticks(y_low, y_high)],
    )


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low < _TINY:
        around = 0.5 * abs(low) if abs(low) > _TINY else 0.5
        return low - around, high + around
    room = margin * (high - low)
    return (low if low == 0 else low - room), high + room


@dataclass(frozen=True)
class Cell:
    """One square of a confusion matrix: pixels, colour strength, count and pointer text."""

    x: float
    y: float
    right: bool
    opacity: float
    count: int
    text: str


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix; empty squares are left out."""

    rows: list[Tick]
    columns: list[Tick]
    cells: list[Cell]
    size: float
    left: float
    top: float
    width: float
    height: float
    with_counts: bool


def matrix_chart(references: Sequence[str], hypotheses: Sequence[str]) -> Matrix | None:
    """The confusion matrix of labels; None above 64 of them, where nobody could read it.

    Args:
        references: The true labels.
        hypotheses: The answers, as many.
    """
    labels = sorted({*references, *hypotheses})
    if not 1 < len(labels) <= 64:
        return None
    counts = Counter(zip(references, hypotheses, strict=True))
    totals = Counter(references)
    size = 34.0 if len(labels) <= 14 else 20.0 if len(labels) <= 40 else 14.0
    margin = min(max(map(len, labels)), 16) * 6.6 + 12
    place = {label: margin + index * size for index, label in enumerate(labels)}
    cells = [
        Cell(
            x=round(place[answer], 1),
            y=round(place[true], 1),
            right=true == answer,
            opacity=round(0.12 + 0.88 * (count / totals[true]) ** 0.7, 3),
            count=count,
            text=f"{true} answered as {answer}: {count} of {totals[true]}",
        )
        for (true, answer), count in sorted(counts.items())
    ]
    names = [Tick(round(place[label] + size / 2, 1), label[:16]) for label in labels]
    side = round(margin + len(labels) * size)
    return Matrix(names, names, cells, size, margin, margin, side, side, size > 30)
