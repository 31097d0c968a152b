"""`Ledger`: what a store knows of runs, and what can be asked of them without running any."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from test_rig.errors import RunRefused, UnknownName, UsageError
from test_rig.workflow.cron import CATCH_UPS, CatchUp, next_due
from test_rig.workflow.definition import Workflow
from test_rig.workflow.describe import Described, described
from test_rig.workflow.moving import planned_move
from test_rig.workflow.pruning import Pruned, prune_orders
from test_rig.workflow.records import RunRow, Saved, SignalRow
from test_rig.workflow.result import WorkflowResult, result_of
from test_rig.workflow.schedules import Schedule, schedules_of
from test_rig.workflow.sql import open_store
from test_rig.workflow.states import RunStatus
from test_rig.workflow.store import Cursor, Store, read_address
from test_rig.workflow.values import decoded, encoded

__all__ = ["Ledger"]


class Ledger:
    """The runs of one store.

    >>> with Ledger.open("sqlite://:memory:") as ledger:
    ...     ledger.list()
    []
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, database_url: str, *, make: bool = False) -> Ledger:
        """Open a store to look at it.

        Args:
            database_url: Where it is.
            make: Make the file where there is none.

        Raises:
            UsageError: There is no such file.
            WorkflowUrlError: It is no URL of a store.
            WorkflowError: The store cannot be opened, or is of a newer release.
        """
        address = read_address(database_url)
        is_file = address.backend == "sqlite" and address.place != ":memory:"
        if is_file and not make and not Path(address.place).exists():
            todo = "name the store that the runs were made with, or run a workflow first"
            raise UsageError("there is no such workflow store", where=address.place, todo=todo)
        return Ledger(open_store(address, max_connections=2))

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def look(self) -> None:
        """Tell the own engine, where there is one, that there is something new."""

    def settle(self) -> None:
        """Wait until what was submitted here is on record; there is no engine that submits."""

    def get(self, run_id: str) -> WorkflowResult:
        """Return what is recorded of a run, whether it is over or not."""
        saved = self.saved(run_id)
        return result_of(saved.run, saved.steps)

    def saved(self, run_id: str) -> Saved:
        """Return everything that is recorded of a run: its tasks' results, attempts and events."""
        saved = self.store.read(run_id)
        if saved is None:
            self.settle()
            saved = self.store.read(run_id)
        if saved is None:
            raise UnknownName("run", run_id, ())
        return saved

    def list(
        self, *, workflow: str | None = None, status: str | None = None, limit: int = 50
    ) -> builtins.list[WorkflowResult]:
        """Return runs, the newest first; without their tasks."""
        rows = self.store.runs(workflow=workflow, status=status, limit=limit, before=None)
        return [result_of(row, ()) for row in rows]

    def describe(self, run_id: str) -> Described:
        """Return a run with all of its tasks, each attempt, and why what waits is waiting."""
        saved = self.saved(run_id)
        return described(saved, self.graph(saved.run.workflow, saved.run.version), time.time())

    def graph(self, workflow: str, version: str | None = None) -> dict[str, Any]:
        """Return the tasks of a workflow as they were recorded when it was first run.

        Raises:
            UnknownName: The store has no such workflow, or not this version.
        """
        wanted = "workflow = ?" + (" AND version = ?" if version else "")
        rows = self.store.rows(
            f"SELECT graph FROM wf_definition WHERE {wanted} ORDER BY created DESC LIMIT 1",  # noqa: S608 -- of constants
            (workflow, version) if version else (workflow,),
        )
        if not rows:
            known = self.store.rows("SELECT DISTINCT workflow FROM wf_definition LIMIT 50")
            raise UnknownName("workflow", workflow, sorted(row[0] for row in known))
        found: dict[str, Any] = decoded(rows[0][0])
        return found

    def find(self, text: str) -> str:
        """Return the id of the run that a text means: its id, the end of it, or `last`.

        Raises:
            UnknownName: There is none, or more than one.
        """
        if text == "last":
            newest = self.store.runs(workflow=None, status=None, limit=1, before=None)
            found = [row.id for row in newest]
        else:
            rows = self.store.rows(
                "SELECT id FROM wf_run WHERE id = ? OR id LIKE ? LIMIT 2", (text, f"%{text}")
            )
            found = [row[0] for row in rows]
        if len(found) != 1:
            raise UnknownName("run" if not found else "single run", text, found)
        return str(found[0])

    def schedule(
        self,
        name: str,
        workflow: str,
        cron: str,
        *,
        time_zone: str = "UTC",
        context: Mapping[str, Any] | None = None,
        catch_up: CatchUp = "latest",
    ) -> float:
        """Run a workflow when a cron expression is due; the name's earlier schedule is replaced.

        Args:
            name: The schedule's name.
            workflow: The workflow's name; a worker that knows it starts the runs.
            cron: Minute, hour, day, month, weekday.
            time_zone: Whose clock it means.
            context: The input of each run; `scheduled_for` is added.
            catch_up: After a pause: run for each due time that was missed, for the latest, or none.

        Returns:
            When it is due first; seconds since 1970 in UTC.
        """
        if catch_up not in CATCH_UPS:
            raise UnknownName("rule to catch up", catch_up, CATCH_UPS)
        now = time.time()
        due = next_due(cron, time_zone, now)
        text, _ = encoded(dict(context or {}), where="context")
        self.store.put_schedule((name, workflow, cron, time_zone, text, catch_up, due), now)
        self.look()
        return due

    def unschedule(self, name: str) -> bool:
        """Remove a schedule; return whether it was there. Runs that it started go on."""
        return self.store.drop_schedule(name)

    def schedules(self) -> builtins.list[Schedule]:
        """Return all schedules, the one that is due next first."""
        return schedules_of(self.store)

    def cancel(self, run_id: str) -> bool:
        """End a run; return whether it was not over yet."""
        return self._ask(run_id, "cancel")

    def pause(self, run_id: str) -> bool:
        """Let what runs come to its end and start nothing more, until `resume`."""
        return self._ask(run_id, "pause")

    def resume_later(self, run_id: str, *, is_again: bool = False) -> bool:
        """Make a paused run pending, for a worker that knows it; a failed one with `is_again`."""
        is_revived = self.store.revive(run_id, is_again=is_again, now=time.time())
        self.look()
        return is_revived

    def move(
        self, run_id: str, workflow: Workflow, *, renamed: Mapping[str, str] | None = None
    ) -> None:
        """Let a run go on with another version of its workflow; what is completed stays.

        The run must rest: pending, paused, or over without success. A pending one is gone on with
        by whoever knows that version; the others after `resume` or `retry`.

        Args:
            run_id: The run.
            workflow: The version that it is to have.
            renamed: New ids of completed tasks by their old ones.

        Raises:
            WorkflowInvalid: With every completed task that the new version has no place for.
            RunRefused: The run is of another workflow, runs now, or is completed.
        """
        saved = self.saved(run_id)
        if saved.run.workflow != workflow.name:
            what = f"the run {run_id} is of {saved.run.workflow!r}, not of {workflow.name!r}"
            raise RunRefused(what)
        move = planned_move(saved, workflow.graph, renamed or {})
        text, _ = encoded(workflow.facts(), where=workflow.name)
        self.store.define(workflow.name, workflow.version, text, time.time())
        if not self.store.move(run_id, workflow.version, move):
            status = self._row(run_id).status
            todo = "pause it first" if status is RunStatus.RUNNING else None
            raise RunRefused(f"the run {run_id} is {status}: it cannot be moved", todo=todo)
        self.look()

    def signal(self, run_id: str, name: str, payload: Any = None) -> bool:
        """Send an event to a run; return whether it is the first one of its name."""
        text, _ = encoded({"payload": payload}, where=f"event {name}")
        row = SignalRow(
            run_id=self._row(run_id).id,
            name=name,
            payload=text[len('{"payload":') : -1],
            created=time.time(),
        )
        is_new = self.store.signal(row)
        self.look()
        return is_new

    def prune(
        self,
        *,
        older_than: float | timedelta,
        statuses: Iterable[str] | None = None,
        workflow: str | None = None,
        is_dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that are over, with all that is recorded of them.

        A run goes with its children, and only when all of them are over. It is done in small
        transactions with pauses between them, so that workers are not held up. What was submitted
        with a key is run anew when it is submitted again.

        Args:
            older_than: How long ago they have ended; seconds, or a `timedelta`.
            statuses: In which of the final states they are; in any where None.
            workflow: Whose runs; those of all workflows where None.
            is_dry_run: Whether only to count what would go.

        Raises:
            UsageError: It is no time, or a state in which a run goes on.
        """
        sum_ = Pruned()
        for order in prune_orders(older_than, statuses, workflow, now=time.time()):
            after: Cursor | None = (-1.0, "")
            while after is not None:
                begun = time.monotonic()
                some, after = self.store.prune(order, after, is_dry_run=is_dry_run)
                sum_ += some
                if not is_dry_run and after is not None:
                    time.sleep(min(1.0, time.monotonic() - begun))  # others write as long
        return sum_

    def _ask(self, run_id: str, wanted: str) -> bool:
        self._row(run_id)
        asked = self.store.ask(run_id, wanted, time.time())
        self.look()
        return asked

    def _row(self, run_id: str) -> RunRow:
        row = self.store.status(run_id)
        if row is None:
            self.settle()
            row = self.store.status(run_id)
        if row is None:
            raise UnknownName("run", run_id, ())
        return row
