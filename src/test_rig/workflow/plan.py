"""What one run does next, given what has happened.

Theory of operation. A `Plan` holds one run: its graph, its input, and for each task where it is.
Each method is an event; it changes the plan and returns commands: start this, record that, wake me
then, the run is over. Nothing here waits, reads a clock or starts anything: the engine records what
is to be recorded, all of a moment's in one transaction, and only then does the rest.

What a task's result makes runnable follows from the recorded results alone. So to record the result
is to record what it makes runnable, and a plan made anew from the records (`resume`) goes on where
the first one was.

A task that is mapped over a list is one task with an instance for each element: `name[0]`,
`name[1]`, ... have attempts and results of their own, and the task has its result when they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from test_rig.workflow.commands import Command, Finish, Outcome, Record, Retry, Start, Stop, Wake
from test_rig.workflow.graph import Graph
from test_rig.workflow.merging import Conflict, MergeRule, merge
from test_rig.workflow.records import AttemptRow, Failure, Saved, StepRow, text_of
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.task import Task
from test_rig.workflow.values import decoded, encoded

__all__ = ["Place", "Plan"]


class Place:
    """Where one task, or one instance of a mapped task, is."""

    __slots__ = (
        "attempt", "delta", "failures", "index", "item", "key", "open_instances", "reason",
        "status", "task", "waiting_for_event",
    )  # fmt: skip

    def __init__(self, key: str, task: Task, index: int | None = None, item: Any = None) -> None:
        self.key, self.task, self.index, self.item = key, task, index, item
        self.status = TaskStatus.NOT_STARTED
        #: The number of the next attempt, or of the running one.
        self.attempt = 1
        self.failures = 0
        self.delta: dict[str, Any] | None = None
        self.reason: str | None = None
        self.waiting_for_event = False
        #: Of a mapped task: its instances without a result; None before it is spread.
        self.open_instances: int | None = None


class Plan:
    """One run of a workflow.

    Args:
        run_id: The run's id, for the rows.
        graph: The tasks.
        context: The run's input.
        merges: The workflow's merge rules.
        worker: Who records, for the rows.
        chance: Gives numbers in [0, 1) for the jitter of waits.
        context_limit: How many bytes of JSON the run's context may be.
    """

    def __init__(
        self,
        run_id: str,
        graph: Graph,
        context: dict[str, Any],
        *,
        merges: dict[str, MergeRule] | None = None,
        worker: str = "",
        chance: Callable[[], float] = lambda: 0.5,
        context_limit: int = 2**63,
        size: int = 0,
    ) -> None:
        self.run_id, self.graph, self.input = run_id, graph, context
        self.merges = merges or {}
        self.worker = worker
        self.chance = chance
        self.context_limit = context_limit
        self.size = size
        self.places = {key: Place(key, task) for key, task in graph.tasks.items()}
        self.waiting = {key: len(task.dependencies) for key, task in graph.tasks.items()}
        self.open = len(self.places)
        self.active: set[str] = set()
        self.events: dict[str, Any] = {}
        self.is_pausing = False
        self.is_over = False
        self._views: dict[str, dict[str, Any]] = {}
        self._saved_instances: dict[str, StepRow] = {}
        self._saved_attempts: dict[str, list[AttemptRow]] = {}

    # Events

    def begin(self, now: float) -> list[Command]:
        """Start the tasks that depend on nothing, or, after `resume`, those that can go on."""
        commands: list[Command] = []
        for key in [key for key, count in self.waiting.items() if not count]:
            if not self.places[key].status.is_final:
                self._consider(key, now, commands)
        return self._checked(now, commands)

    def resume(self, saved: Saved, now: float) -> list[Command]:
        """Go on from what is recorded."""
        for row in saved.attempts:
            self._saved_attempts.setdefault(row.key, []).append(row)
        self.events.update((row.name, decoded(row.payload)) for row in saved.signals)
        for step in saved.steps:
            place = self.places.get(step.key)
            if place is None:
                self._saved_instances[step.key] = step
                continue
            place.status, place.attempt = step.status, step.attempt
            if step.delta is not None:
                place.delta = decoded(step.delta)
                self.size += len(step.delta)
            self.open -= 1
            for dependent in self.graph.dependents[step.key]:
                self.waiting[dependent] -= 1
        return self.begin(now)

    def started(self, key: str) -> None:
        """Note that an attempt runs now."""
        self.places[key].status = TaskStatus.RUNNING

    def ended(self, key: str, outcome: Outcome, now: float) -> list[Command]:
        """Note what came of an attempt."""
        place = self.places[key]
        if self.is_over or key not in self.active:
            return []
        self.active.discard(key)
        commands: list[Command] = []
        if outcome.failure is not None and self._is_retried(place, outcome, now, commands):
            return self._checked(now, commands)
        if outcome.delta_text is not None:
            outcome = self._measured(place, outcome)
        self._settle(place, outcome, commands)
        self._follow(place, now, commands)
        return self._checked(now, commands)

    def due(self, key: str, now: float) -> list[Command]:
        """Note that the time of a `Wake` has come: a retry, or the end of waiting for an event."""
        place = self.places[key]
        if self.is_over or place.status is not TaskStatus.PENDING:
            return []
        commands: list[Command] = []
        if not place.waiting_for_event:
            self._start(place, commands)
            return self._checked(now, commands)
        name = place.task.wait_for
        failure = Failure(type="WaitTimeout", message=f"the event {name!r} did not come in time")
        self._settle(place, Outcome(TaskStatus.TIMED_OUT, now, now, failure=failure), commands)
        self._follow(place, now, commands)
        return self._checked(now, commands)

    def signalled(self, name: str, payload: Any, now: float) -> list[Command]:
        """Note that an event came; only the first one of a name counts."""
        commands: list[Command] = []
        if self.is_over or name in self.events:
            return commands
        self.events[name] = payload
        for place in self.places.values():
            if place.waiting_for_event and place.task.wait_for == name:
                place.waiting_for_event = False
                self._start(place, commands)
        return self._checked(now, commands)

    def cancel(self, now: float, *, is_late: bool = False) -> list[Command]:
        """End the run: because somebody wants it, or because its own time is over."""
        if self.is_over:
            return []
        commands: list[Command] = [Stop(key) for key in sorted(self.active)]
        status = TaskStatus.TIMED_OUT if is_late else TaskStatus.CANCELLED
        for place in list(self.places.values()):
            if not place.status.is_final:
                was_active = place.key in self.active
                mark = status if was_active else TaskStatus.CANCELLED
                why = "the run's time was over" if is_late else "the run was cancelled"
                failure = Failure(type="RunTimedOut" if is_late else "Cancelled", message=why)
                self._settle(place, Outcome(mark, now, now, failure=failure), commands)
        self.active.clear()
        self.is_over = True
        output, _ = self._final_view()
        run_status = RunStatus.TIMED_OUT if is_late else RunStatus.CANCELLED
        commands.append(
            Finish(run_status, output, Failure(type=str(run_status), message=why_of(is_late)))
        )
        return commands

    def pause(self, now: float) -> list[Command]:
        """Start nothing more; the run is paused when what runs has ended."""
        self.is_pausing = True
        return self._checked(now, [])

    # What a task sees

    def view(self, key: str) -> dict[str, Any]:
        """Return the context of a task (its values are not to be changed)."""
        place = self.places[key]
        view = self._views.get(place.task.task_id)
        if view is None:
            view, _ = self._merged(place.task.task_id)
        if place.index is not None:
            name = "item" if place.task.batch_size is None else "items"
            view = {**view, name: place.item, "index": place.index}
        if place.task.wait_for is not None:
            view = {**view, place.task.wait_for: self.events.get(place.task.wait_for)}
        return view

    def _merged(self, key: str) -> tuple[dict[str, Any], list[Conflict]]:
        task = self.graph.tasks[key]
        if not task.dependencies:
            return self.input, []
        if len(task.dependencies) == 1:
            # The usual case, a chain: what the one dependency saw, and what it wrote.
            only = self.places[task.dependencies[0]]
            before = self._views.get(only.key)
            if before is not None:
                return ({**before, **only.delta} if only.delta else before), []
        bits, graph = self.graph.ancestors[key], self.graph
        writers = [each for each in graph.tasks if graph.bit[each] & bits]
        return self._merge(writers)

    def _merge(self, writers: Iterable[str]) -> tuple[dict[str, Any], list[Conflict]]:
        graph, places = self.graph, self.places
        writes = (
            (key, graph.bit[key], graph.ancestors[key], delta)
            for key in writers
            if (delta := places[key].delta)
        )
        return merge(self.input, writes, self.merges)

    def _final_view(self) -> tuple[dict[str, Any], list[Conflict]]:
        return self._merge(self.graph.tasks)

    # How it goes on

    def _consider(self, key: str, now: float, commands: list[Command]) -> None:
        """Decide on a task whose dependencies are done, and on what follows from that."""
        pending = [key]
        while pending:
            place = self.places[pending.pop()]
            outcome = self._decide(place, now, commands)
            if outcome is not None:
                self._settle(place, outcome, commands)
                pending += self._released(place.key)

    def _decide(self, place: Place, now: float, commands: list[Command]) -> Outcome | None:
        """Start a task, let it wait, or return its result where there is nothing to run."""
        task, key = place.task, place.key
        view, conflicts = self._merged(key)
        states = {each: self.places[each].status for each in task.dependencies}
        reason = task.rule.refusal(states, view)
        if reason is not None:
            place.reason = reason
            failure = Failure(type="Skipped", message=reason)
            return Outcome(TaskStatus.SKIPPED, now, now, failure=failure)
        if conflicts:
            return Outcome(TaskStatus.FAILED, now, now, failure=_conflict(conflicts))
        self._views[key] = view
        if task.map_over is not None:
            return self._spread(place, view, now, commands)
        self._go(place, now, commands)
        return None

    def _spread(
        self, place: Place, view: dict[str, Any], now: float, commands: list[Command]
    ) -> Outcome | None:
        """Make an instance of a mapped task for each element, or batch of elements, of its list."""
        items = view.get(place.task.map_over or "")
        if not isinstance(items, list):
            what = f"it is mapped over {place.task.map_over!r}, which is no list in its context"
            failure = Failure(type="ContextInvalid", message=what)
            return Outcome(TaskStatus.FAILED, now, now, failure=failure)
        place.status, place.open_instances = TaskStatus.RUNNING, 0
        size = place.task.batch_size
        if size is not None:
            items = [items[first : first + size] for first in range(0, len(items), size)]
        for index, item in enumerate(items):
            instance = Place(f"{place.key}[{index}]", place.task, index, item)
            self.places[instance.key] = instance
            saved = self._saved_instances.get(instance.key)
            if saved is not None:
                instance.status, instance.attempt = saved.status, saved.attempt
                instance.delta = decoded(saved.delta) if saved.delta else None
                continue
            place.open_instances += 1
            self._go(instance, now, commands)
        return None if place.open_instances else self._gathered(place, now)

    def _gathered(self, place: Place, now: float) -> Outcome:
        """Return the result of a mapped task whose instances all have theirs."""
        instances = self._instances(place)
        failed = [each.key for each in instances if each.status is not TaskStatus.COMPLETED]
        if failed:
            what = f"{len(failed)} of {len(instances)} instances failed: {', '.join(failed[:5])}"
            return Outcome(
                TaskStatus.FAILED, now, now, failure=Failure(type="InstancesFailed", message=what)
            )
        delta = {place.key: [each.delta or {} for each in instances]}
        text, delta = encoded(delta, where=place.key)
        return Outcome(TaskStatus.COMPLETED, now, now, delta, text)

    def _instances(self, place: Place) -> list[Place]:
        found, index = [], 0
        while (each := self.places.get(f"{place.key}[{index}]")) is not None:
            found.append(each)
            index += 1
        return found

    def _go(self, place: Place, now: float, commands: list[Command]) -> None:
        """Start a task whose rule holds, unless it waits for an event or its next attempt."""
        saved = self._saved_attempts.pop(place.key, [])
        # Those before a retry of the run have no next attempt: they count no longer.
        place.failures = sum(row.status.is_failure and row.next_at is not None for row in saved)
        place.attempt = max((row.attempt for row in saved), default=0) + 1
        due = max((row.next_at for row in saved if row.next_at is not None), default=now)
        # A clock that was set back while nobody worked must not make the wait longer than it was.
        due = min(due, now + place.task.retry.max_delay_s)
        name = place.task.wait_for
        if name is not None and name not in self.events and not saved:
            place.status, place.waiting_for_event = TaskStatus.PENDING, True
            if place.task.wait_timeout_s is not None:
                commands.append(Wake(place.key, now + place.task.wait_timeout_s))
        elif due > now:
            place.status = TaskStatus.PENDING
            commands.append(Wake(place.key, due))
        else:
            self._start(place, commands)

    def _start(self, place: Place, commands: list[Command]) -> None:
        place.status = TaskStatus.READY
        self.active.add(place.key)
        commands.append(Start(place.key))

    def _is_retried(
        self, place: Place, outcome: Outcome, now: float, commands: list[Command]
    ) -> bool:
        failure = outcome.failure
        if failure is None or not outcome.status.is_failure:
            return False
        place.failures += 1
        policy = place.task.retry
        is_retried = policy.may_retry(place.failures, failure.names)
        next_at = now + policy.wait_s(place.failures, self.chance()) if is_retried else None
        row = AttemptRow(
            run_id=self.run_id, key=place.key, attempt=place.attempt, status=outcome.status,
            error=text_of(failure), started=outcome.started, finished=outcome.finished,
            worker=self.worker, next_at=next_at,
        )  # fmt: skip
        commands.append(Retry(row))
        if next_at is None:
            return False
        place.attempt += 1
        place.status = TaskStatus.PENDING
        commands.append(Wake(place.key, next_at))
        return True

    def _measured(self, place: Place, outcome: Outcome) -> Outcome:
        """Count what a result adds to the context, and refuse it where that is too much."""
        size = self.size + len(outcome.delta_text or "")
        if size <= self.context_limit:
            self.size = size
            return outcome
        sizes = {key: len(str(value)) for key, value in (outcome.delta or {}).items()}
        largest = max(sizes, key=lambda key: sizes[key], default="")
        what = (
            f"with what {place.key} adds the run's context is {size} bytes of JSON, the limit is "
            f"{self.context_limit}; the largest value has the key {largest!r}"
        )
        failure = Failure(type="ContextInvalid", message=what)
        return Outcome(TaskStatus.FAILED, outcome.started, outcome.finished, failure=failure)

    def _settle(self, place: Place, outcome: Outcome, commands: list[Command]) -> None:
        """Give a task its result."""
        place.status, place.delta = outcome.status, outcome.delta
        place.waiting_for_event = False
        if place.index is None:
            self.open -= 1
        failure = outcome.failure
        commands.append(
            Record(
                StepRow(
                    run_id=self.run_id,
                    key=place.key,
                    status=outcome.status,
                    attempt=place.attempt,
                    delta=outcome.delta_text,
                    error=None if failure is None else text_of(failure),
                    started=outcome.started,
                    finished=outcome.finished,
                    worker=self.worker,
                )
            )
        )

    def _follow(self, place: Place, now: float, commands: list[Command]) -> None:
        """Go on from a task, or an instance, that has its result now."""
        if place.index is not None:
            group = self.places[place.task.task_id]
            group.open_instances = (group.open_instances or 0) - 1
            if group.open_instances:
                return
            self._settle(group, self._measured(group, self._gathered(group, now)), commands)
            place = group
        for key in self._released(place.key):
            self._consider(key, now, commands)

    def _released(self, key: str) -> list[str]:
        found = []
        for dependent in self.graph.dependents[key]:
            self.waiting[dependent] -= 1
            if not self.waiting[dependent] and not self.places[dependent].status.is_final:
                found.append(dependent)
        return found

    def _checked(self, now: float, commands: list[Command]) -> list[Command]:
        """Add the end of the run, or its pause, where it has come to that."""
        del now
        if self.is_over:
            return commands
        if not self.open:
            self.is_over = True
            commands.append(self._finish())
        elif self.is_pausing:
            held = {command.key for command in commands if isinstance(command, Start)}
            self.active -= held
            commands = [command for command in commands if not isinstance(command, Start)]
            if not self.active:
                self.is_over = True
                commands.append(Finish(RunStatus.PAUSED))
        return commands

    def withhold(self, key: str) -> None:
        """Note that an attempt that waited for a place is not started: the run is pausing."""
        self.active.discard(key)

    def _finish(self) -> Finish:
        output, conflicts = self._final_view()
        if conflicts:
            return Finish(RunStatus.FAILED, output, _conflict(conflicts))
        own = [self.places[key] for key in self.graph.tasks]
        failed = [p for p in own if p.status.is_failure and not p.task.allow_failure]
        if not failed:
            return Finish(RunStatus.COMPLETED, output)
        done = sum(place.status is TaskStatus.COMPLETED for place in own)
        skipped = sum(place.status is TaskStatus.SKIPPED for place in own)
        what = f"{len(failed)} task(s) failed, {done} completed, {skipped} skipped"
        names = ", ".join(place.key for place in failed)
        return Finish(
            RunStatus.FAILED, output, Failure(type="TasksFailed", message=f"{what}: {names}")
        )


def why_of(is_late: bool) -> str:
    """Return why a run ended before its tasks did."""
    return "the run's time was over" if is_late else "the run was cancelled"


def _conflict(conflicts: list[Conflict]) -> Failure:
    what = "; ".join(map(str, conflicts))
    todo = "let one depend on the other, or give the workflow a merge rule for the key"
    return Failure(type="MergeConflict", message=f"{what} ({todo})")
