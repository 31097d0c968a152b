"""A bulk load as every database can be asked about it: what is known, and None for what is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from test_rig.errors import UsageError

__all__ = ["ImportJob", "ImportJobConfig", "JobState"]


class JobState(Enum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It runs no more, and its server does not tell whether it was done, or rolled back.
    ENDED = "ended"
    #: The server uses a word that is not known here.
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether the job runs no more."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.UNKNOWN)

    @property
    def is_bad(self) -> bool:
        """Whether the job is known not to have done its work."""
        return self in (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """One bulk load, as it was seen at one moment."""

    #: The server's own number: of the job, or of the connection that loads.
    id: str
    #: Tells it from another job with the same number.
    key: str
    #: Into which table.
    table: str | None = None
    #: From where: a file, a store's URL, "the client".
    source: str | None = None
    state: JobState
    #: What it is doing, in the server's words.
    phase: str | None = None
    rows_done: int | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    #: How much of all the work is done, from 0 to 1, where the server tells.
    fraction: float | None = None
    #: The same of the phase's current step alone, after which others may follow.
    step_done: float | None = None
    #: The time left by the server's own estimate, in seconds.
    server_left_s: float | None = None
    #: How long it has run, or had when it ended, by the server's clock.
    elapsed_s: float | None = None
    #: Why it failed.
    message: str | None = None
    #: Every column that the server gave, by its own name, in order.
    columns: tuple[tuple[str, Any], ...] = ()

    @property
    def done(self) -> float | None:
        """How much is done, from 0 to 1: by the server's word, else by bytes."""
        if self.state is JobState.FINISHED:
            return 1.0
        if self.fraction is not None:
            return self.fraction
        if self.bytes_done is not None and self.bytes_total:
            return min(self.bytes_done / self.bytes_total, 1.0)
        return None


@dataclass(frozen=True, slots=True)
class ImportJobConfig:
    """How long, and how often, jobs are looked at; times are seconds or a timedelta.

    >>> ImportJobConfig(monitor_duration=60, update_interval=1).update_interval_s
    1.0
    """

    #: Watching ends after so long, if the jobs have not ended before.
    monitor_duration: float | timedelta = 300.0
    #: Between two looks.
    update_interval: float | timedelta = 5.0
    #: Tell every column that the server gives, not only the progress.
    show_details: bool = True

    def __post_init__(self) -> None:
        for name in ("monitor_duration", "update_interval"):
            value = _seconds(getattr(self, name))
            if not math.isfinite(value) or value <= 0:
                raise UsageError(f"{value!r} is no length of time", where=f"ImportJobConfig.{name}")
        if self.update_interval_s > self.monitor_duration_s:
            raise UsageError(
                "update_interval is longer than monitor_duration", where="ImportJobConfig"
            )

    @property
    def monitor_duration_s(self) -> float:
        """`monitor_duration` in seconds."""
        return _seconds(self.monitor_duration)

    @property
    def update_interval_s(self) -> float:
        """`update_interval` in seconds."""
        return _seconds(self.update_interval)


def _seconds(length: float | timedelta) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else float(length)
