"""SQLite: an embedded target whose levels are its journal modes and kinds of BEGIN.

SQLite never waits with a busy timeout of zero: a lock that is taken is an error at once. That is
what scratch databases use, so that a scenario's outcome is the lock and not the patience; a
session that a person opens waits up to `busy_timeout` seconds (a URL option, 5 by default).
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote as quote_url

from test_rig.isolation import Level
from test_rig.targets.dialect import Ask, Dialect, LevelSpec, Params, Result, Table, Wire
from test_rig.targets.embedded import Embedded
from test_rig.targets.statements import first_words, insert_statement, quote_double
from test_rig.targets.url import TargetUrl

__all__ = ["SQLITE", "Sqlite", "SqliteWire", "begin_level"]

_MANUAL = "SQLite manual, isolation.html: transactions are serializable"
_SHARED = "SQLite manual, sharedcache.html 2.2.1: read-uncommitted mode"
_IDS = itertools.count(1)


def begin_level(journal: str, kind: str) -> LevelSpec:
    """Return the level that a kind of BEGIN is in a journal mode."""
    begin = f"BEGIN {kind.upper()}"
    name = {"wal": "WAL", "delete": "rollback journal"}.get(journal, journal)
    return LevelSpec(
        key=f"{journal}-{kind}",
        name=f"{name}, {begin}",
        claim=Level.SERIALIZABLE,
        claim_source=_MANUAL,
        begin=(begin,),
        begin_once=(begin,),
        read_back="PRAGMA journal_mode",
        read_back_value=journal,
        options=() if journal == "memory" else (("journal_mode", journal),),
    )


_LEVELS = (
    LevelSpec(
        key="shared-cache-read-uncommitted",
        name="shared cache, read_uncommitted",
        claim=Level.READ_UNCOMMITTED,
        claim_source=_SHARED,
        session_setup=("PRAGMA read_uncommitted = true",),
        read_back="PRAGMA read_uncommitted",
        read_back_value="1",
        options=(("journal_mode", "delete"), ("cache", "shared")),
    ),
    begin_level("delete", "deferred"),
    begin_level("delete", "immediate"),
    begin_level("delete", "exclusive"),
    begin_level("wal", "deferred"),
    begin_level("wal", "immediate"),
)


class SqliteWire:
    """One `sqlite3` connection, in the library's own autocommit.

    Args:
        url: Where it leads; its options say how.
        vfs: The file system below: SQLite's own of memory, or None for files.
    """

    def __init__(self, url: TargetUrl, *, vfs: str | None = None) -> None:
        self.backend_id = next(_IDS)
        options = url.options
        wanted = {"cache": options.get("cache"), "vfs": vfs}
        query = "&".join(f"{key}={value}" for key, value in wanted.items() if value)
        self._connection = sqlite3.connect(
            f"file:{quote_url(url.path or '')}?{query}",
            uri=True,
            timeout=_seconds(options.get("busy_timeout", "5")),
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # The first statement that reads the file: a file that is no database fails here.
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            if "journal_mode" in options:
                self._set_journal_mode(options["journal_mode"])
        except BaseException:
            self._connection.close()
            raise

    def _set_journal_mode(self, mode: str) -> None:
        if mode not in ("delete", "truncate", "persist", "wal"):
            raise ValueError(f"journal_mode={mode!r}: use delete, truncate, persist or wal")
        self._connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()

    def run(self, sql: str, params: Params) -> Result:
        statements = [sql] if params else _split(sql)
        results = [self._run_one(statement, params) for statement in statements]
        first, more = (results[0], tuple(results[1:])) if results else (Result(), ())
        return first._replace(more=more)

    def _run_one(self, sql: str, params: Params) -> Result:
        cursor = self._connection.execute(sql, params or ())
        try:
            if cursor.description is None:
                # The number stays from an earlier INSERT where this statement is none.
                is_insert = first_words(sql)[:1] in (("INSERT",), ("REPLACE",))
                return Result(
                    row_count=None if cursor.rowcount < 0 else cursor.rowcount,
                    last_insert_id=cursor.lastrowid if is_insert else None,
                )
            rows = tuple(cursor.fetchall())
            columns = tuple(column[0] for column in cursor.description)
            return Result(columns=columns, rows=rows, row_count=len(rows))
        finally:
            cursor.close()  # an open cursor would keep its read lock

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        return max(self._connection.executemany(sql, rows).rowcount, 0)

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        sql = insert_statement(table, columns, quote=quote_double, mark="?")
        return max(self._connection.executemany(sql, rows).rowcount, 0)

    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def cancel(self, timeout_s: float) -> bool:
        del timeout_s  # in process: nothing to wait for
        with suppress(sqlite3.ProgrammingError):  # already closed: nothing runs any more
            self._connection.interrupt()
        return True

    def sever(self) -> None:
        self.cancel(0)

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()


def _seconds(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        raise ValueError("busy_timeout is not a number of seconds") from None


def _split(sql: str) -> list[str]:
    """Split a text into statements at the semicolons that SQLite's own tokenizer counts as ends."""
    if ";" not in sql.rstrip().rstrip(";"):
        return [sql]
    statements, current = [], ""
    for piece in sql.split(";"):
        current += piece + ";"
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    statements.append(current[:-1])  # the last piece had no semicolon of its own
    return [statement for statement in statements if first_words(statement)]


class Sqlite(Embedded):
    """The dialect; it has no state."""

    product = "SQLite"
    family = "sqlite"
    url_options: tuple[str, ...] = ("journal_mode", "busy_timeout", "cache")
    which_database = "SELECT file FROM pragma_database_list WHERE name = 'main'"

    def connect(self, url: TargetUrl, timeout_s: float) -> Wire:
        del timeout_s  # opening a file does not wait
        self.check_place(url)
        return SqliteWire(url)

    def recognise(self, ask: Ask) -> tuple[Dialect, str]:
        return self, str(ask("SELECT sqlite_version()").rows[0][0])

    def levels(self) -> tuple[LevelSpec, ...]:
        return _LEVELS

    def prepare_waiting(self, ask: Ask) -> None:
        ask("PRAGMA busy_timeout = 0")


SQLITE: Dialect = Sqlite()
