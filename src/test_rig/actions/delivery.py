"""What a driver says of an event that it was given: delivered, again later, or never."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DELIVERED", "Delivery", "Fate", "rejected", "retry"]


class Fate(Enum):
    """What became of an event."""

    DELIVERED = "delivered"
    #: Not this time: the pipe tries again.
    RETRY = "retry"
    #: Never: trying again cannot help. The event becomes a dead letter.
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A driver's answer for one event."""

    fate: Fate
    #: Why it was not delivered, in one line, without secrets.
    reason: str = ""
    #: When the receiver wants to see it again, in seconds; None leaves that to the pipe.
    after_s: float | None = None
    #: What helps to understand the reason: a traceback, the beginning of an answer.
    detail: str = ""
    #: Whether the driver came to it at all; if not, it counts as no attempt.
    was_tried: bool = True


DELIVERED = Delivery(Fate.DELIVERED)


def retry(reason: str, *, after_s: float | None = None, detail: str = "") -> Delivery:
    """Return the answer *again later*."""
    return Delivery(Fate.RETRY, reason, after_s, detail)


def rejected(reason: str, *, detail: str = "") -> Delivery:
    """Return the answer *never*."""
    return Delivery(Fate.REJECTED, reason, None, detail)
