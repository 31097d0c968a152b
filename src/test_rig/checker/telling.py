"""What was found, as anomalies in words and with the edges that show them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

from test_rig.checker.append import Shown
from test_rig.checker.cycles import Cycle, Step
from test_rig.checker.graph import PROCESS, REALTIME, RW, WR, WW
from test_rig.checker.versions import (
    ABORTED,
    DIRTY,
    DISORDERED,
    DUPLICATE,
    GARBAGE,
    INCOMPATIBLE,
    INTERMEDIATE,
    INTERNAL,
    LOST,
)
from test_rig.checker.witness import Edge, EdgeKind, Seen, told
from test_rig.history import APPEND, FAIL, OK, History

__all__ = ["MOST", "marked_anomalies", "seen_cycles"]

#: So many of each anomaly are told.
MOST = 10_000
#: Lists that are longer are told by their end.
_LONG = 40
_KINDS = {
    WW: EdgeKind.WW,
    WR: EdgeKind.WR,
    RW: EdgeKind.RW,
    PROCESS: EdgeKind.PROCESS,
    REALTIME: EdgeKind.REALTIME,
}


def marked_anomalies(history: History, shown: Shown) -> list[Seen]:
    """Return the anomalies that are no cycles, at most `MOST` of each."""
    teller = _Teller(history, shown)
    for mark, tell in (
        (DUPLICATE, teller.duplicates),
        (GARBAGE, teller.garbage),
        (ABORTED, teller.aborted),
        (INTERMEDIATE, teller.intermediate),
        (DIRTY, teller.dirty),
        (INCOMPATIBLE, teller.incompatible),
        (DISORDERED, teller.disordered),
        (INTERNAL, teller.internal),
    ):
        for read in np.flatnonzero(shown.marks & mark)[:MOST].tolist():
            tell(read)
    teller.lost()
    return teller.seen


class _Teller:
    def __init__(self, history: History, shown: Shown) -> None:
        self._history, self._shown = history, shown
        self.seen: list[Seen] = []
        self._told: set[tuple[str, int, tuple[int, ...]]] = set()
        #: Key -> value -> append.
        self._appends: dict[int, dict[int, int]] = {}

    def duplicates(self, read: int) -> None:
        """Tell a read with a value twice."""
        self._tell("duplicate-elements", f"{self._who(read)} read {self._list(read)}", (read,))

    def garbage(self, read: int) -> None:
        """Tell a read of what nobody appended."""
        known = self._by_value(read)
        value = next(each for each in self._history.elements(read) if each not in known)
        why = f"{self._who(read)} read {value}, which nobody appended"
        self._tell("garbage-read", why, (read,))

    def aborted(self, read: int) -> None:
        """Tell each transaction that was rolled back and read."""
        known, history = self._by_value(read), self._history
        for value in history.elements(read):
            mop = known.get(value, -1)
            if mop >= 0 and history.type[self._shown.owner[mop]] == FAIL:
                why = f"{self._who(read)} read {value} of {self._who(mop)}, which was rolled back"
                self._tell("G1a", why, (mop, read), WR)

    def intermediate(self, read: int) -> None:
        """Tell a read that ends within what another transaction appended."""
        value = self._history.elements(read)[-1]
        mop = self._by_value(read)[value]
        why = f"{self._who(read)} read {value} last; {self._who(mop)} appended more after it"
        self._tell("G1b", why, (mop, read), WR)

    def dirty(self, read: int) -> None:
        """Tell who appended after what was rolled back."""
        known, history, owner = self._by_value(read), self._history, self._shown.owner
        failed: list[int] = []
        for value in history.elements(read):
            mop = known.get(value, -1)
            kind = -1 if mop < 0 else history.type[owner[mop]]
            if kind == FAIL:
                failed.append(mop)
            elif kind == OK:
                for each in failed:
                    why = (
                        f"{self._who(mop)} built on {history.value[each]} of {self._who(each)}, "
                        "which was rolled back"
                    )
                    self._tell("dirty-update", why, (each, mop), WW)
                failed.clear()

    def incompatible(self, read: int) -> None:
        """Tell two reads of which neither begins the other."""
        other = int(self._shown.longest[self._shown.number[read]])
        why = (
            f"{self._who(read)} read {self._list(read)}, "
            f"{self._who(other)} read {self._list(other)}"
        )
        self._tell("incompatible-order", why, (read, other))

    def disordered(self, read: int) -> None:
        """Tell transactions whose appends a read does not have in the order in which they were."""
        known, history, shown = self._by_value(read), self._history, self._shown
        places = enumerate(history.elements(read))
        found = {known[value]: place for place, value in places if value in known}
        for transaction in dict.fromkeys(shown.owner[list(found)].tolist()):
            own = [
                mop
                for mop in history.mops(transaction)
                if shown.number[mop] == shown.number[read] and history.f[mop] == APPEND
            ]
            for first, second in pairwise(own):
                if second in found and found.get(first, len(found)) > found[second]:
                    why = (
                        f"{self._who(read)} read {self._list(read)}, {self._who(first)} appended "
                        f"{history.value[first]} before {history.value[second]}"
                    )
                    self._tell("incompatible-order", why, (first, read))
                    break

    def internal(self, read: int) -> None:
        """Tell a read that does not fit what its transaction did before."""
        history, shown = self._history, self._shown
        transaction, key = int(shown.owner[read]), shown.number[read]
        last: int | None = None
        own: list[int] = []
        for mop in range(int(history.mop_start[transaction]), read):
            if shown.number[mop] != key:
                continue
            if history.f[mop] == APPEND:
                own.append(int(history.value[mop]))
            else:
                last, own = mop, []
        seen = self._list(read)
        if last is not None and history.elements(read) != (*history.elements(last), *own):
            between = f"appended {own}" if own else "appended nothing"
            fault = f"read {self._list(last)}, {between}, and then read {seen}"
        elif own and list(history.elements(read)[-len(own) :]) != own:
            fault = f"appended {own}, and then read {seen}"
        else:
            fault = f"read {seen}, with what it appended only later"
        mops = (read,) if last is None else (last, read)
        self._tell("internal", f"{self._who(read)} {fault}", mops)

    def lost(self) -> None:
        """Tell the transactions that read the same list and then appended to it."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for read in np.flatnonzero(self._shown.marks & LOST).tolist():
            groups[int(self._shown.number[read]), int(self._shown.seen[read])].append(read)
            if len(groups) > MOST:
                break
        for reads in groups.values():
            if len(reads) > 1:
                names = " and ".join(self._who(read) for read in reads)
                why = f"{names} each read {self._list(reads[0])} and then appended"
                self._tell("lost-update", why, tuple(reads))

    def _tell(self, anomaly: str, why: str, mops: tuple[int, ...], kind: int | None = None) -> None:
        """Tell one, once for its transactions and key; with a kind it is an edge."""
        owner = self._shown.owner[list(mops)].tolist()
        transactions = tuple(dict.fromkeys(owner))
        what = (anomaly, int(self._shown.number[mops[0]]), transactions)
        if what in self._told:
            return
        self._told.add(what)
        step = () if kind is None else ((owner[0], owner[1], kind, mops[0], mops[1]),)
        edges = tuple(_edges(self._history, step))
        why = f"key {self._history.key_of(mops[0])}: {why}"
        self.seen.append(
            Seen(anomaly=anomaly, transactions=transactions, why=(why,), edges=edges, mops=mops)
        )

    def _by_value(self, read: int) -> dict[int, int]:
        number = int(self._shown.number[read])
        if number not in self._appends:
            start = self._shown.index_start
            mops = self._shown.index[start[number] : start[number + 1]]
            mops = mops[mops >= 0]
            values = self._history.value[mops].tolist()
            self._appends[number] = dict(zip(values, mops.tolist(), strict=True))
        return self._appends[number]

    def _who(self, mop: int) -> str:
        return f"T{self._shown.owner[mop]}"

    def _list(self, read: int) -> str:
        values = self._history.elements(read)
        if len(values) <= _LONG:
            return str(list(values))
        return f"[({len(values) - _LONG} more), {str(list(values[-_LONG:]))[1:]}"


