"""Statements with lists of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

__all__ = ["Say", "marks", "slices"]

#: Executes one statement; returns its rows, or for a change the number of rows as one row.
Say = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


def marks(values: Sequence[Any]) -> str:
    """Return a mark for each value, to stand in brackets."""
    return ", ".join("?" * len(values))


def slices(values: Iterable[str], size: int = 500) -> Iterable[list[str]]:
    """Yield the values in lists that one statement takes."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some
