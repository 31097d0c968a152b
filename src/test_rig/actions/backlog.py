"""What waits for one driver: bounded, alerts first, the order of each key kept.

Theory of operation: two lanes, one for what is urgent (alerts, clearing) and one for measurements;
each holds at most `capacity` parcels. `take` empties the urgent lane first. A parcel that has to be
tried again is *held*: it waits beside the lanes until it is due, and while it waits every later
parcel of its key joins it, so that the order of a key is never broken and other keys go on.

What happens when a lane is full is the policy:

- `block`: the source has to wait (`room`); what cannot wait is refused;
- `drop_oldest`, `drop_newest`: one of them is lost, and counted;
- `latest`: measurements of one series replace each other, and the newest tells how many it stands
  for, with their least and greatest value; optionally no more often than every `interval_ns`;
- `spill`: nothing is lost, what does not fit is handed back for the disk.

Pure: time comes as an argument, locks are the pipe's.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from test_rig.actions.event import Event, MeasurementEvent, is_urgent, key_of

__all__ = ["Admission", "Backlog", "Parcel", "Policy"]


class Policy(Enum):
    """What happens when the queue is full."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    LATEST = "latest"
    SPILL = "spill"


class Parcel(Struct, kw_only=True):
    """An event on its way through a pipe."""

    event: Event
    #: When the pipe took it, in nanoseconds of the clock.
    born_ns: int
    #: Its row on disk; 0: it is in memory only.
    seq: int = 0
    #: How often it was tried.
    attempts: int = 0
    #: How often it came back from the dead letters.
    redrives: int = 0
    #: The measurements of its series that it replaced: how many, the least, the greatest.
    skipped: tuple[int, float, float] | None = None


@dataclass(slots=True)
class Admission:
    """What became of parcels that were offered."""

    admitted: list[Parcel] = field(default_factory=list)
    #: Lost, to the policy.
    dropped: list[Parcel] = field(default_factory=list)
    #: Measurements that a newer one of their series stands for now.
    replaced: list[Parcel] = field(default_factory=list)
    #: Left for the disk.
    spilled: list[Parcel] = field(default_factory=list)


