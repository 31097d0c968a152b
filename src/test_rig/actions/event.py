"""What travels to drivers: measurements, alerts and the command to clear, each with an id.

How to think of it: `Measurement` and `Alert` are what the rig speaks inside; an event is what
leaves it. An event has the wall clock's time, an id that stays the same however often it is
delivered, and the names of fields that people's scripts know. The fields are the payload: an event
written as JSON is what a script, an HTTP endpoint or a topic gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from test_rig.telemetry import Alert, AlertStatus, Measurement, Severity

__all__ = [
    "AlertEvent",
    "ClearEvent",
    "Event",
    "MeasurementEvent",
    "alert_event",
    "decode_event",
    "encode_event",
    "is_urgent",
    "key_of",
    "measurement_event",
    "plain",
    "severity_rank",
]


class MeasurementEvent(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="measurement", gc=False
):
    """One number. The instrument's own fields are there when the instrument gave them."""

    #: The same for every delivery of this event.
    id: str
    name: str
    value: float
    #: Unix time in seconds, and the same in nanoseconds.
    timestamp: float
    timestamp_ns: int
    unit: str = ""
    labels: dict[str, str] = {}
    source_node_id: str = ""
    metadata: dict[str, Any] = {}
    concentration_ppm: float | UnsetType = UNSET
    peak_amplitude: float | UnsetType = UNSET
    peak_frequency: float | UnsetType = UNSET


class AlertEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="alert"):
    """Something that a person should know now, or that is over."""

    id: str
    alert_type: str
    #: info, warning or critical.
    severity: str
    message: str
    timestamp: float
    timestamp_ns: int
    data: dict[str, Any] = {}
    labels: dict[str, str] = {}
    source_node_id: str = ""
    #: firing or resolved.
    status: str = AlertStatus.FIRING.value
    #: How long it fired, in seconds; only when it is resolved and the start is known.
    duration_s: float | UnsetType = UNSET


class ClearEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="clear_action"):
    """Take down what is shown."""

    id: str
    timestamp: float
    timestamp_ns: int


Event: TypeAlias = MeasurementEvent | AlertEvent | ClearEvent

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def measurement_event(item: Measurement, *, id: str, wall_offset_ns: int) -> MeasurementEvent:
    """Return the event of a measurement.

    Args:
        item: What an engine emitted.
        id: The event's id.
        wall_offset_ns: What makes Unix time of the clock's monotonic nanoseconds.
    """
    time_ns = item.time_ns + wall_offset_ns
    return MeasurementEvent(
        id=id,
        name=item.name,
        value=float(item.value),
        unit=item.unit,
        labels=dict(item.labels),
        source_node_id=item.source,
        timestamp=time_ns / 1e9,
        timestamp_ns=time_ns,
    )


def alert_event(item: Alert, *, id: str, wall_offset_ns: int) -> AlertEvent:
    """Return the event of an alert; the arguments are those of `measurement_event`."""
    time_ns = item.time_ns + wall_offset_ns
    return AlertEvent(
        id=id,
        alert_type=item.alert_type,
        severity=item.severity.value,
        message=item.message,
        data=plain(item.data),
        labels=dict(item.labels),
        source_node_id=item.source,
        status=item.status.value,
        timestamp=time_ns / 1e9,
        timestamp_ns=time_ns,
    )


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data as JSON can say it: what it has no words for becomes text."""
    made: dict[str, Any] = msgspec.to_builtins(dict(data), enc_hook=str, str_keys=True)
    return made


def key_of(event: Event) -> str:
    """Return what is kept in order: events of one key arrive as they came.

    A measurement's key is its series: source, name and labels. An alert's key is its type with its
    source and labels, so that its end never overtakes its beginning.
    """
    if isinstance(event, ClearEvent):
        return "clear_action"
    name = event.name if isinstance(event, MeasurementEvent) else f"!{event.alert_type}"
    if not event.labels:
        return f"{event.source_node_id}/{name}"
    labels = ",".join(f"{key}={value}" for key, value in sorted(event.labels.items()))
    return f"{event.source_node_id}/{name}{{{labels}}}"


def is_urgent(event: Event) -> bool:
    """Return whether it goes before measurements: alerts and clearing do."""
    return not isinstance(event, MeasurementEvent)


def severity_rank(name: str) -> int:
    """Return how much a severity matters: 0 for the least; -1 for a word that is none."""
    names = [severity.value for severity in Severity]
    return names.index(name) if name in names else -1


def encode_event(event: Event) -> bytes:
    """Return an event as bytes, for the disk."""
    return _ENCODER.encode(event)


def decode_event(body: bytes) -> Event:
    """Return the event of `encode_event`'s bytes."""
    return _DECODER.decode(body)
