"""The states of runs and of tasks, as words that people see."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["RunStatus", "TaskStatus"]


class RunStatus(StrEnum):
    """Where a run of a workflow is."""

    #: Recorded, and waiting for a worker, for a time or for a free place.
    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    #: Its own time limit was over.
    TIMED_OUT = "TimedOut"

    @property
    def is_final(self) -> bool:
        """Whether nothing happens any more unless somebody asks for it."""
        return self not in (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED)


class TaskStatus(StrEnum):
    """Where a task of a run is."""

    #: It waits for its dependencies.
    NOT_STARTED = "NotStarted"
    #: Its dependencies are done; it waits for an event, or for its next attempt.
    PENDING = "Pending"
    #: It waits for a free place.
    READY = "Ready"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"

    @property
    def is_final(self) -> bool:
        """Whether the task's result is recorded."""
        return self in _FINAL

    @property
    def is_failure(self) -> bool:
        """Whether the task was tried and did not succeed."""
        return self is TaskStatus.FAILED or self is TaskStatus.TIMED_OUT


_FINAL = frozenset(
    {
        TaskStatus.COMPLETED,
        TaskStatus.FAILED,
        TaskStatus.SKIPPED,
        TaskStatus.CANCELLED,
        TaskStatus.TIMED_OUT,
    }
)
