"""A run of handlers as JUnit XML: one suite to a target, one case to a handler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from test_rig.report.shown import shown, shown_sql
from test_rig.report.suite_words import remarks_told, statement_told
from test_rig.verdict import HandlerResult, ResultStatus, SuiteResult

if TYPE_CHECKING:
    from junitparser import TestCase, TestSuite
    from junitparser.junitparser import FinalResult

__all__ = ["suite_of"]


def suite_of(target: SuiteResult) -> TestSuite:
    """Return the suite of one target."""
    from junitparser import Error, TestCase, TestSuite

    suite = TestSuite(f"{shown(target.target.product)} ({shown(target.target.url)})")
    suite.add_property("target.url", shown(target.target.url))
    suite.add_property("target.product", shown(target.target.product))
    suite.add_property("target.version", shown(target.target.version))
    for result in target.handlers:
        suite.add_testcase(_case(result))
    for why in (*target.problems, *([target.error] if target.error else [])):
        case = TestCase("loading" if why in target.problems else "the target", classname="test-rig")
        case.result = [Error(shown(why))]
        suite.add_testcase(case)
    return suite


def _case(result: HandlerResult) -> TestCase:
    from junitparser import Error, Failure, Skipped, TestCase

    case = TestCase(
        shown(result.handler),
        classname=shown(Path(result.file).stem),
        time=result.duration_s,
    )
    reason = shown(result.reason or "")
    if result.status is ResultStatus.FAILED:
        case.result = [_with_text(Failure(reason, "failed"), result)]
    elif result.status is ResultStatus.SKIPPED:
        case.result = [Skipped(reason)]
    elif result.status is not ResultStatus.PASSED:
        case.result = [_with_text(Error(reason, result.status.value), result)]
    lines = [*remarks_told(result), *shown_sql(result.output, limit=20_000).splitlines()]
    if lines:
        case.system_out = "\n".join(lines)
    return case


def _with_text(outcome: FinalResult, result: HandlerResult) -> FinalResult:
    lines = [f"{result.file}:{result.line}", shown_sql(result.traceback or "", limit=20_000)]
    lines += [
        f"{each.session} {each.duration_s * 1000:.1f} ms  {shown_sql(each.sql)}  "
        f"{statement_told(each)}".rstrip()
        for each in result.statements
    ]
    outcome.text = "\n" + "\n".join(line for line in lines if line)
    return outcome
