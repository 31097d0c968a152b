"""Who starts next: priorities, and limits on what runs at the same time."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator

from test_rig.workflow.active import Active

__all__ = ["ReadyQueue"]

_Entry = tuple[int, int, int, Active, str]


class ReadyQueue:
    """Attempts that wait for a place: by the run's priority, the task's, and then by time.

    An attempt can start once it is recorded what made it ready: until then it is no more than
    announced. One whose own limit is reached steps aside until a place of that limit is free, so it
    does not hold up others.
    """

    def __init__(self) -> None:
        self._announced: list[_Entry] = []
        self._ready: list[_Entry] = []
        self._aside: dict[tuple[str, ...], deque[_Entry]] = {}
        self._used: dict[tuple[str, ...], int] = {}
        self._numbers = itertools.count()

    def announce(self, active: Active, key: str) -> None:
        """Let an attempt wait, from `recorded` on."""
        task = active.plan.places[key].task
        entry = (-active.run.priority, -task.priority, next(self._numbers), active, key)
        self._announced.append(entry)

    def recorded(self) -> None:
        """Say that what made the announced attempts ready is on record."""
        for entry in self._announced:
            heapq.heappush(self._ready, entry)
        self._announced.clear()

    def take(self) -> Iterator[tuple[Active, str]]:
        """Yield the attempts that may start now, each with its places taken."""
        while self._ready:
            entry = heapq.heappop(self._ready)
            active, key = entry[3], entry[4]
            if active.plan.is_over or key not in active.plan.active:
                continue  # cancelled, or withheld, while it waited
            places = active.places(key)
            full = next((p for p, limit in places if self._used.get(p, 0) >= limit), None)
            if full is not None:
                self._aside.setdefault(full, deque()).append(entry)
                continue
            for place, _ in places:
                self._used[place] = self._used.get(place, 0) + 1
            yield active, key

    def release(self, active: Active, key: str) -> None:
        """Give the places of an attempt back."""
        for place, _ in active.places(key):
            self._used[place] -= 1
            aside = self._aside.get(place)
            if aside:
                heapq.heappush(self._ready, aside.popleft())
