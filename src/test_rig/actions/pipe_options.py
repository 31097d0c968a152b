"""What can be set of each driver's pipe: the table `[actions.drivers.NAME.pipe]`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from test_rig.actions.backlog import Policy
from test_rig.actions.driver import DriverType
from test_rig.actions.event import AlertEvent, ClearEvent, Event, severity_rank
from test_rig.actions.options import Count, Names, Options, Seconds, Size
from test_rig.resilience import CircuitBreakerConfig, RetryConfig

__all__ = ["Leftover", "PipeOptions", "PipePlan"]


class PipeOptions(Options):
    """How events wait, are sent, are tried again and are given up."""

    events: tuple[Literal["measurement", "alert", "clear_action"], ...] = Field(
        default=("measurement", "alert", "clear_action"),
        description="Which events the driver gets: measurement, alert, clear_action.",
    )
    names: Names = Field(
        default=(),
        description="Names of measurements, with `*` and `?`, that the driver gets; all if empty.",
    )
    min_severity: Literal["info", "warning", "critical"] = Field(
        default="info", description="The least severity of alerts that the driver gets."
    )
    queue_size: Count = Field(
        default=10_000,
        description="The most measurements, and the most alerts, that wait in memory.",
    )
    policy: Policy = Field(
        default=Policy.DROP_OLDEST,
        description="What happens when the queue is full: `block` (sources that can wait do; the "
        "rig's own engines never wait), `drop_oldest`, `drop_newest`, `latest` (measurements of "
        "one series replace each other), `spill` (to disk).",
    )
    interval_s: Seconds = Field(
        default=0.0,
        description="With `latest`: the least time between two measurements of one series, in "
        "seconds; `metadata.conflated` tells count, min and max of those that were replaced.",
    )
    batch_size: Size = Field(
        default=0, description="The most events in one batch; 0: the driver's own number."
    )
    linger_s: Seconds = Field(
        default=0.0, description="How long a batch that is not full waits for more, in seconds."
    )
    timeout_s: Seconds = Field(
        default=30.0,
        gt=0,
        description="How long a batch may take, in seconds, before it is given up and tried again.",
    )
    max_attempts: Size = Field(
        default=10, description="How often an event is tried before it is a dead letter; 0: always."
    )
    retry_base_s: Seconds = Field(
        default=0.2, description="The limit of the first pause before another try, in seconds."
    )
    retry_max_s: Seconds = Field(
        default=30.0,
        description="What no pause exceeds, in seconds; a receiver's own wish may be longer.",
    )
    jitter: bool = Field(
        default=True, description="Draw each pause between none and its limit; false: the limit."
    )
    breaker_failures: Count = Field(
        default=5, description="Batches in a row that must fail before the breaker opens."
    )
    breaker_recovery_s: Seconds = Field(
        default=5.0, description="How long the breaker stays open before a trial, in seconds."
    )
    ttl_s: Seconds = Field(
        default=0.0,
        description="How old an event may be when it is sent, in seconds; older ones are dropped "
        "and counted as expired. 0: any age.",
    )
    spool: bool = Field(
        default=False,
        description="Write every event to disk before it counts as accepted, until it is "
        "delivered: at least once, also over a kill of the rig.",
    )
    spool_limit: Count = Field(
        default=1_000_000,
        description="The most events on disk; beyond it `policy` decides (`spill` and `latest` "
        "refuse the newest).",
    )
    dead_letters: Count = Field(
        default=10_000, description="How many dead letters are kept; the oldest go first."
    )
    redrive: bool = Field(
        default=True,
        description="Send dead letters whose attempts were used up again when the breaker closes.",
    )
    history: Count = Field(default=1000, description="How many past deliveries `history` can tell.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.interval_s and self.policy is not Policy.LATEST:
            raise ValueError("interval_s needs policy = 'latest'")
        return self

    def wants(self, event: Event) -> bool:
        """Return whether the driver gets an event."""
        if isinstance(event, ClearEvent):
            return "clear_action" in self.events
        if isinstance(event, AlertEvent):
            is_severe = severity_rank(event.severity) >= severity_rank(self.min_severity)
            return "alert" in self.events and is_severe
        if "measurement" not in self.events:
            return False
        return not self.names or any(fnmatchcase(event.name, name) for name in self.names)

    @property
    def wants_all(self) -> bool:
        """Whether `wants` is true of every event."""
        return len(set(self.events)) == 3 and not self.names and self.min_severity == "info"

    @property
    def retry(self) -> RetryConfig:
        """The pauses between tries."""
        return RetryConfig(
            max_attempts=self.max_attempts or 2**31,
            base_delay=self.retry_base_s,
            max_delay=self.retry_max_s,
            jitter=self.jitter,
        )

    @property
    def breaker(self) -> CircuitBreakerConfig:
        """When to keep away from the receiver."""
        return CircuitBreakerConfig(
            failure_threshold=self.breaker_failures,
            recovery_timeout=self.breaker_recovery_s,
            success_threshold=1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipePlan:
    """A driver of the settings: its kind, its options, its pipe's options."""

    name: str
    kind: DriverType
    options: Options
    pipe: PipeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What a pipe could not deliver before it stopped."""

    name: str
    #: Events that wait on disk for the next start.
    spooled: int
    #: Dead letters.
    dead: int
