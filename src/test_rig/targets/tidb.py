"""TiDB: MySQL's protocol over a distributed store with snapshot reads.

Built from TiDB's documentation. It has two levels; asking for the other two is an error there
unless `tidb_skip_isolation_level_check` is set, so the rig does not offer them. The default
transaction mode is pessimistic, in which writers wait for each other.
"""

from __future__ import annotations

from test_rig.isolation import Level
from test_rig.targets.dialect import Ask, BlockedView, Dialect, LevelSpec
from test_rig.targets.mysql import OLD_NEW_ROW, Mysql, collect_waits, sql_level

__all__ = ["TIDB"]

_MANUAL = "TiDB documentation, Transaction Isolation Levels"
# The lock view names transactions; the cluster's transaction table leads from them to sessions.
# Its state LockWaiting is no evidence: a transaction has it as soon as it begins to lock (TiDB
# documentation, TIDB_TRX).
_BLOCKED = """\
SELECT waiting.SESSION_ID, holding.SESSION_ID
FROM information_schema.DATA_LOCK_WAITS AS w
JOIN information_schema.CLUSTER_TIDB_TRX AS waiting ON waiting.ID = w.TRX_ID
LEFT JOIN information_schema.CLUSTER_TIDB_TRX AS holding ON holding.ID = w.CURRENT_HOLDING_TRX_ID"""


class _Tidb(Mysql):
    """TiDB; it has no state."""

    product = "TiDB"
    new_row = OLD_NEW_ROW
    # A plain KILL is refused where global kill is off; this form always works on the node asked.
    kill_query = "KILL TIDB QUERY"
    kill_connection = "KILL TIDB"

    def levels(self) -> tuple[LevelSpec, ...]:
        return (
            sql_level(
                "READ COMMITTED",
                Level.READ_COMMITTED,
                f"{_MANUAL}: Read Committed, in pessimistic mode",
                "transaction_isolation",
            ),
            sql_level(
                "REPEATABLE READ",
                Level.SNAPSHOT,
                f"{_MANUAL}: snapshot isolation, advertised as REPEATABLE-READ",
                "transaction_isolation",
            ),
        )

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        return lambda ids: collect_waits(ask(_BLOCKED).rows, ids)


TIDB: Dialect = _Tidb()
