"""Which alerts people are told of, when, and together with which.

Theory of operation: alerts that fire are *active*. Each belongs to a group (itself, where
`group_by` is empty). A group is told of after `group_wait_s`, again when it changed and
`group_interval_s` is over, and again unchanged after `repeat_s`. Alerts that are silenced,
inhibited by another active alert, or flapping are left out; when the reason is gone they are told
of. `decide` takes an alert or, with None, time alone; it returns what to send. Pure: the state is
plain data that survives a restart, times are Unix nanoseconds.

The rules are those of Prometheus' Alertmanager (grouping, inhibition, silences, repeating), with
flap detection as Nagios has it: too many changes within a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace
from pydantic import AwareDatetime, Field, model_validator

from test_rig.actions.event import AlertEvent, key_of, severity_rank
from test_rig.actions.options import Count, Names, Options, Seconds

__all__ = [
    "Active",
    "AlertOptions",
    "Inhibition",
    "NotifyRules",
    "NotifyState",
    "Silence",
    "decide",
    "field_of",
    "flush",
    "next_due_ns",
]

_S = 1_000_000_000
_NOTES = 20


class AlertOptions(Options):
    """How alerts are told: the table `[actions.alerts]`."""

    group_by: Names = Field(
        default=(),
        description="Fields (`alert_type`, `severity`, `source_node_id`) or labels whose values "
        "make a group that is told of in one message; empty: each alert by itself.",
    )
    group_wait_s: Seconds = Field(
        default=0.0, description="How long a new group waits for more, in seconds."
    )
    group_interval_s: Seconds = Field(
        default=0.0,
        description="The least time between two messages of a group that changed, in seconds.",
    )
    repeat_s: Seconds = Field(
        default=14_400.0,
        description="When a group that still fires is told of again, in seconds; 0: never.",
    )
    send_resolved: bool = Field(default=True, description="Whether the end is told too.")
    stale_s: Seconds = Field(
        default=300.0,
        description="When an alert that is not of a rule and was not raised again is forgotten, "
        "in seconds: then the same one is told of anew.",
    )
    flap_changes: Count = Field(
        default=20,
        description="How many beginnings and ends within `flap_window_s` make an alert flapping: "
        "it is told once, and then left out until it is calm.",
    )
    flap_window_s: Seconds = Field(default=600.0, description="See `flap_changes`, in seconds.")


class Inhibition(Options):
    """While one alert fires another is not told: an entry of `[[actions.inhibit]]`."""

    source: dict[str, str] = Field(
        min_length=1, description="Fields and labels of the alert that inhibits, with `*`, `?`."
    )
    target: dict[str, str] = Field(
        min_length=1, description="Fields and labels of those that it keeps back."
    )
    equal: Names = Field(
        default=(), description="Fields and labels in which the two must be the same."
    )


class Silence(Options):
    """Alerts that are not told for a time: an entry of `[[actions.silences]]`."""

    match: dict[str, str] = Field(
        min_length=1, description="Fields and labels of the alerts, with `*` and `?`."
    )
    begins: AwareDatetime | None = Field(
        default=None, description="From when on, with a time zone; always if unset."
    )
    until: AwareDatetime | None = Field(
        default=None, description="Until when, with a time zone; for ever if unset."
    )
    comment: str = Field(default="", description="Why; `explain` tells it.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.begins is not None and self.until is not None and self.until <= self.begins:
            raise ValueError("until is not after begins")
        return self

    def holds(self, now_ns: int) -> bool:
        """Return whether it is in force."""
        now_s = now_ns / _S
        is_begun = self.begins is None or self.begins.timestamp() <= now_s
        return is_begun and (self.until is None or now_s < self.until.timestamp())


class NotifyRules(Struct, frozen=True, kw_only=True):
    """What decides: the settings."""

    options: AlertOptions
    inhibitions: tuple[Inhibition, ...] = ()
    silences: tuple[Silence, ...] = ()


class Active(Struct, frozen=True, kw_only=True):
    """An alert that fires, or has just ended and is not told yet."""

    alert: AlertEvent
    since_ns: int
    #: When it was raised last.
    raised_ns: int
    #: What people were told last: a severity, `resolved`, or nothing.
    told: str = ""
    is_over: bool = False
    is_of_rule: bool = False


class Group(Struct, frozen=True, kw_only=True):
    """Alerts that are told of together."""

    due_ns: int
    told_ns: int | None = None


class NotifyState(Struct, kw_only=True):
    """What is remembered, also over a restart."""

    active: dict[str, Active] = {}
    groups: dict[str, Group] = {}
    #: By alert: when it began or ended.
    changes: dict[str, list[int]] = {}
    flapping: dict[str, int] = {}
    #: By alert: what was decided, and when.
    notes: dict[str, list[tuple[int, str]]] = {}


def decide(
    state: NotifyState,
    rules: NotifyRules,
    alert: AlertEvent | None,
    *,
    now_ns: int,
    of_rule: bool = False,
) -> list[AlertEvent]:
    """Take an alert, or time alone, into the state; return what to send now.

    Args:
        state: Changed in place.
        rules: The settings.
        alert: What came; None: only time has passed.
        now_ns: Unix nanoseconds.
        of_rule: The alert is of a rule, which will say when it is over.
    """
    if alert is not None:
        _take(state, rules, alert, now_ns, of_rule=of_rule)
    _forget_stale(state, rules, now_ns)
    sent: list[AlertEvent] = []
    for name in [name for name, group in state.groups.items() if group.due_ns <= now_ns]:
        sent += _flush(state, rules, name, now_ns)
    return sent


def flush(state: NotifyState, rules: NotifyRules, *, now_ns: int) -> list[AlertEvent]:
    """Return what waits for its group's time, told now: nobody will be there later."""
    sent: list[AlertEvent] = []
    for name in list(state.groups):
        state.groups[name] = replace(state.groups[name], due_ns=now_ns)
        sent += _flush(state, rules, name, now_ns)
    return sent


