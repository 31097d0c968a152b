"""Rules: when an alert begins, changes and ends."""

from __future__ import annotations

from typing import Any

import pytest

from test_rig.actions import MeasurementEvent, read_options
from test_rig.actions.rules import (
    Change,
    RuleOptions,
    SeriesState,
    observe,
    rule_matches,
    standing,
    tick,
)
from test_rig.errors import SettingsError

S = 10**9


def rule(**options: Any) -> RuleOptions:
    """Return a rule."""
    return read_options(RuleOptions, {"measurement": "latency", **options}, where="rule")


def event(value: float, *, at: float = 0.0, **more: Any) -> MeasurementEvent:
    """Return a measurement at a second."""
    fields = {"id": "x", "name": "latency", "timestamp": at, "timestamp_ns": round(at * S)}
    return MeasurementEvent(value=value, **{**fields, **more})


def play(chosen: RuleOptions, *steps: tuple[float, float | None]) -> list[tuple[float, str, str]]:
    """Return (second, kind, severity) of what changes over (second, value or None for time)."""
    state, told = SeriesState(), []
    for at, value in steps:
        now_ns = round(at * S)
        change: Change | None
        if value is None:
            state, change = tick(chosen, state, now_ns=now_ns)
        else:
            state, change = observe(chosen, state, event(value, at=at), now_ns=now_ns)
        if change is not None:
            told.append((at, change.kind, change.severity))
    return told


def test_a_value_beyond_the_threshold_raises_and_one_back_resolves() -> None:
    """Strictly beyond, once, however long it lasts."""
    told = play(rule(above=10), (1, 10), (2, 11), (3, 12), (4, 10), (5, 9))
    assert told == [(2, "raised", "warning"), (4, "resolved", "warning")]


def test_below_works_the_same_way() -> None:
    """In the other direction."""
    told = play(rule(below=10, clear=12), (1, 9), (2, 11), (3, 12))
    assert [kind for _, kind, _ in told] == ["raised", "resolved"]


def test_between_raising_and_clearing_nothing_changes() -> None:
    """A value that swings around the threshold makes one alert."""
    told = play(rule(above=10, clear=5), *((second, 8 + second % 2 * 4) for second in range(20)))
    assert told == [(1, "raised", "warning")]


def test_a_condition_must_hold_for_its_time() -> None:
    """A short peak makes no alert; a long one does, also when only time passes."""
    chosen = rule(above=10, for_s=5)
    assert play(chosen, (0, 11), (3, 9), (4, 11), (8, 11)) == []
    assert play(chosen, (0, 11), (3, 12), (5, None)) == [(5, "raised", "warning")]


def test_an_alert_is_kept_until_the_value_is_back_for_its_time() -> None:
    """A short dip does not end it."""
    chosen = rule(above=10, keep_s=5)
    told = play(chosen, (0, 11), (1, 9), (2, 11), (3, 9), (7.9, None), (8, None))
    assert told == [(0, "raised", "warning"), (8, "resolved", "warning")]


def test_severities_are_a_ladder() -> None:
    """Up at each threshold, down at the clearing distance below it."""
    chosen = rule(above=10, clear=8, severity="info", levels={"warning": 20, "critical": 30})
    told = play(chosen, (0, 11), (1, 35), (2, 29), (3, 27), (4, 9), (5, 8))
    assert [(kind, severity) for _, kind, severity in told] == [
        ("raised", "info"),
        ("changed", "critical"),
        ("changed", "warning"),
        ("changed", "info"),
        ("resolved", "info"),
    ]


def test_a_rate_is_compared_where_wanted() -> None:
    """The change per second within the window."""
    chosen = rule(above=4, rate_window_s=10)
    assert play(chosen, (0, 100), (1, 103), (2, 106), (3, 120)) == [(3, "raised", "warning")]


def test_what_stays_away_is_missed_and_comes_back() -> None:
    """By time alone."""
    chosen = rule(absent_s=30, severity="critical")
    told = play(chosen, (0, 1), (29, None), (30, None), (40, 2))
    assert told == [(30, "raised", "critical"), (40, "resolved", "critical")]


def test_an_alert_rests_after_its_end() -> None:
    """For the cooldown."""
    told = play(rule(above=10, cooldown_s=60), (0, 11), (1, 9), (2, 11), (60.9, 11), (61, 11))
    assert [at for at, kind, _ in told if kind == "raised"] == [0, 61]


def test_no_number_says_nothing() -> None:
    """NaN neither raises nor clears."""
    told = play(rule(above=10), (0, float("nan")), (1, 11), (2, float("nan")))
    assert told == [(1, "raised", "warning")]


def test_the_instrument_s_amplitude_can_be_compared() -> None:
    """A measurement without it is passed over."""
    chosen = rule(field="peak_amplitude", above=0.8)
    _, change = observe(chosen, SeriesState(), event(1, peak_amplitude=0.9), now_ns=0)
    assert change is not None
    state, change = observe(chosen, SeriesState(), event(1), now_ns=0)
    assert (state.phase, change) == ("ok", None)


def test_the_end_tells_how_long_it_lasted() -> None:
    """From the beginning to the end."""
    chosen = rule(above=10)
    state, _ = observe(chosen, SeriesState(), event(11), now_ns=5 * S)
    _, change = observe(chosen, state, event(9), now_ns=47 * S)
    assert change is not None
    assert change.duration_s == 42


@pytest.mark.parametrize(
    ("options", "matches"),
    [
        ({}, True),
        ({"measurement": "lat*"}, True),
        ({"measurement": "rows"}, False),
        ({"labels": {"level": "ser*"}}, True),
        ({"labels": {"level": "read*"}}, False),
        ({"labels": {"other": "*"}}, False),
        ({"source": "audit"}, True),
        ({"source": "bulk"}, False),
    ],
)
def test_a_rule_looks_at_what_it_names(options: dict[str, Any], matches: bool) -> None:
    """By name, labels and source."""
    seen = event(1, labels={"level": "serializable"}, source_node_id="audit")
    assert rule_matches(rule(above=1, **options), seen) == matches


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "needs above, below or absent_s"),
        ({"above": 1, "below": 2}, "exclude each other"),
        ({"above": 10, "clear": 11}, "wrong side"),
        ({"above": 10, "levels": {"critical": 5}}, "before the rule's own"),
        ({"absent_s": 5, "above": 1}, "excludes"),
        ({"absent_s": 5, "clear": 1}, "need above or below"),
        ({"above": True}, "no numbers"),
        ({"abov": 1}, "did you mean 'above'"),
    ],
)
def test_wrong_rules_are_told(options: dict[str, Any], told: str) -> None:
    """With what is wrong."""
    with pytest.raises(SettingsError) as problem:
        rule(**options)
    assert told in str(problem.value)


def test_why_a_rule_fires_or_does_not_is_told_in_a_sentence() -> None:
    """For each standing."""
    chosen = rule(above=10, clear=5, for_s=4)
    assert "nothing was measured" in standing("slow", chosen, SeriesState(), now_ns=0)
    pending, _ = observe(chosen, SeriesState(), event(11), now_ns=0)
    assert standing("slow", chosen, pending, now_ns=S) == (
        "slow does not fire yet: the value is 11 (raised above 10, over at 5), for 1.0 of 4 s"
    )
    firing, _ = tick(chosen, pending, now_ns=4 * S)
    assert "fires as warning since 2.0 s" in standing("slow", chosen, firing, now_ns=6 * S)
