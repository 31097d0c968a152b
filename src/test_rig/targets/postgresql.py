"""PostgreSQL, by psycopg 3.

Two things a rig must know of it. A deadlock is found only after `deadlock_timeout` (a second by
default): sessions of scenarios set it to 10 ms where they may. And libpq has no read timeout: a
session behind a half-open link is freed by cutting its socket from outside.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg import sql as composing
from psycopg.conninfo import make_conninfo

from test_rig.errors import FailureKind, StatementFailed
from test_rig.isolation import Level
from test_rig.targets.dialect import (
    KEPT_ROWS,
    Ask,
    BlockedView,
    Dialect,
    LevelSpec,
    Params,
    Result,
    Table,
    Wire,
)
from test_rig.targets.postgresql_startup import open_bare, refusal_sqlstate
from test_rig.targets.statements import COMMITS, first_words, quote_double, upsert_standard
from test_rig.targets.url import TargetUrl

__all__ = ["DIALECT"]

_MANUAL = "PostgreSQL manual, 13.2 Transaction Isolation"


def _level(name: str, claim: Level, why: str) -> LevelSpec:
    begin = f"BEGIN ISOLATION LEVEL {name}"
    return LevelSpec(
        key=name.lower().replace(" ", "-"),
        name=name,
        claim=claim,
        claim_source=f"{_MANUAL}: {why}",
        begin=(begin,),
        begin_once=(begin,),
        read_back="SHOW transaction_isolation",
        read_back_value=name.lower(),
    )


_LEVELS = (
    _level("READ UNCOMMITTED", Level.READ_COMMITTED, "behaves like Read Committed"),
    _level("READ COMMITTED", Level.READ_COMMITTED, "Read Committed, the default"),
    _level("REPEATABLE READ", Level.SNAPSHOT, "Repeatable Read is snapshot isolation"),
    _level("SERIALIZABLE", Level.SERIALIZABLE, "emulates serial execution"),
)

# Waits that no lock table shows as a pair (a safe snapshot) have a view of their own.
_BLOCKED = (
    "SELECT pid, pg_blocking_pids(pid) || pg_safe_snapshot_blocking_pids(pid) "
    "FROM unnest(%s::int[]) AS pid"
)


#: What a URL says by its parts, and the rig sets itself.
_OWN = frozenset({"host", "port", "user", "password", "dbname", "connect_timeout", "search_path"})
#: What libpq takes, and the schema to work in.
_OPTIONS = tuple(
    sorted({each.keyword.decode() for each in pq.Conninfo.get_defaults()} - _OWN | {"search_path"})
)


def _conninfo(url: TargetUrl, timeout_s: float) -> str:
    """Return the connection string of a URL: it holds the password."""
    options = {key: value for key, value in url.options.items() if key not in _OWN}
    if path := url.options.get("search_path"):
        # In `options` a blank ends a word and a backslash keeps one from doing so.
        escaped = path.replace("\\", r"\\").replace(" ", r"\ ")
        options["options"] = f"{options.get('options', '')} -c search_path={escaped}".strip()
    options.setdefault("application_name", "test-rig")
    options.setdefault("client_encoding", "utf8")
    return make_conninfo(
        host=url.host,
        port=url.port,
        user=url.user,
        password=url.password,
        dbname=url.database or "",
        connect_timeout=max(2, math.ceil(timeout_s)),  # libpq takes less than 2 for 2
        **cast("dict[str, Any]", options),
    )


def _connect(url: TargetUrl, timeout_s: float) -> psycopg.Connection[tuple[Any, ...]]:
    conninfo = _conninfo(url, timeout_s)
    try:
        # A statement prepared behind one's back would plan, and fail, differently.
        return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.errors.ConnectionTimeout:
        raise
    except psycopg.OperationalError as error:
        error.sqlstate = refusal_sqlstate(conninfo, timeout_s)
        if error.sqlstate is None:
            open_bare(url, timeout_s)  # raises what the operating system says, with its number
        raise


_IN_TRANSACTION = frozenset(
    (
        pq.TransactionStatus.INTRANS,
        pq.TransactionStatus.INERROR,
        pq.TransactionStatus.ACTIVE,
    )
)


class _PgWire:
    """One psycopg connection in autocommit mode."""

    def __init__(self, url: TargetUrl, timeout_s: float) -> None:
        self._notices: list[str] = []
        self._listener: Callable[[str], None] | None = None
        #: The names of the last answer's columns, as they came and as they are read.
        self._known_columns: tuple[tuple[bytes, ...], tuple[str, ...]] | None = None
        self._connection = _connect(url, timeout_s)
        self._connection.add_notice_handler(self._notice)
        self._cursor = self._connection.cursor()
        self.backend_id = self._connection.info.backend_pid

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        text = f"{diagnostic.severity}:  {diagnostic.message_primary}"
        self._notices.append(text)
        if self._listener is not None:
            self._listener(text)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Tell each notice as it arrives, while its statement still runs."""
        self._listener = listener

    def run(self, sql: str, params: Params) -> Result:
        if self._notices:
            self._notices.clear()
        # One cursor serves them all: to make one costs as much as to read a small answer.
        cursor = self._cursor
        cursor.execute(cast("composing.SQL", sql), params)
        first, tags = self._result(cursor), [_tag(cursor)]
        more: list[Result] = []
        while cursor.nextset():
            more.append(self._result(cursor))
            tags.append(_tag(cursor))
        if cursor.rowcount > KEPT_ROWS:
            self._cursor = self._connection.cursor()
        lost = _ROLLED_BACK in tags and _has_lost_commit(sql, tags)
        if not (self._notices or more or lost):
            return first
        return first._replace(notices=tuple(self._notices), more=tuple(more), rolled_back=lost)

    def _result(self, cursor: psycopg.Cursor[tuple[Any, ...]]) -> Result:
        count = None if cursor.rowcount < 0 else cursor.rowcount
        answer = cursor.pgresult
        if answer is None or not (answer.nfields or cursor.description):
            return Result(row_count=count)
        # Not `description`: it makes an object for each column, with its type.
        columns = self._columns(tuple([answer.fname(n) or b"" for n in range(answer.nfields)]))
        return Result(columns, tuple(cursor.fetchall()), count)

    def _columns(self, names: tuple[bytes, ...]) -> tuple[str, ...]:
        known = self._known_columns
        if known is None or known[0] != names:
            encoding = self._connection.info.encoding
            known = self._known_columns = (names, tuple(name.decode(encoding) for name in names))
        return known[1]

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        with self._connection.cursor() as cursor:
            cursor.executemany(cast("composing.SQL", sql), rows)
            return max(cursor.rowcount, 0)

    def in_transaction(self) -> bool:
        return self._connection.pgconn.transaction_status in _IN_TRANSACTION

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        statement = composing.SQL("COPY {} ({}) FROM STDIN").format(
            composing.Identifier(*table),
            composing.SQL(", ").join(map(composing.Identifier, columns)),
        )
        count = 0
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
                count += 1
        return count

    def cancel(self, timeout_s: float) -> bool:
        try:
            self._connection.cancel_safe(timeout=timeout_s)
        except psycopg.Error:
            return False
        return True

    def sever(self) -> None:
        # Through a duplicate: the descriptor's number may be closed under us at any time, and a
        # shutdown acts on the connection whichever descriptor names it.
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as handle,
        ):
            handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()


