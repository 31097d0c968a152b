"""Which alerts are told, when, and together with which."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from test_rig.actions import AlertEvent, read_options
from test_rig.actions.notify import (
    AlertOptions,
    Inhibition,
    NotifyRules,
    NotifyState,
    Silence,
    decide,
)
from test_rig.errors import SettingsError

S = 10**9


def alert(
    kind: str = "slow",
    *,
    at: int = 0,
    status: str = "firing",
    severity: str = "warning",
    source: str = "db",
    **labels: str,
) -> AlertEvent:
    """Return an alert."""
    return AlertEvent(
        id=f"{kind}-{at}",
        alert_type=kind,
        severity=severity,
        message=f"{kind} at {at}",
        labels=labels,
        source_node_id=source,
        status=status,
        timestamp=float(at),
        timestamp_ns=at * S,
    )


class Play:
    """Alerts and time go in; what is told comes out."""

    def __init__(
        self, *, inhibit: Sequence[Any] = (), silences: Sequence[Any] = (), **options: Any
    ) -> None:
        self.rules = NotifyRules(
            options=read_options(AlertOptions, options, where="alerts"),
            inhibitions=tuple(read_options(Inhibition, each, where="i") for each in inhibit),
            silences=tuple(read_options(Silence, each, where="s") for each in silences),
        )
        self.state = NotifyState()

    def at(self, second: int, *alerts: AlertEvent, of_rule: bool = True) -> list[AlertEvent]:
        """Return what is told at a second: the alerts come, or only time passes."""
        now_ns = second * S
        return [
            told
            for each in (alerts or (None,))
            for told in decide(self.state, self.rules, each, now_ns=now_ns, of_rule=of_rule)
        ]

    def notes(self) -> str:
        """Return all reasons."""
        return " | ".join(text for notes in self.state.notes.values() for _, text in notes)


def ids(told: Sequence[AlertEvent]) -> list[str]:
    """Return the ids."""
    return [each.id for each in told]


def test_the_same_alert_is_told_once() -> None:
    """However often it is raised."""
    play = Play()
    assert ids(play.at(1, alert(at=1))) == ["slow-1"]
    assert play.at(2, alert(at=2)) == []
    assert "raised again" in play.notes()


def test_its_end_is_told_with_its_duration() -> None:
    """Once, and not where that is not wanted."""
    play = Play()
    play.at(10, alert())
    (end,) = play.at(25, alert(status="resolved"))
    assert (end.status, end.duration_s) == ("resolved", 15)
    assert play.at(26, alert(status="resolved")) == []
    quiet = Play(send_resolved=False)
    quiet.at(10, alert())
    assert quiet.at(25, alert(status="resolved")) == []


def test_an_end_without_a_beginning_is_not_told() -> None:
    """There is nothing that it could end."""
    assert Play().at(1, alert(status="resolved")) == []


def test_what_still_fires_is_told_again_after_a_while() -> None:
    """Each `repeat_s`, or never."""
    play = Play(repeat_s=100)
    play.at(0, alert())
    assert [len(play.at(second)) for second in (50, 99, 100, 101, 200)] == [0, 0, 1, 0, 1]
    never = Play(repeat_s=0)
    never.at(0, alert())
    assert never.at(10**6) == []


def test_a_severity_that_changes_is_told() -> None:
    """In both directions."""
    play = Play()
    told = [play.at(at, alert(severity=name)) for at, name in enumerate(("info", "critical"))]
    assert [len(each) for each in told] == [1, 1]


def test_a_group_waits_for_more_and_is_told_in_one_message() -> None:
    """With everything that it is made of."""
    play = Play(group_by=["source_node_id"], group_wait_s=10)
    assert play.at(0, alert("slow"), alert("full", severity="critical")) == []
    (told,) = play.at(10)
    assert (told.alert_type, told.severity) == ("group", "critical")
    assert [each["alert_type"] for each in told.data["alerts"]] == ["slow", "full"]
    assert told.data["group"] == {"source_node_id": "db"}


def test_news_of_a_group_wait_for_its_interval() -> None:
    """A storm makes few messages."""
    play = Play(group_by=["source_node_id"], group_interval_s=60)
    assert len(play.at(0, alert("a"))) == 1
    assert play.at(10, alert("b"), alert("c")) == []
    (told,) = play.at(60)
    assert len(told.data["alerts"]) == 2


def test_one_alert_inhibits_another_where_they_agree() -> None:
    """While it fires; afterwards the other one is told."""
    rule = {
        "source": {"alert_type": "connection_lost"},
        "target": {"alert_type": "slow*"},
        "equal": ["source_node_id"],
    }
    play = Play(inhibit=[rule])
    play.at(0, alert("connection_lost"))
    assert play.at(1, alert("slow")) == []
    assert "inhibited by connection_lost" in play.notes()
    assert ids(play.at(2, alert("slow", at=2, source="other"))) == ["slow-2"]
    told = play.at(3, alert("connection_lost", status="resolved"), alert("new"))
    told += play.at(10)
    assert "slow-0" in ids(told)


def test_a_silence_keeps_alerts_back_for_its_time() -> None:
    """And says why."""
    silence = {
        "match": {"alert_type": "slow", "level": "ser*"},
        "until": datetime.fromtimestamp(100, UTC),
        "comment": "planned work",
    }
    play = Play(silences=[silence])
    assert play.at(50, alert(level="serializable")) == []
    assert "planned work" in play.notes()
    assert len(play.at(50, alert(level="other"))) == 1
    assert len(play.at(110)) == 1


def test_a_silence_that_has_not_begun_keeps_nothing_back() -> None:
    """It has a beginning too."""
    silence = {"match": {"alert_type": "*"}, "begins": datetime.fromtimestamp(100, UTC)}
    play = Play(silences=[silence])
    assert len(play.at(50, alert())) == 1
    assert play.at(150, alert("other")) == []


def test_what_flaps_is_told_once_and_again_when_it_is_calm() -> None:
    """And its last standing is not forgotten."""
    play = Play(flap_changes=4, flap_window_s=100)
    told = []
    for second in range(12):
        told += play.at(second, alert(status="resolved" if second % 2 else "firing"))
    assert len(told) == 4
    assert told[-1].data.get("flapping") is True
    assert "flapping" in play.notes()
    later = [each for second in range(12, 300) for each in play.at(second)]
    assert len(later) <= 1


def test_changes_that_lie_further_apart_do_not_flap() -> None:
    """Than `flap_window_s` has room for."""
    play = Play(flap_changes=4, flap_window_s=100)
    told = []
    for turn in range(12):
        told += play.at(50 * turn, alert(status="resolved" if turn % 2 else "firing"))
    assert len(told) == 12


def test_an_alert_that_is_of_no_rule_is_forgotten_in_time() -> None:
    """Nobody will say when it is over; the next one is told anew."""
    play = Play(stale_s=60, repeat_s=0)
    assert len(play.at(0, alert(), of_rule=False)) == 1
    assert play.at(30, alert(), of_rule=False) == []
    assert play.at(100) == []
    assert len(play.at(101, alert(), of_rule=False)) == 1


def test_the_state_survives_a_restart() -> None:
    """As plain data: nothing is told twice, and the end is told."""
    play = Play()
    play.at(0, alert())
    again = Play()
    again.state = msgspec.json.decode(msgspec.json.encode(play.state), type=NotifyState)
    assert again.at(5, alert(at=5)) == []
    assert len(again.at(6, alert(status="resolved"))) == 1


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        (Silence, {}, "match: is required"),
        (Silence, {"match": {"a": "b"}, "until": "2026-01-01T00:00:00"}, "timezone"),
        (Inhibition, {"source": {}, "target": {"a": "b"}}, "source"),
        (AlertOptions, {"group_bye": []}, "did you mean 'group_by'"),
        (AlertOptions, {"repeat_s": -1}, "repeat_s"),
    ],
)
def test_wrong_settings_are_told(model: Any, options: dict[str, Any], told: str) -> None:
    """With what is wrong."""
    with pytest.raises(SettingsError) as problem:
        read_options(model, options, where="x")
    assert told in str(problem.value)
