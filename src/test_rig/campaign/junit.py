"""A campaign's summary for build servers: a suite for each target, a case for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from test_rig.campaign.planned import RunOutcome, Standing
from test_rig.campaign.summary import Summary
from test_rig.report import shown_text as shown

if TYPE_CHECKING:
    from junitparser import TestCase

__all__ = ["render_junit"]


def render_junit(summary: Summary) -> str:
    """Return the summary as JUnit XML: broken claims are failures, what was not judged errors."""
    from junitparser import JUnitXml, TestSuite

    xml = JUnitXml(f"test-rig campaign {summary.name}")
    for target in dict.fromkeys(place.target for place in summary.places):
        suite = TestSuite(shown(target))
        suite.timestamp = summary.started
        suite.add_property("target.product", shown(summary.targets.get(target, "")))
        for place in summary.places:
            if place.target == target:
                for outcome in place.outcomes:
                    suite.add_testcase(_case(summary, outcome))
        xml.add_testsuite(suite)
    # junitparser has types, but not on these two.
    xml.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = xml.tostring()  # type: ignore[no-untyped-call]
    # The library writes the declaration into files only.
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text.decode()}\n'


def _case(summary: Summary, outcome: RunOutcome) -> TestCase:
    from junitparser import Error, Failure, TestCase

    planned = outcome.planned
    level = f"{shown(planned.level)}, " if planned.level else ""
    case = TestCase(
        f"{level}{shown(str(planned.check))}, seed {planned.seed}",
        classname=f"{summary.name}.{shown(planned.target)}",
        time=round(outcome.duration_s, 3),
    )
    if outcome.standing is Standing.INVALID:
        names = ", ".join(f"{shown(found.what)} {found.count}x" for found in outcome.broken)
        failure = Failure(names or "a claim is broken", type_="finding")
        failure.text = "\n".join(shown(found.told) for found in outcome.broken)
        case.result = [failure]
    elif outcome.standing is not Standing.VALID:
        words = outcome.error or "; ".join(level.comparison for level in outcome.levels)
        case.result = [Error(shown(words), type_=outcome.standing.value)]
    if outcome.folder:
        case.system_out = f"run: {shown(outcome.folder)}"
    return case
