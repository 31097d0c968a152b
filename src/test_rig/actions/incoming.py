"""Events from outside: a JSON object each, in the rig's spelling or the instrument's. Pure.

A measurement has `name` and `value`, or `concentration_ppm`; an alert has `alert_type`; `{"type":
"clear_action"}` clears. `timestamp` is Unix seconds, an ISO 8601 text with a time zone, or the
instrument's `{"secs_since_epoch": ..., "nanos_since_epoch": ...}`; without one it is now. An `id`
is kept: whoever sends an event again, after an answer that was lost, gives it the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from test_rig.actions.event import (
    AlertEvent,
    ClearEvent,
    Event,
    MeasurementEvent,
    severity_rank,
)

__all__ = ["BadEvent", "events_of", "parse_event"]


class _Incoming(Struct, forbid_unknown_fields=True):
    id: str = ""
    type: str = ""
    name: str = ""
    value: float | UnsetType = UNSET
    unit: str = ""
    labels: dict[str, str] = {}
    source_node_id: str = ""
    source: str = ""
    timestamp: float | str | dict[str, int] | None = None
    timestamp_ns: int | None = None
    metadata: dict[str, Any] = {}
    concentration_ppm: float | UnsetType = UNSET
    peak_amplitude: float | UnsetType = UNSET
    peak_frequency: float | UnsetType = UNSET
    alert_type: str = ""
    severity: str = "warning"
    message: str = ""
    data: dict[str, Any] = {}
    status: str = "firing"
    duration_s: float | UnsetType = UNSET


_DECODER = msgspec.json.Decoder(_Incoming)
_MANY = msgspec.json.Decoder(list[msgspec.Raw])


class BadEvent(ValueError):  # noqa: N818 -- it says what came, as the rig's errors do
    """A text that is no event; its message says why."""


def events_of(
    body: bytes, *, now_ns: int, next_id: Callable[[], str]
) -> tuple[list[Event], list[str]]:
    """Return the events of a text, and what is wrong with the others.

    Args:
        body: A JSON object, an array of them, or one on each line.
        now_ns: Unix nanoseconds, for events without a time.
        next_id: Gives an id to events without one.
    """
    parts: Sequence[Any]
    if body.lstrip()[:1] == b"[":
        try:
            parts = [bytes(each) for each in _MANY.decode(body)]
        except msgspec.DecodeError as exc:
            return [], [str(exc)]
    else:
        parts = body.splitlines()
    events: list[Event] = []
    problems: list[str] = []
    for number, part in enumerate(parts, start=1):
        if not part.strip():
            continue
        try:
            events.append(parse_event(part, now_ns=now_ns, next_id=next_id))
        except BadEvent as exc:
            problems.append(f"event {number}: {exc}")
    return events, problems


def parse_event(text: bytes, *, now_ns: int, next_id: Callable[[], str]) -> Event:
    """Return the event of a JSON object.

    Raises:
        BadEvent: It is none.
    """
    try:
        found = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadEvent(str(exc)) from None
    time_ns = _time_ns(found, now_ns)
    kind = found.type or ("alert" if found.alert_type else "measurement")
    if kind in ("measurement", "display_update"):
        return _measurement(found, time_ns, found.id or next_id())
    if kind == "alert":
        return _alert(found, time_ns, found.id or next_id())
    if kind in ("clear_action", "clear_display"):
        id = found.id or next_id()
        return ClearEvent(id=id, timestamp=time_ns / 1e9, timestamp_ns=time_ns)
    raise BadEvent(f"no type {kind!r}: measurement, alert or clear_action")


def _measurement(found: _Incoming, time_ns: int, id: str) -> MeasurementEvent:
    name, value, unit = found.name, found.value, found.unit
    if isinstance(value, UnsetType):
        value = found.concentration_ppm
        name, unit = name or "concentration_ppm", unit or "ppm"
    if isinstance(value, UnsetType):
        raise BadEvent("a measurement needs a value, or concentration_ppm")
    if not name:
        raise BadEvent("a measurement needs a name")
    return MeasurementEvent(
        id=id,
        name=name,
        value=value,
        unit=unit,
        labels=found.labels,
        source_node_id=found.source_node_id or found.source,
        timestamp=time_ns / 1e9,
        timestamp_ns=time_ns,
        metadata=found.metadata,
        concentration_ppm=found.concentration_ppm,
        peak_amplitude=found.peak_amplitude,
        peak_frequency=found.peak_frequency,
    )


def _alert(found: _Incoming, time_ns: int, id: str) -> AlertEvent:
    if not found.alert_type:
        raise BadEvent("an alert needs an alert_type")
    if severity_rank(found.severity) < 0:
        raise BadEvent(f"no severity {found.severity!r}: info, warning or critical")
    if found.status not in ("firing", "resolved"):
        raise BadEvent(f"no status {found.status!r}: firing or resolved")
    return AlertEvent(
        id=id,
        alert_type=found.alert_type,
        severity=found.severity,
        message=found.message,
        data=found.data,
        labels=found.labels,
        source_node_id=found.source_node_id or found.source,
        status=found.status,
        timestamp=time_ns / 1e9,
        timestamp_ns=time_ns,
        duration_s=found.duration_s,
    )


def _time_ns(found: _Incoming, now_ns: int) -> int:
    if found.timestamp_ns is not None:
        return found.timestamp_ns
    given = found.timestamp
    if given is None:
        return now_ns
    if isinstance(given, float):
        if not abs(given) < 1e11:
            raise BadEvent("timestamp is no Unix time in seconds")
        return round(given * 1e9)
    if isinstance(given, dict):
        if "secs_since_epoch" not in given:
            raise BadEvent("timestamp has no secs_since_epoch")
        return given["secs_since_epoch"] * 1_000_000_000 + given.get("nanos_since_epoch", 0)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise BadEvent(f"timestamp {given!r} is no time") from None
    if moment.tzinfo is None:
        raise BadEvent(f"timestamp {given!r} has no time zone")
    return round(moment.timestamp() * 1e9)