def next_due_ns(state: NotifyState) -> int | None:
    """Return when time alone may have something sent."""
    return min((group.due_ns for group in state.groups.values()), default=None)


def field_of(alert: AlertEvent, name: str) -> str:
    """Return a field or a label of an alert as text; empty where it has none."""
    if name in ("alert_type", "severity", "source_node_id", "status", "message"):
        return str(getattr(alert, name))
    return alert.labels.get(name, "")


def _take(
    state: NotifyState, rules: NotifyRules, alert: AlertEvent, now_ns: int, *, of_rule: bool
) -> None:
    key = key_of(alert)
    before = state.active.get(key)
    is_over = alert.status == "resolved"
    if is_over and before is None:
        _note(state, key, now_ns, "an end without a beginning: nothing to tell")
        return
    since_ns = now_ns if before is None or (before.is_over and not is_over) else before.since_ns
    changed = before is None or before.is_over != is_over
    if changed:
        state.changes.setdefault(key, []).append(now_ns)
    state.active[key] = Active(
        alert=alert,
        since_ns=since_ns,
        raised_ns=now_ns,
        told="" if before is None else before.told,
        is_over=is_over,
        is_of_rule=of_rule,
    )
    if not changed and before is not None and before.alert.severity == alert.severity:
        _note(state, key, now_ns, "raised again while it fires: not told again")
        return
    options, name = rules.options, _group_of(rules, alert)
    group = state.groups.get(name)
    if group is None or group.told_ns is None:
        wait_ns = round(options.group_wait_s * _S)
        due_ns = now_ns + wait_ns if group is None else min(group.due_ns, now_ns + wait_ns)
    else:
        due_ns = max(now_ns, group.told_ns + round(options.group_interval_s * _S))
        due_ns = min(group.due_ns, due_ns)
    state.groups[name] = Group(due_ns=due_ns, told_ns=None if group is None else group.told_ns)
    if due_ns > now_ns:
        _note(state, key, now_ns, f"waits {(due_ns - now_ns) / _S:g} s for its group")