_ROLLED_BACK = b"ROLLBACK"


def _tag(cursor: psycopg.Cursor[tuple[Any, ...]]) -> bytes | None:
    """Return the command tag: what the server says that it did."""
    answer = cursor.pgresult
    return None if answer is None else answer.command_status


def _has_lost_commit(sql: str, tags: Sequence[bytes | None]) -> bool:
    """Return whether a COMMIT was answered by ROLLBACK: the command tag tells what it did."""
    pairs = zip(first_words(sql), tags, strict=False)
    return any(word in COMMITS and tag == _ROLLED_BACK for word, tag in pairs)


class _Postgresql:
    """The dialect; it has no state."""

    product = "PostgreSQL"
    family = "postgresql"
    placeholder = "%s"
    begin = "BEGIN"
    which_database = "SELECT current_database()"
    url_options: tuple[str, ...] = _OPTIONS

    def connect(self, url: TargetUrl, timeout_s: float) -> Wire:
        return _PgWire(url, timeout_s)

    def recognise(self, ask: Ask) -> tuple[Dialect, str]:
        return self, str(ask("SHOW server_version").rows[0][0])

    def levels(self) -> tuple[LevelSpec, ...]:
        return _LEVELS

    def quote(self, identifier: str) -> str:
        return quote_double(identifier)

    def upsert(self, table: str, key: str, column: str, *, appends: bool = False) -> str:
        return upsert_standard(table, key, column, appends=appends, mark=self.placeholder)

    def prepare_waiting(self, ask: Ask) -> None:
        try:
            ask("SET deadlock_timeout = '10ms'")
        except StatementFailed as error:
            # Without the right to set it a deadlock is found after the server's own time.
            if error.failure.kind is not FailureKind.PERMISSION:
                raise

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        def view(ids: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
            ours = set(ids)
            rows = ask(_BLOCKED, [list(ids)]).rows
            waits = {pid: tuple(b for b in blockers if b in ours) for pid, blockers in rows}
            # Waiting for somebody who is not ours (autovacuum) is not the scenario's doing.
            return {pid: blockers for pid, blockers in waits.items() if blockers}

        return view

    def create_scratch(self, ask: Ask, url: TargetUrl, name: str) -> TargetUrl:
        ask(f"CREATE SCHEMA {self.quote(name)}")
        return url.with_options(search_path=self.quote(name))

    def drop_scratch(self, ask: Ask, scratch: TargetUrl, name: str) -> None:
        del scratch
        ask("SET client_min_messages = warning")
        ask(f"DROP SCHEMA {self.quote(name)} CASCADE")

    def kill_statement(self, backend_id: int) -> str | None:
        return f"SELECT pg_terminate_backend({int(backend_id)})"


DIALECT: Dialect = _Postgresql()
