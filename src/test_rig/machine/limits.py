"""How long a run may go on, and how far."""

from __future__ import annotations

import math
from dataclasses import dataclass

from test_rig.errors import UsageError

__all__ = ["NEVER_NS", "Limits", "checked_seconds"]

#: A deadline, in nanoseconds, that is never reached; also a length of time that never passes.
NEVER_NS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ends a run that does not end by itself. Times are in seconds."""

    #: Answers of `execute`, those that stay included.
    transitions: int = 10_000
    #: The whole run, without the clean-up at its end; None: no limit.
    run_s: float | None = 3600.0
    #: What the one who set `run_s` calls it, for messages.
    run_name: str = "run_s"
    #: One visit of one state: `enter` and every `execute`; None: no limit but the run's.
    state_s: float | None = None
    #: One `exit`, and closing what the run opened.
    exit_s: float = 10.0
    #: How long a call may take to return once its connection was cancelled, and again once it was
    #: cut, before it is left behind.
    grace_s: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.transitions, bool) or not isinstance(self.transitions, int):
            raise UsageError("the limit of transitions is no whole number", where="Limits")
        if self.transitions < 1:
            raise UsageError("a run makes at least one transition", where="Limits.transitions")
        for name in ("run_s", "state_s", "exit_s", "grace_s"):
            value = getattr(self, name)
            if value is not None or name in ("exit_s", "grace_s"):
                checked_seconds(value, where=f"Limits.{name}")


def checked_seconds(value: float, *, where: str) -> float:
    """Return a length of time.

    Raises:
        UsageError: It is no positive number of seconds.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise UsageError(f"{value!r} is no length of time", where=where, todo="give seconds")
    return float(value)
