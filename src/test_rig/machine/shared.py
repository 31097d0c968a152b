"""What the connections of one test share: states, events, values, and messages on their way.

It is data behind one lock; `coordination` has the waiting.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import UsageError
from test_rig.machine.limits import checked_seconds

__all__ = [
    "ConnectionState",
    "ConnectionStatus",
    "CoordinationEvent",
    "GlobalConfig",
    "SharedState",
]

#: So many events are kept, the newest.
_KEPT_EVENTS = 10_000


class ConnectionState(Enum):
    """How far a connection is."""

    DISCONNECTED = "Disconnected"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    TESTING = "Testing"
    #: It follows bulk loads.
    MONITORING = "Monitoring"
    COMPLETED = "Completed"
    ERROR = "Error"

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be expected of it."""
        return self in (ConnectionState.COMPLETED, ConnectionState.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalConfig:
    """The limits of a test with several connections. Times are in seconds."""

    #: The run of each connection.
    test_duration: float = 3600.0
    #: Each wait for another connection, unless it has a limit of its own.
    coordination_timeout: float = 30.0
    max_connections: int = 100
    #: Messages that wait for one connection.
    message_capacity: int = 100

    def __post_init__(self) -> None:
        checked_seconds(self.test_duration, where="GlobalConfig.test_duration")
        checked_seconds(self.coordination_timeout, where="GlobalConfig.coordination_timeout")
        for name in ("max_connections", "message_capacity"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(
                    f"{value!r} is no count of 1 or more", where=f"GlobalConfig.{name}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """What is known of one connection."""

    connection_id: str
    host: str | None = None
    port: int | None = None
    username: str | None = None
    status: ConnectionState = ConnectionState.DISCONNECTED
    last_activity: datetime
    error_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinationEvent:
    """Something that happened."""

    #: `ConnectionEstablished`, `ConnectionFailed`, `ConnectionCompleted`, `AllConnectionsReady`,
    #: `BarrierPassed`, `TestCompleted`.
    name: str
    at: datetime
    #: None where it concerns all.
    connection_id: str | None = None
    #: The error, the barrier's name.
    detail: str | None = None


class SharedState:
    """What all connections of a test can see. Thread-safe; what it returns are copies.

    Args:
        global_config: The limits.
        clock: Tells when something happened.
    """

    def __init__(
        self, global_config: GlobalConfig | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.global_config = global_config or GlobalConfig()
        self.clock = clock
        #: Held for every look and change; notified of every change.
        self.changed = threading.Condition()
        self._values: dict[str, Any] = {}
        self._status: dict[str, ConnectionStatus] = {}
        self._events: deque[CoordinationEvent] = deque(maxlen=_KEPT_EVENTS)

    # Values

    def set(self, key: str, value: Any) -> None:
        """Share a value."""
        with self.changed:
            self._values[key] = value
            self.changed.notify_all()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a shared value, or the default."""
        with self.changed:
            return self._values.get(key, default)

    def has(self, key: str) -> bool:
        """Return whether a value was shared under that key."""
        with self.changed:
            return key in self._values

    def add(self, key: str, amount: float = 1) -> float:
        """Add to a shared number, which begins at 0, in one step; return the sum."""
        with self.changed:
            total: float = self._values.get(key, 0) + amount
            self._values[key] = total
            self.changed.notify_all()
            return total

    def values(self) -> dict[str, Any]:
        """Return all shared values."""
        with self.changed:
            return dict(self._values)

    # Connections

    @property
    def connection_status(self) -> dict[str, ConnectionStatus]:
        """What is known of each connection, in the order in which they were added."""
        with self.changed:
            return dict(self._status)

    def add_connection(self, status: ConnectionStatus) -> None:
        """Take in a connection.

        Raises:
            UsageError: There is one of that name, or there are as many as may be.
        """
        with self.changed:
            if status.connection_id in self._status:
                raise UsageError(
                    f"there is a connection {status.connection_id!r} already",
                    where="add_connection",
                )
            if len(self._status) >= self.global_config.max_connections:
                raise UsageError(
                    f"there are {len(self._status)} connections already",
                    where="add_connection",
                    todo="raise GlobalConfig.max_connections",
                )
            self._status[status.connection_id] = status
            self.changed.notify_all()

    def update_status(
        self, connection_id: str, status: ConnectionState, *, error_message: str | None = None
    ) -> None:
        """Say how far a connection is; all else that is known of it stays."""
        with self.changed:
            self._status[connection_id] = replace(
                self._status[connection_id],
                status=status,
                error_message=error_message,
                last_activity=self.clock.utc(),
            )
            self.changed.notify_all()

    # Events

    @property
    def coordination_events(self) -> list[CoordinationEvent]:
        """What happened, in order."""
        with self.changed:
            return list(self._events)

    def record(
        self, name: str, *, connection_id: str | None = None, detail: str | None = None
    ) -> None:
        """Write down that something happened."""
        event = CoordinationEvent(
            name=name, at=self.clock.utc(), connection_id=connection_id, detail=detail
        )
        with self.changed:
            self._events.append(event)
            self.changed.notify_all()
