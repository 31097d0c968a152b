"""What a judge keeps of what it has seen: counts, the first witnesses, the keys used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from test_rig.verdict import WitnessHistory
from test_rig.workload.workload import Flaw, Shown

__all__ = ["Evidence", "Ledger", "Recent"]

K = TypeVar("K")
V = TypeVar("V")
#: So many witnesses of each flaw are kept.
_KEPT = 5
#: A witness of so many transactions is as good as any.
_FEW = 3
#: Makes the smallest history of what a judge has kept of one occurrence.
Evidence = Callable[[], WitnessHistory | None]


class Ledger:
    """Counts what was seen of each flaw and keeps the first witnesses."""

    def __init__(self) -> None:
        self._counts: dict[Flaw, int] = {}
        self._witnesses: dict[Flaw, list[str]] = {}
        self._evidence: dict[Flaw, list[Evidence]] = {}

    def add(
        self,
        flaw: Flaw,
        witness: Callable[[], str],
        *,
        evidence: Callable[[], Evidence] | None = None,
    ) -> None:
        """Count one; the sentence and the evidence are made only if they will be kept."""
        self._counts[flaw] = self._counts.get(flaw, 0) + 1
        kept = self._witnesses.setdefault(flaw, [])
        if len(kept) < _KEPT:
            kept.append(witness())
            if evidence is not None:
                self._evidence.setdefault(flaw, []).append(evidence())

    def shown(self) -> tuple[Shown, ...]:
        """Return all of it, in the order of first sight."""
        return tuple(
            Shown(
                flaw=flaw,
                count=count,
                witnesses=tuple(self._witnesses[flaw]),
                evidence=partial(_smallest, tuple(self._evidence.get(flaw, ()))),
            )
            for flaw, count in self._counts.items()
        )


def _smallest(evidence: Sequence[Evidence]) -> WitnessHistory | None:
    """Return the witness of the fewest transactions; the first that is easily read will do."""
    best: WitnessHistory | None = None
    for make in evidence:
        found = make()
        if found is None:
            continue
        if best is None or len(found.transactions) < len(best.transactions):
            best = found
        if len(best.transactions) <= _FEW:
            break
    return best


class Recent(Generic[K, V]):
    """The values of the keys that were used last: the memory of a judge, bounded.

    Args:
        make: Makes the value of a key that is not there.
        most: So many keys are kept.
    """

    def __init__(self, make: Callable[[], V], most: int = 4096) -> None:
        self._make, self._most = make, most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = self._make()
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        else:
            self._values.move_to_end(key)
        return value

    def __len__(self) -> int:
        return len(self._values)
