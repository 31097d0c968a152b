"""The store that several workers share: PostgreSQL.

A worker shows that it lives by an advisory lock of its session, on the connection by which it
records. The server lets go of the lock when that connection is gone, so whoever waits for the lock
learns of a death at once: each worker waits for that of the next one, in a ring
(PostgreSQL, "Explicit Locking", 13.3.5). A worker that stalls keeps its connection, and is taken
for dead when it has said nothing for the time of its lease; times are the server's.

A batch is one statement. Its first part looks whether the worker still is one, and holds that row
until the commit, so that nobody can take the worker for dead in between.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, RLock, Thread
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from test_rig.errors import WorkflowError
from test_rig.resilience import without_passwords
from test_rig.workflow.records import Batch
from test_rig.workflow.sql.pulses import Pulses
from test_rig.workflow.sql.recordset import INSERT_PAYLOAD, batch_statement
from test_rig.workflow.sql.saying import Say
from test_rig.workflow.sql.schema import MIGRATIONS, check_version, note_uses
from test_rig.workflow.sql.statements import SqlStore
from test_rig.workflow.store import WorkerLost

__all__ = ["PostgresStore"]

_CHANNEL = "test_rig_workflow"
_RING = "ring"
_MIGRATION_LOCK = 0x7E57_0001
_CONNECT = {
    "connect_timeout": 10,
    "application_name": "test-rig workflow",
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_NOW = "extract(epoch FROM clock_timestamp())::double precision"

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresStore(SqlStore):
    """A database; the tables are in the first schema of its search path.

    Args:
        url: Where it is.
        lease_s: How long a worker that says nothing counts as alive.
        max_connections: How many connections there are beside those by which the worker records,
            listens, and waits for its neighbour.
        is_durable: Whether a commit waits for the disk.
    """

    is_shared = True
    skip_locked = " FOR UPDATE SKIP LOCKED"
    row_lock = " FOR UPDATE"
    insert_payload = INSERT_PAYLOAD

    def __init__(
        self, url: str, *, lease_s: float = 15.0, max_connections: int = 4, is_durable: bool = True
    ) -> None:
        self.place = without_passwords(url)
        self.lease_s = lease_s
        self._url = url
        self._is_durable = is_durable
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            kwargs={**_CONNECT, "autocommit": True},
            min_size=0,
            max_size=max_connections,
            max_idle=60,
            timeout=30,
            open=False,
        )
        self._lock = RLock()
        self._main: Connection | None = None
        self._held: list[str] = []
        self._pulses = Pulses()
        self._watched = ""
        self._on_news: Callable[[], None] = lambda: None
        self._is_closing = Event()
        self._threads: list[Thread] = []
        self._waiting: Connection | None = None

    def open(self) -> None:
        """Connect, and bring the tables to this release's version."""
        try:
            self._main = self._connect()
            self._migrate(self._main)
        except psycopg.Error as error:
            self.close()
            raise self._trouble(error, "cannot open the store") from error
        except WorkflowError:
            self.close()
            raise
        self._pool.open()

    def _connect(self) -> Connection:
        connection = psycopg.connect(self._url, autocommit=True, **_CONNECT)  # type: ignore[arg-type]  # libpq's options
        if not self._is_durable:
            connection.execute("SET synchronous_commit = off")
        return connection

    def _migrate(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            connection.execute("SET LOCAL client_min_messages = warning")
            connection.execute("CREATE TABLE IF NOT EXISTS wf_meta (version INTEGER NOT NULL)")
            row = connection.execute("SELECT max(version) FROM wf_meta").fetchone()
            found = row[0] if row and row[0] is not None else 0
            check_version(found, self.place)
            for statements in MIGRATIONS[found:]:
                for statement in statements:
                    connection.execute(statement.encode())
            note_uses(_say_on(connection), found)
            if found < len(MIGRATIONS):
                connection.execute("INSERT INTO wf_meta VALUES (%s)", (len(MIGRATIONS),))

    def close(self) -> None:
        """Let go of everything; a store can be closed twice."""
        self._is_closing.set()
        if self._threads:
            with suppress(WorkflowError), self.transaction() as say:
                say("SELECT pg_notify(?, ?)", (_CHANNEL, ""))
            self._unwait()
            for thread in self._threads:
                thread.join(8)
        self._pool.close()
        if self._main is not None:
            self._main.close()

    def _trouble(self, error: Exception, what: str) -> WorkflowError:
        return WorkflowError(
            f"{what}: {without_passwords(' '.join(str(error).split()))}", where=self.place
        )

    @contextmanager
    def transaction(self) -> Iterator[Say]:
        """Give what executes statements in one transaction that writes."""
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield _say_on(connection)
        except (psycopg.Error, PoolTimeout) as error:
            raise self._trouble(error, "the store does not serve") from error

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        try:
            with self._pool.connection() as connection:
                return _say_on(connection)(sql, values)
        except (psycopg.Error, PoolTimeout) as error:
            raise self._trouble(error, "the store does not serve") from error

    # Recording

    def commit(self, worker: str, batch: Batch) -> None:
        """Record a batch, durably."""
        sql, values = batch_statement(worker, batch)
        with self._lock:
            try:
                connection = self._session()
                row = connection.execute(sql.encode(), values, prepare=True).fetchone()
            except psycopg.Error as error:
                raise self._trouble(error, "the store cannot record") from error
        if row is None or not row[0]:
            raise WorkerLost("another worker has taken over the runs", where=self.place)

    def _session(self) -> Connection:
        """Return the worker's connection; a new one holds its lock again before it serves."""
        if self._main is None or self._main.closed or self._main.broken:
            if self._is_closing.is_set():
                raise WorkflowError("the store is closed", where=self.place)
            self._main = self._connect()
            for worker in self._held:
                self._take_lock(self._main, worker)
        return self._main

    def _take_lock(self, connection: Connection, worker: str) -> None:
        # The server may still hold it for the connection that is gone.
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_lock_key(worker),))
        connection.execute("RESET lock_timeout")

    def enlist(self, worker: str, now: float) -> None:
        """Make a worker known, and hold what shows that it lives."""
        del now
        with self._lock:
            try:
                connection = self._session()
                self._take_lock(connection, worker)
                self._held.append(worker)
                connection.execute(
                    "INSERT INTO wf_worker (id, pid, host, lock_key, started, heartbeat)"
                    f" VALUES (%s, %s, %s, %s, {_NOW}, {_NOW})".encode(),
                    (worker, os.getpid(), socket.gethostname(), _lock_key(worker)),
                )
                connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, _RING))
            except psycopg.Error as error:
                raise self._trouble(error, "the store does not serve") from error

    def dismiss(self, worker: str) -> None:
        """Let go of a worker that ends in peace, and free its runs."""
        with self.transaction() as say:
            freed = self.free_runs(say, [worker], is_dead=False)
            say("DELETE FROM wf_worker WHERE id = ?", (worker,))
            if freed:
                self.poke(say)
        with self._lock, suppress(psycopg.Error):
            if worker in self._held:
                self._held.remove(worker)
                if self._main is not None:
                    self._main.execute("SELECT pg_advisory_unlock(%s)", (_lock_key(worker),))

    def beat(self, worker: str, now: float) -> None:
        """Say that the worker lives."""
        del now
        sql = f"UPDATE wf_worker SET heartbeat = {_NOW} WHERE id = %s AND lost = 0"
        with self._lock:
            try:
                changed = self._session().execute(sql.encode(), (worker,)).rowcount
            except psycopg.Error as error:
                raise self._trouble(error, "the store does not serve") from error
        if not changed:
            raise WorkerLost("another worker has taken over the runs", where=self.place)

    def bury(self, worker: str, now: float) -> int:
        """Free the runs of dead workers, so that they are pending; return how many there were."""
        del now
        with self.transaction() as say:
            sql = "SELECT id, lock_key, heartbeat FROM wf_worker WHERE lost = 0 AND id <> ?"
            others = say(sql, (worker,))
            pulses = [(other, heartbeat) for other, _, heartbeat in others]
            silent = self._pulses.silent(pulses, self.lease_s)
            dead = [
                other
                for other, key, _ in others
                if other in silent or say("SELECT pg_try_advisory_xact_lock(?)", (key,))[0][0]
            ]
            freed = self.free_runs(say, dead)
            if freed:
                self.poke(say)
        return freed

    def poke(self, say: Say) -> None:
        """Tell the workers that there is something new."""
        say("SELECT pg_notify(?, ?)", (_CHANNEL, ""))

    # Being told

    def watch(self, worker: str, on_news: Callable[[], None]) -> None:
        """Call `on_news`, from another thread, when somebody else wrote something or died."""
        self._watched, self._on_news = worker, on_news
        if not self._threads:
            for target, name in ((self._listen, "listen"), (self._stand_by, "ring")):
                thread = Thread(target=target, name=f"workflow-{name}", daemon=True)
                thread.start()
                self._threads.append(thread)
        self._unwait()

    def _listen(self) -> None:
        while not self._is_closing.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {_CHANNEL}".encode())
                    self._on_news()  # what was said before anybody listened
                    while not self._is_closing.is_set():
                        for notice in connection.notifies(timeout=5, stop_after=1):
                            if notice.payload == _RING:
                                self._unwait()
                            else:
                                self._on_news()
            except psycopg.Error:
                self._is_closing.wait(0.5)

    def _stand_by(self) -> None:
        """Wait for the lock of the next worker in the ring: to get it is to learn of its death."""
        while not self._is_closing.is_set():
            try:
                with self._connect() as connection:
                    self._waiting = connection
                    while not self._is_closing.is_set():
                        self._wait_for_neighbour(connection)
            except psycopg.Error:
                self._is_closing.wait(0.5)
            finally:
                self._waiting = None

    def _wait_for_neighbour(self, connection: Connection) -> None:
        found = connection.execute(
            "SELECT id, lock_key FROM wf_worker WHERE lost = 0 AND id <> %s ORDER BY id <= %s, id"
            " LIMIT 1",
            (self._watched, self._watched),
        ).fetchone()
        try:
            if found is None:
                connection.execute("SELECT pg_sleep(60)")  # until a new worker makes it end
                return
            connection.execute("SELECT pg_advisory_lock(%s)", (found[1],))
        except psycopg.errors.QueryCanceled:
            return  # the ring has changed
        connection.execute("SELECT pg_advisory_unlock(%s)", (found[1],))
        self._on_news()
        self._is_closing.wait(0.01)  # the engine buries it meanwhile

    def _unwait(self) -> None:
        connection = self._waiting
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)


def _say_on(connection: Connection) -> Say:
    def say(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        cursor = connection.execute(sql.replace("?", "%s").encode(), values)
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    return say


def _lock_key(worker: str) -> int:
    # A session's lock has 63 bits of its own; chance keeps other users of the server away.
    return uuid.UUID(worker).int & (2**62 - 1)
