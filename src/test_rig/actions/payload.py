"""Events as receivers get them: the rig's own shape, or that of the earlier instrument.

The instrument's shape is what people's endpoints and dashboards read: `display_update`, `alert` and
`clear_action`, whole seconds, no fields but its own.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
from msgspec import UNSET

from test_rig.actions.event import AlertEvent, Event, MeasurementEvent

__all__ = ["Payload", "encoder_of", "fields_of"]

_JSON = msgspec.json.Encoder(enc_hook=str)


class Payload(Enum):
    """The shape in which a receiver gets events."""

    RIG = "rig"
    INSTRUMENT = "instrument"


def fields_of(event: Event, payload: Payload = Payload.RIG) -> dict[str, Any]:
    """Return an event as plain data, which is the caller's to change."""
    if payload is Payload.RIG:
        made: dict[str, Any] = msgspec.to_builtins(event, enc_hook=str)
        return made
    seconds = event.timestamp_ns // 1_000_000_000
    if isinstance(event, MeasurementEvent):
        return {
            "type": "display_update",
            "concentration_ppm": _or(event.concentration_ppm, event.value),
            "source_node_id": event.source_node_id,
            "peak_amplitude": _or(event.peak_amplitude, None),
            "peak_frequency": _or(event.peak_frequency, None),
            "timestamp": seconds,
            "metadata": event.metadata,
        }
    if isinstance(event, AlertEvent):
        return {
            "type": "alert",
            "alert_type": event.alert_type,
            "severity": event.severity,
            "message": event.message,
            "data": event.data,
            "timestamp": seconds,
        }
    return {"type": "clear_action", "timestamp": seconds}


def encoder_of(payload: Payload) -> Callable[[Event], bytes]:
    """Return what writes an event as JSON in a shape."""
    if payload is Payload.RIG:
        return _JSON.encode
    return lambda event: _JSON.encode(fields_of(event, payload))


def _or(value: Any, other: Any) -> Any:
    return other if value is UNSET else value
