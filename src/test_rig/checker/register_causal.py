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

from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.register_atomic import CAUSAL, Derived
from test_rig.checker.register_index import Registers
from test_rig.checker.register_order import Line

__all__ = ["GUARANTEES", "Causality", "is_tractable"]

_Int32s = npt.NDArray[np.int32]

#: The session guarantees, in the order of `Causality.guarantees`.
GUARANTEES = ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")
#: So many numbers the vectors have at once; so many are computed in all.
_AT_ONCE, _IN_ALL = 64_000_000, 40_000_000_000


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
        self._writer_start, self._writer = self._of_keys(is_write=True)
        self._vectors: Any = None

    def _of_keys(self, *, is_write: bool) -> tuple[_Int32s, _Int32s]:
        """Return for each key who wrote it, or its reads, session by session."""
        registers = self._registers
        kernel = registers.kernels(_of_keys)
        begin = registers.write_start if is_write else registers.read_start
        mops = registers.write_mop if is_write else registers.read_mop
        start, owner, place = kernel(
            registers.by_session, begin, mops, registers.key, registers.key_count
        )
        return start, owner if is_write else place

    def derived(self) -> Derived:
        """Return the orders that are not known by sessions and reads alone."""
        registers, parts = self._registers, []
        width = max(1, min(registers.session_count, _AT_ONCE // max(1, len(self._line.order))))
        for first in range(0, registers.session_count, width):
            some = min(width, registers.session_count - first)
            self._vectors = self._vectors_of(first, some)
            found = registers.kernels(_causal)(
                self._vectors,
                first,
                self._line.order,
                self._line.rank,
                registers.session,
                registers.place,
                registers.read_start,
                registers.read_mop,
                registers.read_from,
                registers.key,
                self._writer_start,
                self._writer,
            )
            parts.append(found)
        found = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), dtype=np.int32)
        rule = np.full(found.shape[1], CAUSAL, dtype=np.int32)
        return Derived(source=found[0], target=found[1], read=found[2], rule=rule)

    def _vectors_of(self, first: int, some: int) -> Any:
        registers = self._registers
        return registers.kernels(_vectors)(
            self._line.order,
            self._line.rank,
            registers.before,
            registers.session,
            registers.place,
            registers.read_start,
            registers.read_from,
            first,
            some,
        )

    def guarantees(self, reads: _Int32s) -> Any:
        """Return for each of these reads the writers that sessions promised, -1 where kept.

        Eight numbers a read: the writer whose value was to be seen, and by whose read or write it
        was; for each guarantee of `GUARANTEES`.
        """
        registers = self._registers
        if registers.session_count * len(self._line.order) > _AT_ONCE or not len(reads):
            return np.full((len(reads), 8), -1, dtype=np.int32)
        reader_start, reader = self._of_keys(is_write=False)
        return registers.kernels(_guarantees)(
            reads.astype(np.int32),
            self._vectors,
            self._line.rank,
            registers.session,
            registers.place,
            registers.owner,
            registers.read_start,
            registers.read_mop,
            registers.read_from,
            registers.key,
            self._writer_start,
            self._writer,
            reader_start,
            reader,
        )


def _of_keys(by_session: Any, begin: Any, mops: Any, key: Any, key_count: Any) -> Any:
    """Sort reads or writes by key, session and place: count, then put each where it belongs."""
    start = np.zeros(key_count + 1, dtype=np.int32)
    for mop in mops:
        start[key[mop] + 1] += 1
    for number in range(key_count):
        start[number + 1] += start[number]
    filled = start[:-1].copy()
    owner = np.empty(len(mops), dtype=np.int32)
    index = np.empty(len(mops), dtype=np.int32)
    for each in by_session:
        for place in range(begin[each], begin[each + 1]):
            number = key[mops[place]]
            owner[filled[number]] = each
            index[filled[number]] = place
            filled[number] += 1
    return start, owner, index


def _vectors(
    order: Any,
    rank: Any,
    before: Any,
    session: Any,
    place: Any,
    read_start: Any,
    read_from: Any,
    first: int,
    some: int,
) -> Any:
    """Count for each transaction and session how many precede it, itself included."""
    count = len(before)
    vectors = np.zeros((len(order), some), dtype=np.int32)
    for row in range(len(order)):
        each = order[row]
        if before[each] >= 0:
            other = rank[before[each]]
            for column in range(some):
                vectors[row, column] = vectors[other, column]
        for read in range(read_start[each], read_start[each + 1]):
            source = read_from[read]
            if source == count:
                continue
            other = rank[source]
            for column in range(some):
                vectors[row, column] = max(vectors[row, column], vectors[other, column])
        own = session[each] - first
        if 0 <= own < some:
            vectors[row, own] = place[each] + 1
    return vectors


