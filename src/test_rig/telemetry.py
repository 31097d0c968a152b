"""What the rig emits while it works: measurements and alerts.

An engine gets an `Emit` and calls it; it does not know who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Alert", "AlertStatus", "Emit", "Measurement", "Severity", "emit_nothing"]


class Severity(Enum):
    """How much an alert matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertStatus(Enum):
    """Whether what an alert tells of still holds."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number, when it was taken and of what."""

    name: str
    value: float
    unit: str
    #: Monotonic nanoseconds (`Clock.now_ns`).
    time_ns: int
    labels: tuple[tuple[str, str], ...] = ()
    #: The part of the rig that took it.
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that a person should know now."""

    alert_type: str
    severity: Severity
    message: str
    time_ns: int
    data: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[tuple[str, str], ...] = ()
    source: str = ""
    status: AlertStatus = AlertStatus.FIRING


#: Never blocks, never raises.
Emit = Callable[[Measurement | Alert], None]


def emit_nothing(item: Measurement | Alert) -> None:
    """Drop what is emitted: the default where nobody listens."""
    del item
