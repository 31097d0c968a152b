"""DuckDB: an embedded target with one level, snapshot isolation.

All sessions live in one process and share one database instance. DuckDB never waits for another
transaction: a conflict is an error at once, and aborts the transaction. It does not tell whether a
transaction is open, so the wire follows the statements that it sends; and a COMMIT of an aborted
transaction succeeds without a word, so the wire asks for trouble before it commits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from test_rig.isolation import Level
from test_rig.targets.dialect import Ask, Dialect, LevelSpec, Params, Result, Table, Wire
from test_rig.targets.embedded import Embedded
from test_rig.targets.statements import COMMITS, first_words, quote_double
from test_rig.targets.url import TargetUrl

if TYPE_CHECKING:
    import duckdb

__all__ = ["DUCKDB"]

_IDS = itertools.count(1)
_LEVELS = (
    LevelSpec(
        key="snapshot",
        name="BEGIN TRANSACTION",
        claim=Level.SNAPSHOT,
        claim_source="DuckDB manual, connect/concurrency: MVCC with optimistic concurrency control",
        begin=("BEGIN TRANSACTION",),
        begin_once=("BEGIN TRANSACTION",),
    ),
)


class _DuckdbWire:
    """One connection to the process's instance of the database."""

    def __init__(self, url: TargetUrl) -> None:
        import duckdb

        self.backend_id = next(_IDS)
        self._api = duckdb
        self._connection = duckdb.connect(url.path or ":memory:")
        self._in_transaction = False

    def run(self, sql: str, params: Params) -> Result:
        statements = self._connection.extract_statements(sql)
        results = [self._run_one(statement, params) for statement in statements]
        first, more = (results[0], tuple(results[1:])) if results else (Result(), ())
        return first._replace(more=more)

    def _run_one(self, statement: duckdb.Statement, params: Params) -> Result:
        if statement.type == self._api.StatementType.TRANSACTION:
            return self._run_transaction(statement)
        self._connection.execute(statement, params or None)
        return self._result(statement)

    def _run_transaction(self, statement: duckdb.Statement) -> Result:
        word = next(iter(first_words(statement.query)), "")
        rolled_back = word in COMMITS and self._in_transaction and self._is_aborted()
        try:
            self._connection.execute(statement)
        except self._api.Error:
            if word in COMMITS:
                self._in_transaction = False  # a refused COMMIT has rolled back
            raise
        self._in_transaction = word in ("BEGIN", "START")
        return Result(rolled_back=rolled_back)

    def _is_aborted(self) -> bool:
        try:
            self._connection.execute("SELECT 1").fetchall()
        except self._api.TransactionException:
            return True
        return False

    def _result(self, statement: duckdb.Statement) -> Result:
        columns = tuple(column[0] for column in self._connection.description or ())
        rows = tuple(self._connection.fetchall()) if columns else ()
        kinds = self._api.ExpectedResultType
        if kinds.CHANGED_ROWS in statement.expected_result_type and columns == ("Count",):
            # A count of changed rows comes as a row; RETURNING alone makes it a result.
            return Result(row_count=int(rows[0][0]) if rows else None)
        if columns == ("Success",) and not rows:
            return Result()
        return Result(columns=columns, rows=rows, row_count=len(rows))

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        # The driver's own executemany does not tell how many rows were affected.
        return sum(self.run(sql, row).row_count or 0 for row in rows)

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        import pyarrow as pa

        values = list(zip(*rows, strict=True))
        if not values:
            return 0
        # Numbered, since the order of the columns is theirs and names may repeat or clash.
        names = [f"c{index}" for index in range(len(columns))]
        data = pa.table([pa.array(column) for column in values], names=names)
        source = f"test_rig_rows_{self.backend_id}"
        target = ".".join(quote_double(part) for part in table)
        quoted = ", ".join(quote_double(column) for column in columns)
        self._connection.register(source, data)
        try:
            # Names are quoted, and the rest is ours.
            self.run(
                f"INSERT INTO {target} ({quoted}) SELECT {', '.join(names)} FROM {source}",  # noqa: S608
                None,
            )
        finally:
            self._connection.unregister(source)
        return int(data.num_rows)

    def in_transaction(self) -> bool:
        return self._in_transaction

    def cancel(self, timeout_s: float) -> bool:
        del timeout_s  # in process: nothing to wait for
        with suppress(self._api.Error):  # already closed: nothing runs any more
            self._connection.interrupt()
        return True

    def sever(self) -> None:
        self.cancel(0)

    def close(self) -> None:
        with suppress(self._api.Error):
            self._connection.close()


class _Duckdb(Embedded):
    """The dialect; it has no state."""

    product = "DuckDB"
    family = "duckdb"
    url_options: tuple[str, ...] = ()
    which_database = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"

    def connect(self, url: TargetUrl, timeout_s: float) -> Wire:
        del timeout_s  # opening a file does not wait
        self.check_place(url)
        return _DuckdbWire(url)

    def recognise(self, ask: Ask) -> tuple[Dialect, str]:
        return self, str(ask("SELECT version()").rows[0][0]).removeprefix("v")

    def levels(self) -> tuple[LevelSpec, ...]:
        return _LEVELS


DUCKDB: Dialect = _Duckdb()
