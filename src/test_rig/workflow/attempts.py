"""The attempts that run in this process, with their time limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from test_rig.workflow.bodies import Bodies, Job, abandoned
from test_rig.workflow.commands import Outcome
from test_rig.workflow.records import AttemptRow
from test_rig.workflow.states import TaskStatus
from test_rig.workflow.timers import Timers

__all__ = ["MARK_AFTER_S", "Attempts"]

#: How long an attempt runs before it is recorded as running, for whoever looks.
MARK_AFTER_S = 0.1
#: How long an attempt that was stopped may take to notice.
GRACE_S = 0.5


class Attempts:
    """Starts attempts and ends those that are late; for the engine's thread.

    Args:
        timers: Of the engine.
        ended: Is told of an attempt that could not be ended.
    """

    def __init__(self, timers: Timers, ended: Callable[[Job, Outcome], None]) -> None:
        self.bodies = Bodies("workflow")
        self._timers, self._ended = timers, ended
        self._running: dict[tuple[str, str], Job] = {}
        self._held = 0

    def __len__(self) -> int:
        return len(self._running) - self._held

    def __contains__(self, name: tuple[str, str]) -> bool:
        return name in self._running

    def start(self, job: Job) -> None:
        """Start an attempt, and watch its time."""
        self._running[job.run_id, job.key] = job
        self.bodies.start(job)
        if job.task.timeout_s is not None:
            self._timers.later(job.task.timeout_s, self._on_late, job)

    def hold(self, job: Job) -> None:
        """Keep an attempt that takes no place here: a child's run is what does the work."""
        job.started = time.time()
        job.is_marked = True
        self._running[job.run_id, job.key] = job
        self._held += 1

    def take(self, job: Job) -> bool:
        """Forget an attempt that has ended; return whether anybody still waited for it."""
        if self._running.get((job.run_id, job.key)) is not job:
            return False
        del self._running[job.run_id, job.key]
        self._held -= job.task.child is not None
        return True

    def stop(self, run_id: str, key: str) -> Job | None:
        """End a running attempt that nobody waits for any more."""
        job = self._running.pop((run_id, key), None)
        if job is not None:
            job.stopped = "cancelled"
            self._held -= job.task.child is not None
            if job.task.child is None:
                self.bodies.stop(job, "cancelled")
                if job.loop is not None:
                    self._timers.later(GRACE_S, self._release, job)
        return job

    def _release(self, job: Job) -> None:
        self.bodies.release(job)

    def stop_all(self) -> None:
        """End all of them."""
        for run_id, key in list(self._running):
            self.stop(run_id, key)

    def _on_late(self, job: Job) -> None:
        if self._running.get((job.run_id, job.key)) is job:
            self.bodies.stop(job, "late")
            self._timers.later(GRACE_S, self._on_hopeless, job)

    def _on_hopeless(self, job: Job) -> None:
        if self._running.get((job.run_id, job.key)) is not job:
            return
        if not job.is_hit and self.bodies.release(job):
            self._timers.later(GRACE_S, self._on_hopeless, job)
        else:
            self._ended(job, abandoned(job))

    def marks(self, worker: str) -> Iterator[AttemptRow]:
        """Yield rows of the attempts that have run for a while, each once."""
        until = time.time() - MARK_AFTER_S / 2
        for job in self._running.values():
            if not job.is_marked and job.started <= until:
                job.is_marked = True
                yield AttemptRow(
                    run_id=job.run_id,
                    key=job.key,
                    attempt=job.attempt,
                    status=TaskStatus.RUNNING,
                    started=job.started,
                    worker=worker,
                )

    @property
    def has_unmarked(self) -> bool:
        """Whether one of them is not recorded as running."""
        return any(not job.is_marked for job in self._running.values())
