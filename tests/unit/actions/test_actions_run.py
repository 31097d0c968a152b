"""The actions at work, with files as receivers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test_rig.actions import (
    Actions,
    ActionsPlan,
    AlertEvent,
    MeasurementEvent,
    explain,
    read_plan,
    read_state,
)
from test_rig.errors import NotAccepted, SettingsError, UnknownName, UsageError
from test_rig.telemetry import Alert, Measurement, Severity


def plan_of(folder: Path, *, drivers: dict[str, Any] | None = None, **tables: Any) -> ActionsPlan:
    """Return a plan with a file as receiver, unless told otherwise."""
    out = {"type": "file", "path": str(folder / "out.jsonl")}
    return read_plan(folder / "actions", drivers=drivers or {"out": out}, **tables)


def lines(folder: Path, name: str = "out") -> list[dict[str, Any]]:
    """Return what a file got."""
    path = folder / f"{name}.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def measured(value: float, name: str = "latency") -> Measurement:
    """Return a measurement of now."""
    return Measurement(name=name, value=value, unit="ms", time_ns=time.monotonic_ns(), source="db")


def event(value: float) -> MeasurementEvent:
    """Return an event of now."""
    now_ns = time.time_ns()
    return MeasurementEvent(
        id=f"e{value}", name="latency", value=value, timestamp=now_ns / 1e9, timestamp_ns=now_ns
    )


def test_what_is_emitted_reaches_every_driver_with_wall_time_and_an_id(tmp_path: Path) -> None:
    """Measurements and alerts, each once."""
    both = {
        name: {"type": "file", "path": str(tmp_path / f"{name}.jsonl")} for name in ("out", "two")
    }
    with Actions(plan_of(tmp_path, drivers=both)).running() as actions:
        actions.emit(measured(1))
        kind = Alert(alert_type="lost", severity=Severity.CRITICAL, message="m", time_ns=0)
        actions.emit(kind)
    for name in both:
        found = {each["type"]: each for each in lines(tmp_path, name)}
        assert set(found) == {"measurement", "alert"}
        assert abs(found["measurement"]["timestamp"] - time.time()) < 600
    ids = {each["id"] for name in both for each in lines(tmp_path, name)}
    assert len(ids) == 2


def test_a_rule_makes_alerts_and_their_end(tmp_path: Path) -> None:
    """Told with value, threshold and duration."""
    rules = {
        "slow": {
            "measurement": "latency",
            "above": 10,
            "alert_type": "too_slow",
            "message": "{{ value }} ms",
        }
    }
    with Actions(plan_of(tmp_path, rules=rules)).running() as actions:
        for value in (1, 11, 12, 2):
            actions.emit(measured(value))
    told = [each for each in lines(tmp_path) if each["type"] == "alert"]
    assert [(each["status"], each["message"]) for each in told] == [
        ("firing", "11.0 ms"),
        ("resolved", "2.0 ms"),
    ]
    assert {each["alert_type"] for each in told} == {"too_slow"}
    assert told[0]["data"]["threshold"] == 10
    assert told[1]["duration_s"] >= 0


def test_what_never_comes_is_missed_from_the_start(tmp_path: Path) -> None:
    """And the first one ends it."""
    rules = {"gone": {"measurement": "latency", "absent_s": 0.05}}
    with Actions(plan_of(tmp_path, rules=rules)).running() as actions:
        until(lambda: [each for each in lines(tmp_path) if each["type"] == "alert"])
        actions.emit(measured(1))
        until(lambda: [each for each in lines(tmp_path) if each.get("status") == "resolved"])
    first, second = [each for each in lines(tmp_path) if each["type"] == "alert"][:2]
    assert (first["status"], second["status"]) == ("firing", "resolved")


def test_an_alert_that_fires_is_not_told_again_after_a_restart(tmp_path: Path) -> None:
    """And its end is, by whoever runs then."""
    rules = {"slow": {"measurement": "latency", "above": 10}}
    for values in ((11,), (12,), (1,)):
        with Actions(plan_of(tmp_path, rules=rules)).running() as actions:
            for value in values:
                actions.emit(measured(value))
    statuses = [each["status"] for each in lines(tmp_path) if each["type"] == "alert"]
    assert statuses == ["firing", "resolved"]


def test_a_source_that_can_wait_waits_until_its_events_are_on_disk(tmp_path: Path) -> None:
    """Where the spool is on."""
    out = {"type": "file", "path": str(tmp_path / "out.jsonl"), "pipe": {"spool": True}}
    with Actions(plan_of(tmp_path, drivers={"out": out})).running() as actions:
        actions.submit([event(value) for value in range(100)])
        until(lambda: actions.snapshot()["drivers"]["out"]["delivered"] == 100)
    assert len(lines(tmp_path)) == 100


def test_a_source_is_told_when_there_is_no_room(tmp_path: Path) -> None:
    """After its limit; what is full is named."""
    pipe = {"policy": "block", "queue_size": 5, "retry_base_s": 60, "jitter": False}
    blocked = {"type": "file", "path": "/dev/null/nowhere/x", "pipe": pipe}
    actions = Actions(plan_of(tmp_path, drivers={"out": blocked})).start()
    actions.submit([event(value) for value in range(5)])
    with pytest.raises(NotAccepted, match="'out' is full"):
        actions.submit([event(6)], timeout_s=0.1)
    (left,) = actions.stop(0)
    assert left.spooled == 5


def test_two_hosts_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one is told."""
    with Actions(plan_of(tmp_path)).running(), pytest.raises(UsageError, match="another process"):
        Actions(plan_of(tmp_path)).start()


def test_clearing_reaches_every_driver(tmp_path: Path) -> None:
    """As an event of its own."""
    with Actions(plan_of(tmp_path)).running() as actions:
        actions.clear()
    assert [each["type"] for each in lines(tmp_path)] == ["clear_action"]


