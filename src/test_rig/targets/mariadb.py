"""MariaDB: MySQL's protocol, its own lock views.

InnoDB's tables in information_schema are a copy that is renewed only when nobody has read it for
100 ms: polled fast they never change, and two observers starve each other. The engine's status
text is live, costs a tenth of a millisecond and names the connection of every transaction that
waits; the tables are read for the blockers alone, and rarely.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from test_rig.isolation import Level
from test_rig.targets.dialect import Ask, BlockedView, Dialect, LevelSpec
from test_rig.targets.mysql import METADATA_WAITS, OLD_NEW_ROW, Mysql, collect_waits, sql_level

__all__ = ["MARIADB", "mariadb", "waiting_statements"]

_MANUAL = "MariaDB manual, SET TRANSACTION: the levels of the SQL standard"
_SNAPSHOT = "MariaDB manual, innodb_snapshot_isolation=ON: REPEATABLE READ is snapshot isolation"
# Of several in one block the first is the server's: the statement's own text comes after it.
_THREAD = re.compile(
    r"^(?:MariaDB|MySQL) thread id (?P<thread>\d+),.* query id (?P<query>\d+) ", re.MULTILINE
)
_QUERY_IDS = "SELECT ID, QUERY_ID FROM information_schema.PROCESSLIST WHERE ID IN %s"
_BLOCKERS = """\
SELECT waiting.trx_mysql_thread_id, blocking.trx_mysql_thread_id
FROM information_schema.INNODB_LOCK_WAITS AS w
JOIN information_schema.INNODB_TRX AS waiting ON waiting.trx_id = w.requesting_trx_id
JOIN information_schema.INNODB_TRX AS blocking ON blocking.trx_id = w.blocking_trx_id"""
#: How long the copy must be left alone before it is renewed (CACHE_MIN_IDLE_TIME), and a margin.
_CACHE_S = 0.12


def waiting_statements(status: str) -> dict[int, int]:
    """Return the connections whose transaction waits, each with the number of its statement.

    Args:
        status: The text of `SHOW ENGINE INNODB STATUS`. It quotes the statements that run, so a
            statement can forge any line of it; the caller must compare the statements' numbers.
    """
    waiting = {}
    for block in status.split("\n---TRANSACTION ")[1:]:
        thread = _THREAD.search(block)
        if thread and re.search(r"^LOCK WAIT ", block[: thread.start()], re.MULTILINE):
            waiting[int(thread["thread"])] = int(thread["query"])
    return waiting


class _View:
    """Who waits, from the live status text; for whom, from the tables when they are fresh."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pairs: list[tuple[int, int]] = []
        self._read_at = 0.0

    def __call__(self, ids: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
        waiting = self._row_waits(ids)
        # Whoever does not wait any more may wait for somebody else next time.
        self._pairs = [pair for pair in self._pairs if pair[0] in waiting]
        if waiting:
            self._read_blockers()
        else:
            waiting = {int(row[0]) for row in self._ask(METADATA_WAITS).rows} & set(ids)
        return {**dict.fromkeys(waiting, ()), **collect_waits(self._pairs, ids)}

    def _row_waits(self, ids: Sequence[int]) -> set[int]:
        text = str(self._ask("SHOW ENGINE INNODB STATUS").rows[0][2])
        said = {one: query for one, query in waiting_statements(text).items() if one in ids}
        if not said:
            return set()
        # A text in the status cannot know the number that the server gave to another statement.
        running = self._ask(_QUERY_IDS, [list(said)]).rows
        return {int(one) for one, query in running if said.get(int(one)) == int(query)}

    def _read_blockers(self) -> None:
        now = time.monotonic()
        if now - self._read_at >= _CACHE_S:
            self._read_at = now
            self._pairs = [(int(w), int(b)) for w, b in self._ask(_BLOCKERS).rows]


class _Mariadb(Mysql):
    """MariaDB as one server is set: its version and whether REPEATABLE READ is a snapshot."""

    product = "MariaDB"
    new_row = OLD_NEW_ROW
    manual = _MANUAL

    def __init__(self, *, level_variable: str = "tx_isolation", snapshot: bool = False) -> None:
        self.level_variable = level_variable
        self._snapshot = snapshot

    def levels(self) -> tuple[LevelSpec, ...]:
        return tuple(
            sql_level(level.name, Level.SNAPSHOT, _SNAPSHOT, self.level_variable)
            if self._snapshot and level.claim is Level.REPEATABLE_READ
            else level
            for level in super().levels()
        )

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        return _View(ask)


MARIADB: Dialect = _Mariadb()


def mariadb(ask: Ask) -> Dialect:
    """Return the dialect for one server: what its variables are called, and how they are set."""
    found = ask(
        "SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', "
        "'innodb_snapshot_isolation')"
    ).rows
    variables = {str(name): str(value) for name, value in found}
    return _Mariadb(
        # From 11.1 on it has MySQL's name; before that only its own.
        level_variable="transaction_isolation"
        if "transaction_isolation" in variables
        else "tx_isolation",
        snapshot=variables.get("innodb_snapshot_isolation", "OFF").upper() == "ON",
    )
