"""What a plan is told of an attempt, and what it wants done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from test_rig.workflow.records import AttemptRow, Failure, StepRow
from test_rig.workflow.states import RunStatus, TaskStatus

__all__ = ["Command", "Finish", "Outcome", "Record", "Retry", "Start", "Stop", "Wake"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt."""

    status: TaskStatus
    started: float
    finished: float
    delta: dict[str, Any] | None = None
    delta_text: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Start an attempt; the engine may make it wait for a place."""

    key: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End a running attempt: nobody waits for its result any more."""

    key: str


@dataclass(frozen=True, slots=True)
class Record:
    """Record a task's result."""

    step: StepRow


@dataclass(frozen=True, slots=True)
class Retry:
    """Record an attempt that failed, and when the next one is due."""

    row: AttemptRow


@dataclass(frozen=True, slots=True)
class Wake:
    """Tell the plan (`due`) when this time has come."""

    key: str
    at: float


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over, or paused."""

    status: RunStatus
    output: dict[str, Any] | None = None
    failure: Failure | None = None


Command = Start | Stop | Record | Retry | Wake | Finish
