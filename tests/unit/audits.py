"""Audits as they come out of real runs, built by hand: what renderers are tested with.

The outcomes are those that the four products are known for; the transcripts have their wording of
errors, their waits and their victims. `story` writes a transcript the way one would tell it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from test_rig.isolation import Anomaly, Level, forbids, strongest_levels
from test_rig.report import Report
from test_rig.runs import RunRecord, RunStatus
from test_rig.verdict import (
    AuditVerdict,
    Cell,
    Finding,
    LevelRow,
    Occurrence,
    StepRecord,
    StepStatus,
    TargetInfo,
    TargetVerdict,
    Transcript,
    Verdict,
)

A = Anomaly
STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SETUP = (
    "CREATE TABLE test (id INT PRIMARY KEY, value INT)",
    "INSERT INTO test (id, value) VALUES (1, 10), (2, 20)",
)


@dataclass(frozen=True)
class Waits:
    """What a step was told to wait for, and what it gave after the step of that name ended."""

    behind: str
    until: str
    then: object = None


@dataclass(frozen=True)
class Fails:
    """An error's label and the server's message."""

    label: str
    message: str


def story(name: str, *told: tuple[object, ...]) -> Transcript:
    """Return a transcript from (session, SQL, outcome) triples.

    An outcome is None, a number of rows, a list of row tuples, `Fails`, `Waits` or "skipped".
    """
    steps: list[StepRecord] = []
    at_ns = 400_000
    for number, (session, sql, *rest) in enumerate(told, 1):
        outcome = rest[0] if rest else None
        step = StepRecord(
            session=str(session),
            step=f"s{number}",
            sql=str(sql),
            status=StepStatus.OK,
            start_ns=at_ns,
            end_ns=at_ns + 310_000,
        )
        if isinstance(outcome, Waits):
            step = replace(
                step, blocked=True, blocked_by=(outcome.behind,), blocked_seen_ns=4_100_000
            )
            step = _ended(step, outcome.then)
            at_ns += 4_300_000
        else:
            step = _ended(step, outcome)
            at_ns += 520_000
        steps.append(step)
    return Transcript(
        scenario=name,
        setup=SETUP,
        session_setup=(),
        steps=tuple(_released(step, steps, told) for step in steps),
        teardown=("DROP TABLE test",),
    )


def _released(
    step: StepRecord, steps: list[StepRecord], told: tuple[tuple[object, ...], ...]
) -> StepRecord:
    outcome = told[steps.index(step)][-1]
    if not isinstance(outcome, Waits):
        return step
    by = next(other for other in steps if other.step == outcome.until)
    assert by.end_ns is not None
    return replace(step, end_ns=by.end_ns + 150_000)


def _ended(step: StepRecord, outcome: object) -> StepRecord:
    if outcome == "skipped":
        return replace(step, status=StepStatus.SKIPPED, end_ns=None)
    if isinstance(outcome, Fails):
        return replace(step, status=StepStatus.ERROR, error=outcome.label, message=outcome.message)
    if isinstance(outcome, list):
        columns = ("id", "value") if outcome and len(outcome[0]) == 2 else ("value",)
        return replace(step, columns=columns, rows=tuple(outcome), row_count=len(outcome))
    return replace(step, row_count=outcome if isinstance(outcome, int) else None)


DEADLOCK_PG = Fails("deadlock (40P01)", "deadlock detected")
SERIAL_PG = Fails(
    "serialization failure (40001)", "could not serialize access due to concurrent update"
)
RW_PG = Fails(
    "serialization failure (40001)",
    "could not serialize access due to read/write dependencies among transactions",
)
BUSY = Fails("busy (5)", "database is locked")
CONFLICT = Fails("serialization failure", "TransactionContext Error: Conflict on update!")
_READ_1 = "SELECT value FROM test WHERE id = 1"
_READ_BOTH = "SELECT id, value FROM test WHERE id IN (1, 2)"
_BOTH = [("1", "10"), ("2", "20")]

#: A witness per anomaly that occurs: the reason, and how it went.
WITNESSES: dict[Anomaly, tuple[str, Transcript]] = {
    A.G1A: (
        "T2 read 101, which T1 rolled back",
        story(
            "g1a",
            ("T1", "BEGIN"),
            ("T2", "BEGIN"),
            ("T1", "UPDATE test SET value = 101 WHERE id = 1", 1),
            ("T2", "SELECT id, value FROM test", [("1", "101"), ("2", "20")]),
            ("T1", "ROLLBACK"),
            ("T2", "SELECT id, value FROM test", _BOTH),
            ("T2", "COMMIT"),
        ),
    ),
    A.P4: (
        "T2 overwrote T1's update without having seen it: both read 10, both wrote 11",
        story(
            "p4",
            ("T1", "BEGIN"),
            ("T2", "BEGIN"),
            ("T1", _READ_1, [("10",)]),
            ("T2", _READ_1, [("10",)]),
            ("T1", "UPDATE test SET value = 11 WHERE id = 1", 1),
            ("T2", "UPDATE test SET value = 11 WHERE id = 1", Waits("T1", "s7", 1)),
            ("T1", "COMMIT"),
            ("T2", "COMMIT"),
        ),
    ),
    A.G_SINGLE: (
        "T1 read 10 of row 1 before T2 and 18 of row 2 after it",
        story(
            "g-single",
            ("T1", "BEGIN"),
            ("T2", "BEGIN"),
            ("T1", _READ_1, [("10",)]),
            ("T2", _READ_1, [("10",)]),
            ("T2", "SELECT value FROM test WHERE id = 2", [("20",)]),
            ("T2", "UPDATE test SET value = 12 WHERE id = 1", 1),
            ("T2", "UPDATE test SET value = 18 WHERE id = 2", 1),
            ("T2", "COMMIT"),
            ("T1", "SELECT value FROM test WHERE id = 2", [("18",)]),
            ("T1", "COMMIT"),
        ),
    ),
    A.G2_ITEM: (
        "both read rows 1 and 2 as they were, and each wrote one of them",
        story(
            "g2-item",
            ("T1", "BEGIN"),
            ("T2", "BEGIN"),
            ("T1", _READ_BOTH, _BOTH),
            ("T2", _READ_BOTH, _BOTH),
            ("T1", "UPDATE test SET value = 11 WHERE id = 1", 1),
            ("T2", "UPDATE test SET value = 21 WHERE id = 2", 1),
            ("T1", "COMMIT"),
            ("T2", "COMMIT"),
        ),
    ),
    A.OTV: (
        "T3 read 12 of row 1, then 19 of row 2 as if T2 had not committed",
        story(
            "otv",
            ("T1", "BEGIN"),
            ("T2", "BEGIN"),
            ("T3", "BEGIN"),
            ("T1", "UPDATE test SET value = 11 WHERE id = 1", 1),
            ("T1", "UPDATE test SET value = 19 WHERE id = 2", 1),
            ("T2", "UPDATE test SET value = 12 WHERE id = 1", Waits("T1", "s7", 1)),
            ("T1", "COMMIT"),
            ("T3", _READ_1, [("12",)]),
            ("T2", "UPDATE test SET value = 18 WHERE id = 2", 1),
            ("T3", "SELECT value FROM test WHERE id = 2", [("19",)]),
            ("T2", "COMMIT"),
            ("T3", "COMMIT"),
        ),
    ),
}


def _occurs(anomaly: Anomaly) -> tuple[str, Transcript]:
    if anomaly in WITNESSES:
        return WITNESSES[anomaly]
    reason = f"the steps of {anomaly.value} all ended, and T1 saw what T2 did in between"
    return reason, story(
        anomaly.value.lower(),
        ("T1", "BEGIN"),
        ("T2", "BEGIN"),
        ("T1", "SELECT id, value FROM test WHERE value % 3 = 0", []),
        ("T2", "INSERT INTO test (id, value) VALUES (3, 30)", 1),
        ("T2", "COMMIT"),
        ("T1", "SELECT id, value FROM test WHERE value % 3 = 0", [("3", "30")]),
        ("T1", "COMMIT"),
    )


def _prevented(anomaly: Anomaly, stop: Fails | None) -> tuple[str, Transcript]:
    write = "UPDATE test SET value = 11 WHERE id = 1"
    if stop is None:
        return "T1 read the same rows twice", story(
            anomaly.value.lower(),
            ("T1", "BEGIN"),
            ("T2", "BEGIN"),
            ("T1", _READ_BOTH, _BOTH),
            ("T2", write, 1),
            ("T2", "COMMIT"),
            ("T1", _READ_BOTH, _BOTH),
            ("T1", "COMMIT"),
        )
    return f"T2 aborted: {stop.label}", story(
        anomaly.value.lower(),
        ("T1", "BEGIN"),
        ("T2", "BEGIN"),
        ("T1", _READ_1, [("10",)]),
        ("T2", _READ_1, [("10",)]),
        ("T1", write, 1),
        ("T2", write, Waits("T1", "s7", stop) if "dead" not in stop.label else stop),
        ("T1", "COMMIT"),
        ("T2", "COMMIT", "skipped"),
    )


def level(
    name: str,
    claim: Level,
    source: str,
    *,
    occurs: Iterable[Anomaly] = (),
    unknown: Iterable[Anomaly] = (),
    impossible: Iterable[Anomaly] = (),
    stop: Fails | None = None,
    read_back: str | None = None,
    only: Iterable[Anomaly] = tuple(Anomaly),
) -> LevelRow:
    """Return a level's row as the judge makes it from what occurs there."""
    occurs, unknown, impossible = frozenset(occurs), frozenset(unknown), frozenset(impossible)
    cells = []
    for anomaly in only:
        if anomaly in occurs:
            occurrence, (reason, told) = Occurrence.OCCURS, _occurs(anomaly)
        elif anomaly in unknown:
            occurrence, told = Occurrence.UNKNOWN, _prevented(anomaly, None)[1]
            reason = "T2's step neither ended nor was seen to wait within 5 s"
        elif anomaly in impossible:
            cells.append(
                Cell(
                    anomaly=anomaly,
                    occurrence=Occurrence.NOT_APPLICABLE,
                    reason="only one writer can have a transaction open",
                )
            )
            continue
        else:
            quiet = anomaly in (A.G1A, A.G1B, A.OTV, A.PMP, A.G_SINGLE, A.G_SINGLE_DEPENDENT)
            occurrence, (reason, told) = (
                Occurrence.PREVENTED,
                _prevented(anomaly, None if quiet else stop),
            )
        cells.append(Cell(anomaly=anomaly, occurrence=occurrence, reason=reason, transcript=told))
    return _row(name, claim, source, tuple(cells), read_back)


