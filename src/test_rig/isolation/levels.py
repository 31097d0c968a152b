"""Isolation levels, anomalies, and which level forbids which.

How to think of it: an anomaly is a pattern of reads and writes of concurrent transactions that no
serial execution shows; a level is defined by the set of anomalies that it forbids. The definitions
are Adya's (A. Adya, "Weak Consistency: A Generalized Theory and Optimistic Implementations for
Distributed Transactions", MIT 1999, chapters 3 and 4), which do not depend on how a database is
built; the names follow the Hermitage test suite (M. Kleppmann, 2014) where Adya has none.

This module knows no database: what a server's manual promises for its own level names is told by
its dialect (`test_rig.targets`), as one of these levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import Enum

__all__ = ["Anomaly", "AnomalyInfo", "Level", "LevelInfo", "forbids", "strongest_levels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyInfo:
    """What an anomaly is."""

    #: The short name used in tables.
    label: str
    #: The name in words.
    title: str
    #: What happens, in one sentence.
    meaning: str
    #: Where it is defined.
    source: str


class Anomaly(Enum):
    """The anomalies that the built-in scenarios look for, in the order of the table's columns."""

    G0 = "G0"
    G1A = "G1a"
    G1B = "G1b"
    G1C = "G1c"
    OTV = "OTV"
    PMP = "PMP"
    PMP_WRITE = "PMP-write"
    P4 = "P4"
    G_SINGLE = "G-single"
    G_SINGLE_DEPENDENT = "G-single-dep"
    G_SINGLE_WRITE_1 = "G-single-w1"
    G_SINGLE_WRITE_2 = "G-single-w2"
    G2_ITEM = "G2-item"
    G2 = "G2"
    G2_TWO_EDGES = "G2-2edges"

    @property
    def info(self) -> AnomalyInfo:
        """Return what the anomaly is and where it is defined."""
        return _ANOMALIES[self]


_ADYA = "Adya 1999"
_HERMITAGE = "Hermitage"

