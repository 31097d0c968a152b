"""The words between the deciding core and the acting shell: what happened, and what to do.

Events tell the core what was learned, commands tell the shell what to do, reports are the lines of
the story in the order in which a person should read it, and a track is what is known of one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from test_rig.scenario.spec import Blocker

__all__ = [
    "Cancel",
    "Command",
    "Ended",
    "Ending",
    "Event",
    "Limits",
    "Noticed",
    "Observe",
    "Observed",
    "OnError",
    "PlannedStep",
    "Rollback",
    "RolledBack",
    "Send",
    "Tick",
    "Track",
]

_MS = 1_000_000


class OnError(Enum):
    """What a step's error means for the rest of the script."""

    CONTINUE = "continue"
    ABORT = "abort"


class Ending(Enum):
    """How a run ended."""

    COMPLETE = "complete"
    #: A step's turn could never come.
    IMPOSSIBLE = "impossible"
    #: A step neither ended nor was said to wait within the limit.
    LIMIT = "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times, in nanoseconds."""

    #: How long a step may take without ending and without the server saying that it waits.
    step_ns: int = 10_000 * _MS
    #: The pause before the next observation, at first and later.
    fast_poll_ns: int = 2 * _MS
    slow_poll_ns: int = 20 * _MS
    #: How long after the last change the pause stays short.
    fast_for_ns: int = 100 * _MS
    #: How long a picture without a way out must stand before it is believed.
    stuck_ns: int = 300 * _MS


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step at its place in the order: whose it is, and what holds its report back."""

    session: str
    name: str
    blockers: tuple[Blocker, ...] = ()


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The server answered a step."""

    index: int
    is_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """A session received a notice."""

    session: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The server's answer, asked for at `asked_ns`: who waits, and for whom as far as told."""

    asked_ns: int
    waits: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """A session's transaction is over."""

    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Nothing happened but time."""


Event = Ended | Noticed | Observed | RolledBack | Tick


# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send the step to its session, which is idle."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observe:
    """Ask the server who waits, and answer with `Observed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """Roll the session's transaction back, and answer with `RolledBack`."""

    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Stop the step on the server; its `Ended` is still awaited."""

    index: int


Command = Send | Observe | Rollback | Cancel


@dataclass(slots=True, kw_only=True)
class Track:
    """What is known of one step."""

    sent_ns: int | None = None
    is_ended: bool = False
    is_failed: bool = False
    #: Reported as ended: the step counts as completed for others' markers.
    is_done: bool = False
    is_skipped: bool = False
    is_cancelled: bool = False
    #: When the server's word that it waits was confirmed first.
    blocked_ns: int | None = None
    blocked_by: tuple[str, ...] = ()
    #: Observations in a row that say it waits, since the last change.
    votes: int = 0
    #: How many notices each `notices` marker waits for, by the marker's place.
    notice_goals: dict[int, int] = field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        """Still to be sent."""
        return self.sent_ns is None and not self.is_skipped

    @property
    def is_open(self) -> bool:
        """Sent, and not reported as ended."""
        return self.sent_ns is not None and not self.is_done

    @property
    def is_running(self) -> bool:
        """Sent and not answered."""
        return self.sent_ns is not None and not self.is_ended
