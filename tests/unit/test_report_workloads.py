"""Reports of workloads: text, page and JUnit say what was seen, and nothing foreign acts."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import audits
import hostile
import pytest
from hypothesis import given

from test_rig.history import Origin
from test_rig.isolation import Level
from test_rig.report import (
    Report,
    headline,
    render_html,
    render_json,
    render_junit,
    render_text,
)
from test_rig.report.plot import plot
from test_rig.runs import RunStatus
from test_rig.verdict import (
    TargetInfo,
    Verdict,
    WorkloadFinding,
    WorkloadMoment,
    WorkloadVerdict,
)


def shown(text: str = "READ COMMITTED", *, is_forbidden: bool = True) -> WorkloadVerdict:
    """What a workload showed; a database said `text` wherever it can."""
    finding = WorkloadFinding(
        anomaly="G-single", means="seen", count=3, is_forbidden=is_forbidden, witnesses=(text,)
    )
    moments = [
        WorkloadMoment(
            at_s=place / 4,
            length_s=0.25,
            ok=10 * place,
            fail=1,
            info=0,
            latency_ms_p50=1.5 if place else None,
            latency_ms_p99=9.0 if place else None,
        )
        for place in range(4)
    ]
    return WorkloadVerdict(
        workload="bank",
        target=TargetInfo(url=text, product=f"P{text}", version=text),
        level=text,
        claim=Level.SNAPSHOT,
        claim_source="the manual",
        read_back=(text,),
        verdict=Verdict.INVALID if is_forbidden else Verdict.VALID,
        comparison=f"broken: {text}",
        findings=(finding,),
        coverage=(("reads beside a transfer", 1234),),
        ok=60,
        fail=4,
        info=0,
        errors=((text, 4),),
        moments=tuple(moments),
        clients=5,
        seed=7,
        duration_s=1.0,
        ended_early=text,
    )


def report(*workloads: WorkloadVerdict) -> Report:
    """Return the report of a run of workloads."""
    return replace(audits.report(), workloads=workloads)


def test_a_broken_claim_is_the_headline() -> None:
    """What breaks it, where, and how much more there is."""
    told = headline(report(shown(), shown(is_forbidden=False)))
    assert told.endswith(
        "breaks a claim: bank shows G-single at READ COMMITTED, which claims snapshot isolation."
    )
    assert headline(report(shown(is_forbidden=False))).startswith("Nothing was seen")


def test_the_text_tells_findings_and_coverage() -> None:
    """With how often, and whether the claim permits it."""
    text = render_text(report(shown()))
    assert "G-single, 3 times, forbidden: seen" in text
    assert "1,234 reads beside a transfer" in text


def test_what_was_seen_is_told_in_words_of_levels() -> None:
    """The weakest that it violates and the strongest that it leaves standing, in every form."""
    judged = replace(
        shown(),
        weakest_violated=("consistent view",),
        strongest_standing=("strong cursor stability", "strong read committed"),
    )
    for text in (render_text(report(judged)), render_html(report(judged))):
        assert "eakest level violated: consistent view" in text
        assert (
            "trongest level not contradicted: strong cursor stability, strong read committed"
            in text
        )
    (workload,) = json.loads(render_json(report(judged)))["workloads"]
    assert workload["strongest_standing"][0] == "strong cursor stability"


def test_clients_that_were_turned_away_are_told() -> None:
    """How many worked, and what the server said to the others, in every form."""
    refused = replace(shown(), outside=2, refusals=(("too many connections: sorry", 1_400),))
    told = report(refused)
    for text in (render_text(told), render_html(told)):
        assert "3 of 5 clients" in text
        assert "2 of 5 clients never got a connection" in text
        assert "1,400 connections refused, too many connections: sorry" in text
    (workload,) = json.loads(render_json(told))["workloads"]
    assert (workload["outside"], workload["refusals"][0][1]) == (2, 1_400)


@pytest.mark.parametrize(("is_forbidden", "failures"), [(True, 1), (False, 0)])
def test_build_servers_see_a_failure_where_a_claim_is_broken(
    is_forbidden: bool, failures: int
) -> None:
    """And a pass where nothing forbidden was seen."""
    assert f'failures="{failures}"' in render_junit(report(shown(is_forbidden=is_forbidden)))


@given(text=hostile.TEXTS)
def test_nothing_that_a_database_said_acts(text: str) -> None:
    """Whatever it said: no tag of its own, no character that may not be shown."""
    page = render_html(report(shown(text)))
    assert page.count("<script") == 0
    assert page.count("<img") == 0
    render_junit(report(shown(text))).encode()
    assert "\x1b" not in render_text(report(shown(text)))


def test_a_workload_stands_beside_its_level_in_an_audit() -> None:
    """The matrix names what it showed, the level's own part has its plots."""
    target = audits.sqlite()
    row = replace(target.levels[0], workload=shown())
    page = render_html(audits.report(replace(target, levels=(row, *target.levels[1:]))))
    assert "random transactions" in page
    assert "<polyline" in page
    text = render_text(audits.report(replace(target, levels=(row, *target.levels[1:]))))
    assert "workload shows" in text


def kept(path: Path, workload: WorkloadVerdict, *, status: RunStatus) -> Report:
    """Return the report of a run with a history of that workload, and one without a verdict."""
    files = [
        (Origin(target=workload.target.url, level=workload.level, scenario=workload.workload), "1"),
        (Origin(target=workload.target.url, level="next", scenario=workload.workload), "2"),
    ]
    whole = report(workload)
    return replace(
        whole,
        record=replace(whole.record, status=status),
        histories=tuple((origin, path / f"{name}.arrow") for origin, name in files),
    )


def test_a_history_without_a_verdict_is_named_with_the_command_that_judges_it() -> None:
    """In all forms, on one line that can be copied, quoted where it has to be."""
    folder = Path("/runs of mine" + "/long" * 30)
    run = kept(folder, shown(), status=RunStatus.INTERRUPTED)
    command = f"test-rig check '{folder}/2.arrow'"
    assert f"  {command}\n" in render_text(run, width=80)
    assert command in html.unescape(render_html(run))
    assert [each["command"] for each in json.loads(render_json(run))["still_to_judge"]] == [command]


def test_a_finished_run_has_judged_its_histories() -> None:
    """Nothing is asked for that was done; but what was judged apart is told."""
    done = kept(Path("x"), shown(), status=RunStatus.FINISHED)
    assert "still to be judged" not in render_text(done)
    apart = kept(Path("x"), replace(shown(), apart=7), status=RunStatus.FINISHED)
    told = " ".join(render_text(apart).split())
    assert "the first 7 transactions were judged apart from the last ones" in told
    assert "test-rig check x/1.arrow --level 'snapshot isolation'" in told


def test_a_gap_parts_a_line() -> None:
    """Where nothing was measured nothing is drawn."""
    drawn = plot("ms", [(0, 1), (1, 1), (2, 1)], {"median": [1.0, None, 3.0]})
    (line,) = drawn.lines
    assert len(line.pieces) == 2
    assert drawn.y_marks[-1][1] == "5"


def test_an_empty_plot_has_axes() -> None:
    """A workload that was stopped at once can be shown too."""
    drawn = plot("ms", [], {"median": []})
    assert drawn.lines[0].pieces == ()
    assert len(drawn.x_marks) == 5
