"""What came of a run, for those who asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from test_rig.workflow.records import Failure, RunRow, StepRow, failure_of
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.values import copied, decoded

__all__ = ["TaskResult", "WorkflowResult", "result_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What came of one task; it also answers as a mapping does: `result["status"]`."""

    task_id: str
    status: TaskStatus
    #: The number of the attempt that gave this result.
    attempts: int
    #: What the task added to the context.
    output: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def duration_s(self) -> float | None:
        """How long the attempt took that gave this result."""
        if self.started is None or self.finished is None:
            return None
        return (self.finished - self.started).total_seconds()

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "task_id": self.task_id,
            "status": self.status.value,
            "attempts": self.attempts,
            "output": dict(self.output),
            "error": str(self.error) if self.error else None,
            "traceback": self.error.traceback if self.error else None,
            "started": self.started.isoformat() if self.started else None,
            "finished": self.finished.isoformat() if self.finished else None,
            "duration_s": self.duration_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowResult:
    """What came of a run; it also answers as a mapping does: `result["status"]`."""

    run_id: str
    workflow: str
    version: str
    status: RunStatus
    #: The run's input and what all tasks added.
    final_context: dict[str, Any]
    task_results: Mapping[str, TaskResult]
    error: Failure | None = None
    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the run came to a good end."""
        return self.status is RunStatus.COMPLETED

    @property
    def errors(self) -> dict[str, Failure]:
        """The failures by task; skipped tasks have none."""
        return {
            key: result.error
            for key, result in self.task_results.items()
            if result.error is not None and result.status is not TaskStatus.SKIPPED
        }

    @property
    def error_message(self) -> str | None:
        """Why the run did not succeed: its own reason, and each task's."""
        if self.error is None:
            return None
        causes = [f"{key}: {failure}" for key, failure in self.errors.items()]
        return "; ".join([self.error.message, *causes])

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "run_id": self.run_id,
            "workflow": self.workflow,
            "version": self.version,
            "status": self.status.value,
            "final_context": self.final_context,
            "task_results": {key: each.as_dict() for key, each in self.task_results.items()},
            "error": self.error_message,
            "created": self.created.isoformat() if self.created else None,
            "started": self.started.isoformat() if self.started else None,
            "finished": self.finished.isoformat() if self.finished else None,
        }

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())


def result_of(
    run: RunRow, steps: Sequence[StepRow], *, final: Mapping[str, Any] | None = None
) -> WorkflowResult:
    """Return the result that is recorded."""
    if final is None:
        final = decoded(run.output if run.output is not None else run.input)
    return WorkflowResult(
        run_id=run.id,
        workflow=run.workflow,
        version=run.version,
        status=run.status,
        final_context=copied(dict(final)),
        task_results={step.key: task_result_of(step) for step in steps},
        error=failure_of(run.error),
        created=_moment(run.created),
        started=_moment(run.started),
        finished=_moment(run.finished),
    )


def task_result_of(step: StepRow) -> TaskResult:
    """Return the result of a task that is recorded."""
    return TaskResult(
        task_id=step.key,
        status=step.status,
        attempts=step.attempt,
        output=decoded(step.delta) if step.delta else {},
        error=failure_of(step.error),
        started=_moment(step.started),
        finished=_moment(step.finished),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
