"""One operation of a history: who did what, and what came of it.

How to think of it: a *process* (a session, a load worker) does one thing at a time. Each thing is
two operations: an `invoke` when it was sent, and `ok`, `fail` or `info` when it ended. Operations
of different processes overlap; the order in which they stand is the order in which they were seen.
The shape follows Jepsen's histories, so that judges can read both.

This is the object for the edges: files and checkers hold operations as columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from test_rig.errors import Outcome

__all__ = ["UNTOLD", "Op", "OpType", "Origin"]

#: The time or the index of an operation that has none, as in Jepsen.
UNTOLD = -1


class OpType(Enum):
    """What an operation tells: that something was sent, or how it ended."""

    INVOKE = "invoke"
    OK = "ok"
    #: Certainly no effect.
    FAIL = "fail"
    #: Unknown whether there was an effect: the answer was lost.
    INFO = "info"

    @classmethod
    def of(cls, outcome: Outcome) -> OpType:
        """Return the type of an operation that ended with `outcome`."""
        return cls(outcome.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation."""

    #: The name or number of who did it.
    process: str
    type: OpType
    #: What was done: "select", "commit", "append", ...
    f: str
    #: What it was done with, and on an end what came back: anything that JSON can say.
    value: object
    #: Monotonic nanoseconds since the start of what it belongs to; UNTOLD where none are known.
    time_ns: int
    #: Its place in the history, counted from 0; UNTOLD where its file does not say.
    index: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What an operation belongs to, where one file holds many histories."""

    #: The target's URL without its password.
    target: str
    #: The level's name as the server spells it.
    level: str
    #: The scenario's or workload's name.
    scenario: str
