"""The audit: every scenario at every level of a target, compared with what the server claims.

How to think of it: `judge_level` is a pure judge over cells; `audit_target` is the loop that gets
the cells from the scenario engine. What happens on the way is told by events, so that a face can
show progress and the house can write results while they are made.

It does not decide which targets, make the run folder or render anything: that is `rig`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from test_rig.errors import TargetError
from test_rig.history import History
from test_rig.isolation import Anomaly, Level, forbids, strongest_levels
from test_rig.scenario import Expectation, Limits, Scenario, expected, run_scenario, surprises
from test_rig.targets import LevelSpec, Scratch, Target
from test_rig.telemetry import Emit, Measurement, emit_nothing
from test_rig.verdict import (
    Cell,
    Finding,
    LevelRow,
    Occurrence,
    TargetInfo,
    TargetVerdict,
    Verdict,
    WorkloadVerdict,
)
from test_rig.workload import INTERRUPTED, Entry, Plan, Workload, run_workload

__all__ = [
    "AuditEvent",
    "AuditOptions",
    "CellDone",
    "LevelDone",
    "LevelStarted",
    "PathTaken",
    "PlaceMade",
    "TargetStarted",
    "WorkloadSeen",
    "WorkloadStarted",
    "audit_target",
    "judge_level",
    "overall",
    "with_workload",
]


#: Anomalies that nobody can show who reads and writes by key alone.
_BY_PREDICATE = frozenset(
    {
        Anomaly.PMP,
        Anomaly.PMP_WRITE,
        Anomaly.G_SINGLE_DEPENDENT,
        Anomaly.G_SINGLE_WRITE_1,
        Anomaly.G_SINGLE_WRITE_2,
        Anomaly.G2,
    }
)


#: What scenarios call otherwise than histories.
_SCENARIO_NAMES = {"lost-update": Anomaly.P4.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTaken:
    """The standard path to a target was gone: it can be reached and says what it is."""

    target: TargetInfo
    #: Each state with its seconds, in order.
    states: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStarted:
    """The audit of a target begins."""

    target: TargetInfo
    levels: tuple[str, ...]
    scenarios: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceMade:
    """The private namespace is there; it is removed at the end."""

    target: TargetInfo
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelStarted:
    """A level's scenarios begin."""

    target: TargetInfo
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellDone:
    """One scenario at one level is judged."""

    target: TargetInfo
    level: str
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDone:
    """A level is judged; `so_far` is the target's verdict as it stands."""

    target: TargetInfo
    row: LevelRow
    so_far: TargetVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadStarted:
    """A level's scenarios are over and its random transactions begin."""

    target: TargetInfo
    level: str
    workload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSeen:
    """What a workload's clients did since the last event of this kind."""

    target: TargetInfo
    level: str
    workload: str
    #: Either operations of any kind or transactions of lists or registers.
    entries: Sequence[Entry] = ()
    transactions: History | None = None


