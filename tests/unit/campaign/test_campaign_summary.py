"""What many runs come to, and what changed since an earlier campaign."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from junitparser import JUnitXml

from test_rig.campaign import (
    Check,
    CheckKind,
    Plan,
    PlannedRun,
    RunOutcome,
    Standing,
    Summary,
    render_html,
    render_junit,
    render_text,
    summarise,
)
from test_rig.campaign.planned import CampaignRecord, Found, Limits, PlannedTarget, SeenLevel

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\x00]]>&"


def outcome(
    level: str = "serializable",
    check: str = "bank",
    seed: int = 1,
    *,
    broken: str | None = None,
    standing: Standing | None = None,
    observed: tuple[str, ...] = (),
    **more: Any,
) -> RunOutcome:
    """One run on the target "db"."""
    end = standing or (Standing.INVALID if broken else Standing.VALID)
    found = Found(level=level, what=broken or "", count=2, is_forbidden=True, told="as seen")
    seen = SeenLevel(
        level=level, claim="serializable", observed=observed, standing=end, comparison="compared"
    )
    planned = PlannedRun(
        target="db", level=level, check=Check(kind=CheckKind.WORKLOAD, name=check), seed=seed
    )
    return RunOutcome(
        planned=planned,
        standing=end,
        folder=f"runs/{level}-{seed}",
        started=100.0 + seed,
        duration_s=1.0,
        levels=(seen,),
        findings=(found,) if broken else (),
        **more,
    )


def record(outcomes: list[RunOutcome], **more: Any) -> CampaignRecord:
    """Return what a campaign of these runs says of itself."""
    plan = Plan(
        name="small",
        description="",
        file="small.toml",
        digest="d",
        targets=(PlannedTarget(name="db", url="sqlite://", product="SQLite 3"),),
        runs=tuple(each.planned for each in outcomes),
        limits=Limits(parallel=1, time_limit_s=1.0, retries=0),
    )
    started = datetime(2026, 1, 1, tzinfo=UTC)
    return CampaignRecord(id="abc", plan=plan, started=started, versions={}, **more)


def summary(now: list[RunOutcome], before: list[RunOutcome] | None = None) -> Summary:
    """Return what runs come to, beside earlier ones."""
    against = None if before is None else (record(before), before)
    return summarise(record(now), now, folder="somewhere", against=against)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([outcome()], 0),
        ([outcome(), outcome(seed=2, broken="lost-update")], 1),
        ([outcome(), outcome(seed=2, standing=Standing.TIMED_OUT)], 3),
        ([outcome(broken="G0"), outcome(seed=2, standing=Standing.ERROR)], 1),
        ([outcome(standing=Standing.UNKNOWN)], 3),
    ],
)
def test_the_exit_code_tells_the_worst(outcomes: list[RunOutcome], code: int) -> None:
    """A finding outweighs what could not be judged, which outweighs what is fine."""
    assert summary(outcomes).exit_code == code


def test_runs_that_were_not_made_are_no_success() -> None:
    """A campaign that is half done is not fine yet."""
    both = [outcome(), outcome(seed=2)]
    half = summarise(record(both), both[:1], folder="somewhere")
    assert (half.done, half.total, half.exit_code) == (1, 2, 3)
    assert "1 not run yet" in render_text(half)


def test_seeds_that_differ_are_told() -> None:
    """Of two seeds of a place one showed an anomaly: that is worth a line."""
    found = summary([outcome(), outcome(seed=2, broken="lost-update"), outcome("rc")])
    (differing,) = found.differing
    assert differing.differences == "seed 1: valid; seed 2: invalid (lost-update)"
    assert [place.level for place in found.worst] == ["serializable"]
    assert "INVALID 1/2" in render_text(found)


def test_new_and_gone_findings_are_told() -> None:
    """A finding is the same where target, level, check and anomaly are; its count plays no part."""
    before = [outcome("rc", broken="lost-update"), outcome("rr", broken="G-single")]
    now = [
        replace(before[0], planned=replace(before[0].planned, seed=7)),
        outcome("rr"),
        outcome("ser", broken="write skew"),
    ]
    changes = summary(now, before).changes
    assert changes is not None
    assert [each.what for each in changes.new] == ["write skew"]
    assert [each.what for each in changes.gone] == ["G-single"]
    assert changes.added == ("db / ser / bank",)
    assert [(each.level, each.before, each.now) for each in changes.moved] == [
        ("rr", "invalid", "valid")
    ]


def test_a_finding_is_not_gone_where_nothing_was_judged() -> None:
    """A target that could not be reached has not become better."""
    before = [outcome(broken="lost-update")]
    changes = summary([outcome(standing=Standing.ERROR)], before).changes
    assert changes is not None
    assert changes.gone == ()


def test_a_level_that_shows_less_than_before_has_moved() -> None:
    """What an audit observed is compared, also where its verdict is the same."""
    before = [outcome(observed=("serializable",), broken="x")]
    now = [outcome(observed=("snapshot isolation",), broken="x")]
    changes = summary(now, before).changes
    assert changes is not None
    (moved,) = changes.moved
    assert (moved.before, moved.now) == (
        "invalid, serializable",
        "invalid, snapshot isolation",
    )
    assert summary(before, before).changes.is_empty  # type: ignore[union-attr]  # it was asked for


def test_what_a_database_said_acts_nowhere() -> None:
    """Names and messages are shown, in text, HTML and XML, and do nothing there."""
    bad = replace(outcome(level=HOSTILE, broken=HOSTILE), folder=f"runs/{HOSTILE}", error=HOSTILE)
    found = summary([bad, outcome(standing=Standing.ERROR, error=HOSTILE)], [outcome()])
    text, page, xml = render_text(found), render_html(found), render_junit(found)
    for shown in (text, page, xml):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<script" not in page
    assert "default-src 'none'" in page
    (suite,) = JUnitXml.fromstring(xml.encode())
    assert (suite.failures, suite.errors) == (1, 1)
