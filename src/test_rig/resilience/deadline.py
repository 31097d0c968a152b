"""A point in time by which something must be over, as a value to hand down."""

from __future__ import annotations

from dataclasses import dataclass, field

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.resilience.seconds import Seconds, seconds

__all__ = ["Deadline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A moment of one clock. The parts of a whole share the same deadline, so they cannot add up.

    >>> from datetime import timedelta
    >>> Deadline.after(timedelta(minutes=1)).expired
    False
    """

    #: The moment, in nanoseconds of `clock`.
    at_ns: int
    clock: Clock = field(default=SYSTEM_CLOCK, repr=False, compare=False)

    @classmethod
    def after(cls, length: Seconds, clock: Clock = SYSTEM_CLOCK) -> Deadline:
        """Return the deadline that lies `length` (seconds or a timedelta) after now."""
        length_ns = round(seconds(length, name="deadline") * 1e9)
        return cls(at_ns=clock.now_ns() + length_ns, clock=clock)

    @property
    def remaining_s(self) -> float:
        """How many seconds are left; 0.0 once it has passed."""
        return max(0.0, (self.at_ns - self.clock.now_ns()) / 1e9)

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return self.clock.now_ns() >= self.at_ns

    def earlier(self, length: Seconds) -> Deadline:
        """Return this deadline or the one `length` from now, whichever comes first."""
        other = Deadline.after(length, self.clock)
        return self if self.at_ns <= other.at_ns else other
