"""MySQL, and what MariaDB, TiDB and OceanBase share with it.

The server says what it is: a `mysql://` URL may meet any of them, so `recognise` asks for the
version and hands over to the dialect of the one that answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from test_rig.isolation import Level
from test_rig.targets.dialect import Ask, BlockedView, Dialect, LevelSpec, Wire
from test_rig.targets.mysql_wire import MysqlWire
from test_rig.targets.statements import quote_backtick
from test_rig.targets.url import TargetUrl

__all__ = ["DIALECT", "OLD_NEW_ROW", "Mysql", "collect_waits", "sql_level"]

#: The new row of an upsert on servers without aliases for it.
OLD_NEW_ROW = ("", "VALUES({})")

_BLOCKED = """\
SELECT waiting.PROCESSLIST_ID, blocking.PROCESSLIST_ID
FROM performance_schema.data_lock_waits AS w
JOIN performance_schema.threads AS waiting ON waiting.THREAD_ID = w.REQUESTING_THREAD_ID
JOIN performance_schema.threads AS blocking ON blocking.THREAD_ID = w.BLOCKING_THREAD_ID"""
#: Waits for metadata locks and the like, which the process list tells; of MariaDB too.
METADATA_WAITS = """\
SELECT ID FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%lock%'"""


def sql_level(name: str, claim: Level, source: str, variable: str) -> LevelSpec:
    """Return the spec of one of the SQL levels, for a server that takes SET TRANSACTION."""
    return LevelSpec(
        key=name.lower().replace(" ", "-"),
        name=name,
        claim=claim,
        claim_source=source,
        # For the session, not for the next transaction only: that can be asked for afterwards.
        session_setup=(f"SET SESSION TRANSACTION ISOLATION LEVEL {name}",),
        begin=("START TRANSACTION",),
        begin_once=(f"SET TRANSACTION ISOLATION LEVEL {name}", "START TRANSACTION"),
        read_back=f"SELECT @@SESSION.{variable}",
        read_back_value=name.lower(),
    )


class Mysql:
    """MySQL itself; the servers that share its protocol change what differs."""

    product = "MySQL"
    family = "mysql"
    placeholder = "%s"
    begin = "START TRANSACTION"
    which_database = "SELECT DATABASE()"
    url_options: tuple[str, ...] = ("unix_socket", "ssl_ca", "local_infile")
    #: What this server's manual promises for its four levels, and where.
    manual = "MySQL manual, 17.7.2.1 Transaction Isolation Levels: the levels of SQL:1992"
    level_variable = "transaction_isolation"
    kill_query = "KILL QUERY"
    kill_connection = "KILL"
    #: What an upsert calls the row that it could not insert: an alias, and how a column is named.
    #: From 8.0.20 on VALUES() warns; the servers that share the protocol know nothing else.
    new_row = (" AS new_row", "new_row.{}")

    def connect(self, url: TargetUrl, timeout_s: float) -> Wire:
        return MysqlWire(url, timeout_s, kill_query=self.kill_query)

    def recognise(self, ask: Ask) -> tuple[Dialect, str]:
        version = str(ask("SELECT VERSION()").rows[0][0])
        if "TiDB" in version:
            from test_rig.targets.tidb import TIDB

            return TIDB, version
        if "MariaDB" in version:
            from test_rig.targets.mariadb import mariadb

            return mariadb(ask), version
        if "OceanBase" in version or "seekdb" in version.lower():
            from test_rig.targets.oceanbase import OCEANBASE

            return OCEANBASE, version
        return DIALECT, version

    def levels(self) -> tuple[LevelSpec, ...]:
        return tuple(
            sql_level(name, claim, self.manual, self.level_variable)
            for name, claim in (
                ("READ UNCOMMITTED", Level.READ_UNCOMMITTED),
                ("READ COMMITTED", Level.READ_COMMITTED),
                ("REPEATABLE READ", Level.REPEATABLE_READ),
                ("SERIALIZABLE", Level.SERIALIZABLE),
            )
        )

    def quote(self, identifier: str) -> str:
        return quote_backtick(identifier)

    def upsert(self, table: str, key: str, column: str, *, appends: bool = False) -> str:
        alias, name = self.new_row
        new = name.format(column)
        value = f"CONCAT({table}.{column}, ',', {new})" if appends else new
        return (
            f"INSERT INTO {table} ({key}, {column}) VALUES (%s, %s){alias} "  # noqa: S608 - ours
            f"ON DUPLICATE KEY UPDATE {column} = {value}"
        )

    def prepare_waiting(self, ask: Ask) -> None:
        del ask  # deadlocks are found at once

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        def view(ids: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
            waits = collect_waits(ask(_BLOCKED).rows, ids)
            for (waiting,) in ask(METADATA_WAITS).rows:
                if waiting in ids:
                    waits.setdefault(waiting, ())
            return waits

        return view

    def create_scratch(self, ask: Ask, url: TargetUrl, name: str) -> TargetUrl:
        ask(f"CREATE DATABASE {self.quote(name)}")
        return replace(url, database=name)

    def drop_scratch(self, ask: Ask, scratch: TargetUrl, name: str) -> None:
        del scratch
        ask(f"DROP DATABASE {self.quote(name)}")

    def kill_statement(self, backend_id: int) -> str | None:
        return f"{self.kill_connection} {int(backend_id)}"


def collect_waits(
    pairs: Sequence[tuple[int | None, ...]], ids: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """Return who waits among `ids`, each with those of them it waits for.

    Args:
        pairs: Rows of (waiting, blocking); the second may be None where it is not told.
        ids: The connections that are asked for.
    """
    waits: dict[int, tuple[int, ...]] = {}
    for waiting, blocking in pairs:
        if waiting is None or waiting not in ids:
            continue
        known = waits.setdefault(waiting, ())
        if blocking is not None and blocking in ids and blocking not in known:
            waits[waiting] = (*known, blocking)
    return waits


DIALECT: Dialect = Mysql()
