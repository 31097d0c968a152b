"""The engine: one thread that takes events, decides, records, and only then acts.

Theory of operation. Everything that happens to a run comes into one inbox: it was submitted, an
attempt ended, a time has come, another process asked for something. The engine's thread takes what
is there, lets the plans of the runs decide, puts all that is to be recorded into one transaction,
and commits it. Then, and never before, it does what follows: starts the next tasks, tells whoever
waits for a result. While a commit is on its way to the disk, further events gather; they share the
next one. So one lonely step costs one commit, a thousand at once cost a few, and nobody polls.

An engine owns the runs that it works on; no other one touches them while it lives. Whoever was
taken for dead learns of it at its next commit, which records nothing: it drops its runs and goes on
under a new name.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from test_rig.errors import WorkflowError
from test_rig.workflow.active import Active, Limits, Progress, new_id, progress_of
from test_rig.workflow.attempts import MARK_AFTER_S, Attempts
from test_rig.workflow.bodies import Job
from test_rig.workflow.children import Children, child_id_of
from test_rig.workflow.commands import (
    Command,
    Finish,
    Outcome,
    Record,
    Retry,
    Start,
    Stop,
    Wake,
)
from test_rig.workflow.definition import Workflow
from test_rig.workflow.plan import Plan
from test_rig.workflow.queueing import ReadyQueue
from test_rig.workflow.recording import commit_patiently
from test_rig.workflow.records import Batch, Failure, RunRow, Saved, finish_of, text_of
from test_rig.workflow.schedules import Schedules
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.store import Store, WorkerLost
from test_rig.workflow.timers import Timers
from test_rig.workflow.tracing import Tracing
from test_rig.workflow.values import Values, decoded, encoded
from test_rig.workflow.waiting import ELSEWHERE, Waiter, Waiters, crash_of, refuse

__all__ = ["Engine"]

_EVENTS_PER_COMMIT = 512
_FALLBACK_S = 1.0


class Engine:
    """Runs workflows of one store.

    Args:
        store: Where runs are recorded; open.
        limits: How much of everything.
        on_progress: Is told what has been recorded, on the engine's thread: it must not wait.
    """

    def __init__(
        self, store: Store, limits: Limits, on_progress: Callable[[Progress], None] | None = None
    ) -> None:
        self.store, self.limits = store, limits
        self.worker = new_id()
        self._on_progress = on_progress
        self._timers = Timers()
        self._inbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._attempts = Attempts(self._timers, self._on_ended)
        self._known: dict[tuple[str, str], Workflow] = {}
        self._runs: dict[str, Active] = {}
        self._children = Children(store)
        self._schedules = Schedules(store, self._timers, self._on_fired)
        self._tracing = Tracing()
        self._waiters = Waiters()
        self._ready = ReadyQueue()
        self._batch = Batch()
        self._after: list[Callable[[], None]] = []
        self._is_marking = False
        self._is_closing = False
        self._has_backlog = False
        self._broken: WorkflowError | None = None
        self._thread = threading.Thread(target=self._serve, name="workflow-engine", daemon=True)

    def start(self) -> None:
        """Make the worker known, and begin."""
        self.store.enlist(self.worker, time.time())
        self._thread.start()
        self.store.watch(self.worker, self.look)
        self._inbox.put((self._beat_later,))

    def close(self, *, wait_s: float = 10.0) -> None:
        """Stop: what runs is given back to the store, for the next worker."""
        if self._thread.is_alive():
            self._inbox.put((self._on_close,))
            self._thread.join(wait_s)
        self._attempts.bodies.close()
        with suppress(WorkflowError):
            self.store.dismiss(self.worker)

    # What others ask for, from any thread

    def know(self, workflow: Workflow) -> None:
        """Serve runs of this workflow, also those that others left behind."""
        for task in workflow.tasks:
            if task.child is not None:
                self.know(task.child)
        pair = (workflow.name, workflow.version)
        if pair not in self._known:
            workflow.check()
            text, _ = encoded(workflow.facts(), where=workflow.name)
            self.store.define(workflow.name, workflow.version, text, time.time())
            self._known = {**self._known, pair: workflow}
            self.look()

    def submit(self, run: RunRow, workflow: Workflow, context: Values) -> None:
        """Record a run and begin with it, or let it wait where there is too much to do."""
        self._inbox.put((self._on_submit, run, workflow, context, self._tracing.caller()))

    def wait_for(self, run_id: str) -> Waiter:
        """Return what will have the run's result: None where another worker has it."""
        future = Waiter()
        self._inbox.put((self._on_wait, run_id, future))
        return future

    def look(self) -> None:
        """Look at what is new in the store."""
        self._inbox.put((self._on_look,))

    def knows(self, workflow: str, version: str) -> bool:
        """Return whether this engine can run a version of a workflow."""
        return (workflow, version) in self._known

    def versions(self, workflow: str) -> list[str]:
        """Return the versions of a workflow that this engine can run."""
        return [version for name, version in self._known if name == workflow]

    # The loop

    def _serve(self) -> None:
        try:
            self._main()
        except Exception as error:  # noqa: BLE001 -- the top of a thread: nobody may wait for ever
            crash = crash_of(error)
            self._attempts.stop_all()
            self._waiters.let_go(crash)
            while (message := self._inbox.get())[0] != self._on_close:
                if message[0] == self._on_wait:
                    refuse(message[2], crash)

    def _main(self) -> None:
        while not self._is_closing:
            message = self._next()
            for _ in range(_EVENTS_PER_COMMIT):
                if message is None:
                    break
                message[0](*message[1:])
                try:
                    message = self._inbox.get_nowait()
                except Empty:
                    message = None
            if message is not None:
                message[0](*message[1:])
            self._timers.fire()
            self._dispatch()  # what an earlier commit made ready need not wait for this one
            self._commit()
            self._dispatch()

    def _next(self) -> tuple[Any, ...] | None:
        try:
            return self._inbox.get(timeout=self._timers.wait_s())
        except Empty:
            return None

    def _commit(self) -> None:
        batch, after = self._batch, self._after
        if batch:
            self._batch, self._after = Batch(), []
            if not self._record(batch.settled()):
                return
        elif after:
            self._after = []
        self._ready.recorded()
        for effect in after:
            effect()

    def _record(self, batch: Batch) -> bool:
        """Commit a batch; return whether it is recorded."""
        patience_s = 0.0 if self._is_closing else self.limits.store_patience_s
        self._broken = commit_patiently(self.store, self.worker, batch, patience_s=patience_s)
        if self._broken is not None:
            self._renew(self._broken)
        return self._broken is None

    def _renew(self, error: WorkflowError) -> None:
        """Drop everything and go on as another worker: what was here is not ours any more."""
        self._broken = error
        self._attempts.stop_all()
        self._runs.clear()
        self._children.clear()
        self._ready = ReadyQueue()
        self._batch, self._after = Batch(), []
        self._waiters.let_go(error)
        self._reenlist()

    def _reenlist(self) -> None:
        old, self.worker = self.worker, new_id()
        try:
            self.store.enlist(self.worker, time.time())
            self.store.watch(self.worker, self.look)
            self.store.dismiss(old)
        except WorkflowError as error:
            self._broken = error
            if not self._is_closing:
                self._timers.later(_FALLBACK_S, self._reenlist)
        else:
            self._on_look()

    # Messages

    def _on_submit(self, run: RunRow, workflow: Workflow, context: Values, caller: Any) -> None:
        self._known.setdefault((workflow.name, workflow.version), workflow)
        now = time.time()
        is_later = run.not_before is not None and run.not_before > now
        if is_later or len(self._runs) >= self.limits.max_runs:
            run.status = RunStatus.PENDING
            self._batch.runs.append(run)
            self._has_backlog = True
            if run.not_before is not None and is_later:
                self._timers.later(run.not_before - now, self._claim)
            return
        run.status, run.owner, run.started = RunStatus.RUNNING, self.worker, now
        self._batch.runs.append(run)
        active = self._activate(run, workflow, context, caller)
        self._apply(active, active.plan.begin(now))

    def _on_wait(self, run_id: str, future: Waiter) -> None:
        if run_id in self._runs:
            self._waiters.add(run_id, future)
        elif self._broken is not None:
            refuse(future, self._broken)
        else:
            self._waiters.add(ELSEWHERE, future)  # where it is told should nothing be recorded
            self._after.append(self._waiters.send_on)

    def _on_ended(self, job: Job, outcome: Outcome) -> None:
        if not self._attempts.take(job):
            return  # nobody waits for it any more
        active = self._runs[job.run_id]
        self._ready.release(active, job.key)
        if job.is_marked:
            self._batch.ended.append((job.run_id, job.key, job.attempt))
        self._apply(active, active.plan.ended(job.key, outcome, time.time()))

    def _on_look(self) -> None:
        try:
            asked, signals = self.store.wanted(self.worker) if self._runs else ([], [])
            self.store.bury(self.worker, time.time())
        except WorkflowError as error:
            self._broken = error
            return
        now = time.time()
        for signal in signals:
            if active := self._runs.get(signal.run_id):
                payload = decoded(signal.payload)
                self._apply(active, active.plan.signalled(signal.name, payload, now))
        for run_id, wanted in asked:
            if active := self._runs.get(run_id):
                self._ask(active, wanted, now)
        for ended in self._children.look(self._runs):
            self._on_ended(*ended)
        self._has_backlog = True
        self._claim()
        self._schedules.look(list(self._known.values()))

    def _on_fired(self) -> None:
        self._has_backlog = True
        self._claim()

    def _ask(self, active: Active, wanted: str, now: float) -> None:
        if wanted == "cancel":
            self._apply(active, active.plan.cancel(now))
        elif wanted == "pause" and not active.plan.is_pausing:
            # What waits for a place is not started; what runs comes to its end.
            for key in [k for k in active.plan.active if (active.run.id, k) not in self._attempts]:
                active.plan.withhold(key)
            self._apply(active, active.plan.pause(now))

    def _on_due(self, run_id: str, key: str) -> None:
        if active := self._runs.get(run_id):
            self._apply(active, active.plan.due(key, time.time()))

    def _on_run_late(self, run_id: str) -> None:
        if active := self._runs.get(run_id):
            self._apply(active, active.plan.cancel(time.time(), is_late=True))

    def _on_close(self) -> None:
        self._is_closing = True
        self._attempts.stop_all()
        self._commit()
        self._waiters.let_go(WorkflowError("the executor was closed; the next worker goes on"))

    def _beat_later(self) -> None:
        self._timers.later(self.limits.lease_s / 3, self._beat)

    def _beat(self) -> None:
        try:
            self.store.beat(self.worker, time.time())
        except WorkerLost as lost:
            self._renew(lost)
        except WorkflowError as error:
            self._broken = error
        else:
            self._on_look()  # for those whose lease is over, and for news that was lost
        self._beat_later()

    # Taking runs

    def _claim(self) -> None:
        room = self.limits.max_runs - len(self._runs)
        known = list(self._known)
        if not known or room <= 0 or self._is_closing or not self._has_backlog:
            return
        now = time.time()
        try:
            taken = self.store.claim(self.worker, known, now, min(room, 200))
            self._has_backlog = len(taken) == min(room, 200)
            if not self._has_backlog and (due := self.store.next_due(known, now)) is not None:
                self._has_backlog = True
                if due > now:
                    self._timers.later(due - now, self._claim)
        except WorkflowError as error:
            self._broken = error
            self._timers.later(_FALLBACK_S, self._claim)
            return
        for saved in taken:
            self._take(saved, now)

    def _take(self, saved: Saved, now: float) -> None:
        run = saved.run
        workflow = self._known[run.workflow, run.version]
        active = self._activate(run, workflow, decoded(run.input), None)
        active.steps.extend(saved.steps)
        if run.recoveries > self.limits.max_recoveries:
            what = f"its worker died {run.recoveries} times; it is not tried again"
            failure = Failure(type="RecoveryExhausted", message=what)
            self._apply(active, [Finish(RunStatus.FAILED, None, failure)])
            return
        self._apply(active, active.plan.resume(saved, now))
        if run.wanted is not None and run.id in self._runs:
            self._ask(active, run.wanted, now)

    def _activate(self, run: RunRow, workflow: Workflow, context: Values, caller: Any) -> Active:
        plan = Plan(
            run.id,
            workflow.graph,
            context,
            merges=dict(workflow.merge),
            worker=self.worker,
            chance=random.random,
            context_limit=self.limits.max_context_bytes,
            size=len(run.input),
        )
        active = self._runs[run.id] = Active(run, workflow, plan)
        active.span = self._tracing.began(run, caller)
        if run.deadline is not None:
            self._timers.later(run.deadline - time.time(), self._on_run_late, run.id)
        return active

    # Commands

    def _apply(self, active: Active, commands: list[Command]) -> None:
        batch, run = self._batch, active.run
        for command in commands:
            if isinstance(command, Record):
                batch.steps.append(command.step)
                active.steps.append(command.step)
                self._tracing.recorded(active.span, command.step)
                if self._on_progress is not None:
                    self._tell(
                        active.run, command.step.key, command.step.status, command.step.attempt
                    )
            elif isinstance(command, Start):
                self._ready.announce(active, command.key)
            elif isinstance(command, Retry):
                batch.attempts.append(command.row)
                self._tracing.recorded(active.span, command.row)
                if command.row.next_at is not None and self._on_progress is not None:
                    self._tell(active.run, command.row.key, TaskStatus.PENDING, command.row.attempt)
            elif isinstance(command, Wake):
                wait_s = command.at - time.time()
                self._timers.later(wait_s, self._on_due, run.id, command.key)
            elif isinstance(command, Stop):
                self._stop(active, command.key)
            else:
                self._finish(active, command)

    def _stop(self, active: Active, key: str) -> None:
        job = self._attempts.stop(active.run.id, key)
        if job is not None and job.task.child is not None:
            with suppress(WorkflowError):
                self.store.ask(child_id_of(job), "cancel", time.time())
            self.look()
        if job is not None:
            self._ready.release(active, job.key)
            if job.is_marked:
                self._batch.ended.append((job.run_id, job.key, job.attempt))

    def _finish(self, active: Active, finish: Finish) -> None:
        run, now = active.run, time.time()
        del self._runs[run.id]
        run.status, run.owner = finish.status, None
        if finish.output is not None:
            run.output = encoded(finish.output, where="the final context")[0]
        run.error = None if finish.failure is None else text_of(finish.failure)
        run.finished = now if finish.status.is_final else None
        self._batch.finish(finish_of(run))
        if run.parent is not None and finish.status.is_final:
            self._inbox.put((self._on_child, run))
        self._tracing.finished(active.span, run)
        # They stay on the list until it is recorded: it may come to nothing.
        self._after.append(lambda: active.tell(self._waiters.take(run.id), finish))
        if self._on_progress is not None:
            self._tell(active.run, None, finish.status, 0)
        if self._has_backlog:
            self._inbox.put((self._claim,))

    def _tell(
        self, run: RunRow, key: str | None, status: TaskStatus | RunStatus, attempt: int
    ) -> None:
        if (told := self._on_progress) is not None:
            self._after.append(partial(told, progress_of(run, key, status, attempt)))

    # Attempts

    def _dispatch(self) -> None:
        if self._is_closing or len(self._attempts) >= self.limits.max_tasks:
            return
        for active, key in self._ready.take():
            self._launch(active, key)
            if len(self._attempts) >= self.limits.max_tasks:
                break

    def _launch(self, active: Active, key: str) -> None:
        plan = active.plan
        place = plan.places[key]
        task = place.task
        job = Job(
            run_id=active.run.id,
            key=key,
            attempt=place.attempt,
            task=task,
            view=plan.view(key),
            limit=self.limits.max_context_bytes,
            deliver=self._deliver,
            deadline=None if task.timeout_s is None else time.time() + task.timeout_s,
            span=self._tracing.attempt(active.span, key),
        )
        plan.started(key)
        if self._on_progress is not None:
            self._tell(active.run, key, TaskStatus.RUNNING, place.attempt)
            self._inbox.put((_nothing,))
        if task.child is not None:
            self._attempts.hold(job)
            if (row := self._children.begin(job, active.run.priority)) is None:
                self.look()
            else:
                self._inbox.put((self._on_submit, row, task.child, decoded(row.input), job.span))
            return
        self._attempts.start(job)
        if not self._is_marking:
            self._is_marking = True
            self._timers.later(MARK_AFTER_S, self._mark)

    def _on_child(self, run: RunRow) -> None:
        ended = self._children.ended(run)
        if ended is not None:
            self._on_ended(*ended)

    def _deliver(self, job: Job, outcome: Outcome) -> None:
        self._inbox.put((self._on_ended, job, outcome))

    def _mark(self) -> None:
        """Record which attempts run: those that are not over at once, for whoever looks."""
        self._batch.attempts += self._attempts.marks(self.worker)
        self._is_marking = self._attempts.has_unmarked
        if self._is_marking:
            self._timers.later(MARK_AFTER_S, self._mark)


def _nothing() -> None:
    """Wake the loop, so that what it has to tell is told."""
