"""Time as an argument: one clock for order and durations, one for people.

Whatever decides by time takes a `Clock`, so that a test can hand it another.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What the rig asks of a clock."""

    def now_ns(self) -> int:
        """Return monotonic nanoseconds: for order and durations, with no meaning as a date."""

    def utc(self) -> datetime:
        """Return the wall clock's time in UTC, for people; it may jump."""


class SystemClock:
    """The machine's own clocks."""

    #: `CLOCK_MONOTONIC`, which processes on one host share; asked without a frame of ours between.
    now_ns = staticmethod(time.monotonic_ns)

    def utc(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)


SYSTEM_CLOCK: Clock = SystemClock()