def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    """Neither what is emitted, which is counted, nor what is submitted."""
    actions = Actions(plan_of(tmp_path)).start()
    actions.stop()
    actions.emit(measured(1))
    assert actions.snapshot()["intake_lost"] == 1
    with pytest.raises(NotAccepted):
        actions.submit([event(1)], timeout_s=1)


def test_why_an_alert_fires_is_told_at_work_and_from_the_folder(tmp_path: Path) -> None:
    """A name that nobody knows is an error."""
    plan = plan_of(tmp_path, rules={"slow": {"measurement": "latency", "above": 10}})
    with Actions(plan).running() as actions:
        assert "no measurement 'latency' came yet" in actions.explain("slow")[0]
        actions.emit(measured(11))
        until(lambda: lines(tmp_path))
        until(lambda: "fires as warning" in actions.explain("slow")[0])
        with pytest.raises(UnknownName):
            actions.explain("sloe")
    told = explain(plan, read_state(plan.folder), "slow", now_ns=time.time_ns())
    assert any("told as warning" in line for line in told)


def test_every_problem_of_every_table_is_told_at_once(tmp_path: Path) -> None:
    """Drivers, pipes, rules, silences."""
    with pytest.raises(SettingsError) as told:
        read_plan(
            tmp_path,
            drivers={
                "a": {"type": "fiel", "path": "x"},
                "b": {"type": "file", "path": "x", "pipe": {"polcy": "block"}},
                "c/d": {"type": "file"},
                "e": {},
            },
            rules={
                "r": {"measurement": "x"},
                "m": {"measurement": "x", "above": 1, "message": "{{"},
            },
            silences=[{"match": {}}],
        )
    text = str(told.value)
    for part in (
        "drivers.a.type: there is no driver 'fiel'",
        "did you mean 'policy'",
        "no name for a driver",
        "drivers.e: needs a type",
        "rules.r",
        "rules.m.message: not a template",
        "silences[1]",
    ):
        assert part in text


def test_the_earlier_instrument_s_node_is_read_as_it_is(tmp_path: Path) -> None:
    """Driver, thresholds, monitored nodes and interval."""
    node = {
        "buffer_capacity": 300,
        "monitored_nodes": ["co2"],
        "concentration_threshold": 1000.0,
        "amplitude_threshold": 0.8,
        "update_interval_ms": 50,
        "driver": {
            "type": "https_callback",
            "config": {"callback_url": "http://127.0.0.1:9/", "retry_count": 1},
        },
    }
    plan = read_plan(tmp_path, drivers={"screen": node})
    (driver,) = plan.drivers
    assert (driver.pipe.policy.value, driver.pipe.interval_s) == ("latest", 0.05)
    assert (driver.pipe.history, driver.pipe.max_attempts) == (300, 2)
    rules = {(rule.field, rule.above, rule.source) for rule in plan.rules.values()}
    assert rules == {("value", 1000.0, "co2"), ("peak_amplitude", 0.8, "co2")}


@pytest.mark.parametrize(
    ("type", "place"),
    [("http", {"url": "http://127.0.0.1:9/"}), ("redis", {"url": "redis://127.0.0.1:9/"})],
)
def test_a_driver_may_say_how_often_it_tries(
    tmp_path: Path, type: str, place: dict[str, str]
) -> None:
    """In its own words, or in the instrument's, which count tries after the first."""
    earlier = {"http": "retry_count", "redis": "max_retries"}[type]
    options = [{"max_attempts": 4}, {earlier: 4}, {"max_attempts": 4, "pipe": {"max_attempts": 3}}]
    drivers = {f"d{n}": {"type": type, **place, **each} for n, each in enumerate(options)}
    found = [each.pipe.max_attempts for each in read_plan(tmp_path, drivers=drivers).drivers]
    assert found == [4, 5, 3]


def test_an_alert_of_a_driver_reaches_the_others(tmp_path: Path) -> None:
    """By the same way as every other."""
    with Actions(plan_of(tmp_path)).running() as actions:
        alert = AlertEvent(
            id="x", alert_type="t", severity="info", message="", timestamp=1.0, timestamp_ns=1
        )
        actions.submit([alert])
    assert [each["id"] for each in lines(tmp_path)] == ["x"]


def test_what_waits_for_its_group_is_told_at_the_end(tmp_path: Path) -> None:
    """In one message."""
    rules = {name: {"measurement": name, "above": 10} for name in ("a", "b")}
    alerts = {"group_by": ["source_node_id"], "group_wait_s": 1000}
    with Actions(plan_of(tmp_path, rules=rules, alerts=alerts)).running() as actions:
        for name in rules:
            actions.emit(measured(11, name))
    (told,) = [each for each in lines(tmp_path) if each["type"] == "alert"]
    assert len(told["data"]["alerts"]) == 2


def test_a_state_that_cannot_be_read_is_told_and_the_folder_left_free(tmp_path: Path) -> None:
    """With what to do."""
    plan = plan_of(tmp_path)
    plan.folder.mkdir()
    (plan.folder / "alerts.json").write_text("nonsense")
    with pytest.raises(UsageError, match="remove it"):
        Actions(plan).start()
    (plan.folder / "alerts.json").unlink()
    with Actions(plan).running() as actions:
        assert actions.is_alive()


def test_a_file_that_is_no_spool_is_told(tmp_path: Path) -> None:
    """And stops the drivers that were started before it."""
    plan = plan_of(tmp_path)
    plan.folder.mkdir()
    (plan.folder / "out.sqlite3").write_text("nonsense" * 1000)
    with pytest.raises(UsageError, match="no spool"):
        Actions(plan).start()
