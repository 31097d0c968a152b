"""The report for build servers: JUnit XML.

One suite to a target, one case to a level and an anomaly. A forbidden anomaly that occurs is a
failure, with the script to replay it; what the claim forbids and nobody could judge is an error;
what is not judged and not claimed, or does not apply, is skipped; what occurs and is permitted
passes, and says so in its output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from test_rig.isolation import forbids
from test_rig.report.content import Report
from test_rig.report.replay import replay_script
from test_rig.report.shown import shown
from test_rig.report.standing import Judged, Standing, judged_cells
from test_rig.report.suite_junit import suite_of
from test_rig.report.words import observed_words, product_name, witness_title
from test_rig.runs import RunStatus
from test_rig.verdict import LevelRow, TargetVerdict, Verdict, WorkloadVerdict

if TYPE_CHECKING:
    from junitparser import TestCase, TestSuite

__all__ = ["render_junit"]


def render_junit(report: Report) -> str:
    """Return the report as JUnit XML."""
    from junitparser import JUnitXml

    xml = JUnitXml(f"test-rig {report.record.command}")
    for target in report.audit.targets:
        xml.add_testsuite(_suite(report, target))
    for each in () if report.suite is None else report.suite.targets:
        suite = suite_of(each)
        suite.timestamp = report.record.started.isoformat()
        _add_properties(suite, report)
        xml.add_testsuite(suite)
    for workload in report.workloads:
        xml.add_testsuite(_workload_suite(report, workload))
    has_results = report.audit.targets or report.workloads or report.suite is not None
    if report.record.status is not RunStatus.FINISHED or not has_results:
        xml.add_testsuite(_run_suite(report))
    # junitparser has types, but not on these two.
    xml.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = xml.tostring()  # type: ignore[no-untyped-call]
    # The library writes the declaration into files only.
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text.decode()}\n'


def _suite(report: Report, target: TargetVerdict) -> TestSuite:
    from junitparser import TestSuite

    suite = TestSuite(f"{product_name(target)} ({shown(target.target.url)})")
    suite.timestamp = report.record.started.isoformat()
    _add_properties(suite, report)
    suite.add_property("target.url", shown(target.target.url))
    suite.add_property("target.product", shown(target.target.product))
    suite.add_property("target.version", shown(target.target.version))
    for row in target.levels:
        level = f"level.{shown(row.name)}"
        suite.add_property(f"{level}.claim", row.claim.info.title)
        suite.add_property(f"{level}.observed", observed_words(row.observed))
        for cell in judged_cells(row):
            suite.add_testcase(_case(target, row, cell))
    if target.error:
        suite.add_testcase(_error_case("the target", shown(target.error)))
    return suite


def _workload_suite(report: Report, each: WorkloadVerdict) -> TestSuite:
    """Return a suite of one case: the claim, or what breaks it."""
    from junitparser import Error, Failure, TestCase, TestSuite

    suite = TestSuite(f"{each.workload} ({shown(each.target.url)})")
    suite.timestamp = report.record.started.isoformat()
    _add_properties(suite, report)
    classname = f"{shown(each.target.product)}.{shown(each.level)}"
    case = TestCase(each.workload, classname=classname, time=each.duration_s)
    if each.verdict is Verdict.INVALID:
        failure = Failure(shown(each.comparison), "occurs")
        told = [witness for found in each.findings for witness in found.witnesses]
        failure.text = "\n" + "\n".join(map(shown, told))
        case.result = [failure]
    elif each.verdict is Verdict.UNKNOWN:
        case.result = [Error(shown(each.comparison), "not judged")]
    else:
        case.system_out = shown(each.comparison)
    suite.add_testcase(case)
    return suite


def _run_suite(report: Report) -> TestSuite:
    """Return a suite of one error: a run that did not come to its end must not pass."""
    from junitparser import TestSuite

    suite = TestSuite("the run")
    _add_properties(suite, report)
    why = report.record.error or "there are no results"
    told = f"{report.record.status.value}: {shown(why)}"
    suite.add_testcase(_error_case("the run comes to its end", told))
    return suite


def _add_properties(suite: TestSuite, report: Report) -> None:
    record = report.record
    suite.add_property("run", record.id)
    suite.add_property("run.status", record.status.value)
    if record.seed is not None:
        suite.add_property("seed", str(record.seed))
    for name, version in record.versions.items():
        suite.add_property(f"version.{name}", shown(version))


def _error_case(name: str, why: str) -> TestCase:
    from junitparser import Error, TestCase

    case = TestCase(name, classname="test-rig")
    case.result = [Error(why)]
    return case


def _case(target: TargetVerdict, row: LevelRow, cell: Judged) -> TestCase:
    from junitparser import Error, Failure, Skipped, TestCase

    info = cell.anomaly.info
    case = TestCase(
        f"{info.label} {info.title}",
        classname=f"{shown(target.target.product)}.{shown(row.name)}",
        time=_seconds(cell),
    )
    reason = shown(cell.reason)
    if cell.standing is Standing.FORBIDDEN:
        failure = Failure(f"{row.claim.info.title} forbids it, and it occurs: {reason}", "occurs")
        failure.text = _script(target, row, cell)
        case.result = [failure]
    elif cell.standing is Standing.UNKNOWN:
        is_claimed = forbids(row.claim, cell.anomaly)
        case.result = [Error(reason, "not judged") if is_claimed else Skipped(reason)]
    elif cell.standing is Standing.NOT_APPLICABLE:
        case.result = [Skipped(f"not applicable: {reason}")]
    else:
        case.system_out = f"{cell.standing.value}: {reason}"
    return case


def _seconds(cell: Judged) -> float:
    steps = cell.transcript.steps if cell.transcript else ()
    return max((step.end_ns or step.start_ns for step in steps), default=0) / 1e9


def _script(target: TargetVerdict, row: LevelRow, cell: Judged) -> str:
    if cell.transcript is None:
        return shown(cell.reason)
    title = witness_title(cell, row, target)
    product = target.target.product
    return "\n" + replay_script(cell.transcript, title=title, product=product)
