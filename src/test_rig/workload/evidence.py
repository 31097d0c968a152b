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
from test_rig.workload.workload import Done

__all__ = ["Beside", "witness_of_registers"]

#: So many writers are remembered, and so many readers for whom later ones are waited for.
_RECENT, _KEPT = 500, 5


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
