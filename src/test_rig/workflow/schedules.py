"""Schedules: which there are, and the runs that they start."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from test_rig.errors import WorkflowError
from test_rig.workflow.cron import CatchUp, dues
from test_rig.workflow.definition import Workflow
from test_rig.workflow.records import RunRow
from test_rig.workflow.states import RunStatus
from test_rig.workflow.store import Store
from test_rig.workflow.timers import Timers
from test_rig.workflow.values import decoded, encoded

__all__ = ["Schedule", "Schedules", "schedules_of"]

_COLUMNS = "name, workflow, cron, time_zone, input, catch_up, next_due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A workflow that is run when the clock says so."""

    name: str
    workflow: str
    cron: str
    time_zone: str
    context: dict[str, Any]
    catch_up: CatchUp
    #: Seconds since 1970 in UTC.
    next_due: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "workflow": self.workflow,
            "cron": self.cron,
            "time_zone": self.time_zone,
            "context": self.context,
            "catch_up": self.catch_up,
            "next_due": datetime.fromtimestamp(self.next_due, UTC).isoformat(),
        }


def schedules_of(store: Store) -> list[Schedule]:
    """Return all schedules, the one that is due next first."""
    found = store.rows(f"SELECT {_COLUMNS} FROM wf_schedule ORDER BY next_due, name")  # noqa: S608 -- of constants
    return [
        Schedule(
            name=name,
            workflow=workflow,
            cron=cron,
            time_zone=time_zone,
            context=decoded(text),
            catch_up=catch_up,
            next_due=due,
        )
        for name, workflow, cron, time_zone, text, catch_up, due in found
    ]


class Schedules:
    """Starts what is due; each due time once, however many workers look.

    Args:
        store: Where they are recorded.
        timers: Of the engine.
        on_fired: Is called when runs were recorded.
    """

    def __init__(self, store: Store, timers: Timers, on_fired: Callable[[], None]) -> None:
        self._store, self._timers, self._on_fired = store, timers, on_fired
        self._known: Sequence[Workflow] = ()
        self._waits_until: float | None = None

    def look(self, known: Sequence[Workflow]) -> None:
        """Start what is due, and look again when the next one is."""
        self._known = known
        now = time.time()
        try:
            fired, wait_s = self.fire(known, now)
        except WorkflowError:
            return  # the next look finds it again
        if fired:
            self._on_fired()
        if wait_s is not None and self._waits_until != now + wait_s:
            is_earlier = self._waits_until is None or now + wait_s < self._waits_until
            if is_earlier or now >= (self._waits_until or 0):
                self._waits_until = now + wait_s
                self._timers.later(wait_s, self._again)

    def _again(self) -> None:
        self._waits_until = None
        self.look(self._known)

    def fire(self, known: Sequence[Workflow], now: float) -> tuple[int, float | None]:
        """Record the runs that are due; return how many, and how long to wait for the next one."""
        newest = {workflow.name: workflow for workflow in known}
        mine = [each for each in schedules_of(self._store) if each.workflow in newest]
        count, waits = 0, []
        for schedule in mine:
            due = schedule.next_due
            if due <= now:
                times, due = dues(
                    schedule.cron,
                    schedule.time_zone,
                    first=schedule.next_due,
                    now=now,
                    catch_up=schedule.catch_up,
                )
                runs = [_run(schedule, newest[schedule.workflow], each, now) for each in times]
                count += self._store.fire(schedule.name, list(zip(times, runs, strict=True)), due)
            waits.append(due - now)
        return count, min(waits, default=None)


def _run(schedule: Schedule, workflow: Workflow, due: float, now: float) -> RunRow:
    moment = datetime.fromtimestamp(due, UTC).isoformat()
    text, _ = encoded({**schedule.context, "scheduled_for": moment}, where=schedule.name)
    return RunRow(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"test-rig-schedule:{schedule.name}:{due}")),
        workflow=workflow.name,
        version=workflow.version,
        status=RunStatus.PENDING,
        input=text,
        created=now,
        priority=workflow.priority,
        deadline=None if workflow.timeout_s is None else now + workflow.timeout_s,
    )
