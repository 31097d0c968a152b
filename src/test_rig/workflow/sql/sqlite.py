"""The embedded store: one file, written ahead (WAL), or memory for tests.

A worker shows that it lives by a lock that it holds on a file beside the database
(`flock(2)`): the kernel lets go of it the moment the process is gone, however it went. A worker
that stalls keeps its lock, and is taken for dead when it has said nothing for the time of its
lease.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any

from test_rig.errors import WorkflowError
from test_rig.workflow.payload import lightened
from test_rig.workflow.records import Batch
from test_rig.workflow.sql.pulses import Pulses
from test_rig.workflow.sql.saying import Say
from test_rig.workflow.sql.schema import (
    INSERT_USE,
    MIGRATIONS,
    STEP_COLUMNS,
    check_version,
    note_uses,
)
from test_rig.workflow.sql.statements import (
    INSERT_PAYLOAD,
    RUN_COLUMNS,
    SqlStore,
    run_values,
)
from test_rig.workflow.store import WorkerLost

__all__ = ["SqliteStore"]

_BUSY_S = 30.0
#: How soon another process is noticed: a look costs some microseconds.
_TICK_S = 0.04
_INSERT_RUN = (
    f"INSERT INTO wf_run ({RUN_COLUMNS}) VALUES ({', '.join('?' * 18)}) ON CONFLICT DO NOTHING"
)
_INSERT_STEP = (
    f"INSERT INTO wf_step ({STEP_COLUMNS}) VALUES ({', '.join('?' * 9)}) ON CONFLICT DO NOTHING"
)
_INSERT_ATTEMPT = (
    "INSERT INTO wf_attempt (run_id, key, attempt, status, error, started, finished, worker,"
    " next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, key, attempt) DO UPDATE SET"
    " status = excluded.status, error = excluded.error, finished = excluded.finished,"
    " next_at = excluded.next_at, worker = excluded.worker"
)
_END_ATTEMPT = (
    "DELETE FROM wf_attempt WHERE run_id = ? AND key = ? AND attempt = ? AND status = 'Running'"
)
_FINISH = (
    "UPDATE wf_run SET status = ?, output = ?, error = ?, finished = ?, owner = NULL,"
    " wanted = NULL WHERE id = ? AND owner = ?"
)


class SqliteStore(SqlStore):
    """A file, or `:memory:`.

    Args:
        place: The file's path, or `:memory:`.
        lease_s: How long a worker that says nothing counts as alive.
        is_durable: Whether a commit waits for the disk.
    """

    def __init__(self, place: str, *, lease_s: float = 15.0, is_durable: bool = True) -> None:
        self.place = place
        self.lease_s = lease_s
        self.is_shared = place != ":memory:"
        self._is_durable = is_durable
        self._lock = RLock()
        self._writer: sqlite3.Connection | None = None
        self._held: dict[str, int] = {}
        self._seen_version = -1
        self._pulses = Pulses()
        self._is_closing = Event()
        self._watcher: Thread | None = None
        self._watched = ""
        self._on_news: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Connect, and bring the tables to this release's version."""
        if self.is_shared:
            folder = Path(self.place).absolute().parent
            if not folder.is_dir():
                raise WorkflowError("there is no such folder", where=str(folder), todo="make it")
        try:
            self._writer = self._connect()
            self._migrate()
        except sqlite3.Error as error:
            self.close()
            todo = None if self._is_writable() else "make it and its folder writable"
            raise WorkflowError(
                f"cannot open the store: {error}", where=self.place, todo=todo
            ) from error
        except WorkflowError:
            self.close()
            raise

    def _is_writable(self) -> bool:
        file = Path(self.place).absolute()
        return os.access(file.parent, os.W_OK) and (not file.exists() or os.access(file, os.W_OK))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.place, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._is_durable else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        return connection

    def _migrate(self) -> None:
        with self.transaction() as say:
            found = say("PRAGMA user_version", ())[0][0]
            check_version(found, self.place)
            for statements in MIGRATIONS[found:]:
                for statement in statements:
                    say(statement, ())
            note_uses(say, found)
            say(f"PRAGMA user_version = {len(MIGRATIONS)}", ())

    def close(self) -> None:
        """Let go of everything; a store can be closed twice."""
        self._is_closing.set()
        if self._watcher is not None:
            self._watcher.join(5)
        with self._lock:
            for worker in list(self._held):
                self._let_go(worker)
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    @property
    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            raise WorkflowError("the store is closed", where=self.place)
        return self._writer

    @contextmanager
    def transaction(self) -> Iterator[Say]:
        """Give what executes statements in one transaction that writes."""
        with self._lock:
            connection = self._open_writer

            def say(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
                cursor = connection.execute(sql, values)
                return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

            self._begin(connection)
            try:
                yield say
                connection.execute("COMMIT")
            except BaseException as error:
                self._undo(connection, error)
                raise

    def _begin(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise WorkflowError(f"the store cannot record: {error}", where=self.place) from error

    def _undo(self, connection: sqlite3.Connection, error: BaseException) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise WorkflowError(f"the store cannot record: {error}", where=self.place) from error

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        if not self.is_shared:
            with self._lock:
                return self._open_writer.execute(sql, values).fetchall()
        # A reader of its own: it neither waits for the writer nor is waited for.
        try:
            with closing(sqlite3.connect(self.place, timeout=_BUSY_S)) as reader:
                return reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise WorkflowError(f"the store cannot be read: {error}", where=self.place) from error

    def commit(self, worker: str, batch: Batch) -> None:
        """Record a batch, durably."""
        batch, payloads, uses = lightened(batch)
        with self._lock:
            connection = self._open_writer
            execute, many = connection.execute, connection.executemany
            self._begin(connection)
            try:
                self._guard(connection, worker)
                if payloads:
                    many(
                        INSERT_PAYLOAD, [(each.sha256, each.codec, each.body) for each in payloads]
                    )
                    many(INSERT_USE, uses)
                if batch.runs:
                    many(_INSERT_RUN, [run_values(run) for run in batch.runs])
                if batch.steps:
                    many(
                        _INSERT_STEP,
                        [
                            (s.run_id, s.key, s.status.value, s.attempt, s.delta, s.error,
                             s.started, s.finished, s.worker)
                            for s in batch.steps
                        ],
                    )  # fmt: skip
                if batch.ended:
                    many(_END_ATTEMPT, batch.ended)
                if batch.attempts:
                    many(
                        _INSERT_ATTEMPT,
                        [
                            (a.run_id, a.key, a.attempt, a.status.value, a.error, a.started,
                             a.finished, a.worker, a.next_at)
                            for a in batch.attempts
                        ],
                    )  # fmt: skip
                if batch.finishes:
                    many(
                        _FINISH,
                        [
                            (f.status.value, f.output, f.error, f.finished, f.run_id, worker)
                            for f in batch.finishes
                        ],
                    )
                execute("COMMIT")
            except BaseException as error:
                self._undo(connection, error)
                raise

    def _guard(self, connection: sqlite3.Connection, worker: str) -> None:
        sql = "SELECT 1 FROM wf_worker WHERE id = ? AND lost = 0"
        if connection.execute(sql, (worker,)).fetchone() is None:
            raise WorkerLost("another worker has taken over the runs", where=self.place)

    def enlist(self, worker: str, now: float) -> None:
        """Make a worker known, and hold what shows that it lives."""
        if self.is_shared:
            self._hold(worker)
        with self.transaction() as say:
            say(
                "INSERT INTO wf_worker (id, pid, host, lock_key, started, heartbeat)"
                " VALUES (?, ?, ?, 0, ?, ?)",
                (worker, os.getpid(), socket.gethostname(), now, now),
            )

    def dismiss(self, worker: str) -> None:
        """Let go of a worker that ends in peace."""
        with self.transaction() as say:
            self.free_runs(say, [worker], is_dead=False)
            say("DELETE FROM wf_worker WHERE id = ?", (worker,))
        self._let_go(worker)

    def beat(self, worker: str, now: float) -> None:
        """Say that the worker lives."""
        with self.transaction() as say:
            sql = "UPDATE wf_worker SET heartbeat = ? WHERE id = ? AND lost = 0"
            if not say(sql, (now, worker))[0][0]:
                raise WorkerLost("another worker has taken over the runs", where=self.place)

    def bury(self, worker: str, now: float) -> int:
        """Free the runs of dead workers, so that they are pending; return how many there were."""
        del now
        others = self.rows(
            "SELECT id, heartbeat FROM wf_worker WHERE lost = 0 AND id <> ?", (worker,)
        )
        silent = self._pulses.silent(others, self.lease_s)
        dead = [other for other, _ in others if other in silent or not self._is_held(other)]
        if not dead:
            return 0
        with self.transaction() as say:
            freed = self.free_runs(say, dead)
        for other in dead:
            self._lock_file(other).unlink(missing_ok=True)
        return freed

    def watch(self, worker: str, on_news: Callable[[], None]) -> None:
        """Call `on_news` when another process wrote something, or died."""
        if not self.is_shared:
            return
        self._watched = worker
        self._on_news = on_news
        if self._watcher is None:
            self._watcher = Thread(target=self._watching, name="workflow-watch", daemon=True)
            self._watcher.start()

    def _watching(self) -> None:
        others: list[str] = []
        next_list = 0.0
        while not self._is_closing.wait(_TICK_S):
            with suppress(WorkflowError, sqlite3.Error, OSError):
                has_news = self.has_changed()
                if has_news or time.monotonic() >= next_list:
                    next_list = time.monotonic() + 1.0
                    sql = "SELECT id FROM wf_worker WHERE lost = 0 AND id <> ?"
                    others = [row[0] for row in self.rows(sql, (self._watched,))]
                if has_news or not all(map(self._is_held, others)):
                    self._on_news()

    def has_changed(self) -> bool:
        """Return whether another process has written since this was asked last."""
        if not self.is_shared:
            return False
        with self._lock:
            version = self._open_writer.execute("PRAGMA data_version").fetchone()[0]
            changed, self._seen_version = version != self._seen_version, version
        return bool(changed)

    def _lock_file(self, worker: str) -> Path:
        return Path(f"{self.place}-worker-{worker}.lock")

    def _hold(self, worker: str) -> None:
        handle = os.open(self._lock_file(worker), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[worker] = handle

    def _let_go(self, worker: str) -> None:
        handle = self._held.pop(worker, None)
        if handle is not None:
            self._lock_file(worker).unlink(missing_ok=True)
            os.close(handle)

    def _is_held(self, worker: str) -> bool:
        if worker in self._held:
            return True
        try:
            handle = os.open(self._lock_file(worker), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            return True
        finally:
            os.close(handle)