def seen_cycles(history: History, cycles: Sequence[Cycle]) -> Iterator[Seen]:
    """Yield cycles, without the nodes that are no transactions."""
    transactions = len(history)
    steps: list[Step] = []
    lengths: list[int] = []
    for cycle in cycles:
        before = len(steps)
        begun = first_kind = first_mop = -1
        for source, target, kind, first, second in cycle.steps:
            if source < transactions:
                begun, first_kind, first_mop = source, kind, first
            if target < transactions:
                steps.append((begun, target, first_kind, first_mop, second))
        lengths.append(len(steps) - before)
    edges = _edges(history, steps)
    for cycle, length in zip(cycles, lengths, strict=True):
        own = tuple(islice(edges, length))
        yield Seen(
            anomaly=cycle.anomaly,
            transactions=tuple(edge.source for edge in own),
            why=told(own),
            edges=own,
            mops=tuple(
                mop for edge in own for mop in (edge.first_mop, edge.second_mop) if mop is not None
            ),
            is_shortest=cycle.is_shortest,
        )


def _edges(history: History, steps: Sequence[Step]) -> Iterator[Edge]:
    """Yield edges with what their micro-operations did.

    Args:
        history: The history.
        steps: Source, target, kind, and the micro-operations of both; those of an order are -1.
    """
    # Of many thousands, what they did is looked up at once.
    first, second = np.array(steps, np.int64).reshape(-1, 5).T[3:]
    count = history.element_count[first]
    last, has_some = np.zeros(len(first), np.int64), count > 0
    last[has_some] = history.element[(history.element_start[first] + count - 1)[has_some]]
    columns = (history.key[first], history.value[first], history.value[second], count, last)
    rows = zip(steps, *(column.tolist() for column in columns), strict=True)
    for (source, target, number, one, other), key, wrote, writes, size, end in rows:
        kind = _KINDS[number]
        if one < 0:
            yield Edge(source=source, target=target, kind=kind)
            continue
        is_read = kind is EdgeKind.RW
        yield Edge(
            source=source,
            target=target,
            kind=kind,
            key=history.key_name(key),
            first=(end if size else None) if is_read else wrote,
            second=wrote if kind is EdgeKind.WR else writes,
            first_mop=one,
            second_mop=other,
        )
