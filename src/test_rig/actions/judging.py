"""Measurements to alerts: the rules applied, and what they remember kept on disk.

How to think of it: used by the router's thread only. `judge` takes one event and returns what is to
be sent; `tick` does so for time alone. The state of rules and alerts is one JSON file, replaced as
a whole, so that a restart goes on where a kill ended.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from test_rig.actions.event import AlertEvent, MeasurementEvent, key_of
from test_rig.actions.notify import NotifyState, decide, flush, next_due_ns
from test_rig.actions.plan import ActionsPlan
from test_rig.actions.rules import (
    Change,
    RuleOptions,
    SeriesState,
    is_timed,
    observe,
    rule_matches,
    standing,
    tick,
)
from test_rig.actions.template import Template
from test_rig.errors import UnknownName, UsageError

__all__ = ["Judging", "JudgingState", "explain", "read_state", "state_path"]

#: The most series of one rule; the one that was quiet for longest goes first.
_SERIES = 10_000


class JudgingState(Struct, kw_only=True):
    """What rules and alerts remember."""

    rules: dict[str, dict[str, SeriesState]] = {}
    notify: NotifyState = msgspec.field(default_factory=NotifyState)


def state_path(folder: Path) -> Path:
    """Return the file that holds the state."""
    return folder / "alerts.json"


def read_state(folder: Path) -> JudgingState:
    """Return the state that a folder holds; a fresh one where there is none.

    Raises:
        UsageError: The file is not one of the rig's.
    """
    path = state_path(folder)
    try:
        return msgspec.json.decode(path.read_bytes(), type=JudgingState)
    except FileNotFoundError:
        return JudgingState()
    except msgspec.MsgspecError as exc:
        todo = "remove it: alerts that fire will be told again"
        raise UsageError(f"cannot be read: {exc}", where=str(path), todo=todo) from exc


class Judging:
    """The rules at work.

    Args:
        plan: The settings.
        now_ns: Unix nanoseconds of the start.
    """

    def __init__(self, plan: ActionsPlan, *, now_ns: int) -> None:
        self._plan = plan
        self.state = read_state(plan.folder)
        self._messages = {
            name: Template(rule.message) for name, rule in plan.rules.items() if rule.message
        }
        self._by_name: dict[str, list[tuple[str, RuleOptions]]] = {}
        self._timed: set[tuple[str, str]] = set()
        self._is_dirty = False
        self._saved_ns = 0
        for name in [name for name in self.state.rules if name not in plan.rules]:
            del self.state.rules[name]
        for name, rule in plan.rules.items():
            self._begin(name, rule, now_ns)

    def _begin(self, name: str, rule: RuleOptions, now_ns: int) -> None:
        series = self.state.rules.setdefault(name, {})
        is_exact = not set("*?[") & set(rule.measurement)
        if rule.limit is None and is_exact and not rule.labels and not series:
            # A series that never came is absent too: it is missed from the start on.
            source = "" if set("*?[") & set(rule.source) else rule.source
            first = SeriesState(name=rule.measurement, source=source, seen_ns=now_ns)
            series[f"{source}/{rule.measurement}"] = first
        for key, state in series.items():
            if is_timed(rule, state):
                self._timed.add((name, key))

    def judge(self, event: MeasurementEvent, *, now_ns: int) -> list[AlertEvent]:
        """Return the alerts that a measurement has sent."""
        rules = self._by_name.get(event.name)
        if rules is None:
            if len(self._by_name) > _SERIES:
                self._by_name.clear()
            rules = self._by_name[event.name] = [
                (name, rule)
                for name, rule in self._plan.rules.items()
                if rule_matches(rule.model_copy(update={"labels": {}, "source": "*"}), event)
            ]
        sent: list[AlertEvent] = []
        for name, rule in rules:
            if rule_matches(rule, event):
                sent += self._observe(name, rule, event, now_ns)
        return sent

    def _observe(
        self, name: str, rule: RuleOptions, event: MeasurementEvent, now_ns: int
    ) -> list[AlertEvent]:
        series, key = self.state.rules[name], key_of(event)
        sent = self._meet_expected(name, rule, key, now_ns)
        before = series.get(key)
        if before is None:
            before = SeriesState()
            if len(series) >= _SERIES:
                quiet = min(series, key=lambda each: series[each].seen_ns)
                del series[quiet]
                self._timed.discard((name, quiet))
        after, change = observe(rule, before, event, now_ns=now_ns)
        return sent + self._keep(name, rule, key, after, change, now_ns)

    def _meet_expected(
        self, name: str, rule: RuleOptions, key: str, now_ns: int
    ) -> list[AlertEvent]:
        """A series that was only expected gives way to the first one that comes."""
        series, expected = self.state.rules[name], f"/{rule.measurement}"
        if rule.limit is not None or expected == key or expected not in series:
            return []
        seen = replace(series[expected], seen_ns=now_ns)
        after, change = tick(rule, seen, now_ns=now_ns)
        sent = self._keep(name, rule, expected, after, change, now_ns)
        if after.phase == "ok":
            del series[expected]
            self._timed.discard((name, expected))
        return sent

    def _keep(
        self,
        name: str,
        rule: RuleOptions,
        key: str,
        state: SeriesState,
        change: Change | None,
        now_ns: int,
    ) -> list[AlertEvent]:
        before = self.state.rules[name].get(key)
        self.state.rules[name][key] = state
        self._is_dirty = True
        if is_timed(rule, state):
            self._timed.add((name, key))
        else:
            self._timed.discard((name, key))
        if change is None:
            if before is not None and before.phase != state.phase:
                self._saved_ns = 0
            return []
        return self.take(self._alert(name, rule, key, state, change, now_ns), now_ns, of_rule=True)

    def take(self, alert: AlertEvent, now_ns: int, *, of_rule: bool = False) -> list[AlertEvent]:
        """Return what an alert has sent: itself, others of its group, or nothing yet."""
        notify = self.state.notify
        sent = decide(notify, self._plan.notify, alert, now_ns=now_ns, of_rule=of_rule)
        self._is_dirty = True
        self._saved_ns = 0
        return sent

    def tick(self, *, now_ns: int) -> list[AlertEvent]:
        """Return the alerts that time alone has sent."""
        sent: list[AlertEvent] = []
        for name, key in list(self._timed):
            rule, before = self._plan.rules[name], self.state.rules[name][key]
            after, change = tick(rule, before, now_ns=now_ns)
            if after != before:
                sent += self._keep(name, rule, key, after, change, now_ns)
        due_ns = next_due_ns(self.state.notify)
        if due_ns is not None and due_ns <= now_ns:
            sent += decide(self.state.notify, self._plan.notify, None, now_ns=now_ns)
            self._is_dirty = True
        return sent

    def flush(self, *, now_ns: int) -> list[AlertEvent]:
        """Return the alerts that wait for the time of their group: it ends."""
        self._is_dirty = True
        return flush(self.state.notify, self._plan.notify, now_ns=now_ns)

    def save(self, *, now_ns: int, is_last: bool = False) -> None:
        """Write the state where it changed: at once what people are told of, else each second."""
        if not self._is_dirty or (not is_last and now_ns - self._saved_ns < 1_000_000_000):
            return
        path = state_path(self._plan.folder)
        beside = path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(self.state))
        beside.replace(path)
        self._is_dirty, self._saved_ns = False, now_ns

    def _alert(
        self,
        name: str,
        rule: RuleOptions,
        key: str,
        state: SeriesState,
        change: Change,
        now_ns: int,
    ) -> AlertEvent:
        is_over = change.kind == "resolved"
        # The same change has the same id, also when it is found again after a kill.
        mark = f"{name}|{key}|{change.since_ns}|{change.kind}|{change.severity}"
        data = {"rule": name, "value": change.value, "threshold": change.threshold}
        return AlertEvent(
            id=f"{name}-{hashlib.sha256(mark.encode()).hexdigest()[:20]}",
            alert_type=rule.alert_type or name,
            severity=change.severity,
            message=self._message(name, rule, state, change),
            data={**data, "measurement": state.name, "since_ns": change.since_ns},
            labels={**state.labels, "measurement": state.name},
            source_node_id=state.source,
            status="resolved" if is_over else "firing",
            timestamp=now_ns / 1e9,
            timestamp_ns=now_ns,
            duration_s=change.duration_s if is_over else msgspec.UNSET,
        )

    def _message(self, name: str, rule: RuleOptions, state: SeriesState, change: Change) -> str:
        template = self._messages.get(name)
        if template is not None:
            return template.fill_with(
                rule=name,
                name=state.name,
                value=change.value,
                threshold=change.threshold,
                labels=state.labels,
                source_node_id=state.source,
            )
        end = f" after {change.duration_s:.1f} s" if change.kind == "resolved" else ""
        if rule.limit is None:
            there = "is back" if end else f"was not measured for {rule.absent_s:g} s"
            return f"{state.name} {there}{end}"
        what = f"the rate of {state.name}" if rule.rate_window_s else state.name
        side = "above" if rule.above is not None else "below"
        return f"{what} is {change.value:g}, {'no longer ' if end else ''}{side} " + (
            f"{change.threshold:g}{end}"
        )


def explain(plan: ActionsPlan, state: JudgingState, name: str, *, now_ns: int) -> list[str]:
    """Return why an alert fires or does not, and what was told of it: newest last.

    Args:
        plan: The settings.
        state: What is remembered.
        name: A rule, an alert's type, or an alert's key.
        now_ns: Unix nanoseconds.

    Raises:
        UnknownName: Neither settings nor state know it.
    """
    notes = state.notify.notes
    keys = [key for key in notes if key == name or f"/!{name}" in key]
    lines: list[str] = []
    for rule_name, rule in plan.rules.items():
        if name not in (rule_name, rule.alert_type):
            continue
        kind = rule.alert_type or rule_name
        keys += [key for key in notes if f"/!{kind}" in key and key not in keys]
        series = state.rules.get(rule_name, {})
        lines += [
            f"{key}: {standing(rule_name, rule, each, now_ns=now_ns)}"
            for key, each in series.items()
        ]
        if not series:
            lines.append(f"{rule_name} does not fire: no measurement {rule.measurement!r} came yet")
    for key in dict.fromkeys(keys):
        for moment_ns, text in notes[key]:
            lines.append(f"{key}: {(now_ns - moment_ns) / 1e9:.1f} s ago: {text}")
    if not lines:
        known = [*plan.rules, *notes]
        raise UnknownName("alert", name, known)
    return lines
