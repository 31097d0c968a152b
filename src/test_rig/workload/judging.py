"""The verdict of a workload: what its judge saw, compared with what the level claims."""

from __future__ import annotations

from collections.abc import Sequence

from test_rig.history import OpType
from test_rig.isolation import Level, strongest_standing, weakest_broken
from test_rig.targets import LevelSpec
from test_rig.verdict import TargetInfo, Verdict, WorkloadFinding, WorkloadVerdict
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.series import Series
from test_rig.workload.workload import Judge, Plan, Shown

__all__ = ["is_forbidden", "judged", "weakest_violated"]


def is_forbidden(shown: Shown, level: LevelSpec) -> bool:
    """Return whether the level's claim forbids what was shown."""
    return level.claim in shown.flaw.forbidden_by


def judged(
    judge: Judge,
    series: Series,
    *,
    workload: str,
    target: TargetInfo,
    level: LevelSpec,
    plan: Plan,
    read_back: tuple[str, ...],
    ended_early: str | None,
    duration_s: float,
) -> WorkloadVerdict:
    """Return the verdict of what a judge was fed.

    A claim is broken by any forbidden anomaly. It could not be judged where nothing was committed,
    or where the server says that the sessions have another level.
    """
    shown = judge.shown()
    findings = tuple(_finding(each, level) for each in shown)
    doubt = _doubt(series, level, read_back)
    model = judge.model if isinstance(judge, HistoryJudge) else None
    names = {finding.anomaly for finding in findings}
    standing: tuple[str, ...] = ()
    if model is not None and series.total(OpType.OK):
        standing = strongest_standing(names, model=model)
    verdict = Verdict.UNKNOWN if doubt else Verdict.VALID
    if any(finding.is_forbidden for finding in findings):
        verdict = Verdict.INVALID
    return WorkloadVerdict(
        workload=workload,
        target=target,
        level=level.name,
        claim=level.claim,
        claim_source=level.claim_source,
        read_back=read_back,
        verdict=verdict,
        comparison=_compare(level, findings, doubt),
        findings=findings,
        coverage=judge.coverage(),
        ok=series.total(OpType.OK),
        fail=series.total(OpType.FAIL),
        info=series.total(OpType.INFO),
        errors=series.errors(),
        moments=series.moments(),
        clients=plan.clients,
        seed=plan.seed,
        duration_s=duration_s,
        ended_early=ended_early,
        apart=judge.gone if isinstance(judge, HistoryJudge) else 0,
        weakest_violated=weakest_violated(shown, model),
        strongest_standing=standing,
    )


def weakest_violated(shown: Sequence[Shown], model: str | None) -> tuple[str, ...]:
    """Return the weakest levels that forbid something of what was shown.

    Args:
        shown: What a judge has seen.
        model: What histories it judges; None for a judge of its own kind.
    """
    names = {each.flaw.anomaly for each in shown}
    if broken := weakest_broken(names, model=model or "list-append"):
        return broken
    # What is no part of such histories says itself who forbids it: G2 is about rows by search.
    own = {level for each in shown for level in each.flaw.forbidden_by}
    return tuple(
        level.value
        for level in Level
        if level in own and not any(each.info.forbids < level.info.forbids for each in own)
    )


def _finding(shown: Shown, level: LevelSpec) -> WorkloadFinding:
    return WorkloadFinding(
        anomaly=shown.flaw.anomaly,
        means=shown.flaw.means,
        count=shown.count,
        is_forbidden=is_forbidden(shown, level),
        witnesses=shown.witnesses,
        history=shown.evidence(),
    )


def _doubt(series: Series, level: LevelSpec, read_back: Sequence[str]) -> str | None:
    if not series.total(OpType.OK):
        return "nothing was committed"
    wanted = level.read_back_value
    others = [text for text in read_back if text.lower().replace("-", " ") != wanted]
    if wanted is not None and others:
        return f"the server says that the level is {others[0]}"
    return None


def _compare(level: LevelSpec, findings: Sequence[WorkloadFinding], doubt: str | None) -> str:
    title = level.claim.info.title
    if broken := [finding.anomaly for finding in findings if finding.is_forbidden]:
        return f"broken: {title} forbids {', '.join(dict.fromkeys(broken))}"
    if doubt is not None:
        return f"not judged: {doubt}"
    if findings:
        names = ", ".join(dict.fromkeys(finding.anomaly for finding in findings))
        return f"not contradicted: {title} permits {names}"
    return f"not contradicted: {title}"