def _row(
    name: str, claim: Level, source: str, cells: tuple[Cell, ...], read_back: str | None
) -> LevelRow:
    seen = [cell.anomaly for cell in cells if cell.occurrence is Occurrence.OCCURS]
    judged = {cell.anomaly for cell in cells if cell.occurrence is not Occurrence.UNKNOWN}
    findings = tuple(
        Finding(anomaly=cell.anomaly, level=claim, witness=cell.reason)
        for cell in cells
        if cell.anomaly in seen and forbids(claim, cell.anomaly)
    )
    missing = [a for a in Anomaly if forbids(claim, a) and a not in judged]
    if findings:
        verdict = Verdict.INVALID
        comparison = f"broken: {claim.value} forbids {', '.join(f.anomaly.value for f in findings)}"
    elif missing:
        verdict = Verdict.UNKNOWN
        comparison = f"not judged: {', '.join(a.value for a in missing)} could not be decided"
    else:
        verdict, comparison = Verdict.VALID, f"holds: {claim.value}"
    return LevelRow(
        name=name,
        claim=claim,
        claim_source=source,
        read_back=read_back,
        cells=cells,
        observed=strongest_levels(seen, judged),
        verdict=verdict,
        comparison=comparison,
        findings=findings,
        duration_s=1.84,
    )


