"""What is known of each product's levels: which anomalies occur there.

How to think of it: the audit judges a server by its own claim; this table says whether what it
saw is news. Each entry names its source, published by somebody else or derived from the manual's
own words, and says on which version this rig's scenarios confirmed it (TiDB's are published and
were not). An anomaly that is not listed is prevented.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from test_rig.isolation import Anomaly, Level
from test_rig.targets import LevelSpec
from test_rig.verdict import Cell, Occurrence

__all__ = ["Expectation", "expected", "surprises"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is known of one level of one product."""

    #: The anomalies that occur; all others are prevented.
    occurs: frozenset[Anomaly]
    #: Who says so.
    source: str
    #: On which version it was seen with this rig's scenarios; None where it was not.
    confirmed_on: str | None = None


_WRITES_SKEW = frozenset({Anomaly.G2_ITEM, Anomaly.G2, Anomaly.G2_TWO_EDGES})
_WRITE_PREDICATES = frozenset(
    {Anomaly.PMP_WRITE, Anomaly.G_SINGLE_WRITE_1, Anomaly.G_SINGLE_WRITE_2}
)
_READ_COMMITTED = (
    _WRITES_SKEW
    | _WRITE_PREDICATES
    | {Anomaly.PMP, Anomaly.P4, Anomaly.G_SINGLE, Anomaly.G_SINGLE_DEPENDENT}
)
_INNODB_REPEATABLE = _WRITES_SKEW | _WRITE_PREDICATES | {Anomaly.P4}
_ALL_BUT_G0 = frozenset(Anomaly) - {Anomaly.G0}
_NONE: frozenset[Anomaly] = frozenset()

_POSTGRES = "Hermitage, postgres.md (9.3.5); PostgreSQL manual 13.2"
_INNODB = "Hermitage, mysql.md (5.6.21); write predicates there"
_TIDB = "Hermitage, tidb.md (7.5.0), for the scenarios it has; pessimistic writes read the newest"
_SNAPSHOT_ON = "MariaDB manual, innodb_snapshot_isolation: a write of a row newer than the snapshot"
_SQLITE = "SQLite manual, isolation.html: serializable, one writer at a time"
_SHARED = (
    "SQLite manual, sharedcache.html: no read locks in read-uncommitted mode; one transaction "
    "writes to a table at a time"
)
_DUCKDB = (
    "DuckDB manual, connect/concurrency: snapshots, conflicts refused; but an update and a "
    "delete of one row do not conflict (duckdb/duckdb, issue 17223)"
)
_OCEANBASE = "OceanBase documentation: snapshot reads, a newer row is refused"

_PG, _MARIA = "PostgreSQL 15.20", "MariaDB 10.11.19"
_MYSQL, _SEEKDB = "MySQL 9.7.4", "seekdb 1.4.0"
_KNOWN: dict[tuple[str, str], Expectation] = {}


def _know(
    product: str, levels: str, occurs: frozenset[Anomaly], source: str, confirmed_on: str | None
) -> None:
    for level in levels.split():
        _KNOWN[product, level] = Expectation(
            occurs=occurs, source=source, confirmed_on=confirmed_on
        )


_know("PostgreSQL", "read-uncommitted read-committed", _READ_COMMITTED, _POSTGRES, _PG)
_know("PostgreSQL", "repeatable-read", _WRITES_SKEW, _POSTGRES, _PG)
_know("PostgreSQL", "serializable", _NONE, _POSTGRES, _PG)
for _product, _seen_on in (("MySQL", _MYSQL), ("MariaDB", _MARIA)):
    _know(_product, "read-uncommitted", _ALL_BUT_G0, _INNODB, _seen_on)
    _know(_product, "read-committed", _READ_COMMITTED, _INNODB, _seen_on)
    _know(_product, "repeatable-read", _INNODB_REPEATABLE, _INNODB, _seen_on)
    _know(_product, "serializable", _NONE, _INNODB, _seen_on)
_know("TiDB", "read-committed", _READ_COMMITTED, _TIDB, None)
_know("TiDB", "repeatable-read", _INNODB_REPEATABLE, _TIDB, None)
_know("OceanBase", "read-committed", _READ_COMMITTED, _OCEANBASE, _SEEKDB)
_know("OceanBase", "repeatable-read serializable", _WRITES_SKEW, _OCEANBASE, _SEEKDB)
_know(
    "SQLite",
    "delete-deferred delete-immediate delete-exclusive wal-deferred wal-immediate",
    _NONE,
    _SQLITE,
    "SQLite 3.40.1",
)
_know(
    "SQLite",
    "shared-cache-read-uncommitted",
    frozenset(
        {
            Anomaly.G1A,
            Anomaly.G1B,
            Anomaly.PMP,
            Anomaly.G_SINGLE,
            Anomaly.G_SINGLE_DEPENDENT,
            Anomaly.G_SINGLE_WRITE_1,
            Anomaly.G_SINGLE_WRITE_2,
            Anomaly.G2_TWO_EDGES,
        }
    ),
    _SHARED,
    "SQLite 3.40.1",
)
_know(
    "DuckDB",
    "snapshot",
    _WRITES_SKEW | {Anomaly.PMP_WRITE, Anomaly.G_SINGLE_WRITE_1},
    _DUCKDB,
    "DuckDB 2.0.0",
)

_MARIADB_SNAPSHOT = Expectation(occurs=_WRITES_SKEW, source=_SNAPSHOT_ON, confirmed_on=_MARIA)


def expected(product: str, level: LevelSpec) -> Expectation | None:
    """Return what is known of a product's level, or None.

    MariaDB's REPEATABLE READ is two levels in one name: which one is told by the dialect's claim,
    which follows the server's variable (ON by default since 11.6.2).
    """
    is_repeatable = level.key == "repeatable-read"
    if product == "MariaDB" and is_repeatable and level.claim is Level.SNAPSHOT:
        return _MARIADB_SNAPSHOT
    return _KNOWN.get((product, level.key))


def surprises(cells: Iterable[Cell], known: Expectation) -> tuple[Anomaly, ...]:
    """Return the anomalies whose definite answer is not the known one."""
    definite = {Occurrence.OCCURS: True, Occurrence.PREVENTED: False}
    return tuple(
        cell.anomaly
        for cell in cells
        if cell.occurrence in definite
        and definite[cell.occurrence] != (cell.anomaly in known.occurs)
    )