_ANOMALIES: dict[Anomaly, AnomalyInfo] = {
    Anomaly.G0: AnomalyInfo(
        label="G0",
        title="dirty write",
        meaning="Two transactions overwrite each other's uncommitted writes, so that their "
        "writes to several rows interleave.",
        source=f"{_ADYA}, 4.2.1, phenomenon G0 (write cycles)",
    ),
    Anomaly.G1A: AnomalyInfo(
        label="G1a",
        title="aborted read",
        meaning="A committed transaction has read a value that its writer rolled back.",
        source=f"{_ADYA}, 4.2.2, phenomenon G1a",
    ),
    Anomaly.G1B: AnomalyInfo(
        label="G1b",
        title="intermediate read",
        meaning="A committed transaction has read a value that its writer overwrote before "
        "committing.",
        source=f"{_ADYA}, 4.2.2, phenomenon G1b",
    ),
    Anomaly.G1C: AnomalyInfo(
        label="G1c",
        title="circular information flow",
        meaning="Two committed transactions have each read what the other wrote.",
        source=f"{_ADYA}, 4.2.2, phenomenon G1c",
    ),
    Anomaly.OTV: AnomalyInfo(
        label="OTV",
        title="observed transaction vanishes",
        meaning="A transaction sees some of another's writes, and later sees one of its rows as "
        "if that other had not happened.",
        source="Bailis et al., Highly Available Transactions, VLDB 2014, definition of OTV",
    ),
    Anomaly.PMP: AnomalyInfo(
        label="PMP",
        title="predicate-many-preceders, read",
        meaning="The same predicate read twice in one transaction finds rows that another "
        "transaction inserted in between.",
        source="Bailis et al., Highly Available Transactions, VLDB 2014, definition of PMP",
    ),
    Anomaly.PMP_WRITE: AnomalyInfo(
        label="PMP-w",
        title="predicate-many-preceders, write",
        meaning="A write by predicate misses a row that matches both before and after a "
        "concurrent transaction.",
        source=f"{_HERMITAGE}, PMP for write predicates",
    ),
    Anomaly.P4: AnomalyInfo(
        label="P4",
        title="lost update",
        meaning="Two transactions read a row and then both write it; the first one's update is "
        "overwritten unseen.",
        source="Berenson et al., A Critique of ANSI SQL Isolation Levels, SIGMOD 1995, P4",
    ),
    Anomaly.G_SINGLE: AnomalyInfo(
        label="G-single",
        title="read skew",
        meaning="A transaction reads one row from before and another from after a concurrent "
        "transaction.",
        source=f"{_ADYA}, 4.2.3, phenomenon G-single (one anti-dependency)",
    ),
    Anomaly.G_SINGLE_DEPENDENT: AnomalyInfo(
        label="G-single-d",
        title="read skew over predicates",
        meaning="Two predicate reads of one transaction see the database from before and from "
        "after a concurrent transaction.",
        source=f"{_HERMITAGE}, G-single with predicate dependencies",
    ),
    Anomaly.G_SINGLE_WRITE_1: AnomalyInfo(
        label="G-single-w1",
        title="read skew, seen by a write predicate",
        meaning="A transaction that has read a row from before a concurrent transaction then "
        "deletes by a predicate that sees the state from after it.",
        source=f"{_HERMITAGE}, G-single with write predicate, first form",
    ),
    Anomaly.G_SINGLE_WRITE_2: AnomalyInfo(
        label="G-single-w2",
        title="read skew, seen by a write of the rows read",
        meaning="A transaction reads a row from before a concurrent transaction, writes it, and "
        "its write by predicate acts on the other transaction's values.",
        source=f"{_HERMITAGE}, G-single with write predicate, second form",
    ),
    Anomaly.G2_ITEM: AnomalyInfo(
        label="G2-item",
        title="write skew",
        meaning="Two transactions read the same rows and each writes a different one of them, so "
        "that neither sees the other's write.",
        source=f"{_ADYA}, 4.2.4, phenomenon G2-item",
    ),
    Anomaly.G2: AnomalyInfo(
        label="G2",
        title="write skew over predicates",
        meaning="Two transactions read by the same predicate and each inserts a row that the "
        "other's read should have found.",
        source=f"{_ADYA}, 4.2.4, phenomenon G2 (anti-dependency cycles)",
    ),
    Anomaly.G2_TWO_EDGES: AnomalyInfo(
        label="G2-2e",
        title="read-only transaction anomaly",
        meaning="A transaction that only reads sees a state that no serial order of the two "
        "writers explains.",
        source="Fekete, O'Neil, O'Neil, A Read-Only Transaction Anomaly Under Snapshot "
        "Isolation, SIGMOD Record 2004",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelInfo:
    """What a level promises."""

    #: The name in words, as used in tables.
    title: str
    source: str
    forbids: frozenset[Anomaly]


class Level(Enum):
    """Isolation levels with one definition each, whatever a server calls its own."""

    #: Promises nothing that the scenarios can test.
    NONE = "none"
    READ_UNCOMMITTED = "read uncommitted"
    READ_COMMITTED = "read committed"
    MONOTONIC_ATOMIC_VIEW = "monotonic atomic view"
    CONSISTENT_VIEW = "consistent view"
    REPEATABLE_READ = "repeatable read"
    SNAPSHOT = "snapshot isolation"
    SERIALIZABLE = "serializable"

    @property
    def info(self) -> LevelInfo:
        """Return what the level forbids and where it is defined."""
        return _LEVELS[self]


_G1 = frozenset({Anomaly.G0, Anomaly.G1A, Anomaly.G1B, Anomaly.G1C})
_MAV = _G1 | {Anomaly.OTV}
# Every cycle with exactly one anti-dependency, over items or predicates.
_SINGLE = frozenset(
    {
        Anomaly.OTV,
        Anomaly.PMP,
        Anomaly.PMP_WRITE,
        Anomaly.G_SINGLE,
        Anomaly.G_SINGLE_DEPENDENT,
        Anomaly.G_SINGLE_WRITE_1,
        Anomaly.G_SINGLE_WRITE_2,
    }
)
# Every cycle whose anti-dependencies are all over items. The write forms of G-single belong here:
# the transaction's one anti-dependency is its read of a row by key; the predicate only reads.
_ITEM = frozenset(
    {
        Anomaly.OTV,
        Anomaly.P4,
        Anomaly.G_SINGLE,
        Anomaly.G_SINGLE_WRITE_1,
        Anomaly.G_SINGLE_WRITE_2,
        Anomaly.G2_ITEM,
    }
)

_LEVELS: dict[Level, LevelInfo] = {
    Level.NONE: LevelInfo(title="less than read uncommitted", source="none", forbids=frozenset()),
    Level.READ_UNCOMMITTED: LevelInfo(
        title="read uncommitted",
        source=f"{_ADYA}, 4.2.1, PL-1: forbids G0",
        forbids=frozenset({Anomaly.G0}),
    ),
    Level.READ_COMMITTED: LevelInfo(
        title="read committed",
        source=f"{_ADYA}, 4.2.2, PL-2: forbids G1, which includes G0",
        forbids=_G1,
    ),
    Level.MONOTONIC_ATOMIC_VIEW: LevelInfo(
        title="monotonic atomic view",
        source="Bailis et al., Highly Available Transactions, VLDB 2014: MAV forbids OTV beside G1",
        forbids=_MAV,
    ),
    Level.CONSISTENT_VIEW: LevelInfo(
        title="consistent view",
        source=f"{_ADYA}, 4.3.1, PL-2+: forbids G1 and G-single",
        # P4 is one anti-dependency and one write dependency on one row: a G-single.
        forbids=_G1 | _SINGLE | {Anomaly.P4},
    ),
    Level.REPEATABLE_READ: LevelInfo(
        title="repeatable read",
        source=f"{_ADYA}, 4.2.4, PL-2.99: forbids G1 and G2-item (predicates may skew)",
        forbids=_G1 | _ITEM,
    ),
    Level.SNAPSHOT: LevelInfo(
        title="snapshot isolation",
        source=f"{_ADYA}, 4.3.2, PL-SI: forbids G1, and G-SI, which includes G-single",
        forbids=_G1 | _SINGLE | {Anomaly.P4},
    ),
    Level.SERIALIZABLE: LevelInfo(
        title="serializable",
        source=f"{_ADYA}, 4.2.3, PL-3: forbids G1 and G2",
        forbids=frozenset(Anomaly),
    ),
}


def forbids(level: Level, anomaly: Anomaly) -> bool:
    """Return whether `level` forbids `anomaly`."""
    return anomaly in level.info.forbids


def strongest_levels(occurring: Iterable[Anomaly], judged: Set[Anomaly]) -> tuple[Level, ...]:
    """Return the strongest levels that what was seen does not contradict.

    Levels are partly ordered, so several can remain (repeatable read and snapshot isolation forbid
    different things). Snapshot isolation and consistent view forbid the same of these anomalies:
    the scenarios cannot tell them apart, and the better known name is given.

    Args:
        occurring: The anomalies that occurred.
        judged: All anomalies that were looked for with a definite answer. A level counts only if
            everything that it forbids was looked for.

    Returns:
        The maximal levels, `(Level.NONE,)` where even read uncommitted is ruled out or untested.
    """
    seen = frozenset(occurring)
    standing = [
        level
        for level in Level
        if level is not Level.CONSISTENT_VIEW
        and not level.info.forbids & seen
        and level.info.forbids <= judged
    ]
    return tuple(
        level
        for level in standing
        if not any(level.info.forbids < other.info.forbids for other in standing)
    )
