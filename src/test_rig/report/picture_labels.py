"""Where the label of an arrow stands, so that it covers no other text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from test_rig.report.picture import Label, width_of

__all__ = ["along", "clear_of", "edges_of"]

_Point = tuple[float, float]
#: How far a line of text reaches above and below its base line.
_ABOVE, _BELOW = 11.0, 3.0
#: The least room between two labels beside each other.
_APART = 4.0
#: Where on an arrow a label may stand, the best first: shares of the way.
_SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
#: How far below the arrow, the nearest first.
_ASIDE = (-4.0, 14.0, -16.0, 26.0, -28.0, 38.0, -40.0)


def along(start: _Point, end: _Point, bend: _Point) -> Iterator[_Point]:
    """Yield points for a label at an arrow, the best first.

    >>> next(along((0.0, 0.0), (8.0, 8.0), (4.0, 4.0)))
    (4.0, 0.0)
    """
    for aside in _ASIDE:
        for share in _SHARES:
            first, middle, last = (1 - share) ** 2, 2 * share * (1 - share), share**2
            x = first * start[0] + middle * bend[0] + last * end[0]
            y = first * start[1] + middle * bend[1] + last * end[1]
            yield x, y + aside


def clear_of(
    others: Sequence[Label], label: Label, points: Iterator[_Point], *, lowest: float
) -> Label:
    """Return a label at the first point where it covers none of the others.

    Args:
        others: The labels that are there.
        label: The one to place; its anchor is the middle.
        points: Where it may stand, the best first; where none is free the least covered one.
        lowest: No point below this one is taken.
    """
    best, least = label, float("inf")
    for x, y in points:
        placed = replace(label, x=x, y=y)
        if edges_of(placed)[0] < 0 or not _ABOVE < y < lowest:
            continue
        covered = sum(_covered(placed, each) for each in others)
        if covered < least:
            best, least = placed, covered
        if not covered:
            break
    return best


def edges_of(label: Label) -> tuple[float, float]:
    """Return where a label begins and ends, from left to right."""
    width = width_of(label.text)
    left = label.x - (width / 2 if label.anchor == "middle" else 0.0)
    return left, left + width


def _covered(one: Label, other: Label) -> float:
    """Return the area that two labels have in common, or nearly."""
    (left, right), (other_left, other_right) = edges_of(one), edges_of(other)
    width = min(right, other_right) - max(left, other_left) + _APART
    height = _ABOVE + _BELOW - abs(one.y - other.y)
    return max(width, 0.0) * max(height, 0.0)
