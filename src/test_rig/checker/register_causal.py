"""Who must have written first, if whoever sees a transaction sees all that it could have seen.

How to think of it: a vector for each transaction counts for each session how many of its
transactions precede it, by sessions and reads. Of the writers of a key that precede a reader the
last of each session precedes the one whose value was read. Most of them are known to precede it
anyway; the rest are edges. So many sessions are looked at together as the memory allows.

Source: R. Biswas and C. Enea, OOPSLA 2019, figure 3 (causal consistency: its order holds for all
sessions alike, and is total); vectors as in L. Møldrup and A. Pavlogiannis, "AWDIT", PLDI 2025.
The session guarantees are those of D. Terry et al., "Session Guarantees for Weakly Consistent
Replicated Data", PDIS 1994, where an older value is one that precedes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.register_atomic import CAUSAL, Derived
from test_rig.checker.register_index import Registers, grouped, spread
from test_rig.checker.register_order import Line

__all__ = ["GUARANTEES", "Causality", "count_preceding", "is_tractable", "unknown_orders"]

_Int32s = npt.NDArray[np.int32]
_Runs = tuple[_Int32s, _Int32s, _Int32s, _Int32s]

#: The session guarantees, in the order of `Causality.guarantees`.
GUARANTEES = ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")
#: So many numbers the vectors have at once; so many are computed in all.
_AT_ONCE, _IN_ALL = 64_000_000, 40_000_000_000
#: So many orders are found at once, unless one transaction alone has more.
_ROOM = 1 << 16


def is_tractable(registers: Registers) -> bool:
    """Return whether transactions and sessions are few enough."""
    return len(registers.history) * registers.session_count <= _IN_ALL


class Causality:
    """What precedes what, by sessions and reads.

    Args:
        registers: The history.
        line: An order in which sessions and reads go forward.
    """

    def __init__(self, registers: Registers, line: Line) -> None:
        self._registers, self._line = registers, line
        # Who wrote each key, session by session.
        places = spread(registers.write_start, registers.by_session)
        keys, owner = registers.write_key[places], registers.owner[registers.write_mop[places]]
        self._writer_start, self._writer = grouped(
            registers.kernels, keys, owner, registers.key_count
        )
        self._vectors: Any = None
        self._is_whole = False

    def derived(self) -> Derived:
        """Return the orders that are not known by sessions and reads alone."""
        registers = self._registers
        parts: list[_Int32s] = []
        width = max(1, min(registers.session_count, _AT_ONCE // max(1, len(self._line.order))))
        runs = self._runs()
        for first in range(0, registers.session_count, width):
            some = min(width, registers.session_count - first)
            self._vectors = None  # not those of two parts at once
            self._vectors = self._vectors_of(first, some)
            parts += self._derived_of(first, runs)
        self._is_whole = width == registers.session_count
        if not self._is_whole:
            self._vectors = None
        found = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), dtype=np.int32)
        rule = np.full(found.shape[1], CAUSAL, dtype=np.int32)
        return Derived(source=found[0], target=found[1], read=found[2], rule=rule)

    def _runs(self) -> _Runs:
        """Return the runs of writers of one key and session.

        Where those of each key begin, where each one's writers do, its session; and of each writer
        its place in the session.
        """
        registers, start = self._registers, self._writer_start
        session = registers.session[self._writer]
        is_first = np.ones(len(session), dtype=np.bool_)
        is_first[1:] = session[1:] != session[:-1]
        is_first[start[:-1][start[:-1] < start[1:]]] = True
        begins = np.flatnonzero(is_first).astype(np.int32)
        before = np.zeros(len(session) + 1, dtype=np.int32)
        np.cumsum(is_first, out=before[1:])
        ends = np.append(begins, np.int32(len(session)))
        return before[start], ends, session[begins], registers.place[self._writer]

    def _derived_of(self, first: int, runs: _Runs) -> Iterator[_Int32s]:
        """Yield what is found of some sessions, piece by piece."""
        registers = self._registers
        kernel = registers.kernels(unknown_orders)
        room, at = _ROOM, 0
        while at < len(self._line.order):
            out = np.empty((3, room), dtype=np.int32)
            then, size = kernel(
                at,
                self._vectors,
                first,
                self._line.order,
                self._line.rank,
                registers.read_start,
                registers.read_key,
                registers.read_from,
                *runs,
                self._writer,
                out,
            )
            if size:
                yield out[:, :size].copy()
            if then == at:
                room *= 2
            at = then

    def _vectors_of(self, first: int, some: int) -> Any:
        registers = self._registers
        vectors = np.zeros((len(self._line.order), some), dtype=np.int32)
        registers.kernels(count_preceding)(
            self._line.order,
            self._line.rank,
            registers.before,
            registers.session,
            registers.place,
            registers.read_start,
            registers.read_from,
            first,
            vectors,
        )
        return vectors

    def precedes(self, source: int) -> Callable[[int], bool] | None:
        """Return what says of a transaction whether the source precedes it, None if it is unknown.

        It is where sessions and reads have cycles. After `derived`.
        """
        if not (self._is_whole and self._line.is_causal):
            return None
        column = self._vectors[:, self._registers.session[source]]
        rank, place = self._line.rank, int(self._registers.place[source])
        return lambda each: bool(column.item(rank.item(each)) > place)

    def guarantees(self, reads: _Int32s) -> Any:
        """Return for each of these reads the writers that sessions promised, -1 where kept.

        Eight numbers a read: the writer whose value was to be seen, and by whose read or write it
        was; for each guarantee of `GUARANTEES`. After `derived`.
        """
        registers = self._registers
        found = np.full((len(reads), 8), -1, dtype=np.int32)
        if not self._is_whole or not len(reads):
            return found
        places = spread(registers.read_start, registers.by_session)
        keys = registers.read_key[places]
        reader_start, reader = grouped(registers.kernels, keys, places, registers.key_count)
        reads = reads.astype(np.int32)
        for is_read, start, owner, source in (
            (False, self._writer_start, self._writer, self._writer),
            (True, reader_start, registers.read_by[reader], registers.read_from[reader]),
        ):
            registers.kernels(_guarantees)(
                registers.read_by[reads],
                registers.read_key[reads],
                registers.read_from[reads],
                is_read,
                self._vectors,
                self._line.rank,
                registers.session,
                registers.place,
                registers.read_start,
                registers.read_from,
                start,
                owner,
                source,
                found,
            )
        return found


def count_preceding(
    order: Any,
    rank: Any,
    before: Any,
    session: Any,
    place: Any,
    read_start: Any,
    read_from: Any,
    first: int,
    vectors: Any,
) -> None:
    """Count for each transaction and session how many precede it, itself included."""
    count = len(before)
    some = vectors.shape[1]
    for row in range(len(order)):
        each = order[row]
        # The one before in its session, and then those it read from.
        for read in range(read_start[each] - 1, read_start[each + 1]):
            source = before[each] if read < read_start[each] else read_from[read]
            if source < 0 or source == count:
                continue
            other = rank[source]
            for column in range(some):
                if vectors[row, column] < vectors[other, column]:
                    vectors[row, column] = vectors[other, column]
        own = session[each] - first
        if 0 <= own < some:
            vectors[row, own] = place[each] + 1


def unknown_orders(
    at: int,
    vectors: Any,
    first: int,
    order: Any,
    rank: Any,
    read_start: Any,
    read_key: Any,
    read_from: Any,
    run_start: Any,
    run_begin: Any,
    run_session: Any,
    writer_place: Any,
    writer: Any,
    out: Any,
) -> Any:
    """Put out the edges from the last preceding writers of each session to whose value was read.

    Returns the row whose edges had no room any more, and how many there are of those before.
    """
    count = len(rank)
    some, room = vectors.shape[1], out.shape[1]
    size = 0
    for row in range(at, len(order)):
        each = order[row]
        full = size
        for read in range(read_start[each], read_start[each + 1]):
            number = read_key[read]
            target = read_from[read]
            for run in range(run_start[number], run_start[number + 1]):
                column = run_session[run] - first
                if column < 0 or column >= some:
                    continue
                bound = vectors[row, column]
                low, right = run_begin[run], run_begin[run + 1]
                if writer_place[low] >= bound:
                    continue
                left = low
                if writer_place[right - 1] < bound:
                    left = right
                while left < right:
                    middle = (left + right) // 2
                    if writer_place[middle] < bound:
                        left = middle + 1
                    else:
                        right = middle
                left -= 1
                if writer[left] == each:
                    left -= 1
                if left < low:
                    continue
                source = writer[left]
                if source != target and (
                    target == count or vectors[rank[target], column] <= writer_place[left]
                ):
                    if size == room:
                        return row, full
                    out[0, size] = source
                    out[1, size] = target
                    out[2, size] = read
                    size += 1
    return len(order), size


def _guarantees(
    readers: Any,
    keys: Any,
    targets: Any,
    is_read: bool,
    vectors: Any,
    rank: Any,
    session: Any,
    place: Any,
    read_start: Any,
    read_from: Any,
    item_start: Any,
    item: Any,
    item_source: Any,
    out: Any,
) -> None:
    """Look for a value that the session was promised and that what was read precedes.

    The items are the writers of each key, or its readers and whom they read from.
    """
    count = len(rank)
    for index in range(len(readers)):
        each, number, target = readers[index], keys[index], targets[index]
        begin = read_start[each]
        # The reader itself, then each that it read from: what their sessions had done before.
        for step in range(begin - 1, read_start[each + 1]):
            is_own = step < begin
            via = each if is_own else read_from[step]
            if via == count:
                continue
            head = session[via]
            # A reader's own session counts before it; of another one, its reads count too.
            limit = place[via] + (1 if is_read and not is_own else 0)
            low, right = item_start[number], item_start[number + 1]
            left = low
            while left < right:
                middle = (left + right) // 2
                other = item[middle]
                if session[other] < head or (session[other] == head and place[other] < limit):
                    left = middle + 1
                else:
                    right = middle
            if left == low or session[item[left - 1]] != head:
                continue
            source = item_source[left - 1]
            if source == count or source == each:  # noqa: SIM109 - compiled
                continue
            if source == target:
                continue
            if target < count and vectors[rank[source], session[target]] <= place[target]:
                continue
            kind = (0 if is_own else 4) + (2 if is_read else 0)
            if out[index, kind] < 0:
                out[index, kind] = source
                out[index, kind + 1] = item[left - 1] if is_own else via
