"""What the reports say of workloads: sentences, tables and plots as plain values."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from test_rig.report.content import Report
from test_rig.report.cycle_picture import cycle_picture
from test_rig.report.picture import Picture
from test_rig.report.plot import Plot, plot
from test_rig.report.shown import shown
from test_rig.report.timeline_picture import timeline_picture
from test_rig.runs import RunStatus
from test_rig.verdict import Verdict, WorkloadFinding, WorkloadVerdict

__all__ = [
    "WorkloadView",
    "product_of",
    "refused_lines",
    "still_to_judge",
    "view_of",
    "views",
    "workload_headline",
    "workload_lines",
    "workload_words",
]

_WORDS = {
    Verdict.VALID: "not contradicted",
    Verdict.INVALID: "claim broken",
    Verdict.UNKNOWN: "not judged",
}

#: Kinds of refusals that are told.
_REFUSALS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """One kind of anomaly with its witness, for the page."""

    finding: WorkloadFinding
    #: In words, of the smallest history; else what the judge told.
    why: tuple[str, ...]
    cycle: Picture | None = None
    timeline: Picture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView:
    """One workload at one level, for the page."""

    id: str
    title: str
    verdict: str
    verdict_words: str
    claim: str
    claim_source: str
    comparison: str
    read_back: str
    counts: str
    refused: tuple[str, ...]
    levels: tuple[str, ...]
    ended_early: str | None
    findings: tuple[FindingView, ...]
    coverage: tuple[tuple[str, str], ...]
    errors: tuple[tuple[str, str], ...]
    throughput: Plot
    latency: Plot


def product_of(workload: WorkloadVerdict) -> str:
    """Return product and version."""
    return shown(f"{workload.target.product} {workload.target.version}", limit=80)


def workload_headline(workloads: Sequence[WorkloadVerdict]) -> str:
    """Return what workloads found, in a sentence."""
    broken = [each for each in workloads if each.verdict is Verdict.INVALID]
    committed = sum(each.ok for each in workloads)
    if broken:
        first = broken[0]
        names = ", ".join(
            dict.fromkeys(each.anomaly for each in first.findings if each.is_forbidden)
        )
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        return (
            f"{product_of(first)} breaks a claim: {first.workload} shows {names} at "
            f"{shown(first.level)}, which claims {first.claim.info.title}{more}."
        )
    unknown = sum(each.verdict is Verdict.UNKNOWN for each in workloads)
    if unknown:
        return f"{unknown} of {len(workloads)} levels could not be judged; no claim was broken."
    levels = f"{len(workloads)} level{'s' * (len(workloads) != 1)}"
    return (
        f"Nothing was seen that a claim forbids: {workloads[0].workload}, {committed:,} "
        f"transactions at {levels}."
    )


def workload_words(workload: WorkloadVerdict | None) -> str:
    """Return what a workload showed, in a few words for a table's cell."""
    if workload is None:
        return "-"
    if workload.verdict is Verdict.UNKNOWN:
        return "not judged"
    names = ", ".join(dict.fromkeys(found.anomaly for found in workload.findings))
    return names or f"nothing in {workload.ok:,} transactions"


def level_lines(workload: WorkloadVerdict) -> tuple[str, ...]:
    """Return what was seen in words of levels: which it violates, and which it leaves standing."""
    told = (
        ("weakest level violated", workload.weakest_violated),
        ("strongest level not contradicted", workload.strongest_standing),
    )
    return tuple(f"{what}: {', '.join(levels)}" for what, levels in told if levels)


def counted(workload: WorkloadVerdict) -> str:
    """Return what ended how, and how fast, in a line."""
    rate = workload.ok / workload.duration_s if workload.duration_s else 0.0
    worked = workload.clients - workload.outside
    clients = f"{worked} of {workload.clients}" if workload.outside else f"{worked}"
    return (
        f"{workload.ok:,} committed ({rate:,.0f}/s), {workload.fail:,} failed, "
        f"{workload.info:,} unknown, {clients} clients, {workload.duration_s:.1f} s"
    )


def refused_lines(workload: WorkloadVerdict) -> tuple[str, ...]:
    """Return who was turned away and what the server said; empty where nobody was."""
    lines = []
    if workload.outside:
        lines.append(f"{workload.outside} of {workload.clients} clients never got a connection")
    if workload.given_back:
        lines.append(
            f"the server was full: {workload.given_back} connections were given back, so that "
            "others can connect; use fewer clients"
        )
    for why, count in workload.refusals[:_REFUSALS]:
        lines.append(f"{count:,} connections refused, {shown(why)}")
    return tuple(lines)


