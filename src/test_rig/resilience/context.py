"""The circumstances of an error: what was tried, for the how manieth time, against what.

How to think of it: `ErrorContext` is a value that prints as one line without secrets;
`ErrorContextBuilder` collects it step by step, as existing scripts do.

>>> from datetime import UTC, datetime
>>> builder = ErrorContextBuilder("load rows", started_at=datetime(2026, 1, 2, tzinfo=UTC))
>>> builder = builder.with_connection_info("db.example", "shop", "ann", port=4000)
>>> print(builder.with_attempt(2).with_additional_info("table", "orders").build())
load rows (attempt 2) at ann@db.example:4000/shop since 2026-01-02T00:00:00+00:00 table=orders
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from test_rig.clock import SYSTEM_CLOCK
from test_rig.resilience.seconds import Seconds, seconds
from test_rig.resilience.secrets import MASK, is_secret_name, without_passwords

__all__ = ["ConnectionInfo", "ErrorContext", "ErrorContextBuilder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """Where a connection led, without its password."""

    host: str
    port: int | None = None
    user: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port is not None else self.host
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        database = "" if self.database is None else f"/{self.database}"
        return without_passwords(f"{user}{host}{port}{database}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorContext:
    """What was being done when an error came."""

    operation: str
    #: Counts from 1.
    attempt: int
    started_at: datetime
    connection: ConnectionInfo | None = None
    duration_s: float | None = None
    #: Free fields, in the order they were added.
    fields: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.operation} (attempt {self.attempt})"]
        if self.connection is not None:
            parts.append(f"at {self.connection}")
        parts.append(f"since {self.started_at.isoformat()}")
        if self.duration_s is not None:
            parts.append(f"for {self.duration_s:.3f} s")
        parts += [f"{key}={_shown(key, value)}" for key, value in self.fields]
        return " ".join(" ".join(parts).split())

    # The fields may hold what must not be printed, so both forms are the safe one.
    __repr__ = __str__


class ErrorContextBuilder:
    """Collects an `ErrorContext`; every method returns the builder."""

    def __init__(self, operation: str, *, started_at: datetime | None = None) -> None:
        self._operation = operation
        self._started_at = SYSTEM_CLOCK.utc() if started_at is None else started_at
        self._attempt = 1
        self._connection: ConnectionInfo | None = None
        self._duration_s: float | None = None
        self._fields: dict[str, str] = {}

    def with_connection_info(
        self,
        host: str,
        database: str | None = None,
        user: str | None = None,
        *,
        port: int | None = None,
    ) -> ErrorContextBuilder:
        """Say where the connection led. The database comes before the user."""
        self._connection = ConnectionInfo(host=host, port=port, user=user, database=database)
        return self

    def with_query(self, sql: str) -> ErrorContextBuilder:
        """Add the statement, as the free field `query`."""
        return self.with_additional_info("query", sql)

    def with_attempt(self, number: int) -> ErrorContextBuilder:
        """Say how many times it has been tried, this time included."""
        self._attempt = number
        return self

    def with_duration(self, length: Seconds) -> ErrorContextBuilder:
        """Say how long it took: seconds or a timedelta."""
        self._duration_s = seconds(length, name="duration")
        return self

    def with_additional_info(self, key: str, value: object) -> ErrorContextBuilder:
        """Add a free field; the last value of a key counts."""
        self._fields[key] = str(value)
        return self

    def build(self) -> ErrorContext:
        """Return what was collected; the builder can go on."""
        return ErrorContext(
            operation=self._operation,
            attempt=self._attempt,
            started_at=self._started_at,
            connection=self._connection,
            duration_s=self._duration_s,
            fields=tuple(self._fields.items()),
        )


def _shown(key: str, value: str) -> str:
    return MASK if is_secret_name(key) else without_passwords(value)
