"""Set: elements are added, and whoever reads later must find them.

A set is left for a new one after a while and read a last time when nobody adds to it any more. An
element whose commit was answered and that a later read misses is stale if it turns up after all,
and lost if the last read misses it too; one that was read though it was refused is an aborted read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from test_rig.history import Mop, OpType
from test_rig.workload.evidence import witness_of_registers
from test_rig.workload.flaws import (
    ABORTED_READ,
    LOST_ELEMENT,
    STALE_ELEMENT,
    Evidence,
    Ledger,
    Recent,
)
from test_rig.workload.keys import RotatingKeys
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Flaw, Plan, Request, Shown

if TYPE_CHECKING:
    from random import Random

__all__ = ["Sets"]

_READ = "SELECT k FROM elements WHERE g = ? ORDER BY k"
_ADD = "INSERT INTO elements (k, g) VALUES (?, ?)"


class _Generator:
    def __init__(self, plan: Plan, random: Random) -> None:
        self._random, self._next = random, 0
        self._sets = RotatingKeys(
            random,
            count=max(1, plan.keys // 4),
            writes_per_key=plan.writes_per_key,
            rest=4 * plan.clients,
        )

    def request(self) -> Request:
        left = self._sets.left()
        if left is not None:
            return Request("read-last", left)
        group = self._sets.choose()
        if self._random.random() < 0.5:
            return Request("read", group)
        self._sets.value(group)
        self._next += 1
        return Request("add", (group, self._next))

    def final(self) -> Sequence[Request]:
        return [Request("read-last", group) for group in self._sets.in_use]


class _Set:
    """What is known of one set."""

    __slots__ = ("added", "failed", "missed", "seen")

    def __init__(self) -> None:
        #: By element: whose commit was answered, who was refused, and who read it first.
        self.added: dict[int, Done] = {}
        self.failed: dict[int, Done] = {}
        self.seen: dict[int, Done] = {}
        #: Elements that a read should have found, and who read.
        self.missed: dict[int, Done] = {}


class _Judge:
    def __init__(self) -> None:
        self._ledger = Ledger()
        self._sets: Recent[int, _Set] = Recent(_Set, most=256)
        self._reads = self._checked = 0

    def feed(self, done: Done) -> None:
        if done.request.f == "add":
            self._add(done)
        elif done.type is OpType.OK:
            self._read(done)

    def _add(self, done: Done) -> None:
        group, element = done.request.value
        known = self._sets[group]
        if done.type is OpType.OK:
            known.added[element] = done
        elif done.type is OpType.FAIL:
            known.failed[element] = done
            if element in known.seen:
                self._dirty(element, done, known.seen[element])

    def _dirty(self, element: int, adder: Done, reader: Done) -> None:
        told = f"element {element} of set {reader.request.value} was read, and its add had failed"
        evidence = partial(_met, element, adder, reader, 1)
        self._ledger.add(ABORTED_READ, lambda: told, evidence=evidence)

    def _read(self, done: Done) -> None:
        self._reads += 1
        group = done.request.value
        known, found = self._sets[group], set(done.value)
        for element in found & known.failed.keys():
            self._dirty(element, known.failed[element], done)
        for element in found & known.missed.keys():
            self._found(STALE_ELEMENT, element, known, known.missed.pop(element))
        for element in found:
            known.seen.setdefault(element, done)
        for element, adder in known.added.items():
            if adder.end_ns < done.start_ns:
                self._checked += 1
                if element not in found:
                    known.missed.setdefault(element, done)
        if done.request.f == "read-last":
            for element in sorted(known.missed):
                self._found(LOST_ELEMENT, element, known, done)
            known.missed.clear()

    def _found(self, flaw: Flaw, element: int, known: _Set, reader: Done) -> None:
        self._ledger.add(
            flaw,
            lambda: (
                f"process {reader.process} read set {reader.request.value} without element "
                f"{element}, whose commit had been answered"
            ),
            evidence=partial(_met, element, known.added[element], reader, None),
        )

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (("reads", self._reads), ("elements that a read had to find", self._checked))


def _met(element: int, adder: Done, reader: Done, seen: int | None) -> Evidence:
    """Return what shows of an element, as a row that was written, what a read found of it."""
    added: Sequence[Mop] = (("w", element, 1),)
    deeds = [(adder, added), (reader, (("r", element, seen),))]
    names = ("G1a", "read-your-writes", "G-single-process", "G-single-realtime")
    return lambda: witness_of_registers(deeds, names)


class Sets:
    """Elements added, and found again."""

    name = "set"
    about = "elements are added and must be found again (lost and stale elements, G1a)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return (
            ("CREATE TABLE elements (k INTEGER PRIMARY KEY, g INTEGER NOT NULL)", ()),
            ("CREATE INDEX elements_by_set ON elements (g)", ()),
        )

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random)

    def judge(self, plan: Plan) -> _Judge:
        del plan
        return _Judge()

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "add":
            group, element = request.value
            speech.run(_ADD, element, group)
            return request.value
        return tuple(row[0] for row in speech.rows(_READ, request.value))
