"""What both stores say alike: everything that is not on the way of an active run.

How to think of it: a store gives `transaction()`, in which a text with `?` for values is executed.
The subclass knows the connection, how a worker shows that it lives, and how a batch is recorded
fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from test_rig.workflow.moving import Move
from test_rig.workflow.payload import Payload, packed_run, references, unpacked
from test_rig.workflow.pruning import Pruned, PruneOrder
from test_rig.workflow.records import AttemptRow, RunRow, Saved, SignalRow, StepRow
from test_rig.workflow.sql.pruning import prune_some
from test_rig.workflow.sql.saying import Say, marks, slices
from test_rig.workflow.sql.schema import INSERT_USE, STEP_COLUMNS
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.store import Cursor

__all__ = [
    "ATTEMPT_COLUMNS",
    "INSERT_PAYLOAD",
    "RUN_COLUMNS",
    "SqlStore",
    "run_values",
]

RUN_COLUMNS = (
    "id, workflow, version, status, input, created, priority, output, error, owner, recoveries, "
    "not_before, deadline, parent, parent_task, wanted, started, finished"
)
#: One that is there already is the same.
INSERT_PAYLOAD = (
    "INSERT INTO wf_payload (sha256, codec, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_RUN_MARKS = ", ".join("?" * 18)
ATTEMPT_COLUMNS = "run_id, key, attempt, status, error, started, finished, worker, next_at"
_FINAL = "('Completed', 'Failed', 'Cancelled', 'TimedOut')"


def run_values(run: RunRow) -> tuple[Any, ...]:
    """Return a run's row in the order of `RUN_COLUMNS`."""
    return (
        run.id, run.workflow, run.version, run.status.value, run.input, run.created, run.priority,
        run.output, run.error, run.owner, run.recoveries, run.not_before, run.deadline, run.parent,
        run.parent_task, run.wanted, run.started, run.finished,
    )  # fmt: skip


def _run(row: Sequence[Any]) -> RunRow:
    names = RUN_COLUMNS.split(", ")
    values = dict(zip(names, row, strict=True))
    return RunRow(**{**values, "status": RunStatus(values["status"])})


def _step(row: Sequence[Any]) -> StepRow:
    values = dict(zip(STEP_COLUMNS.split(", "), row, strict=True))
    return StepRow(**{**values, "status": TaskStatus(values["status"])})


def _attempt(row: Sequence[Any]) -> AttemptRow:
    values = dict(zip(ATTEMPT_COLUMNS.split(", "), row, strict=True))
    return AttemptRow(**{**values, "status": TaskStatus(values["status"])})


