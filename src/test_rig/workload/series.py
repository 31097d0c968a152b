"""Throughput and latency over time, from operations as they end."""

from __future__ import annotations

from collections import Counter

from test_rig.history import OpType
from test_rig.verdict import WorkloadMoment
from test_rig.workload.workload import Done

__all__ = ["Series"]

#: A run is shown in about so many stretches.
_MOMENTS = 80
_LEAST_S = 0.1


class Series:
    """Counts what ended in each stretch of time.

    Args:
        time_s: How long the workload is meant to run.
    """

    def __init__(self, time_s: float) -> None:
        self._length_s = max(_LEAST_S, time_s / _MOMENTS)
        self._counts: dict[int, Counter[OpType]] = {}
        self._latencies: dict[int, list[float]] = {}
        self._done: dict[int, tuple[float, float]] = {}
        self._errors: Counter[str] = Counter()
        self._total: Counter[OpType] = Counter()
        self._told = 0

    def feed(self, done: Done) -> None:
        """Count one operation."""
        place = int(done.end_ns / 1e9 / self._length_s)
        counts = self._counts.get(place)
        if counts is None:
            self._close_all()
            counts = self._counts[place] = Counter()
            self._latencies[place] = []
        counts[done.type] += 1
        self._total[done.type] += 1
        if done.type is OpType.OK and place in self._latencies:
            self._latencies[place].append((done.end_ns - done.due_ns) / 1e6)
        if (failure := done.failure) is not None:
            self._errors[failure] += 1

    def _close_all(self) -> None:
        # One stretch is open at a time: its single latencies are the only ones in memory.
        for place, values in self._latencies.items():
            if values:
                values.sort()
                self._done[place] = (_at(values, 0.5), _at(values, 0.99))
        self._latencies.clear()

    def total(self, kind: OpType) -> int:
        """Return how many ended so."""
        return self._total[kind]

    def errors(self) -> tuple[tuple[str, int], ...]:
        """Return the failures by kind and code, the most frequent first."""
        return tuple(self._errors.most_common())

    def ended(self) -> tuple[WorkloadMoment, ...]:
        """Return the stretches that have ended since this was asked before.

        An operation that is counted later than its time may be missing in them; `moments` has it.
        """
        first, self._told = self._told, max(self._counts, default=0)
        return tuple(self._moment(place) for place in range(first, self._told))

    def moments(self) -> tuple[WorkloadMoment, ...]:
        """Return all stretches from the first to the last; those without anything are zeros."""
        self._close_all()
        return tuple(self._moment(place) for place in range(max(self._counts, default=-1) + 1))

    def _moment(self, place: int) -> WorkloadMoment:
        counts = self._counts.get(place, Counter())
        p50, p99 = self._done.get(place, (None, None))
        return WorkloadMoment(
            at_s=round(place * self._length_s, 6),
            length_s=self._length_s,
            ok=counts[OpType.OK],
            fail=counts[OpType.FAIL],
            info=counts[OpType.INFO],
            latency_ms_p50=p50,
            latency_ms_p99=p99,
        )


def _at(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