def _group_of(rules: NotifyRules, alert: AlertEvent) -> str:
    names = rules.options.group_by
    if not names:
        return key_of(alert)
    return ",".join(f"{name}={field_of(alert, name)}" for name in names)


def _forget_stale(state: NotifyState, rules: NotifyRules, now_ns: int) -> None:
    oldest_ns = now_ns - round(rules.options.stale_s * _S)
    for key, active in list(state.active.items()):
        if not active.is_of_rule and not active.is_over and active.raised_ns <= oldest_ns:
            if not active.told:
                continue  # it is still to be told
            del state.active[key]
            state.changes.pop(key, None)
            _note(state, key, now_ns, "forgotten: it was not raised again")


def _flush(state: NotifyState, rules: NotifyRules, name: str, now_ns: int) -> list[AlertEvent]:
    """Tell of a group, if there is something to tell, and say when it is due again."""
    group = state.groups[name]
    keys = [key for key, each in state.active.items() if _group_of(rules, each.alert) == name]
    repeat_ns = round(rules.options.repeat_s * _S)
    is_known = group.told_ns is not None and repeat_ns > 0
    is_repeat = is_known and now_ns - (group.told_ns or 0) >= repeat_ns
    tellable = [key for key in keys if _is_tellable(state, rules, key, now_ns)]
    news = [key for key in tellable if _is_news(state.active[key])]
    repeated = [key for key in tellable if is_repeat and not state.active[key].is_over]
    chosen = news if not repeated else list(dict.fromkeys([*repeated, *news]))
    sent = _tell(state, rules, chosen, now_ns)
    for key in keys:
        # The end of one that flaps is told when it is calm, if it is still over then.
        is_owed = key in state.flapping and _is_news(state.active[key])
        if state.active[key].is_over and not is_owed:
            del state.active[key]
    left = [key for key in keys if key in state.active]
    if not left:
        del state.groups[name]
        return sent
    told_ns = now_ns if chosen else group.told_ns
    state.groups[name] = Group(due_ns=_due_ns(state, rules, left, told_ns, now_ns), told_ns=told_ns)
    return sent


def _due_ns(
    state: NotifyState, rules: NotifyRules, keys: Sequence[str], told_ns: int | None, now_ns: int
) -> int:
    """Return when a group is looked at again: to repeat, or to see what keeps an alert back."""
    moments = []
    if rules.options.repeat_s:
        moments.append(
            (now_ns if told_ns is None else told_ns) + round(rules.options.repeat_s * _S)
        )
    if any(_is_news(state.active[key]) for key in keys):
        moments.append(now_ns + max(_S, round(rules.options.group_interval_s * _S)))
    if any(not state.active[key].is_of_rule for key in keys):
        moments.append(now_ns + max(_S, round(rules.options.stale_s * _S)))
    return min(moments, default=now_ns + 3600 * _S)


def _is_news(active: Active) -> bool:
    if active.is_over:
        return active.told not in ("", "resolved")
    return active.told != active.alert.severity


def _is_tellable(state: NotifyState, rules: NotifyRules, key: str, now_ns: int) -> bool:
    active = state.active[key]
    why = (
        _is_silenced(rules, active.alert, now_ns)
        or (not active.is_over and _is_inhibited(state, rules, active.alert))
        or _is_flapping(state, rules, key, now_ns)
    )
    if not why and active.is_over and not rules.options.send_resolved:
        why = "over, and ends are not told (send_resolved)"
    if why and _is_news(active):
        _note(state, key, now_ns, f"not told: {why}")
    return not why


def _is_silenced(rules: NotifyRules, alert: AlertEvent, now_ns: int) -> str:
    for silence in rules.silences:
        if silence.holds(now_ns) and _fits(alert, silence.match):
            until = "" if silence.until is None else f" until {silence.until.isoformat()}"
            return f"silenced{until}: {silence.comment or silence.match}"
    return ""