class SqlStore(ABC):
    """The statements that both databases share."""

    #: What makes a claim pass by rows that another one has in hand.
    skip_locked = ""
    #: What makes a query lock the rows that it gives.
    row_lock = ""
    insert_payload = INSERT_PAYLOAD

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Say]:
        """Give what executes statements in one transaction that writes."""

    @abstractmethod
    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives."""

    def claim(
        self, worker: str, known: Sequence[tuple[str, str]], now: float, limit: int
    ) -> list[Saved]:
        """Take pending runs that are due, those with the highest priority first."""
        if not known:
            return []
        pairs, values = _pairs(known)
        with self.transaction() as say:
            found = say(
                f"SELECT id FROM wf_run WHERE status = 'Pending' AND {pairs}"
                " AND (not_before IS NULL OR not_before <= ?)"
                f" ORDER BY priority DESC, created LIMIT ?{self.skip_locked}",
                (*values, now, limit),
            )
            ids = [row[0] for row in found]
            for some in slices(ids):
                say(
                    "UPDATE wf_run SET status = 'Running', owner = ?,"
                    f" started = coalesce(started, ?) WHERE id IN ({marks(some)})",
                    (worker, now, *some),
                )
            saved = _saved(say, ids)
        return sorted(saved, key=lambda each: ids.index(each.run.id))

    def next_due(self, known: Sequence[tuple[str, str]], now: float) -> float | None:
        """Return when the next pending run is due, None where there is none."""
        del now
        if not known:
            return None
        pairs, values = _pairs(known)
        sql = (
            f"SELECT min(coalesce(not_before, 0)) FROM wf_run WHERE status = 'Pending' AND {pairs}"
        )
        due = self.rows(sql, values)[0][0]
        return None if due is None else float(due)

    def wanted(self, worker: str) -> tuple[list[tuple[str, str]], list[SignalRow]]:
        """Return what was asked of this worker's runs, and the events that were sent to them."""
        asked = self.rows(
            "SELECT id, wanted FROM wf_run WHERE owner = ? AND wanted IS NOT NULL", (worker,)
        )
        sent = self.rows(
            "SELECT s.run_id, s.name, s.payload, s.created FROM wf_signal s"
            " JOIN wf_run r ON r.id = s.run_id WHERE r.owner = ?",
            (worker,),
        )
        signals = [
            SignalRow(run_id=run_id, name=name, payload=payload, created=created)
            for run_id, name, payload, created in sent
        ]
        return [(row[0], row[1]) for row in asked], signals

    def create(self, run: RunRow) -> bool:
        """Record a run unless its id is there; return whether it was new."""
        with self.transaction() as say:
            sql = f"INSERT INTO wf_run ({RUN_COLUMNS}) VALUES ({_RUN_MARKS}) ON CONFLICT DO NOTHING"
            payloads: dict[str, Payload] = {}
            is_new = bool(say(sql, run_values(packed_run(run, payloads)))[0][0])
            if is_new:
                self._keep(say, run.id, payloads)
            if is_new:
                self.poke(say)
        return is_new

    def define(self, workflow: str, version: str, graph: str, now: float) -> None:
        """Record what a version of a workflow looks like, unless it is there."""
        where = "workflow = ? AND version = ?"
        if self.rows(f"SELECT 1 FROM wf_definition WHERE {where}", (workflow, version)):
            return
        with self.transaction() as say:
            say(
                "INSERT INTO wf_definition (workflow, version, graph, created) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (workflow, version, graph, now),
            )

    def put_schedule(self, row: Sequence[Any], now: float) -> None:
        """Record a schedule: name, workflow, cron, time zone, input, catch-up, next due time."""
        with self.transaction() as say:
            say(
                "INSERT INTO wf_schedule (name, workflow, cron, time_zone, input, catch_up,"
                " next_due, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET workflow = excluded.workflow, cron = excluded.cron,"
                " time_zone = excluded.time_zone, input = excluded.input,"
                " catch_up = excluded.catch_up, next_due = excluded.next_due",
                (*row, now),
            )
            self.poke(say)

    def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; return whether it was there."""
        with self.transaction() as say:
            return bool(say("DELETE FROM wf_schedule WHERE name = ?", (name,))[0][0])

    def fire(self, schedule: str, runs: Sequence[tuple[float, RunRow]], next_due: float) -> int:
        """Record the runs of due times that have none yet; return how many that were."""
        fired = 0
        with self.transaction() as say:
            for due, run in runs:
                fire = "INSERT INTO wf_fire (schedule, due, run_id) VALUES (?, ?, ?)"
                if not say(f"{fire} ON CONFLICT DO NOTHING", (schedule, due, run.id))[0][0]:
                    continue
                sql = f"INSERT INTO wf_run ({RUN_COLUMNS}) VALUES ({_RUN_MARKS})"
                payloads: dict[str, Payload] = {}
                values = run_values(packed_run(run, payloads))
                fired += say(f"{sql} ON CONFLICT DO NOTHING", values)[0][0]
                self._keep(say, run.id, payloads)
            say(
                "UPDATE wf_schedule SET next_due = ? WHERE name = ? AND next_due < ?",
                (next_due, schedule, next_due),
            )
            if fired:
                self.poke(say)
        return fired

    def ask(self, run_id: str, wanted: str | None, now: float) -> bool:
        """Ask a run's owner to cancel or pause it; a run without an owner is ended at once."""
        status = RunStatus.PAUSED if wanted == "pause" else RunStatus.CANCELLED
        free = "('Pending')" if wanted == "pause" else "('Pending', 'Paused')"
        with self.transaction() as say:
            ended = say(
                f"UPDATE wf_run SET status = ?, finished = ? WHERE id = ? AND status IN {free}",
                (status.value, None if wanted == "pause" else now, run_id),
            )[0][0]
            asked = say(
                "UPDATE wf_run SET wanted = ? WHERE id = ? AND status = 'Running'",
                (wanted, run_id),
            )[0][0]
            if asked:
                self.poke(say)
        return bool(ended or asked)

    def signal(self, row: SignalRow) -> bool:
        """Record an event for a run; return whether it is the first of its name."""
        with self.transaction() as say:
            is_new = say(
                "INSERT INTO wf_signal (run_id, name, payload, created) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (row.run_id, row.name, row.payload, row.created),
            )[0][0]
            self.poke(say)
        return bool(is_new)

    def revive(self, run_id: str, *, is_again: bool, now: float) -> bool:
        """Make a paused run pending, or, with `is_again`, a failed one without its failures."""
        del now
        was = "('Failed', 'Cancelled', 'TimedOut', 'Paused')" if is_again else "('Paused')"
        with self.transaction() as say:
            runs = [run_id]
            is_revived = False
            while runs:
                revived = say(
                    "UPDATE wf_run SET status = 'Pending', owner = NULL, wanted = NULL,"
                    " error = NULL, output = NULL, finished = NULL, not_before = NULL,"
                    f" deadline = NULL, recoveries = 0 WHERE id = ? AND status IN {was}",
                    (each := runs.pop(),),
                )[0][0]
                is_revived = is_revived or bool(revived)
                if revived and is_again:
                    runs += self._forgive(say, each)
            if is_revived:
                self.poke(say)
        return is_revived

    def _forgive(self, say: Say, run_id: str) -> list[str]:
        """Forget the failures of a run; return the children's runs that go on with it."""
        sql = "SELECT parent_task, id FROM wf_run WHERE parent = ? ORDER BY created"
        children: dict[str, str] = dict(say(sql, (run_id,)))  # of several attempts the last one
        open_steps = "FROM wf_step WHERE run_id = ? AND status <> 'Completed'"
        failed: dict[str, int] = dict(say(f"SELECT key, attempt {open_steps}", (run_id,)))
        say(f"DELETE {open_steps}", (run_id,))
        # Attempts stay to be looked at; without a further one that was due they do not count.
        say("UPDATE wf_attempt SET next_at = NULL WHERE run_id = ?", (run_id,))
        again = children.keys() & failed.keys()
        for key in again:
            # The same attempt goes on: a child's run is known by it, and keeps what it completed.
            say(
                "DELETE FROM wf_attempt WHERE run_id = ? AND key = ? AND attempt = ?",
                (run_id, key, failed[key]),
            )
        return [children[key] for key in sorted(again)]

    def move(self, run_id: str, version: str, move: Move) -> bool:
        """Let a run that rests go on with another version; return whether it did rest."""
        rests = "('Pending', 'Paused', 'Failed', 'Cancelled', 'TimedOut')"
        with self.transaction() as say:
            moved = say(
                f"UPDATE wf_run SET version = ? WHERE id = ? AND status IN {rests}",
                (version, run_id),
            )[0][0]
            for table in ("wf_step", "wf_attempt") if moved else ():
                for key in move.dropped:
                    say(f"DELETE FROM {table} WHERE run_id = ? AND key = ?", (run_id, key))
                rename = f"UPDATE {table} SET key = ? WHERE run_id = ? AND key = ?"
                # By way of names that no task has, since two may change places.
                for old, new in move.renamed:
                    say(rename, (f"\n{new}", run_id, old))
                for _, new in move.renamed:
                    say(rename, (new, run_id, f"\n{new}"))
            if moved:
                self.poke(say)
        return bool(moved)

    def poke(self, say: Say) -> None:
        """Tell the workers that there is something new."""
        del say  # where a worker looks for itself nobody has to be told

    def _keep(self, say: Say, run_id: str, payloads: Mapping[str, Payload]) -> None:
        for sha256, each in sorted(payloads.items()):
            say(self.insert_payload, (each.sha256, each.codec, each.body))
            say(INSERT_USE, (run_id, sha256))

    def prune(
        self, order: PruneOrder, after: Cursor, *, is_dry_run: bool
    ) -> tuple[Pruned, Cursor | None]:
        """Delete some runs that are over; return what went, and where to go on."""
        if is_dry_run:
            return prune_some(self.rows, order, after, lock="", is_dry_run=True)
        with self.transaction() as say:
            # Nobody needs to know any more who was lost; what a late one writes is refused as well.
            say("DELETE FROM wf_worker WHERE lost = 1 AND heartbeat < ?", (order.before,))
            return prune_some(say, order, after, lock=self.row_lock, is_dry_run=False)

    def free_runs(self, say: Say, workers: Iterable[str], *, is_dead: bool = True) -> int:
        """Make the runs of workers pending, within a transaction; a death is counted."""
        freed = 0
        for worker in workers:
            if not say("UPDATE wf_worker SET lost = 1 WHERE id = ? AND lost = 0", (worker,))[0][0]:
                continue
            say(
                "UPDATE wf_attempt SET status = 'Cancelled' WHERE worker = ? AND status ="
                " 'Running' AND run_id IN (SELECT id FROM wf_run WHERE owner = ?)",
                (worker, worker),
            )
            freed += say(
                "UPDATE wf_run SET status = 'Pending', owner = NULL, recoveries = recoveries + ?"
                " WHERE owner = ?",
                (int(is_dead), worker),
            )[0][0]
        return freed

    def read(self, run_id: str) -> Saved | None:
        """Return all that is recorded of a run."""
        found = _saved(self.rows, [run_id])
        return found[0] if found else None

    def status(self, run_id: str) -> RunRow | None:
        """Return a run's row."""
        found = self.rows(f"SELECT {RUN_COLUMNS} FROM wf_run WHERE id = ?", (run_id,))
        return _whole(self.rows, [_run(found[0])], [])[0][0] if found else None

    def runs(
        self, *, workflow: str | None, status: str | None, limit: int, before: float | None
    ) -> list[RunRow]:
        """Return runs, the newest first."""
        where, values = ["1 = 1"], []
        for column, sign, value in (
            ("workflow", "=", workflow), ("status", "=", status), ("created", "<", before)
        ):  # fmt: skip
            if value is not None:
                where.append(f"{column} {sign} ?")
                values.append(value)
        found = self.rows(
            f"SELECT {RUN_COLUMNS} FROM wf_run WHERE {' AND '.join(where)}"
            " ORDER BY created DESC LIMIT ?",
            (*values, limit),
        )
        return _whole(self.rows, [_run(row) for row in found], [])[0]


