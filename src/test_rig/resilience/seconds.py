"""Lengths of time as people give them: seconds, or a `timedelta`."""

from __future__ import annotations

import math
from datetime import timedelta

from test_rig.errors import UsageError

__all__ = ["Seconds", "at_least_one", "seconds"]

#: A length of time.
Seconds = float | timedelta


def seconds(value: Seconds, *, name: str) -> float:
    """Return a length of time in seconds.

    Raises:
        UsageError: It is negative, infinite, or no length of time.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not math.isfinite(number) or number < 0:
        raise UsageError(
            f"{value!r} is no length of time", where=name, todo="give seconds or a timedelta"
        )
    return float(number)


def at_least_one(value: int, *, name: str) -> int:
    """Return `value`.

    Raises:
        UsageError: It is no whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{value!r} is too small or no whole number", where=name, todo="give 1 up")
    return value