AuditEvent = (
    PathTaken
    | TargetStarted
    | PlaceMade
    | LevelStarted
    | CellDone
    | WorkloadStarted
    | WorkloadSeen
    | LevelDone
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """What to audit, and how patiently."""

    #: Keys or names of levels; all where empty.
    levels: tuple[str, ...] = ()
    #: Seconds in which a step must end or be seen to wait; past them its verdict is unknown.
    step_timeout_s: float = 5.0
    #: What is run at each level after the scenarios, and how much of it; nothing if None.
    workload: Workload | None = None
    plan: Plan = field(default_factory=Plan)


def audit_target(
    target: Target,
    scenarios: Sequence[Scenario],
    options: AuditOptions,
    *,
    on_event: Callable[[AuditEvent], None],
    emit: Emit = emit_nothing,
) -> TargetVerdict:
    """Run all scenarios at all levels of one target.

    A target that fails in the middle keeps the levels that were judged; the rest is unknown and
    `error` says why. What the audit made on the target is removed in any case.

    Raises:
        TargetError: The target could not be used at all: no connection, no place to work in.
        UnknownName: A level was asked for that the target does not have.
    """
    info = target.info
    levels = (
        tuple(target.level(name) for name in options.levels) if options.levels else target.levels
    )
    on_event(
        TargetStarted(
            target=info, levels=tuple(level.name for level in levels), scenarios=len(scenarios)
        )
    )
    started = time.perf_counter()
    rows: list[LevelRow] = []
    error: str | None = None

    def so_far() -> TargetVerdict:
        missing = [_not_reached(level) for level in levels[len(rows) :]]
        return TargetVerdict(
            target=info,
            levels=tuple(rows + missing),
            verdict=overall([row.verdict for row in rows + missing]),
            error=error,
            duration_s=time.perf_counter() - started,
        )

    try:
        with target.scratch() as scratch:
            on_event(PlaceMade(target=info, name=scratch.name))
            for level in levels:
                on_event(LevelStarted(target=info, level=level.name))
                row = _audit_level(
                    scratch, level, scenarios, options=options, info=info, on_event=on_event
                )
                row = _run_workload(target, level, row, options=options, on_event=on_event)
                rows.append(row)
                _measure(emit, info, row)
                on_event(LevelDone(target=info, row=row, so_far=so_far()))
    except TargetError as failed:
        if not rows:
            raise
        error = str(failed)
    return so_far()


def _not_reached(level: LevelSpec) -> LevelRow:
    return LevelRow(
        name=level.name,
        claim=level.claim,
        claim_source=level.claim_source,
        read_back=None,
        cells=(),
        observed=(),
        verdict=Verdict.UNKNOWN,
        comparison="not judged: the audit ended before",
    )


def _audit_level(
    scratch: Scratch,
    level: LevelSpec,
    scenarios: Sequence[Scenario],
    *,
    options: AuditOptions,
    info: TargetInfo,
    on_event: Callable[[AuditEvent], None],
) -> LevelRow:
    started = time.perf_counter()
    read_back = _read_back(scratch, level)
    limits = Limits(step_ns=round(options.step_timeout_s * 1e9))
    cells = []
    for scenario in scenarios:
        cell = run_scenario(scenario, scratch, level, limits=limits)
        cells.append(cell)
        on_event(CellDone(target=info, level=level.name, cell=cell))
    return judge_level(
        level,
        cells,
        read_back,
        known=expected(info.product, level),
        duration_s=time.perf_counter() - started,
    )


def _run_workload(
    target: Target,
    level: LevelSpec,
    row: LevelRow,
    *,
    options: AuditOptions,
    on_event: Callable[[AuditEvent], None],
) -> LevelRow:
    workload, info = options.workload, target.info
    if workload is None:
        return row
    on_event(WorkloadStarted(target=info, level=level.name, workload=workload.name))

    seen = partial(WorkloadSeen, target=info, level=level.name, workload=workload.name)
    try:
        with target.scratch() as scratch:
            shown = run_workload(
                workload,
                scratch,
                level,
                options.plan,
                on_entries=lambda entries: on_event(seen(entries=entries)),
                on_history=lambda part: on_event(seen(transactions=part)),
            )
    except TargetError as error:
        told = f"{row.comparison}; {workload.name} could not be run: {error.what}"
        return replace(row, comparison=told)
    if shown.ended_early == INTERRUPTED:
        raise KeyboardInterrupt
    return with_workload(row, shown)


def with_workload(row: LevelRow, shown: WorkloadVerdict) -> LevelRow:
    """Return a level's row with what random transactions showed, and say where both differ.

    What either of them shows is proof; that a workload shows nothing is only evidence, and takes
    nothing back.
    """
    name, comparison = shown.workload, row.comparison
    broken = [found.anomaly for found in shown.findings if found.is_forbidden]
    names = ", ".join(dict.fromkeys(broken))
    if broken and row.verdict is not Verdict.INVALID:
        comparison += f"; {name} disagrees: it shows {names}, which {row.claim.info.title} forbids"
    elif row.verdict is Verdict.INVALID and not broken:
        comparison += f"; {name} {_why_silent(row, shown)}"
    elif shown.verdict is Verdict.UNKNOWN:
        comparison += f"; {name}: {shown.comparison}"
    if more := _only_by_chance(row, shown):
        comparison += f"; {name} shows {', '.join(more)} too, which no scenario did"
    return replace(
        row,
        verdict=Verdict.INVALID if broken else row.verdict,
        comparison=comparison,
        workload=shown,
        duration_s=row.duration_s + shown.duration_s,
    )


def _only_by_chance(row: LevelRow, shown: WorkloadVerdict) -> list[str]:
    """Return what is permitted and was shown, but by no scenario that looked for it."""
    looked = {cell.anomaly for cell in row.cells if cell.occurrence is not Occurrence.UNKNOWN}
    occurring = {cell.anomaly for cell in row.cells if cell.occurrence is Occurrence.OCCURS}
    prevented = {anomaly.value for anomaly in looked - occurring}
    permitted = (found.anomaly for found in shown.findings if not found.is_forbidden)
    return [name for name in permitted if _SCENARIO_NAMES.get(name, name) in prevented]


def _why_silent(row: LevelRow, shown: WorkloadVerdict) -> str:
    if all(finding.anomaly in _BY_PREDICATE for finding in row.findings):
        return "cannot show it: it reads by key alone"
    return f"disagrees: it shows none of it in {shown.ok} transactions"


def _read_back(scratch: Scratch, level: LevelSpec) -> str | None:
    """Ask the server, inside a transaction of this level, which level it is."""
    if level.read_back is None:
        return None
    with scratch.connect("probe", level=level) as session:
        for statement in level.begin:
            session.execute(statement)
        rows = session.execute(level.read_back).rows
        with suppress(TargetError):  # closing the session rolls back as well
            session.rollback()
    return str(rows[0][0]) if rows else None


def judge_level(
    level: LevelSpec,
    cells: Iterable[Cell],
    read_back: str | None,
    *,
    known: Expectation | None = None,
    duration_s: float = 0.0,
) -> LevelRow:
    """Compare a level's cells with its claim, and with what is known of this product.

    The claim is broken by any forbidden anomaly that occurs; it holds when every anomaly that it
    forbids was judged and none occurs; otherwise it could not be judged.
    """
    cells = tuple(cells)
    forbidden = level.claim.info.forbids
    occurring = [cell for cell in cells if cell.occurrence is Occurrence.OCCURS]
    judged = frozenset(cell.anomaly for cell in cells if cell.occurrence is not Occurrence.UNKNOWN)
    findings = tuple(
        Finding(anomaly=cell.anomaly, level=level.claim, witness=cell.reason)
        for cell in occurring
        if cell.anomaly in forbidden
    )
    missing = [anomaly for anomaly in Anomaly if anomaly in forbidden and anomaly not in judged]
    observed = strongest_levels((cell.anomaly for cell in occurring), judged)
    if observed == (Level.NONE,) and not any(
        forbids(Level.READ_UNCOMMITTED, cell.anomaly) for cell in occurring
    ):
        observed = ()  # nothing rules the weakest level out: it was not looked for
    comparison = _compare(level.claim, findings, missing, observed)
    if known is not None and (strange := surprises(cells, known)):
        names = ", ".join(anomaly.value for anomaly in strange)
        comparison += f"; unlike what is known of this product: {names} ({known.source})"
    undecided = Verdict.UNKNOWN if missing else Verdict.VALID
    return LevelRow(
        name=level.name,
        claim=level.claim,
        claim_source=level.claim_source,
        read_back=read_back,
        cells=cells,
        observed=observed,
        verdict=Verdict.INVALID if findings else undecided,
        comparison=comparison,
        findings=findings,
        duration_s=duration_s,
    )


def _compare(
    claim: Level,
    findings: Sequence[Finding],
    missing: Sequence[Anomaly],
    observed: Sequence[Level],
) -> str:
    title = claim.info.title
    if findings:
        names = ", ".join(finding.anomaly.value for finding in findings)
        return f"broken: {title} forbids {names}"
    if missing:
        names = ", ".join(anomaly.value for anomaly in missing)
        return f"not judged: {names} could not be decided"
    more = [level.info.title for level in observed if level.info.forbids > claim.info.forbids]
    return f"holds, and more: {' and '.join(more)}" if more else f"holds: {title}"


def _measure(emit: Emit, info: TargetInfo, row: LevelRow) -> None:
    labels = (("target", info.url), ("level", row.name))
    occurring = sum(cell.occurrence is Occurrence.OCCURS for cell in row.cells)
    for name, value, unit in (
        ("audit.anomalies_occurring", float(occurring), "anomalies"),
        ("audit.claims_broken", float(len(row.findings)), "anomalies"),
        ("audit.level_duration", row.duration_s, "s"),
    ):
        emit(
            Measurement(
                name=name,
                value=value,
                unit=unit,
                time_ns=time.monotonic_ns(),
                labels=labels,
                source="audit",
            )
        )


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of several: one broken claim breaks the whole, one doubt leaves doubt."""
    if Verdict.INVALID in verdicts:
        return Verdict.INVALID
    if not verdicts or Verdict.UNKNOWN in verdicts:
        return Verdict.UNKNOWN
    return Verdict.VALID
