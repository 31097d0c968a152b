"""What a judge of its own kind has seen, as a small history of registers that shows it.

How to think of it: whatever a workload reads and writes, the rows of one finding are registers: who
wrote which value, who read which. What was there before is written by a transaction of its own. The
checker judges the few transactions and says who read what from whom.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from test_rig.checker import check, one_of_each, witness_of
from test_rig.errors import HistoryError
from test_rig.history import HistoryBuilder, Mop, OpType
from test_rig.verdict import WitnessHistory
from test_rig.workload.ledger import Evidence
from test_rig.workload.workload import Done

__all__ = ["Beside", "element_met", "reads_of_counter", "witness_of_registers"]

#: So many writers are remembered, and so many readers for whom later ones are waited for.
_RECENT, _KEPT = 500, 5
#: What reads of a counter that differ may be called, the best name first.
_DIFFERENT = ("OTV", "monotonic-reads", "G-single", "fractured-read", "G-single-process")


def witness_of_registers(
    deeds: Sequence[tuple[Done, Sequence[Mop]]],
    names: Sequence[str],
    *,
    before: Sequence[Mop] = (),
) -> WitnessHistory | None:
    """Return the smallest history that shows one of some anomalies.

    Args:
        deeds: The operations of the finding, and what they did with registers.
        names: What may be shown, as the checker calls it, the best first.
        before: The writes of what was there at first.
    """
    builder = HistoryBuilder()
    first = min((done.start_ns for done, _ in deeds), default=0)
    if before:
        builder.record("before", OpType.OK, before, start=first - 2, end=first - 1)
    for done, mops in sorted(deeds, key=lambda each: each[0].end_ns):
        builder.record(str(done.process), done.type, mops, start=done.start_ns, end=done.end_ns)
    history = builder.history()
    try:
        found = {each.anomaly: each for each in one_of_each(check(history).seen)}
    except HistoryError:
        return None  # the same value was written twice: nobody can say whose was read
    shown = next((found[name] for name in names if name in found), None)
    return None if shown is None else witness_of(history, shown)


def reads_of_counter(reads: Sequence[Done], increments: Sequence[Done]) -> Evidence:
    """Return what shows reads of a counter, with those who made what they saw."""
    counter = reads[0].request.value
    seen = [value for read in reads for value in read.value]

    def smallest() -> WitnessHistory | None:
        made = {each.value: each for each in increments if each.request.value == counter}
        values = range(min(seen) + 1, max(seen) + 1)
        if any(value not in made for value in values):
            return None  # who made it has been forgotten, or never answered
        deeds: list[tuple[Done, Sequence[Mop]]] = [
            (made[value], (("r", counter, value - 1), ("w", counter, value))) for value in values
        ]
        deeds += [(read, [("r", counter, value) for value in read.value]) for read in reads]
        return witness_of_registers(deeds, _DIFFERENT, before=[("w", counter, min(seen))])

    return smallest


def element_met(element: int, adder: Done, reader: Done, seen: int | None) -> Evidence:
    """Return what shows of an element, as a row that was written, what a read found of it."""
    added: Sequence[Mop] = (("w", element, 1),)
    deeds = [(adder, added), (reader, (("r", element, seen),))]
    names = ("G1a", "read-your-writes", "G-single-process", "G-single-realtime")
    return lambda: witness_of_registers(deeds, names)


class Beside:
    """Remembers who wrote, for those whose reads want an explanation; bounded."""

    def __init__(self) -> None:
        self._recent: deque[Done] = deque(maxlen=_RECENT)
        self._waiting: list[tuple[Done, list[Done]]] = []

    def add(self, writer: Done) -> None:
        """Take one that has ended."""
        self._recent.append(writer)
        for reader, beside in self._waiting:
            # Its end may be known only after that of who read what it wrote.
            if writer.start_ns <= reader.end_ns:
                beside.append(writer)

    def of(self, reader: Done) -> Sequence[Done]:
        """Return the last writers before a reader's end; for the first few it grows."""
        beside = list(self._recent)
        if len(self._waiting) < _KEPT:
            self._waiting.append((reader, beside))
        return beside
