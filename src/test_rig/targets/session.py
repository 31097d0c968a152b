"""One connection to a database, with one transaction at a time.

How to think of it: a session passes statements to the server and whole answers back. It keeps no
mind of its own about transactions: `BEGIN` sent as text works like `start_transaction()`, and
whether one is open is what the driver's protocol says. What it adds is certainty about the end: a
statement has a deadline past which the rig cancels it on the server, through a second connection,
and then cuts the socket; every error says what is known of the statement's effect; and a session
whose state is in doubt is never used again.

One thread uses a session at a time; `cancel()` and `kill()` come from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from test_rig.errors import (
    ConnectFailed,
    DeadlineExceeded,
    ErrorCategory,
    Failure,
    FailureKind,
    Outcome,
    SessionUnusable,
    StatementFailed,
    UnknownName,
    UsageError,
)
from test_rig.isolation import is_same_name
from test_rig.targets.dialect import Dialect, LevelSpec, NoticingWire, Params, Result, Table, Wire
from test_rig.targets.door import CANCEL_S, Door, SqlListener, read_failure
from test_rig.targets.row import Row
from test_rig.targets.tables import batch_insert
from test_rig.targets.url import TargetUrl

__all__ = ["Session", "find_level"]

#: COMMIT was answered by rolling back, which is known for certain; why, an earlier error told.
_LOST_COMMIT = Failure(
    category=ErrorCategory.UNKNOWN,
    kind=FailureKind.TRANSACTION_ABORTED,
    outcome=Outcome.FAIL,
    ends_transaction=True,
)


class Session:
    """A connection with one transaction at a time. Made by `Target.connect`.

    Args:
        name: How transcripts, logs and errors call it: "T1", "conn_0".
        wire: The open connection, which the session owns from now on.
        timeout_s: The default deadline of a statement, in seconds.
        listener: Told of every statement once it has ended.
    """

    def __init__(
        self,
        name: str,
        wire: Wire,
        *,
        dialect: Dialect,
        url: TargetUrl,
        version: str,
        timeout_s: float,
        listener: SqlListener | None = None,
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.server_version = version
        self._wire, self._url, self._listener = wire, url, listener
        self._timeout_s = timeout_s
        self._door = Door(
            name,
            wire,
            family=dialect.family,
            address=url.address(),
            timeout_s=timeout_s,
            listener=listener,
        )
        self._last = Result()
        #: Given every list of rows that `execute_query` returns, and returns it in its place.
        self.hand_over: Callable[[list[Row]], list[Row]] | None = None

    def listen(self, listener: SqlListener) -> None:
        """Tell somebody else, too, of every statement once it has ended."""
        self._door.listen(listener)

    # What it is

    @property
    def connection_id(self) -> str:
        """The session's name, under the word that handlers use."""
        return self.name

    @property
    def backend_id(self) -> int:
        """The server's own number for this connection; embedded targets count their own."""
        return self._wire.backend_id

    @property
    def address(self) -> str:
        """Where it leads, without user or password."""
        return self._url.address()

    @property
    def connection_info(self) -> dict[str, Any]:
        """Host, port, user and database; never the password."""
        url = self._url
        return {
            "host": url.host,
            "port": url.port,
            "user": url.user,
            "database": url.database or url.path,
        }

    @property
    def is_usable(self) -> bool:
        """Whether statements can be sent: open, and its state known."""
        return self._door.is_open

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as the protocol tells."""
        return self.is_usable and self._wire.in_transaction()

    @property
    def statement_count(self) -> int:
        """How many statements it has sent, whoever asked for them."""
        return self._door.call_count

    @property
    def affected_row_count(self) -> int:
        """Rows affected, or returned, by the last statement; 0 where the server did not tell."""
        return self._last.row_count or 0

    @property
    def last_insert_id(self) -> int | None:
        """The key that the last INSERT generated, where the protocol tells it."""
        return self._last.last_insert_id

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings and notices of the last statement."""
        return self._last.notices

    def on_notice(self, listener: Callable[[str], None]) -> bool:
        """Tell notices as they arrive, on the thread that runs the statement.

        Returns:
            Whether this database sends any before a statement ends; otherwise its notices are in
            the `Result` alone.
        """
        if isinstance(self._wire, NoticingWire):
            self._wire.listen(listener)
            return True
        return False

    # Statements

    def execute(
        self, sql: str, params: Params = None, *, deadline_s: float | None = None
    ) -> Result:
        """Send one SQL text and return everything that it gave.

        Args:
            sql: The text; with `params`, placeholders as the dialect marks them.
            params: Values for the placeholders.
            deadline_s: Seconds until the rig cancels it; the session's default if None.

        Raises:
            StatementFailed: The server refused it, or its answer was lost (see `.outcome`).
            DeadlineExceeded: It was cancelled by the rig; the session is closed.
            SessionUnusable: The session had been closed or given up before.
        """
        self._last = self._door.call(sql, deadline_s, self._wire.run, sql, params)
        return self._last

    def execute_query(
        self, sql: str, params: Params = None, *, deadline_s: float | None = None
    ) -> list[Row]:
        """Send one SQL text and return its rows; `[]` where it gives none."""
        # As `execute` does, without the way through it.
        result = self._last = self._door.call(sql, deadline_s, self._wire.run, sql, params)
        rows = Row.all_of(result.columns, result.rows)
        return rows if self.hand_over is None else self.hand_over(rows)

    def query_drop(self, sql: str, params: Params = None) -> None:
        """Send one SQL text and drop what it gives."""
        self.execute(sql, params)

    def execute_batch(
        self, sql: str, rows: Sequence[Sequence[Any]], *, deadline_s: float | None = None
    ) -> int:
        """Run one statement for each row, all or none; return the rows affected.

        Outside a transaction the batch is one of its own.
        """
        if not rows:
            return 0
        return self._many(sql, deadline_s, self._wire.run_many, sql, rows)

    def bulk_load(
        self,
        table: str | Table,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        deadline_s: float | None = None,
    ) -> int:
        """Load rows into a table the fastest way this database has, all or none.

        Args:
            table: Its name as it is, unquoted; with a schema or database, a tuple of both.
            columns: The columns' names, unquoted, in the order of the values.
            rows: The values.
            deadline_s: Seconds until the rig cancels it; the session's default if None.

        Returns:
            How many rows were loaded.
        """
        place = (table,) if isinstance(table, str) else table
        label = f"bulk load of {'.'.join(place)}"
        return self._many(label, deadline_s, self._wire.load, place, columns, rows)

    def batch_insert(
        self,
        table: str | Table,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        batch_size: int = 1000,
    ) -> int:
        """Insert rows in batches, with parameters, all or none: see `tables.batch_insert`."""
        return batch_insert(self, table, columns, rows, batch_size)

    def _many(
        self, sql: str, deadline_s: float | None, function: Callable[..., int], *args: object
    ) -> int:
        with nullcontext() if self.in_transaction else self.transaction():
            count = self._door.call(sql, deadline_s, function, *args)
        self._last = Result(row_count=count)
        return count

    # Transactions

    def start_transaction(self, isolation: str | LevelSpec | None = None) -> None:
        """Start a transaction, of the server's default level or of the one named.

        Args:
            isolation: A level of this dialect, or its key or name ("REPEATABLE READ",
                "repeatable-read"), spelled in any case.

        Raises:
            UnknownName: The dialect has no such level.
            UsageError: The level belongs to the connection, which was opened otherwise.
        """
        for statement in self._begin(isolation):
            self.execute(statement)

    def _begin(self, isolation: str | LevelSpec | None) -> tuple[str, ...]:
        if isolation is None:
            return (self.dialect.begin,)
        level = isolation
        if isinstance(level, str):
            level = find_level(level, self.dialect.levels())
        options = self._url.options
        if any(options.get(key, value) != value for key, value in level.options):
            raise UsageError(
                f"session {self.name} was not opened for the level {level.key}",
                todo="connect with that level: it is a property of the whole connection",
            )
        return level.begin_once

    def commit(self) -> None:
        """Commit.

        Raises:
            StatementFailed: It was refused, or its answer was lost: then `.outcome` is `info`.
        """
        if self.execute("COMMIT").rolled_back:
            raise StatementFailed(
                "the transaction had failed before: COMMIT rolled it back",
                failure=_LOST_COMMIT,
                sql="COMMIT",
                address=self.address,
            )

    def rollback(self) -> None:
        """Roll back; does nothing where no transaction is open."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    @contextmanager
    def transaction(self, isolation: str | LevelSpec | None = None) -> Iterator[Session]:
        """Run a block in a transaction: committed at its end, rolled back if it raises."""
        self.start_transaction(isolation)
        try:
            yield self
        except BaseException:
            with suppress(StatementFailed, SessionUnusable, DeadlineExceeded):
                self.rollback()  # the block's own error is the one to tell
            raise
        self.commit()

    # Life

    def ping(self) -> None:
        """Ask the server for an answer; raises as `execute` does."""
        self._door.call("SELECT 1", None, self._wire.run, "SELECT 1", None)

    def cancel(self) -> None:
        """Stop the running statement on the server; it ends in an error. From any thread."""
        self._wire.cancel(CANCEL_S)

    def kill(self) -> None:
        """End this session on the server through another connection. From any thread.

        Embedded targets have no server that could: there it interrupts and closes.

        Raises:
            ConnectFailed: The other connection could not be made.
            StatementFailed: The server refused: no right to, or the session is gone already.
        """
        statement = self.dialect.kill_statement(self.backend_id)
        if statement is None:
            self.cancel()
            self.close()
            return
        with self.sibling(timeout_s=CANCEL_S) as helper:
            helper.execute(statement)

    def sibling(self, name: str | None = None, *, timeout_s: float | None = None) -> Session:
        """Open another session to the same place. From any thread, also when this one is closed.

        Args:
            name: How it is called; made from this one's if None.
            timeout_s: The limit of connecting and of each statement; this session's if None.

        Raises:
            ConnectFailed: It could not be opened.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            wire = self.dialect.connect(self._url, limit_s)
        except Exception as error:
            failure = read_failure(error, family=self.dialect.family, connecting=True)
            raise ConnectFailed(
                f"cannot connect once more beside session {self.name}: {failure.message}",
                failure=failure,
                address=self.address,
            ) from error
        return Session(
            name or f"{self.name}-helper",
            wire,
            dialect=self.dialect,
            url=self._url,
            version=self.server_version,
            timeout_s=limit_s,
            listener=self._listener,
        )

    def close(self) -> None:
        """Close for good. The server rolls an open transaction back. Never raises.

        A statement that runs in another thread is cut off: that thread gets an error, and closes.
        """
        self.give_up("it was closed")

    def give_up(self, reason: str) -> None:
        """Close for good, for a reason that later errors will tell. From any thread."""
        self._door.close(reason)

    @property
    def is_busy(self) -> bool:
        """Whether a statement runs right now."""
        return self._door.is_busy

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session {self.name} {self.dialect.product} at {self.address}>"


def find_level(name: str, levels: Sequence[LevelSpec]) -> LevelSpec:
    """Return the level of that key or name, in any case, blanks or hyphens or underscores.

    Raises:
        UnknownName: There is none.
    """
    for level in levels:
        if is_same_name(name, level.key) or is_same_name(name, level.name):
            return level
    raise UnknownName("isolation level", name, [level.key for level in levels])