def _is_inhibited(state: NotifyState, rules: NotifyRules, alert: AlertEvent) -> str:
    for rule in rules.inhibitions:
        if not _fits(alert, rule.target):
            continue
        for key, other in state.active.items():
            if other.is_over or key == key_of(alert) or not _fits(other.alert, rule.source):
                continue
            if all(field_of(alert, name) == field_of(other.alert, name) for name in rule.equal):
                return f"inhibited by {other.alert.alert_type}"
    return ""


def _fits(alert: AlertEvent, wanted: Mapping[str, str]) -> bool:
    return all(fnmatchcase(field_of(alert, name), each) for name, each in wanted.items())


def _is_flapping(state: NotifyState, rules: NotifyRules, key: str, now_ns: int) -> str:
    oldest_ns = now_ns - round(rules.options.flap_window_s * _S)
    recent = [moment for moment in state.changes.get(key, []) if moment > oldest_ns]
    state.changes[key] = recent[-rules.options.flap_changes * 2 :]
    if len(recent) < rules.options.flap_changes:
        if state.flapping.pop(key, None) is not None:
            _note(state, key, now_ns, "calm again")
        return ""
    if key not in state.flapping:
        state.flapping[key] = now_ns
        return ""  # told once, with the note below in its data
    return f"flapping: {len(recent)} changes in {rules.options.flap_window_s:g} s"


def _tell(
    state: NotifyState, rules: NotifyRules, keys: Sequence[str], now_ns: int
) -> list[AlertEvent]:
    made = []
    for key in keys:
        active = state.active[key]
        again = "" if _is_news(active) else "again "
        told = "resolved" if active.is_over else active.alert.severity
        _note(state, key, now_ns, f"told {again}as {told}")
        state.active[key] = replace(active, told=told)
        made.append(_with_times(state, key, active))
    if len(made) < 2 or not rules.options.group_by:
        return made
    return [_together(made, rules, now_ns)]


def _with_times(state: NotifyState, key: str, active: Active) -> AlertEvent:
    alert = active.alert
    if key in state.flapping:
        alert = replace(alert, data={**alert.data, "flapping": True})
    if not active.is_over:
        return alert
    return replace(alert, duration_s=(active.raised_ns - active.since_ns) / _S)


def _together(alerts: Sequence[AlertEvent], rules: NotifyRules, now_ns: int) -> AlertEvent:
    """Return one alert that tells of several."""
    firing = [alert for alert in alerts if alert.status == "firing"]
    worst = max(firing or alerts, key=lambda alert: severity_rank(alert.severity))
    types = sorted({alert.alert_type for alert in alerts})
    group: dict[str, Any] = {name: field_of(worst, name) for name in rules.options.group_by}
    parts = [f"{alert.message} ({alert.status})" for alert in alerts]
    return AlertEvent(
        id=f"{worst.id}+{len(alerts) - 1}",
        alert_type=types[0] if len(types) == 1 else "group",
        severity=worst.severity,
        message=f"{len(alerts)} alerts: {'; '.join(parts)}",
        data={"group": group, "alerts": [_entry(alert) for alert in alerts]},
        labels={name: str(value) for name, value in group.items()},
        source_node_id=worst.source_node_id,
        status="firing" if firing else "resolved",
        timestamp=now_ns / _S,
        timestamp_ns=now_ns,
    )


def _entry(alert: AlertEvent) -> dict[str, Any]:
    return {
        "id": alert.id,
        "alert_type": alert.alert_type,
        "severity": alert.severity,
        "message": alert.message,
        "status": alert.status,
        "labels": alert.labels,
        "source_node_id": alert.source_node_id,
        "data": alert.data,
    }


def _note(state: NotifyState, key: str, now_ns: int, text: str) -> None:
    notes = state.notes.setdefault(key, [])
    if notes and notes[-1][1] == text:
        notes[-1] = (now_ns, text)
        return
    notes.append((now_ns, text))
    del notes[:-_NOTES]
    if len(state.notes) > 1000:
        del state.notes[next(iter(state.notes))]
