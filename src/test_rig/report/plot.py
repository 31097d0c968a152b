"""Lines over time, laid out for a picture: numbers in, coordinates out.

The template draws them as SVG; nothing here knows about that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Line", "Plot", "plot"]

WIDTH, HEIGHT = 640, 150
#: Room for the numbers beside and below the lines.
LEFT, BOTTOM, TOP = 52, 22, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a plot."""

    name: str
    #: Which of the page's colours: 1, 2, ...
    number: int
    #: Points as SVG writes them; one text for each piece without a gap.
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot, laid out."""

    title: str
    lines: tuple[Line, ...]
    #: (position, text) on either axis.
    x_marks: tuple[tuple[float, str], ...]
    y_marks: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    floor: int = HEIGHT - BOTTOM


def plot(
    title: str,
    times: Sequence[tuple[float, float]],
    series: Mapping[str, Sequence[float | None]],
) -> Plot:
    """Return a plot of several series over the same stretches of time.

    Args:
        title: What the vertical axis counts.
        times: Beginning and length of each stretch, in seconds.
        series: By name a value for each stretch; None leaves a gap.
    """
    end_s = times[-1][0] + times[-1][1] if times else 1.0
    most = max((value for line in series.values() for value in line if value), default=1.0)
    top = _round_up(most)
    lines = tuple(
        Line(name=name, number=number, pieces=tuple(_pieces(times, values, end_s, top)))
        for number, (name, values) in enumerate(series.items(), 1)
    )
    return Plot(
        title=title,
        lines=lines,
        x_marks=tuple(
            (_x(part * end_s / 4, end_s), f"{part * end_s / 4:.3g} s") for part in range(5)
        ),
        y_marks=tuple((_y(part * top / 2, top), f"{part * top / 2:,.6g}") for part in range(3)),
    )


def _x(time_s: float, end_s: float) -> float:
    return round(LEFT + time_s / end_s * (WIDTH - LEFT - 24), 1)


def _y(value: float, top: float) -> float:
    floor = HEIGHT - BOTTOM
    return round(floor - value / top * (floor - TOP), 1)


def _round_up(value: float) -> float:
    """Return the next 1, 2, 5 or 10 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _pieces(
    times: Sequence[tuple[float, float]],
    values: Sequence[float | None],
    end_s: float,
    top: float,
) -> Iterator[str]:
    points: list[str] = []
    for (at_s, length_s), value in zip(times, values, strict=True):
        if value is not None:
            points.append(f"{_x(at_s + length_s / 2, end_s)},{_y(value, top)}")
        elif points:
            yield " ".join(points)
            points = []
    if points:
        yield " ".join(points)
