"""The values that the page's templates lay out.

Nothing here knows HTML: texts are as they came, classes of cells are words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from test_rig.isolation import Anomaly, Level
from test_rig.report.content import Report
from test_rig.report.diagram import Diagram, MomentKind, draw
from test_rig.report.outcome import Grid, grids, told, waiting_told
from test_rig.report.replay import replay_script
from test_rig.report.shown import shown_sql
from test_rig.report.standing import Judged, Standing, judged_cells
from test_rig.report.words import (
    VERDICT_WORDS,
    doubts,
    duration,
    headline,
    listed,
    observed_words,
    product_name,
    target_sentence,
    witness_title,
)
from test_rig.report.workloads import (
    WorkloadView,
    still_to_judge,
    view_of,
    views,
    workload_words,
)
from test_rig.runs import encode_json
from test_rig.verdict import LevelRow, StepRecord, StepStatus, TargetVerdict

__all__ = ["Page", "Script", "facts_of", "moment_told", "page_of"]

#: The word by which a style sheet knows a standing.
CLASSES = {
    Standing.FORBIDDEN: "forbidden",
    Standing.PERMITTED: "permitted",
    Standing.UNKNOWN: "unknown",
    Standing.PREVENTED: "prevented",
    Standing.BEYOND: "beyond",
    Standing.NOT_APPLICABLE: "inapplicable",
}


class Script(str):
    """SQL that is fit to be shown already, with its line breaks."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCell:
    """One session at one moment of a picture."""

    #: "", "waiting", "done", "sent", "answered" or "skipped".
    kind: str = ""
    sql: Script | None = None
    #: For whom the step waits.
    waits: str = ""
    grids: tuple[Grid, ...] = ()
    told: str = ""
    is_error: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """A picture: sessions as columns, moments as rows."""

    sessions: tuple[str, ...]
    #: (time, one cell for each session)
    rows: tuple[tuple[str, tuple[LaneCell, ...]], ...]
    #: What was seen when all was over: (time, session, what)
    after: tuple[tuple[str, str, LaneCell], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """One anomaly at one level."""

    id: str
    label: str
    title: str
    meaning: str
    kind: str
    words: str
    reason: str
    lanes: Lanes | None
    script: Script | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelView:
    """One level of one target."""

    id: str
    name: str
    claim: str
    claim_source: str
    observed: str
    read_back: str | None
    comparison: str
    verdict: str
    verdict_words: str
    took: str
    cells: tuple[CellView, ...]
    workload: WorkloadView | None
    #: What it showed, in a few words.
    workload_words: str

    def of_kind(self, *kinds: str) -> list[CellView]:
        """Return the cells of these kinds."""
        return [cell for cell in self.cells if cell.kind in kinds]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """One target."""

    id: str
    name: str
    product: str
    version: str
    url: str
    sentence: str
    verdict: str
    error: str | None
    took: str
    levels: tuple[LevelView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole page."""

    headline: str
    verdict: str
    status: str
    run_id: str
    command: str
    started: str
    finished: str
    took: str
    targets: tuple[TargetView, ...]
    workloads: tuple[WorkloadView, ...]
    doubts: tuple[tuple[str, str, str], ...]
    #: Histories that are kept and not judged, and the command that does it.
    still_to_judge: tuple[tuple[str, str], ...]
    anomalies: tuple[Anomaly, ...]
    levels: tuple[tuple[Level, str], ...]
    #: Name and value, under a heading.
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def page_of(report: Report) -> Page:
    """Return what the page says of `report`."""
    record = report.record
    took = ""
    if record.finished is not None:
        took = duration((record.finished - record.started).total_seconds())
    return Page(
        headline=headline(report),
        verdict=report.verdict.value,
        status=record.status.value,
        run_id=record.id,
        command=record.command,
        started=moment_told(record.started),
        finished="" if record.finished is None else moment_told(record.finished),
        took=took,
        targets=tuple(_target(t, number) for number, t in enumerate(report.audit.targets, 1)),
        workloads=views(report),
        doubts=doubts(report),
        still_to_judge=still_to_judge(report),
        anomalies=tuple(Anomaly),
        levels=tuple((level, _forbids(level)) for level in Level if level is not Level.NONE),
        facts=tuple(facts_of(report)),
    )


def _target(target: TargetVerdict, number: int) -> TargetView:
    anchor = f"t{number}"
    return TargetView(
        id=anchor,
        name=product_name(target),
        product=target.target.product,
        version=target.target.version,
        url=target.target.url,
        sentence=target_sentence(target),
        verdict=target.verdict.value,
        error=target.error,
        took=duration(target.duration_s),
        levels=tuple(
            _level(target, row, f"{anchor}-l{place}") for place, row in enumerate(target.levels, 1)
        ),
    )


def _level(target: TargetVerdict, row: LevelRow, anchor: str) -> LevelView:
    return LevelView(
        id=anchor,
        name=row.name,
        claim=row.claim.info.title,
        claim_source=row.claim_source,
        observed=observed_words(row.observed),
        read_back=row.read_back,
        comparison=row.comparison,
        verdict=row.verdict.value,
        verdict_words=VERDICT_WORDS[row.verdict],
        took=duration(row.duration_s),
        cells=tuple(_cell(cell, anchor, row, target) for cell in judged_cells(row)),
        workload=None if row.workload is None else view_of(row.workload, f"{anchor}-workload"),
        workload_words=workload_words(row.workload),
    )


def _cell(cell: Judged, anchor: str, row: LevelRow, target: TargetVerdict) -> CellView:
    info, transcript = cell.anomaly.info, cell.transcript
    has_steps = transcript is not None and bool(transcript.steps)
    return CellView(
        id=f"{anchor}-{cell.anomaly.value.lower()}",
        label=info.label,
        title=info.title,
        meaning=info.meaning,
        kind=CLASSES[cell.standing],
        words=cell.standing.value,
        reason=cell.reason,
        lanes=_lanes(draw(transcript)) if transcript is not None and has_steps else None,
        script=_script(cell, row, target),
        problem=None if transcript is None else transcript.problem,
    )


def _script(cell: Judged, row: LevelRow, target: TargetVerdict) -> Script | None:
    """Return the SQL to replay what occurs; what is prevented needs no proof by hand."""
    occurs = cell.standing in (Standing.FORBIDDEN, Standing.PERMITTED)
    if cell.transcript is None or not occurs:
        return None
    return Script(
        replay_script(
            cell.transcript,
            title=witness_title(cell, row, target),
            product=target.target.product,
        )
    )


def _lanes(diagram: Diagram) -> Lanes:
    rows = []
    for moment in diagram.moments:
        cells = [
            LaneCell(kind="waiting") if lane in moment.waiting else LaneCell()
            for lane in range(len(diagram.sessions))
        ]
        cells[moment.lane] = _lane_cell(moment.kind, moment.step)
        rows.append((_ms(moment.time_ns), tuple(cells)))
    after = tuple(
        (_ms(moment.time_ns), moment.step.session, _lane_cell(moment.kind, moment.step))
        for moment in diagram.after
    )
    return Lanes(sessions=diagram.sessions, rows=tuple(rows), after=after)


def _ms(time_ns: int) -> str:
    return f"{time_ns / 1e6:.1f}"


def _lane_cell(kind: MomentKind, step: StepRecord) -> LaneCell:
    is_answer = kind in (MomentKind.DONE, MomentKind.ANSWERED)
    return LaneCell(
        kind=kind.value,
        sql=None if kind is MomentKind.ANSWERED else Script(shown_sql(step.sql.strip())),
        waits=waiting_told(step) if kind is MomentKind.SENT else "",
        grids=grids(step) if is_answer else (),
        told=told(step) if is_answer or kind is MomentKind.SKIPPED else "",
        is_error=is_answer and step.status in (StepStatus.ERROR, StepStatus.UNFINISHED),
        notices=step.notices if is_answer else (),
    )


def _forbids(level: Level) -> str:
    forbidden = [anomaly for anomaly in Anomaly if anomaly in level.info.forbids]
    if len(forbidden) == len(Anomaly):
        return "all of them"
    return listed(anomaly.info.label for anomaly in forbidden)


def facts_of(report: Report) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Yield what there is to know of the run itself: headings with names and values."""
    record = report.record
    run = [
        ("id", record.id),
        ("command", " ".join(record.argv) or record.command),
        ("started", moment_told(record.started)),
        ("finished", "-" if record.finished is None else moment_told(record.finished)),
        ("status", record.status.value),
        ("seed", "none" if record.seed is None else str(record.seed)),
        ("folder", str(report.path)),
    ]
    yield "Run", tuple(run)
    yield "Versions", tuple(record.versions.items())
    settings = tuple(_flat(record.settings))
    if settings:
        yield "Settings", settings


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else encode_json(value).decode()


def moment_told(at: datetime) -> str:
    """Return a moment as people read it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