def _target(product: str, version: str, url: str, *levels: LevelRow) -> TargetVerdict:
    return TargetVerdict(
        target=TargetInfo(url=url, product=product, version=version),
        levels=levels,
        verdict=_overall([row.verdict for row in levels]),
        duration_s=1.9 * len(levels),
    )


def _overall(verdicts: list[Verdict]) -> Verdict:
    for verdict in (Verdict.INVALID, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.VALID


_RC = frozenset(Anomaly) - {A.G0, A.G1A, A.G1B, A.G1C, A.OTV}
_SKEWS = frozenset({A.G2_ITEM, A.G2, A.G2_TWO_EDGES})


def sqlite() -> TargetVerdict:
    """SQLite: serializable in every mode, and what a shared cache lets through."""
    manual = "SQLite manual, isolation.html: transactions are serializable"
    return _target(
        "SQLite",
        "3.40.1",
        "sqlite://",
        level(
            "shared cache, read_uncommitted",
            Level.READ_UNCOMMITTED,
            "SQLite manual, sharedcache.html 2.2.1: read-uncommitted mode",
            occurs={A.G1A, A.G1B, A.PMP, A.G_SINGLE, A.G_SINGLE_DEPENDENT},
            stop=BUSY,
            read_back="1",
        ),
        *(
            level(f"{journal}, BEGIN {kind}", Level.SERIALIZABLE, manual, stop=BUSY)
            for journal, kind in (
                ("rollback journal", "DEFERRED"),
                ("rollback journal", "IMMEDIATE"),
                ("rollback journal", "EXCLUSIVE"),
                ("WAL", "DEFERRED"),
            )
        ),
        level(
            "WAL, BEGIN IMMEDIATE",
            Level.SERIALIZABLE,
            manual,
            stop=BUSY,
            impossible={A.G0, A.G1C, A.P4},
        ),
    )


def duckdb() -> TargetVerdict:
    """DuckDB: snapshot isolation, whose write skews are permitted."""
    return _target(
        "DuckDB",
        "v1.4.1",
        "duckdb://",
        level(
            "BEGIN TRANSACTION",
            Level.SNAPSHOT,
            "DuckDB manual, connect/concurrency: MVCC with optimistic concurrency control",
            occurs=_SKEWS,
            stop=CONFLICT,
        ),
    )


def postgresql() -> TargetVerdict:
    """PostgreSQL: every claim holds."""
    manual = "PostgreSQL manual, 13.2 Transaction Isolation"
    return _target(
        "PostgreSQL",
        "15.8 (Debian 15.8-0+deb12u1)",
        "postgresql://postgres@127.0.0.1:5432/test",
        level(
            "READ UNCOMMITTED",
            Level.READ_COMMITTED,
            f"{manual}: behaves like Read Committed",
            occurs=_RC,
            stop=DEADLOCK_PG,
            read_back="read uncommitted",
        ),
        level(
            "READ COMMITTED",
            Level.READ_COMMITTED,
            f"{manual}: Read Committed, the default",
            occurs=_RC,
            stop=DEADLOCK_PG,
            read_back="read committed",
        ),
        level(
            "REPEATABLE READ",
            Level.SNAPSHOT,
            f"{manual}: Repeatable Read is snapshot isolation",
            occurs=_SKEWS,
            stop=SERIAL_PG,
            read_back="repeatable read",
        ),
        level(
            "SERIALIZABLE",
            Level.SERIALIZABLE,
            f"{manual}: emulates serial execution",
            stop=RW_PG,
            read_back="serializable",
        ),
    )


def mariadb() -> TargetVerdict:
    """MariaDB without its snapshot isolation: REPEATABLE READ loses updates."""
    manual = "MariaDB manual, SET TRANSACTION: the levels of the SQL standard"
    deadlock = Fails(
        "deadlock (1213)", "Deadlock found when trying to get lock; try restarting transaction"
    )
    return _target(
        "MariaDB",
        "10.11.6-MariaDB-0+deb12u1",
        "mysql://root@127.0.0.1:3306/test",
        level(
            "READ UNCOMMITTED",
            Level.READ_UNCOMMITTED,
            manual,
            occurs=frozenset(Anomaly) - {A.G0},
            stop=deadlock,
            read_back="READ-UNCOMMITTED",
        ),
        level(
            "READ COMMITTED",
            Level.READ_COMMITTED,
            manual,
            occurs=_RC,
            stop=deadlock,
            read_back="READ-COMMITTED",
        ),
        level(
            "REPEATABLE READ",
            Level.REPEATABLE_READ,
            manual,
            occurs={A.PMP_WRITE, A.P4, A.G_SINGLE_WRITE_1, A.G_SINGLE_WRITE_2, *_SKEWS},
            stop=deadlock,
            read_back="REPEATABLE-READ",
        ),
        level(
            "SERIALIZABLE",
            Level.SERIALIZABLE,
            manual,
            unknown={A.G2_TWO_EDGES},
            stop=deadlock,
            read_back="SERIALIZABLE",
        ),
    )


def report(*targets: TargetVerdict, path: Path | None = None, **changes: object) -> Report:
    """Return the report of a finished run over `targets`; `changes` go to its record."""
    verdict = _overall([target.verdict for target in targets])
    record = RunRecord(
        id="k3f9q2",
        command="audit",
        argv=("test-rig", "audit", *(t.target.url for t in targets)),
        settings={
            "audit": {"step_timeout_secs": 5.0, "levels": []},
            "database": {"timeout_secs": 30.0, "password": "********"},
            "runs": {"folder": "test-rig-runs"},
        },
        seed=1848372,
        versions={
            "test-rig": "0.1.0",
            "python": "CPython 3.11.2",
            "system": "Linux 6.1.0 x86_64",
            "sqlite": "3.40.1",
            "duckdb": "1.4.1",
        },
        targets=tuple(target.target.url for target in targets),
        started=STARTED,
        finished=STARTED + timedelta(seconds=19.4),
        status=RunStatus.FINISHED,
        verdict=verdict,
    )
    folder = Path("test-rig-runs/20260304T050607.000Z-audit-k3f9q2")
    return Report(
        record=replace(record, **changes),  # type: ignore[arg-type]  # any field
        audit=AuditVerdict(targets=targets, verdict=verdict),
        path=path or folder,
    )


def embedded() -> Report:
    """The audit that a newcomer sees first."""
    return report(sqlite(), duckdb())


def servers() -> Report:
    """One server whose claims hold and one whose claim is broken."""
    return report(postgresql(), mariadb())


def interrupted() -> Report:
    """A run that was stopped in the second target's second level."""
    whole = mariadb()
    partial = replace(
        whole,
        levels=(
            whole.levels[0],
            level(
                "READ COMMITTED",
                Level.READ_COMMITTED,
                "MariaDB manual, SET TRANSACTION: the levels of the SQL standard",
                occurs={A.PMP},
                only=(A.G0, A.G1A, A.G1B, A.G1C, A.OTV, A.PMP),
            ),
        ),
        verdict=Verdict.UNKNOWN,
        error="127.0.0.1:3306: the server closed the connection (2013)",
    )
    return report(
        postgresql(),
        partial,
        status=RunStatus.INTERRUPTED,
        verdict=None,
        finished=None,
        error="interrupted from the keyboard",
    )
