"""The judge of sets: who was added must be found, who was refused must not.

An element whose commit was answered and that a later read misses is stale if it turns up after all,
and lost if the last read misses it too; one that was read though it was refused is an aborted read.
"""

from __future__ import annotations

from functools import partial

from test_rig.history import OpType
from test_rig.workload.evidence import element_met
from test_rig.workload.flaws import ABORTED_READ, LOST_ELEMENT, STALE_ELEMENT
from test_rig.workload.ledger import Ledger, Recent
from test_rig.workload.workload import Done, Flaw, Shown

__all__ = ["SetJudge"]


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


class SetJudge:
    """Knows of each set who added, who was refused and who read."""

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
        evidence = partial(element_met, element, adder, reader, 1)
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
            evidence=partial(element_met, element, known.added[element], reader, None),
        )

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (("reads", self._reads), ("elements that a read had to find", self._checked))
