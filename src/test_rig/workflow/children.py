"""Runs of workflows that are tasks of other runs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Container, Iterator
from contextlib import suppress
from typing import Any

from test_rig.errors import WorkflowError
from test_rig.workflow.bodies import Job
from test_rig.workflow.commands import Outcome
from test_rig.workflow.records import Failure, RunRow, failure_of
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.store import Store
from test_rig.workflow.values import decoded, encoded

__all__ = ["Children", "child_id_of", "child_row"]


class Children:
    """The children that this engine's runs wait for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[str, Job] = {}

    def begin(self, job: Job, priority: int) -> RunRow | None:
        """Let an attempt wait for its child; return the child's row where it is new.

        A store that does not answer is asked again by `look`; nothing is started twice, because
        the child's id is that of its attempt.
        """
        self._jobs[child_id_of(job)] = job
        with suppress(WorkflowError):
            if self._store.status(child_id_of(job)) is not None:
                return None  # it was begun before a crash
        return child_row(job, job.view, priority)

    def look(self, own: Container[str]) -> Iterator[tuple[Job, Outcome]]:
        """Yield attempts whose children have ended in the hands of other workers."""
        for child_id in [each for each in self._jobs if each not in own]:
            with suppress(WorkflowError):
                row = self._store.status(child_id)
                if row is not None and row.status.is_final:
                    ended = self.ended(row)
                    if ended is not None:
                        yield ended

    def ended(self, run: RunRow) -> tuple[Job, Outcome] | None:
        """Return the attempt that waited for this run, with its outcome."""
        job = self._jobs.pop(run.id, None)
        return None if job is None else (job, _outcome(job, run))

    def clear(self) -> None:
        """Forget them."""
        self._jobs.clear()


def child_id_of(job: Job) -> str:
    """Return the id of the run that an attempt starts: the same after a crash."""
    name = f"{job.run_id}/{job.key}/{job.attempt}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"test-rig-child:{name}"))


def child_row(job: Job, view: dict[str, Any], priority: int) -> RunRow:
    """Return the row of a child's run."""
    workflow, now = job.task.child, time.time()
    return RunRow(
        id=child_id_of(job),
        workflow=workflow.name,
        version=workflow.version,
        status=RunStatus.PENDING,
        input=encoded(view, where=job.key)[0],
        created=now,
        priority=priority,
        parent=job.run_id,
        parent_task=job.key,
        deadline=None if workflow.timeout_s is None else now + workflow.timeout_s,
    )


def _outcome(job: Job, run: RunRow) -> Outcome:
    now = time.time()
    if run.status is RunStatus.COMPLETED:
        final = decoded(run.output or "{}")
        given = job.view
        own = {key: value for key, value in final.items() if given.get(key, _NONE) != value}
        text, delta = encoded({job.key: own}, where=job.key)
        return Outcome(TaskStatus.COMPLETED, job.started, now, delta, text)
    cause = failure_of(run.error)
    what = f"its workflow {run.workflow!r} (run {run.id}) is {run.status}"
    failure = Failure(
        type="ChildFailed",
        message=f"{what}: {cause}" if cause else what,
        names=("ChildFailed",),
    )
    return Outcome(TaskStatus.FAILED, job.started, now, failure=failure)


_NONE = object()
