"""The values that the page of a run of handlers lays out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from test_rig.report.content import Report
from test_rig.report.page import Script, facts_of, moment_told
from test_rig.report.shown import shown_sql
from test_rig.report.suite_words import STATUS_WORDS, counts_told, remarks_told, statement_told
from test_rig.report.words import duration, headline
from test_rig.verdict import HandlerResult, ResultStatus, StatementRecord, SuiteResult

__all__ = ["SuitePage", "suite_page_of"]

_KINDS = {ResultStatus.PASSED: "valid", ResultStatus.SKIPPED: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementView:
    """One statement."""

    session: str
    took: str
    sql: Script
    told: str
    warnings: tuple[str, ...]
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerView:
    """One handler."""

    name: str
    place: str
    word: str
    kind: str
    is_open: bool
    reason: str | None
    remarks: tuple[str, ...]
    way: tuple[tuple[str, str], ...]
    statements: tuple[StatementView, ...]
    count: int
    took: str
    traceback: Script | None
    output: Script | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteView:
    """One target."""

    name: str
    url: str
    counts: str
    error: str | None
    problems: tuple[str, ...]
    handlers: tuple[HandlerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePage:
    """The whole page."""

    headline: str
    verdict: str
    status: str
    run_id: str
    started: str
    took: str
    targets: tuple[SuiteView, ...]
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def suite_page_of(report: Report) -> SuitePage:
    """Return what the page says of a report of handlers."""
    record, suite = report.record, report.suite
    took = ""
    if record.finished is not None:
        took = duration((record.finished - record.started).total_seconds())
    return SuitePage(
        headline=headline(report),
        verdict="unknown" if suite is None else suite.verdict.value,
        status=record.status.value,
        run_id=record.id,
        started=moment_told(record.started),
        took=took,
        targets=() if suite is None else tuple(_target(each) for each in suite.targets),
        facts=tuple(facts_of(report)),
    )


def _target(target: SuiteResult) -> SuiteView:
    return SuiteView(
        name=f"{target.target.product} {target.target.version}",
        url=target.target.url,
        counts=counts_told(list(target.handlers)),
        error=target.error,
        problems=target.problems,
        handlers=tuple(_handler(each) for each in target.handlers),
    )


def _handler(result: HandlerResult) -> HandlerView:
    word = STATUS_WORDS[result.status] + (", doubtful" if result.is_doubtful else "")
    kind = "unknown" if result.is_doubtful else _KINDS.get(result.status, "invalid")
    return HandlerView(
        name=result.handler,
        place=f"{Path(result.file).name}:{result.line}",
        word=word,
        kind=kind,
        is_open=kind == "invalid",
        reason=result.reason,
        remarks=tuple(remarks_told(result)),
        way=tuple((each.state, duration(each.duration_s)) for each in result.visits),
        statements=tuple(_statement(each) for each in result.statements),
        count=result.statement_count,
        took=duration(result.duration_s),
        traceback=_block(result.traceback),
        output=_block(result.output),
    )


def _statement(statement: StatementRecord) -> StatementView:
    return StatementView(
        session=statement.session,
        took=f"{statement.duration_s * 1000:.1f} ms",
        sql=Script(shown_sql(statement.sql.strip())),
        told=statement_told(statement),
        warnings=statement.warnings,
        is_error=statement.error is not None,
    )


def _block(text: str | None) -> Script | None:
    return Script(shown_sql(text.strip(), limit=20_000)) if text and text.strip() else None