class Backlog:
    """The parcels that wait.

    Args:
        capacity: The most parcels in each lane.
        policy: What happens to the next one.
        interval_ns: With `latest`: the least time between two measurements of a series.
    """

    def __init__(self, capacity: int, policy: Policy, *, interval_ns: int = 0) -> None:
        self._capacity, self._policy, self._interval_ns = capacity, policy, interval_ns
        self._urgent: deque[Parcel] = deque()
        self._normal: deque[Parcel] = deque()
        #: With `latest`, in place of the second lane.
        self._series: dict[str, Parcel] = {}
        self._taken_ns: dict[str, int] = {}
        self._held: dict[str, deque[Parcel]] = {}
        self._held_count = 0
        #: When a held key is due.
        self._due: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._urgent) + self._normal_count + self._held_count

    @property
    def _normal_count(self) -> int:
        return len(self._normal) + len(self._series)

    def room(self) -> int:
        """Return how many more measurements fit."""
        return max(0, self._capacity - self._normal_count - self._held_count)

    def oldest_ns(self) -> int | None:
        """Return when the parcel that waits longest was taken."""
        heads = [lane[0].born_ns for lane in (self._urgent, self._normal) if lane]
        heads += [next(iter(self._series.values())).born_ns] if self._series else []
        heads += [queue[0].born_ns for queue in self._held.values()]
        return min(heads, default=None)

    def offer(self, parcels: Sequence[Parcel], *, patient: bool = False) -> Admission:
        """Take parcels in.

        Args:
            parcels: In their order.
            patient: Let them in though it is full: their source has waited for room, or they
                are on disk and must not be lost.
        """
        made = Admission()
        if self._policy is not Policy.LATEST and (patient or len(parcels) <= self._least_room()):
            for parcel in parcels:
                (self._urgent if is_urgent(parcel.event) else self._normal).append(parcel)
            made.admitted = list(parcels)
            return made
        for parcel in parcels:
            urgent = is_urgent(parcel.event)
            if self._policy is Policy.LATEST and not urgent:
                self._conflate(parcel, made, patient=patient)
                continue
            lane = self._urgent if urgent else self._normal
            if patient or len(lane) + self._held_count < self._capacity:
                lane.append(parcel)
                made.admitted.append(parcel)
            elif self._policy is Policy.SPILL:
                made.spilled.append(parcel)
            elif self._policy is Policy.DROP_OLDEST and lane:
                made.dropped.append(lane.popleft())
                lane.append(parcel)
                made.admitted.append(parcel)
            else:
                made.dropped.append(parcel)
        return made

    def _least_room(self) -> int:
        longer = max(len(self._urgent), len(self._normal))
        return self._capacity - longer - self._held_count

    def _conflate(self, parcel: Parcel, made: Admission, *, patient: bool) -> None:
        key = key_of(parcel.event)
        before = self._series.get(key)
        if before is None and not patient and len(self._series) >= self._capacity:
            made.dropped.append(parcel)
            return
        if before is not None:
            parcel.skipped = _summary(before)
            made.replaced.append(before)
        self._series[key] = parcel  # a known key keeps its place in the queue
        made.admitted.append(parcel)

    def take(self, limit: int, *, now_ns: int) -> list[Parcel]:
        """Return the next parcels, `limit` at most: what is due again, alerts, measurements."""
        taken: list[Parcel] = []
        self._take_due(taken, limit, now_ns)
        self._take_lane(self._urgent, taken, limit)
        if self._series:
            self._take_series(taken, limit, now_ns)
        else:
            self._take_lane(self._normal, taken, limit)
        return taken

    def _take_due(self, taken: list[Parcel], limit: int, now_ns: int) -> None:
        while self._due and self._due[0][0] <= now_ns and len(taken) < limit:
            due_ns, key = heapq.heappop(self._due)
            queue = self._held[key]
            while queue and len(taken) < limit:
                taken.append(queue.popleft())
                self._held_count -= 1
            if queue:
                heapq.heappush(self._due, (due_ns, key))
            else:
                del self._held[key]

    def _take_lane(self, lane: deque[Parcel], taken: list[Parcel], limit: int) -> None:
        if not self._held:
            taken.extend(lane.popleft() for _ in range(min(limit - len(taken), len(lane))))
            return
        while lane and len(taken) < limit:
            parcel = lane.popleft()
            if not self._joins_held(parcel):
                taken.append(parcel)

    def _take_series(self, taken: list[Parcel], limit: int, now_ns: int) -> None:
        for key in list(self._series):
            if len(taken) >= limit:
                return
            if self._interval_ns and now_ns < self._free_ns(key):
                continue
            parcel = self._series.pop(key)
            if self._joins_held(parcel):
                continue
            if self._interval_ns:
                self._taken_ns[key] = now_ns
                self._forget(now_ns)
            taken.append(_told(parcel))

    def _free_ns(self, key: str) -> int:
        taken_ns = self._taken_ns.get(key)
        return 0 if taken_ns is None else taken_ns + self._interval_ns

    def _forget(self, now_ns: int) -> None:
        if len(self._taken_ns) > 2 * self._capacity:
            limit_ns = now_ns - self._interval_ns
            self._taken_ns = {key: ns for key, ns in self._taken_ns.items() if ns > limit_ns}

    def _joins_held(self, parcel: Parcel) -> bool:
        if not self._held:
            return False
        queue = self._held.get(key_of(parcel.event))
        if queue is None:
            return False
        queue.append(_told(parcel))
        self._held_count += 1
        return True

    def hold(self, parcels: Iterable[Parcel], *, due_ns: int) -> None:
        """Take back parcels that were taken, in their order, for another try when they are due."""
        again: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            again.setdefault(key_of(parcel.event), []).append(parcel)
        for key, first in again.items():
            queue = self._held.get(key)
            self._held_count += len(first)
            if queue is None:
                self._held[key] = deque(first)
                heapq.heappush(self._due, (due_ns, key))
            else:
                # Parcels of an earlier batch go before those that joined meanwhile.
                queue.extendleft(reversed(first))

    def next_due_ns(self) -> int | None:
        """Return when something can be taken; None: nothing waits."""
        if self._urgent or self._normal:
            return 0
        moments = [self._due[0][0]] if self._due else []
        moments += [self._free_ns(key) for key in self._series]
        return min(moments, default=None)

    def drain(self) -> list[Parcel]:
        """Take out everything, whatever it waits for."""
        held = [parcel for queue in self._held.values() for parcel in queue]
        every = [*held, *self._urgent, *self._normal, *map(_told, self._series.values())]
        self._held.clear()
        self._due.clear()
        self._held_count = 0
        self._urgent.clear()
        self._normal.clear()
        self._series.clear()
        return every


def _summary(before: Parcel) -> tuple[int, float, float]:
    assert isinstance(before.event, MeasurementEvent)  # noqa: S101 -- only they are conflated
    value = before.event.value
    count, least, greatest = before.skipped or (0, value, value)
    return count + 1, min(least, value), max(greatest, value)


def _told(parcel: Parcel) -> Parcel:
    """Return the parcel with what it replaced written into its event."""
    if parcel.skipped is None or not isinstance(parcel.event, MeasurementEvent):
        return parcel
    count, least, greatest = parcel.skipped
    told = {"count": count, "min": least, "max": greatest}
    parcel.event = replace(parcel.event, metadata={**parcel.event.metadata, "conflated": told})
    parcel.skipped = None
    return parcel
