"""A run as people look at it: each task with its attempts, and why what waits is waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from test_rig.workflow.graph import Graph
from test_rig.workflow.merging import MergeRule
from test_rig.workflow.records import AttemptRow, RunRow, Saved, StepRow, failure_of
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.values import decoded

__all__ = ["Described", "DescribedTask", "described", "graph_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTask:
    """One task, or one instance of a mapped task."""

    key: str
    status: TaskStatus
    dependencies: tuple[str, ...]
    #: Why it was skipped, failed, or waits.
    reason: str | None
    started: float | None
    finished: float | None
    #: Each attempt as JSON values, the first one first.
    attempts: tuple[dict[str, Any], ...]
    output: dict[str, Any] | None

    @property
    def duration_s(self) -> float | None:
        """How long the last attempt took."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One run."""

    run: RunRow
    #: Why it did not succeed.
    error: str | None
    tasks: tuple[DescribedTask, ...]
    events: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        run = self.run
        return {
            "run_id": run.id,
            "workflow": run.workflow,
            "version": run.version,
            "status": run.status.value,
            "error": self.error,
            "input": decoded(run.input),
            "final_context": decoded(run.output) if run.output else None,
            "priority": run.priority,
            "recoveries": run.recoveries,
            "worker": run.owner,
            "created": moment(run.created),
            "started": moment(run.started),
            "finished": moment(run.finished),
            "not_before": moment(run.not_before),
            "parent": run.parent,
            "events": dict(self.events),
            "tasks": [
                {
                    "task_id": task.key,
                    "status": task.status.value,
                    "reason": task.reason,
                    "dependencies": list(task.dependencies),
                    "started": moment(task.started),
                    "finished": moment(task.finished),
                    "duration_s": task.duration_s,
                    "output": task.output,
                    "attempts": list(task.attempts),
                }
                for task in self.tasks
            ],
        }


def moment(seconds: float | None) -> str | None:
    """Return a moment as people and machines read it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def graph_facts(name: str, graph: Graph, merge: Mapping[str, MergeRule]) -> dict[str, Any]:
    """Return a workflow's tasks as JSON values, to be recorded."""
    return {
        "workflow": name,
        "merge": {
            key: rule if isinstance(rule, str) else "function" for key, rule in merge.items()
        },
        "tasks": [
            {
                "id": key,
                "dependencies": list(task.dependencies),
                "rule": str(task.rule),
                "retries": task.retry.retries,
                "timeout_s": task.timeout_s,
                "map_over": task.map_over,
                "wait_for": task.wait_for,
                "isolated": task.isolated,
                "child": task.child.name if task.child is not None else None,
            }
            for key, task in graph.tasks.items()
        ],
    }


def described(saved: Saved, facts: Mapping[str, Any], now: float) -> Described:
    """Return a run with all of its tasks."""
    steps = {step.key: step for step in saved.steps}
    attempts: dict[str, list[AttemptRow]] = {}
    for row in saved.attempts:
        attempts.setdefault(row.key, []).append(row)
    by_id = {fact["id"]: fact for fact in facts["tasks"]}
    instances: dict[str, list[str]] = {}
    for key in sorted({*steps, *attempts} - set(by_id), key=_natural):
        instances.setdefault(key.split("[")[0], []).append(key)
    keys = [key for each in by_id for key in (*instances.pop(each, ()), each)]
    keys += [key for gone in instances.values() for key in gone]
    failure = failure_of(saved.run.error)
    events = {row.name: decoded(row.payload) for row in saved.signals}
    tasks = []
    for key in keys:
        fact = by_id.get(key.split("[")[0], {})
        tasks.append(_task(key, fact, (saved.run, steps, attempts.get(key, ()), events), now))
    return Described(
        run=saved.run,
        error=str(failure) if failure else None,
        tasks=tuple(tasks),
        events=events,
    )


def _natural(key: str) -> tuple[str, int]:
    name, _, rest = key.partition("[")
    number = rest.rstrip("]")
    return name, int(number) if number.isdigit() else -1


def _task(
    key: str,
    fact: Mapping[str, Any],
    of: tuple[RunRow, Mapping[str, StepRow], Sequence[AttemptRow], Mapping[str, Any]],
    now: float,
) -> DescribedTask:
    run, steps, rows, events = of
    step = steps.get(key)
    dependencies = tuple(fact.get("dependencies", ())) if "[" not in key else ()
    told = [_attempt(row) for row in rows if step is None or row.attempt != step.attempt]
    if step is not None:
        failure = failure_of(step.error)
        if step.status not in (TaskStatus.SKIPPED, TaskStatus.CANCELLED) or told:
            told.append(_attempt(step))
        return DescribedTask(
            key=key,
            status=step.status,
            dependencies=dependencies,
            reason=str(failure) if failure else None,
            started=step.started,
            finished=step.finished,
            attempts=tuple(told),
            output=decoded(step.delta) if step.delta else None,
        )
    status, reason = _where(fact, (run, steps, rows, events), now)
    running = next((row for row in rows if row.status is TaskStatus.RUNNING), None)
    return DescribedTask(
        key=key,
        status=status,
        dependencies=dependencies,
        reason=reason,
        started=running.started if running else None,
        finished=None,
        attempts=tuple(told),
        output=None,
    )


def _where(
    fact: Mapping[str, Any],
    of: tuple[RunRow, Mapping[str, StepRow], Sequence[AttemptRow], Mapping[str, Any]],
    now: float,
) -> tuple[TaskStatus, str | None]:
    """Return where a task without a result is, and what it waits for."""
    run, steps, rows, events = of
    if any(row.status is TaskStatus.RUNNING for row in rows):
        return TaskStatus.RUNNING, None
    due = [row.next_at for row in rows if row.next_at is not None and row.next_at > now]
    if due:
        return TaskStatus.PENDING, f"its next attempt is due in {max(due) - now:.1f} s"
    missing = [each for each in fact.get("dependencies", ()) if each not in steps]
    if missing:
        return TaskStatus.NOT_STARTED, f"waits for {', '.join(missing)}"
    event = fact.get("wait_for")
    if event is not None and event not in events:
        return TaskStatus.PENDING, f"waits for the event {event!r}"
    if run.status is RunStatus.RUNNING:
        return TaskStatus.READY, "waits for a free place, or has just started"
    return TaskStatus.NOT_STARTED, f"the run is {run.status}"


def _attempt(row: AttemptRow | StepRow) -> dict[str, Any]:
    failure = failure_of(row.error)
    return {
        "attempt": row.attempt,
        "status": row.status.value,
        "started": moment(row.started),
        "finished": moment(row.finished),
        "error": str(failure) if failure else None,
        "traceback": failure.traceback if failure else None,
        "worker": row.worker,
    }
