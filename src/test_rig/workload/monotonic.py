"""Monotonic: counters that only ever grow.

A transaction that reads a counter twice must not see it shrink, nor a session from one transaction
to the next; and in the end every answered increment must be there, and no refused one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.history import OpType
from test_rig.workload.evidence import Beside, reads_of_counter
from test_rig.workload.flaws import (
    ABORTED_READ,
    FRACTURED_READ,
    LOST_UPDATE,
    SESSION_BACKWARDS,
    UNREPEATABLE,
)
from test_rig.workload.ledger import Ledger, Recent
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown

if TYPE_CHECKING:
    from random import Random

__all__ = ["Monotonic"]

_READ = "SELECT v FROM counters WHERE k = ?"
_INCREMENT = "UPDATE counters SET v = v + 1 WHERE k = ?"


class _Generator:
    def __init__(self, plan: Plan, random: Random) -> None:
        self._keys, self._random = plan.keys, random

    def request(self) -> Request:
        f = "increment" if self._random.random() < 0.5 else "read"
        return Request(f, self._random.randint(1, self._keys))

    def final(self) -> Sequence[Request]:
        return [Request("read-last", key) for key in range(1, self._keys + 1)]


class _Counter:
    """What is known of one counter."""

    __slots__ = ("done", "last_end_ns", "unknown")

    def __init__(self) -> None:
        self.done = self.unknown = 0
        self.last_end_ns = -1


class _Judge:
    def __init__(self) -> None:
        self._ledger = Ledger()
        self._counters: dict[int, _Counter] = {}
        #: By process and key: the greatest value seen, and the read that saw it.
        self._seen: Recent[tuple[int, int], list[tuple[int, Done]]] = Recent(list, most=65536)
        self._reads = self._beside = 0
        self._increments = Beside()

    def feed(self, done: Done) -> None:
        key = done.request.value
        counter = self._counters.setdefault(key, _Counter())
        if done.request.f == "increment":
            counter.done += done.type is OpType.OK
            counter.unknown += done.type is OpType.INFO
            if done.type is OpType.OK:
                counter.last_end_ns = done.end_ns
                self._increments.add(done)
        elif done.type is OpType.OK:
            self._read(done, counter)

    def _read(self, done: Done, counter: _Counter) -> None:
        first, second = done.value
        self._reads += 1
        self._beside += counter.last_end_ns > done.start_ns
        who = f"process {done.process}"
        of = f"of counter {done.request.value}"
        if second != first:
            flaw = FRACTURED_READ if second < first else UNREPEATABLE
            self._ledger.add(
                flaw,
                lambda: f"{who} read {first} and then {second} {of} in one transaction",
                evidence=lambda: reads_of_counter([done], self._increments.of(done)),
            )
        before = self._seen[done.process, done.request.value]
        if before and first < before[0][0]:
            was, earlier = before[0]
            self._ledger.add(
                SESSION_BACKWARDS,
                lambda: f"{who} read {first} {of} after it had read {was}",
                evidence=lambda: reads_of_counter([earlier, done], self._increments.of(done)),
            )
        if not before or before[0][0] < max(first, second):
            before[:] = [(max(first, second), done)]
        if done.request.f == "read-last":
            self._settle(second, counter, of)

    def _settle(self, value: int, counter: _Counter, of: str) -> None:
        least, most = counter.done, counter.done + counter.unknown
        if value < least:
            self._ledger.add(
                LOST_UPDATE, lambda: f"{least} increments {of} were answered, and it is {value}"
            )
        elif value > most:
            self._ledger.add(
                ABORTED_READ, lambda: f"at most {most} increments {of} took effect: it is {value}"
            )

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (("reads", self._reads), ("reads beside a committed increment", self._beside))


class Monotonic:
    """Counters that only grow."""

    name = "monotonic"
    about = "counters only grow, within a transaction, a session and to the end (OTV, lost update)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        keys = range(1, plan.keys + 1)
        return (
            ("CREATE TABLE counters (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),
            *(("INSERT INTO counters (k, v) VALUES (?, 0)", (k,)) for k in keys),
        )

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random)

    def judge(self, plan: Plan) -> _Judge:
        del plan
        return _Judge()

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "increment":
            speech.run(_INCREMENT, request.value)
            return speech.one(_READ, request.value)  # what it made of it
        return tuple(speech.one(_READ, request.value) for _ in range(2))
