"""One connection of MySQL's protocol, by PyMySQL, for every server that speaks it.

The socket is the rig's own: a duplicate of its descriptor outlives TLS and PyMySQL's own handling,
so that a connection can be cut from outside at any moment. Whether a transaction is open is what
the server's status flags say; errors carry none, so after one the server is pinged.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS

from test_rig.targets.deadline import WATCHDOG
from test_rig.targets.dialect import KEPT_ROWS, Params, Result, Table
from test_rig.targets.statements import insert_statement, quote_backtick
from test_rig.targets.url import TargetUrl

__all__ = ["MysqlWire"]

T = TypeVar("T")

_LOAD_BATCH = 1000
_WHOLE = frozenset((int,))
#: The name in a column's description.
_NAME = itemgetter(0)


class _Cursor(pymysql.cursors.Cursor):
    """A cursor whose answers are read to their end, so that it need not look before it asks."""

    _result: Any  # the stubs lack it

    def execute(self, query: str, args: Any = None) -> int:
        self._executed = query if args is None else self.mogrify(query, args)
        return int(self._query(self._executed))  # type: ignore[attr-defined]  # stubs lack it

    def mogrify(self, query: str, args: Any = None) -> str:
        """Return the text that is sent: whole numbers, as of keys, need no escaping."""
        if type(args) is tuple and _WHOLE.issuperset(map(type, args)):
            with suppress(TypeError):  # as many as there are places: the library's error
                return query % args
        return str(super().mogrify(query, args))

    @property
    def has_more(self) -> bool:
        """Whether another result set follows: told without going there."""
        return self._result is not None and self._result.has_next


class MysqlWire:
    """One PyMySQL connection in autocommit mode, on a socket of the rig's own.

    Args:
        url: Where it leads.
        timeout_s: The most that connecting may take.
        kill_query: What the server's statement for stopping a statement begins with.
    """

    def __init__(self, url: TargetUrl, timeout_s: float, *, kill_query: str) -> None:
        self._url, self._kill_query = url, kill_query
        plain = _open_socket(url, timeout_s)
        # TLS takes the descriptor away from the socket that it wraps; the duplicate stays.
        self._handle = plain.dup()
        self._connection = _connection(url)
        self._cursor = self._connection.cursor(_Cursor)
        try:
            self.backend_id = self._within(timeout_s, lambda: self._greet(plain))
        except BaseException:
            self.close()
            plain.close()
            raise

    def _greet(self, plain: socket.socket) -> int:
        self._connection.connect(plain)
        # Not the number in the greeting: that has 32 bits, and TiDB's have 64.
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT CONNECTION_ID()")
            return int(cursor.fetchall()[0][0])

    def _within(self, seconds: float, call: Callable[[], T]) -> T:
        """Call, and cut the connection if it takes too long."""
        watch = WATCHDOG.arm(seconds, self.sever)
        try:
            result = call()
        except (pymysql.err.MySQLError, OSError) as error:
            if WATCHDOG.disarm(watch):
                raise TimeoutError(f"no answer within {seconds:g} s") from error
            raise
        finally:
            WATCHDOG.disarm(watch)
        return result

    def run(self, sql: str, params: Params) -> Result:
        cursor = self._cursor
        try:
            cursor.execute(sql, params)
            first, has_warnings = _answer(cursor), cursor.warning_count > 0
            more = []
            while cursor.has_more:
                cursor.nextset()
                more.append(_answer(cursor))
                has_warnings = has_warnings or cursor.warning_count > 0
        except pymysql.err.MySQLError:
            self._learn_status()
            raise
        # Asking for warnings is a round trip: only when an answer announced some.
        if more or has_warnings:
            notices = self._warnings() if has_warnings else ()
            first = first._replace(notices=notices, more=tuple(more))
        if len(first.rows) > KEPT_ROWS:
            self._cursor = self._connection.cursor(_Cursor)
        return first

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        try:
            self._cursor.executemany(sql, rows)
        except pymysql.err.MySQLError:
            self._learn_status()
            raise
        return int(self._cursor.rowcount or 0)

    def _learn_status(self) -> None:
        """Ask for the status after an error: some errors end the transaction and some do not."""
        with suppress(pymysql.err.MySQLError, OSError):
            self._connection.ping(reconnect=False)

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        sql = insert_statement(table, columns, quote=quote_backtick, mark="%s")
        count = 0
        batch: list[Sequence[Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _LOAD_BATCH:
                count += self.run_many(sql, batch)
                batch = []
        return count + (self.run_many(sql, batch) if batch else 0)

    def _warnings(self) -> tuple[str, ...]:
        return tuple(
            f"{level} {code}: {message}"
            for level, code, message in self._connection.show_warnings()  # type: ignore[no-untyped-call]  # stubs lack it
        )

    def in_transaction(self) -> bool:
        status = self._connection.server_status  # type: ignore[attr-defined]  # stubs lack it
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def cancel(self, timeout_s: float) -> bool:
        kill = f"{self._kill_query} {int(self.backend_id)}"
        try:
            helper = MysqlWire(self._url, timeout_s, kill_query=self._kill_query)
            try:
                helper._within(timeout_s, lambda: helper.run(kill, None))
            finally:
                helper.close()
        except (pymysql.err.MySQLError, OSError):
            return False
        return True

    def sever(self) -> None:
        with suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(pymysql.err.MySQLError, OSError):
            self._connection.close()
        with suppress(OSError):
            self._handle.close()


def _open_socket(url: TargetUrl, timeout_s: float) -> socket.socket:
    if path := url.options.get("unix_socket"):
        plain = socket.socket(socket.AF_UNIX)
        try:
            plain.settimeout(timeout_s)
            plain.connect(path)
        except BaseException:
            plain.close()
            raise
    else:
        plain = socket.create_connection((url.host, url.port), timeout_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    plain.settimeout(None)
    return plain


def _connection(url: TargetUrl) -> pymysql.Connection[Any]:
    """Return a connection that has not been opened yet."""
    options = url.options
    return pymysql.Connection(
        host=url.host,
        port=url.port or 0,
        user=url.user,
        password=url.password or "",
        database=url.database,
        charset="utf8mb4",
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.MULTI_RESULTS,
        ssl={"ca": options["ssl_ca"]} if "ssl_ca" in options else None,
        # A server can ask for any file of the client's: only where the person said so.
        local_infile=options.get("local_infile") in ("1", "true", "on"),
        defer_connect=True,
        program_name="test-rig",
    )


def _answer(cursor: Any) -> Result:
    if cursor.description is None:
        return Result(row_count=cursor.rowcount, last_insert_id=cursor.lastrowid or None)
    columns = tuple(map(_NAME, cursor.description))
    return Result(columns, tuple(cursor.fetchall()), cursor.rowcount)
