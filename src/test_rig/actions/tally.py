"""What a pipe counts, how long deliveries took, and the newest of them one by one."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from test_rig.actions.backlog import Parcel
from test_rig.actions.delivery import Delivery, Fate
from test_rig.actions.event import Event

__all__ = ["LATENCY_BOUNDS_S", "PastDelivery", "Tally"]

#: The upper bounds of the histogram, from acceptance to delivery.
LATENCY_BOUNDS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0
)  # fmt: skip


class PastDelivery(Struct, frozen=True, kw_only=True):
    """One try of one event."""

    event: Event
    fate: str
    reason: str
    attempt: int
    #: Since the event was accepted, and how long its batch took, in seconds.
    latency_s: float
    duration_s: float
    batch_size: int


class _Batch(Struct):
    events: list[tuple[Event, int, int]]
    answers: Sequence[Delivery]
    started_ns: int
    now_ns: int


class Tally:
    """Counts of one pipe; written by its thread, read by any.

    Args:
        keep: How many past deliveries are kept.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._past: deque[_Batch] = deque()
        self._past_count = 0
        self.accepted = self.delivered = self.retried = self.dead = 0
        self.expired = self.redriven = self.batches = self.rejected = self.conflated = 0
        self.lost: Counter[str] = Counter()
        self.buckets = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.latency_sum_s = 0.0

    def lose(self, reason: str, count: int) -> None:
        """Note events that are gone, with the reason."""
        if count:
            self.lost[reason] += count

    def settle(
        self, batch: Sequence[Parcel], answers: Sequence[Delivery], *, started_ns: int, now_ns: int
    ) -> None:
        """Note how a batch ended."""
        self.batches += 1
        # What was offered at once has one age.
        pairs = zip(batch, answers, strict=True)
        ages = Counter([each.born_ns for each, answer in pairs if answer.fate is Fate.DELIVERED])
        delivered = ages.total()
        self.delivered += delivered
        if delivered < len(answers):
            self.rejected += sum(answer.fate is Fate.REJECTED for answer in answers)
        for born_ns, count in ages.items():
            latency_s = (now_ns - born_ns) / 1e9
            self.latency_sum_s += latency_s * count
            self.buckets[bisect_left(LATENCY_BOUNDS_S, latency_s)] += count
        tried = [(p.event, p.attempts, p.born_ns) for p in batch[-self._keep :]]
        self._past.append(_Batch(tried, answers[-self._keep :], started_ns, now_ns))
        self._past_count += len(tried)
        while self._past_count - len(self._past[0].events) >= self._keep:
            self._past_count -= len(self._past.popleft().events)

    def numbers(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {
            "accepted": self.accepted,
            "delivered": self.delivered,
            "batches": self.batches,
            "retried": self.retried,
            "rejected": self.rejected,
            "dead": self.dead,
            "redriven": self.redriven,
            "expired": self.expired,
            "conflated": self.conflated,
            "lost": dict(self.lost),
            "latency_p50_s": self.latency_s(0.5),
            "latency_p99_s": self.latency_s(0.99),
        }

    def latency_s(self, share: float) -> float | None:
        """Return a bound that this share of the latencies did not exceed; None: none is known."""
        total = sum(self.buckets)
        if total == 0:
            return None
        seen = 0
        for bound, count in zip((*LATENCY_BOUNDS_S, float("inf")), self.buckets, strict=True):
            seen += count
            if seen >= share * total:
                return bound if bound != float("inf") else None
        return None

    def history(self, limit: int | None = None) -> list[PastDelivery]:
        """Return past deliveries, the newest last, as many as are kept or `limit`."""
        wanted = self._keep if limit is None else max(0, min(limit, self._keep))
        found: list[PastDelivery] = []
        for batch in list(self._past):
            for (event, attempt, born_ns), answer in zip(batch.events, batch.answers, strict=True):
                found.append(
                    PastDelivery(
                        event=event,
                        fate=answer.fate.value,
                        reason=answer.reason,
                        attempt=attempt,
                        latency_s=(batch.now_ns - born_ns) / 1e9,
                        duration_s=(batch.now_ns - batch.started_ns) / 1e9,
                        batch_size=len(batch.events),
                    )
                )
        return found[len(found) - wanted :] if len(found) > wanted else found