def _whole(
    say: Say, runs: Sequence[RunRow], steps: Sequence[StepRow]
) -> tuple[list[RunRow], list[StepRow]]:
    """Return rows with the large values that they refer to."""
    texts = [text for run in runs for text in (run.input, run.output)]
    texts += [step.delta for step in steps]
    wanted = list(dict.fromkeys(each for text in texts for each in references(text)))
    if not wanted:
        return list(runs), list(steps)
    found: dict[str, Payload] = {}
    for some in slices(wanted):
        sql = f"SELECT sha256, codec, body FROM wf_payload WHERE sha256 IN ({marks(some)})"
        for sha256, codec, body in say(sql, some):
            found[sha256] = Payload(sha256=sha256, codec=codec, body=body)
    return (
        [
            replace(
                run,
                input=unpacked(run.input, found),
                output=None if run.output is None else unpacked(run.output, found),
            )
            for run in runs
        ],
        [
            step if step.delta is None else replace(step, delta=unpacked(step.delta, found))
            for step in steps
        ],
    )


def _saved(say: Say, ids: Sequence[str]) -> list[Saved]:
    bare: dict[str, RunRow] = {}
    steps: dict[str, list[StepRow]] = {}
    attempts: dict[str, list[AttemptRow]] = {}
    signals: dict[str, list[SignalRow]] = {}
    for some in slices(ids):
        which = marks(some)
        for row in say(f"SELECT {RUN_COLUMNS} FROM wf_run WHERE id IN ({which})", some):
            bare[row[0]] = _run(row)
        for row in say(f"SELECT {STEP_COLUMNS} FROM wf_step WHERE run_id IN ({which})", some):
            steps.setdefault(row[0], []).append(_step(row))
        sql = f"SELECT {ATTEMPT_COLUMNS} FROM wf_attempt WHERE run_id IN ({which}) ORDER BY attempt"
        for row in say(sql, some):
            attempts.setdefault(row[0], []).append(_attempt(row))
        sql = f"SELECT run_id, name, payload, created FROM wf_signal WHERE run_id IN ({which})"
        for run_id, name, payload, created in say(sql, some):
            row_ = SignalRow(run_id=run_id, name=name, payload=payload, created=created)
            signals.setdefault(run_id, []).append(row_)
    flat = [step for some_steps in steps.values() for step in some_steps]
    whole, flat = _whole(say, list(bare.values()), flat)
    runs = {run.id: run for run in whole}
    steps = {}
    for step in flat:
        steps.setdefault(step.run_id, []).append(step)
    return [
        Saved(
            run=run,
            steps=tuple(steps.get(run_id, ())),
            attempts=tuple(attempts.get(run_id, ())),
            signals=tuple(signals.get(run_id, ())),
        )
        for run_id, run in runs.items()
    ]


def _pairs(known: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    marks = ", ".join(["(?, ?)"] * len(known))
    return f"(workflow, version) IN (VALUES {marks})", [part for pair in known for part in pair]
