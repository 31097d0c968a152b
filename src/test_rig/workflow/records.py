"""What a store keeps: rows of runs, steps and attempts; and the batch that records them."""

from __future__ import annotations

from dataclasses import dataclass, field

from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.values import decoded, encoded

__all__ = [
    "AttemptRow",
    "Batch",
    "Failure",
    "RunFinish",
    "RunRow",
    "Saved",
    "SignalRow",
    "StepRow",
    "failure_of",
    "finish_of",
    "text_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a task or a run did not succeed."""

    #: The exception's class, by its name.
    type: str
    message: str
    traceback: str = ""
    #: The names of the exception's classes, for retry policies.
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


def text_of(failure: Failure) -> str:
    """Return a failure as the JSON text that is recorded."""
    text, _ = encoded(
        {
            "type": failure.type,
            "message": failure.message.encode(errors="replace").decode(),
            "traceback": failure.traceback.encode(errors="replace").decode(),
            "names": list(failure.names),
        },
        where="failure",
    )
    return text


def failure_of(text: str | None) -> Failure | None:
    """Return the failure that a JSON text records."""
    if text is None:
        return None
    plain = decoded(text)
    return Failure(
        type=plain["type"],
        message=plain["message"],
        traceback=plain["traceback"],
        names=tuple(plain["names"]),
    )


@dataclass(slots=True, kw_only=True)
class RunRow:
    """One run of a workflow. Times are seconds since 1970 in UTC, contexts are JSON texts."""

    id: str
    workflow: str
    version: str
    status: RunStatus
    input: str
    created: float
    priority: int = 0
    output: str | None = None
    error: str | None = None
    owner: str | None = None
    #: How often another worker had to take it over.
    recoveries: int = 0
    not_before: float | None = None
    deadline: float | None = None
    parent: str | None = None
    parent_task: str | None = None
    #: What was asked of the run's owner: cancel or pause.
    wanted: str | None = None
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """The result of one task in one run: there is never a second one."""

    run_id: str
    key: str
    status: TaskStatus
    attempt: int
    delta: str | None = None
    error: str | None = None
    started: float | None = None
    finished: float | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """An attempt that did not give the task's result, or that still runs."""

    run_id: str
    key: str
    attempt: int
    status: TaskStatus
    error: str | None = None
    started: float | None = None
    finished: float | None = None
    worker: str | None = None
    #: When the next attempt is due.
    next_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRow:
    """An event that was sent to a run: the first one of a name counts."""

    run_id: str
    name: str
    payload: str
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinish:
    """How a run's stay with its worker ended: with a final status, or paused, or given back."""

    run_id: str
    status: RunStatus
    output: str | None = None
    error: str | None = None
    finished: float | None = None


def finish_of(run: RunRow) -> RunFinish:
    """Return how a run has ended, as its row says it."""
    return RunFinish(
        run_id=run.id,
        status=run.status,
        output=run.output,
        error=run.error,
        finished=run.finished,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """All that is recorded of one run."""

    run: RunRow
    steps: tuple[StepRow, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    signals: tuple[SignalRow, ...] = ()


@dataclass(slots=True)
class Batch:
    """What is recorded in one transaction."""

    runs: list[RunRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    #: (run, task, attempt) of running attempts whose result is among the steps.
    ended: list[tuple[str, str, int]] = field(default_factory=list)
    finishes: list[RunFinish] = field(default_factory=list)

    def finish(self, finish: RunFinish) -> None:
        """Add a run's end; that of a run that is new in this batch goes into its row."""
        for run in self.runs:
            if run.id == finish.run_id:
                run.status, run.output, run.error = finish.status, finish.output, finish.error
                run.finished, run.owner = finish.finished, None
                return
        self.finishes.append(finish)

    def settled(self) -> Batch:
        """Return the batch with one row for each attempt: the last that is known of it."""
        last = {(row.run_id, row.key, row.attempt): row for row in self.attempts}
        for name in self.ended:
            row = last.get(name)
            if row is not None and row.status is TaskStatus.RUNNING:
                del last[name]
        over = [name for name in self.ended if name not in last]
        return Batch(self.runs, self.steps, list(last.values()), over, self.finishes)

    def __bool__(self) -> bool:
        return bool(self.runs or self.steps or self.attempts or self.ended or self.finishes)
