"""The report for programs: everything the folder holds, as it is."""

from __future__ import annotations

from test_rig.report.content import Report
from test_rig.report.words import headline
from test_rig.report.workloads import still_to_judge
from test_rig.runs import encode_json

__all__ = ["render_json"]


def render_json(report: Report) -> str:
    """Return the report as one JSON object: headline, run, results and the folder's path.

    The results are `audit`, or `suite` of a run of handlers. Nothing is cut or spelled out here:
    texts are those that the database gave.
    """
    value = {
        "headline": headline(report),
        "run": report.record,
        **_results(report),
        **_still_to_judge(report),
        "folder": str(report.path),
    }
    return encode_json(value, pretty=True).decode()


def _still_to_judge(report: Report) -> dict[str, object]:
    told = [{"what": what, "command": command} for what, command in still_to_judge(report)]
    return {"still_to_judge": told} if told else {}


def _results(report: Report) -> dict[str, object]:
    if report.suite is not None:
        return {"suite": report.suite}
    if report.workloads:
        return {"workloads": report.workloads}
    return {"audit": report.audit}
