"""The judge of lists and registers while they run: windows of transactions, in bounded memory.

How to think of it: it keeps the last few thousand transactions, and looks at them again whenever
enough new ones have come: for reads of what failed or was overwritten before its commit, for
updates that were overwritten unseen, and for cycles. Windows overlap by half, so that what lies
close together in time is seen together. A cycle that spans more than a window is not found: the
checker of whole histories (`test_rig.history`'s files) is for that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from test_rig.history import OpType
from test_rig.workload.cycles import classified
from test_rig.workload.dependencies import (
    LISTS,
    RW,
    WR,
    Edges,
    Model,
    Txn,
    appended,
)
from test_rig.workload.evidence import gathered
from test_rig.workload.flaws import (
    ABORTED_READ,
    CYCLES,
    INCOMPATIBLE,
    INTERMEDIATE_READ,
    LOST_UPDATE,
    OWN_WRITE,
    Ledger,
)
from test_rig.workload.workload import Done, Flaw, Shown

__all__ = ["ListJudge"]


class ListJudge:
    """Finds dirty reads, lost updates and cycles.

    Args:
        window: So many transactions are looked at together.
        model: What is appended to, or written.
    """

    def __init__(self, window: int = 6000, *, model: Model = LISTS) -> None:
        self._window, self._model = window, model
        self._ledger = Ledger()
        self._txns: list[Txn] = []
        #: Keys and elements whose append failed, each with its transaction.
        self._failed: dict[tuple[int, int], Txn] = {}
        self._told: set[tuple[str, int]] = set()
        self._count = self._new = 0
        self._last_write: dict[int, int] = {}
        self._reads_beside = self._writes_beside = 0

    def feed(self, done: Done) -> None:
        self._count += 1
        self._count_conflicts(done)
        asked = tuple(done.request.value)
        if done.type is OpType.FAIL:
            txn = Txn(self._count, done.process, asked, False, done.start_ns, done.end_ns)
            self._failed.update(((key, value), txn) for f, key, value in asked if f != "r")
            return
        is_unsure = done.type is OpType.INFO
        mops = asked if is_unsure else tuple(done.value)
        times = (done.start_ns, done.end_ns)
        self._txns.append(Txn(self._count, done.process, mops, is_unsure, *times))
        self._new += 1
        if self._new >= self._window // 2:
            self._look()
            self._forget()

    def _count_conflicts(self, done: Done) -> None:
        for f, key, _ in done.request.value:
            if self._last_write.get(key, -1) > done.start_ns:
                if f == "r":
                    self._reads_beside += 1
                else:
                    self._writes_beside += 1
            if f != "r":
                self._last_write[key] = done.end_ns

    def _forget(self) -> None:
        self._txns = self._txns[-self._window // 2 :]
        first = self._txns[0].number if self._txns else 0
        self._told = {told for told in self._told if told[1] >= first}
        oldest = self._count - 10 * self._window
        self._failed = {what: txn for what, txn in self._failed.items() if txn.number > oldest}
        if len(self._last_write) > 10 * self._window:
            self._last_write.clear()

    def shown(self) -> tuple[Shown, ...]:
        if self._new:
            self._look()
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (
            ("transactions", self._count),
            ("reads beside a write of the same key", self._reads_beside),
            ("writes beside a write of the same key", self._writes_beside),
        )

    def _look(self) -> None:
        self._new = 0
        txns = self._txns
        edges, odd = self._model.edges_of(txns, self._failed)
        self._look_at_reads(txns)
        self._look_for_lost_updates(txns)
        for txn in odd:
            why = f"{_who(txn)} read a list that contradicts another's"
            self._tell(INCOMPATIBLE, [txn], why, keys=_keys(txn))
        for name, cycle in classified(edges):
            self._tell(
                CYCLES[name],
                [txns[place] for place in cycle],
                _told(txns, cycle, edges, self._model.verb),
                keys={edges[pair].key for pair in zip(cycle, [*cycle[1:], cycle[0]], strict=True)},
            )

    def _tell(
        self,
        flaw: Flaw,
        txns: Sequence[Txn],
        witness: str,
        *,
        keys: Collection[int],
        others: Sequence[Txn] = (),
    ) -> None:
        told = {(flaw.means, txn.number) for txn in txns}
        if not told & self._told:
            evidence = partial(
                gathered,
                flaw.anomaly,
                [*txns, *others],
                keys,
                txns=self._txns,
                failed=self._failed,
                is_lists=self._model is LISTS,
            )
            self._ledger.add(flaw, lambda: witness, evidence=evidence)
        self._told |= told

    def _look_at_reads(self, txns: Sequence[Txn]) -> None:
        middle = {
            (key, value): txn
            for txn in txns
            for key, values in appended(txn).items()
            for value in values[:-1]
        }
        for txn in txns:
            if txn.is_unsure:
                continue
            if not self._model.reads_own(txn):
                what = f"{_who(txn)} did not read its own write"
                self._tell(OWN_WRITE, [txn], what, keys=_keys(txn))
            for key, found in self._model.outer_reads(txn):
                dirty = [value for value in found if (key, value) in self._failed]
                if dirty:
                    what = f"{_who(txn)} read {dirty[0]} of key {key}, whose writer had failed"
                    self._tell(ABORTED_READ, [txn], what, keys=(key,))
                writer = middle.get((key, found[-1])) if found else None
                if writer is not None and writer is not txn:
                    what = (
                        f"{_who(txn)} read key {key} up to {found[-1]}, in the middle of what "
                        f"{_who(writer)} {self._model.verb}"
                    )
                    self._tell(INTERMEDIATE_READ, [txn], what, keys=(key,))

    def _look_for_lost_updates(self, txns: Sequence[Txn]) -> None:
        readers: dict[tuple[int, int | None], Txn] = {}
        for txn in txns:
            if txn.is_unsure:
                continue
            own = appended(txn)
            seen: dict[int, int | None] = {}
            for key, found in self._model.outer_reads(txn):
                seen.setdefault(key, found[-1] if found else None)
            for key, last in seen.items():
                if key not in own or not _reads_before_append(txn, key):
                    continue
                other = readers.setdefault((key, last), txn)
                if other is not txn:
                    what = f"{_who(other)} and {_who(txn)} both read key {key} up to {last}"
                    what = f"{what} and {self._model.verb} to it"
                    self._tell(LOST_UPDATE, [txn], what, keys=(key,), others=[other])


def _keys(txn: Txn) -> set[int]:
    return {key for _, key, _ in txn.mops}


def _reads_before_append(txn: Txn, key: int) -> bool:
    return next(f for f, of, _ in txn.mops if of == key) == "r"


def _who(txn: Txn) -> str:
    return f"T{txn.number} (process {txn.process})"


def _told(txns: Sequence[Txn], cycle: Sequence[int], edges: Edges, verb: str) -> str:
    """Return a cycle in words: who comes before whom, and why."""
    steps = []
    for place, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        edge, first, second = edges[place, after], _who(txns[place]), _who(txns[after])
        if edge.kind == RW:
            why = f"read key {edge.key} without {edge.element}, which {second} {verb}"
        elif edge.kind == WR:
            why = f"{verb} {edge.element} to key {edge.key}, which {second} read"
        else:
            why = f"{verb} to key {edge.key} before {second} {verb} {edge.element}"
        steps.append(f"{first} {why}")
    return "; ".join(steps)
