"""What an engine keeps of a run that it works on, its limits, and what it tells."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, fields

from test_rig.errors import Problem, WorkflowInvalid
from test_rig.workflow.commands import Finish
from test_rig.workflow.definition import Workflow
from test_rig.workflow.plan import Plan
from test_rig.workflow.records import RunRow, StepRow
from test_rig.workflow.result import WorkflowResult, result_of
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.tracing import RunSpan
from test_rig.workflow.values import MAX_CONTEXT_BYTES

__all__ = ["Active", "Limits", "Progress", "new_id", "progress_of"]

#: Limits of which none at all makes sense too.
_MAY_BE_NONE = ("max_recoveries", "store_patience_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of everything; for one process."""

    #: Tasks that run at the same time.
    max_tasks: int = 64
    #: Runs that are worked on at the same time; the others wait in the store.
    max_runs: int = 1000
    max_context_bytes: int = MAX_CONTEXT_BYTES
    #: How long a worker that says nothing counts as alive.
    lease_s: float = 15.0
    #: How often a run is taken over from workers that died, before it has failed.
    max_recoveries: int = 10
    #: How long a store that cannot record is tried before callers are told.
    store_patience_s: float = 30.0

    def __post_init__(self) -> None:
        problems = []
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not (value > 0 or (value == 0 and name in _MAY_BE_NONE)):
                what = f"{name}={value!r} is no number above 0"
                problems.append(Problem(where="limits", what=what))
        if problems:
            raise WorkflowInvalid(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Something was recorded, or a task started."""

    run_id: str
    workflow: str
    #: None where it is about the run.
    task_id: str | None
    status: TaskStatus | RunStatus
    attempt: int
    time: float


class Active:
    """A run that an engine works on."""

    __slots__ = ("_workflow_place", "plan", "run", "span", "steps", "workflow")

    def __init__(self, run: RunRow, workflow: Workflow, plan: Plan) -> None:
        self.run, self.workflow, self.plan = run, workflow, plan
        self.steps: list[StepRow] = []
        #: Of OpenTelemetry, where somebody collects them.
        self.span: RunSpan | None = None
        limit = workflow.max_concurrent
        self._workflow_place: list[tuple[tuple[str, ...], int]] = (
            [] if limit is None else [((workflow.name,), limit)]
        )

    def places(self, key: str) -> list[tuple[tuple[str, ...], int]]:
        """Return what a task needs a place of, and how many places that has."""
        task = self.plan.places[key].task
        if task.max_concurrent is None:
            return self._workflow_place
        return [*self._workflow_place, ((self.workflow.name, task.task_id), task.max_concurrent)]

    def tell(self, waiters: Iterable[Future[WorkflowResult | None]], finish: Finish) -> None:
        """Give the result to those who wait for it."""
        for waiter in waiters:
            with suppress(InvalidStateError):
                waiter.set_result(result_of(self.run, self.steps, final=finish.output))


def progress_of(
    run: RunRow, task_id: str | None, status: TaskStatus | RunStatus, attempt: int
) -> Progress:
    """Return what there is to tell of a run, or of one of its tasks, now."""
    return Progress(
        run_id=run.id,
        workflow=run.workflow,
        task_id=task_id,
        status=status,
        attempt=attempt,
        time=time.time(),
    )


def new_id() -> str:
    """Return a UUID whose order is that of time (RFC 9562, version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))
