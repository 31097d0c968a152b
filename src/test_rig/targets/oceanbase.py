"""OceanBase and its embedded form seekdb: MySQL's protocol, snapshot reads, conflicts refused.

Its REPEATABLE READ refuses the second writer of a row that changed since the snapshot (error
6235, which undoes the statement alone), where InnoDB would silently act on the newer row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from test_rig.isolation import Level
from test_rig.targets.dialect import Ask, BlockedView, Dialect, LevelSpec
from test_rig.targets.mysql import OLD_NEW_ROW, Mysql, collect_waits, sql_level

__all__ = ["OCEANBASE"]

_MANUAL = "OceanBase documentation, Transaction isolation levels (MySQL mode)"
# A row of type TR is a lock that is asked for; ID2 is the session that holds it.
_BLOCKED = """\
SELECT SESSION_ID, ID2 FROM oceanbase.V$OB_LOCKS WHERE TYPE = 'TR' AND BLOCK = 1"""


class _Oceanbase(Mysql):
    """OceanBase; it has no state."""

    product = "OceanBase"
    new_row = OLD_NEW_ROW

    def levels(self) -> tuple[LevelSpec, ...]:
        return tuple(
            sql_level(name, claim, f"{_MANUAL}: {why}", "transaction_isolation")
            for name, claim, why in (
                ("READ COMMITTED", Level.READ_COMMITTED, "read committed, the default"),
                ("REPEATABLE READ", Level.SNAPSHOT, "repeatable read is snapshot isolation"),
                ("SERIALIZABLE", Level.SNAPSHOT, "serializable is snapshot isolation"),
            )
        )

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        def view(ids: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
            pairs = [tuple(int(one) for one in row) for row in ask(_BLOCKED).rows]
            return collect_waits(pairs, ids)

        return view


OCEANBASE: Dialect = _Oceanbase()
