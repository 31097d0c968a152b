"""What programs read of a run: JSON that is all of it, and JUnit XML that fails where it should."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import audits
import pytest
from hostile import TEXTS, report_saying
from hypothesis import given, settings

from test_rig.isolation import Anomaly, Level
from test_rig.report import render_json, render_junit
from test_rig.runs import RunRecord, RunStatus, decode_json
from test_rig.verdict import AuditVerdict


def junit(report: object) -> ET.Element:
    """Return the parsed XML."""
    return ET.fromstring(render_junit(report))  # type: ignore[arg-type]  # noqa: S314 - our own


def outcomes(root: ET.Element, level: str) -> dict[str, str]:
    """Return what became of each case of a level, by the anomaly's label."""
    told = {}
    for case in root.iter("testcase"):
        if (case.get("classname") or "").endswith(f".{level}"):
            kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            told[(case.get("name") or "").split(" ")[0]] = "".join(kinds) or "passed"
    return told


def test_json_is_all_of_it() -> None:
    """The run and the results come back equal from the JSON."""
    report = audits.servers()
    told = json.loads(render_json(report))
    assert decode_json(json.dumps(told["audit"]).encode(), AuditVerdict) == report.audit
    assert decode_json(json.dumps(told["run"]).encode(), RunRecord) == report.record
    assert told["headline"].startswith("MariaDB")


def test_a_case_to_each_level_and_anomaly() -> None:
    """One suite to a target, and fifteen cases to each of its levels."""
    root = junit(audits.servers())
    assert [suite.get("tests") for suite in root.iter("testsuite")] == ["60", "60"]
    assert root.get("failures") == "4"


def test_only_a_broken_claim_fails() -> None:
    """What the claim forbids and occurs fails; what is permitted passes and says so."""
    told = outcomes(junit(audits.report(audits.mariadb())), "REPEATABLE READ")
    failed = {label for label, kind in told.items() if kind == "failure"}
    assert failed == {"P4", "G-single-w1", "G-single-w2", "G2-item"}
    assert told["G2"] == "passed"


def test_a_failure_brings_its_script() -> None:
    """The failure's text replays it."""
    root = junit(audits.report(audits.mariadb()))
    failure = next(root.iter("failure"))
    assert "/* T1 */ BEGIN;" in (failure.text or "")
    assert "both read 10, both wrote 11" in (failure.get("message") or "")


def test_a_doubt_about_a_claim_is_an_error_and_any_other_is_skipped() -> None:
    """A build must not pass on what nobody judged, nor fail on what nobody claimed."""
    row = audits.level("R", Level.READ_COMMITTED, "m", unknown={Anomaly.G0, Anomaly.P4})
    target = replace(audits.duckdb(), levels=(row,))
    told = outcomes(junit(audits.report(target)), "R")
    assert (told["G0"], told["P4"]) == ("error", "skipped")


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.RUNNING])
def test_a_run_that_did_not_end_does_not_pass(status: RunStatus) -> None:
    """There is an error for the run itself, however good it looked until then."""
    root = junit(audits.report(audits.postgresql(), status=status))
    assert root.get("errors") == "1"


def test_a_run_without_results_does_not_pass() -> None:
    """An empty file would look like success."""
    assert junit(audits.report()).get("errors") == "1"


def test_the_circumstances_are_properties() -> None:
    """Versions, seed, claims and what was observed are told beside the cases."""
    root = junit(audits.embedded())
    told = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert told["seed"] == "1848372"
    assert told["version.python"] == "CPython 3.11.2"
    assert told["level.BEGIN TRANSACTION.observed"] == "snapshot isolation"


@settings(max_examples=25, deadline=None)
@given(TEXTS)
def test_any_text_gives_xml_and_json(text: str) -> None:
    """Whatever a database says, the XML parses with the same cases, and the JSON parses."""
    cases = [case.get("name") for case in junit(report_saying(text)).iter("testcase")]
    assert cases == [case.get("name") for case in junit(report_saying("x")).iter("testcase")]
    json.loads(render_json(report_saying(text)))