def still_to_judge(report: Report) -> tuple[tuple[str, str], ...]:
    """Return what of the kept histories has not been judged, each with the command that does it."""
    files = {(each.target, each.level, each.scenario): path for each, path in report.histories}
    told = []
    for each in _workloads(report):
        path = files.pop((each.target.url, each.level, each.workload), None)
        if each.apart and path is not None:
            what = f"the first {each.apart:,} transactions were judged apart from the last ones"
            why = f"{each.workload} at {shown(each.level)} of {product_of(each)}: {what}"
            told.append((why, _command(path, each.claim.value)))
    if report.record.status is not RunStatus.FINISHED:
        for (target, level, name), path in files.items():
            told.append(
                (f"{name} at {shown(level)} of {shown(target)}: no verdict", _command(path))
            )
    return tuple(told)


def _workloads(report: Report) -> Iterator[WorkloadVerdict]:
    yield from report.workloads
    for target in report.audit.targets:
        yield from (row.workload for row in target.levels if row.workload is not None)


def _command(path: Path, level: str | None = None) -> str:
    words = ["test-rig", "check", str(path), *(("--level", level) if level else ())]
    return shlex.join(words)


def workload_lines(report: Report) -> Iterator[tuple[str, Verdict | None]]:
    """Yield the lines of the text report; those with a verdict are headings."""
    for each in report.workloads:
        yield "", None
        title = f"{each.workload} at {shown(each.level)} of {product_of(each)}"
        yield f"{title}: {_WORDS[each.verdict]}", each.verdict
        yield f"  {shown(each.comparison)}", None
        yield f"  {counted(each)}", None
        for line in refused_lines(each):
            yield f"  {line}", None
        if each.ended_early:
            yield f"  ended early: {shown(each.ended_early)}", None
        for line in level_lines(each):
            yield f"  {line}", None
        for name, count in each.coverage:
            yield f"  {count:>9,} {name}", None
        for finding in each.findings:
            mark = "forbidden" if finding.is_forbidden else "permitted"
            yield f"  {finding.anomaly}, {finding.count:,} times, {mark}: {finding.means}", None
            for why in finding.history.why if finding.history else finding.witnesses[:1]:
                yield f"    {shown(why)}", None
        for name, count in each.errors[:5]:
            yield f"  {count:>9,} x {shown(name)}", None


def views(report: Report) -> tuple[WorkloadView, ...]:
    """Return the workloads of a report for the page."""
    return tuple(view_of(each, f"w{number}") for number, each in enumerate(report.workloads, 1))


def _finding(finding: WorkloadFinding) -> FindingView:
    small = finding.history
    if small is None:
        return FindingView(finding=finding, why=finding.witnesses)
    return FindingView(
        finding=finding,
        why=small.why,
        cycle=cycle_picture(finding.anomaly, small),
        timeline=timeline_picture(finding.anomaly, small),
    )


def view_of(each: WorkloadVerdict, anchor: str) -> WorkloadView:
    """Return a workload for the page."""
    moments = each.moments
    return WorkloadView(
        id=anchor,
        title=f"{each.workload} at {each.level} of {product_of(each)}",
        verdict=each.verdict.value,
        verdict_words=_WORDS[each.verdict],
        claim=each.claim.info.title,
        claim_source=each.claim_source,
        comparison=each.comparison,
        read_back=", ".join(each.read_back) or "not told",
        counts=counted(each),
        refused=refused_lines(each),
        levels=level_lines(each),
        ended_early=each.ended_early,
        findings=tuple(map(_finding, each.findings)),
        coverage=tuple((name, f"{count:,}") for name, count in each.coverage),
        errors=tuple((name, f"{count:,}") for name, count in each.errors),
        throughput=plot(
            "transactions a second",
            [(moment.at_s, moment.length_s) for moment in moments],
            {
                "committed": [moment.ok / moment.length_s for moment in moments],
                "failed or unknown": [
                    (moment.fail + moment.info) / moment.length_s for moment in moments
                ],
            },
        ),
        latency=plot(
            "latency in ms",
            [(moment.at_s, moment.length_s) for moment in moments],
            {
                "median": [moment.latency_ms_p50 for moment in moments],
                "99th percentile": [moment.latency_ms_p99 for moment in moments],
            },
        ),
    )