def _causal(
    vectors: Any,
    first: int,
    order: Any,
    rank: Any,
    session: Any,
    place: Any,
    read_start: Any,
    read_mop: Any,
    read_from: Any,
    key: Any,
    writer_start: Any,
    writer: Any,
) -> Any:
    """Return the edges from the last preceding writers of each session to whose value was read."""
    count = len(rank)
    some = vectors.shape[1]
    room = 1024
    out = np.empty((3, room), dtype=np.int32)
    size = 0
    for row in range(len(order)):
        each = order[row]
        for read in range(read_start[each], read_start[each + 1]):
            number = key[read_mop[read]]
            target = read_from[read]
            low, end = writer_start[number], writer_start[number + 1]
            while low < end:
                head = session[writer[low]]
                # The end of this session's writers: doubled steps, then halved ones.
                step = 1
                high = low + 1
                while high < end and session[writer[high]] == head:
                    low_known = high
                    step *= 2
                    high = min(low_known + step, end)
                    if (high < end and session[writer[high]] != head) or high == end:
                        left, right = low_known + 1, high
                        while left < right:
                            middle = (left + right) // 2
                            if session[writer[middle]] == head:
                                left = middle + 1
                            else:
                                right = middle
                        high = left
                        break
                column = head - first
                if 0 <= column < some:
                    bound = vectors[row, column]
                    left, right = low, high
                    while left < right:
                        middle = (left + right) // 2
                        if place[writer[middle]] < bound:
                            left = middle + 1
                        else:
                            right = middle
                    left -= 1
                    if left >= low and writer[left] == each:
                        left -= 1
                    if left >= low:
                        source = writer[left]
                        if source != target and (
                            target == count or vectors[rank[target], column] <= place[source]
                        ):
                            if size == room:
                                wider = np.empty((3, 2 * room), dtype=np.int32)
                                wider[:, :room] = out
                                out = wider
                                room *= 2
                            out[0, size], out[1, size], out[2, size] = source, target, read
                            size += 1
                low = high
    return out[:, :size]


def _guarantees(
    reads: Any,
    vectors: Any,
    rank: Any,
    session: Any,
    place: Any,
    owner: Any,
    read_start: Any,
    read_mop: Any,
    read_from: Any,
    key: Any,
    writer_start: Any,
    writer: Any,
    reader_start: Any,
    reader: Any,
) -> Any:
    """Look for a value that the session was promised and that what was read precedes."""
    count = len(rank)
    out = np.full((len(reads), 8), -1, dtype=np.int32)
    for index in range(len(reads)):
        read = reads[index]
        each = owner[read_mop[read]]
        number = key[read_mop[read]]
        target = read_from[read]
        begin, end = read_start[each], read_start[each + 1]
        # The reader itself, then each that it read from: what their sessions had done before.
        for step in range(begin - 1, end):
            via = each if step < begin else read_from[step]
            if via == count:
                continue
            head, bound = session[via], place[via]
            for is_read in range(2):
                items = reader if is_read else writer
                left = reader_start[number] if is_read else writer_start[number]
                right = reader_start[number + 1] if is_read else writer_start[number + 1]
                # A reader's own session counts before it; of another one, its reads count too.
                limit = bound + 1 if is_read and step >= begin else bound
                low = left
                while left < right:
                    middle = (left + right) // 2
                    item = owner[read_mop[items[middle]]] if is_read else items[middle]
                    if session[item] < head or (session[item] == head and place[item] < limit):
                        left = middle + 1
                    else:
                        right = middle
                if left == low:
                    continue
                item = owner[read_mop[items[left - 1]]] if is_read else items[left - 1]
                if session[item] != head:
                    continue
                source = read_from[items[left - 1]] if is_read else item
                if source == count or source == each:  # noqa: SIM109 - compiled
                    continue
                if source == target:
                    continue
                if target < count and (vectors[rank[source], session[target]] <= place[target]):
                    continue
                kind = is_read if step < begin else 2 + is_read
                if out[index, 2 * kind] < 0:
                    out[index, 2 * kind] = source
                    out[index, 2 * kind + 1] = item if step < begin else via
    return out
