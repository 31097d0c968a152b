"""What a run's results come to in a campaign's summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from test_rig.campaign.planned import Found, SeenLevel, Standing
from test_rig.verdict import (
    AuditVerdict,
    HandlerResult,
    LevelRow,
    ResultStatus,
    SuiteVerdict,
    Verdict,
    WorkloadVerdict,
)

__all__ = ["standing_of", "told_audit", "told_suite", "told_workloads"]

Told = tuple[tuple[SeenLevel, ...], tuple[Found, ...]]

_STANDINGS = {
    Verdict.VALID: Standing.VALID,
    Verdict.INVALID: Standing.INVALID,
    Verdict.UNKNOWN: Standing.UNKNOWN,
}
#: A witness in words is for people: its beginning is enough, the run's folder has all of it.
_TOLD_CHARS = 500


def standing_of(verdict: Verdict) -> Standing:
    """Return what a verdict comes to."""
    return _STANDINGS[verdict]


def told_workloads(shown: Iterable[WorkloadVerdict]) -> Told:
    """Return the levels and findings of workloads."""
    levels, findings = [], []
    for each in shown:
        levels.append(
            SeenLevel(
                level=each.level,
                claim=each.claim.info.title,
                observed=(),
                standing=standing_of(each.verdict),
                comparison=each.comparison,
                ok=each.ok,
                fail=each.fail,
                info=each.info,
                seconds=each.duration_s,
            )
        )
        findings += _of_workload(each)
    return tuple(levels), tuple(findings)


def _of_workload(shown: WorkloadVerdict) -> list[Found]:
    return [
        Found(
            level=shown.level,
            what=found.anomaly,
            count=found.count,
            is_forbidden=found.is_forbidden,
            told=(found.witnesses[0] if found.witnesses else found.means)[:_TOLD_CHARS],
        )
        for found in shown.findings
    ]


def told_audit(verdict: AuditVerdict) -> Told:
    """Return the levels and findings of an audit."""
    rows = [row for target in verdict.targets for row in target.levels]
    levels = tuple(
        SeenLevel(
            level=row.name,
            claim=row.claim.info.title,
            observed=tuple(level.info.title for level in row.observed),
            standing=standing_of(row.verdict),
            comparison=row.comparison,
            ok=row.workload.ok if row.workload else 0,
            fail=row.workload.fail if row.workload else 0,
            info=row.workload.info if row.workload else 0,
            seconds=row.duration_s,
        )
        for row in rows
    )
    return levels, tuple(found for row in rows for found in _of_row(row))


def _of_row(row: LevelRow) -> list[Found]:
    found = [
        Found(
            level=row.name,
            what=each.anomaly.info.title,
            count=1,
            is_forbidden=True,
            told=each.witness[:_TOLD_CHARS],
        )
        for each in row.findings
    ]
    return found + (_of_workload(row.workload) if row.workload else [])


def told_suite(verdict: SuiteVerdict) -> Told:
    """Return the findings of handlers: each that did not pass; they show no level."""
    results = [result for target in verdict.targets for result in target.handlers]
    return (), tuple(_not_passed(results))


def _not_passed(results: Sequence[HandlerResult]) -> Iterable[Found]:
    for each in results:
        if each.status not in (ResultStatus.PASSED, ResultStatus.SKIPPED):
            told = f"{each.status.value.replace('_', ' ')}: {each.reason or ''}"
            yield Found(
                level="", what=each.handler, count=1, is_forbidden=True, told=told[:_TOLD_CHARS]
            )
