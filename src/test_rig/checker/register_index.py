"""Who reads from whom: histories of registers as arrays of reads and last writes.

How to think of it: every value of a key is written once, so a table of (key, value) names the
writer of what was read. Only reads that leave their transaction count as reads here: one after an
own write of the key must see that write, and says nothing else. A transaction's last write of a
key is its version of it. Nothing read is what was there at first, of nobody; it has the place
behind all transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import Kernels, frozen
from test_rig.checker.indexing import number_keys
from test_rig.checker.strong import by_source
from test_rig.history import FAIL, INFO, OK, WRITE, History, validate

__all__ = ["Registers", "grouped", "index_registers", "spread"]

_Int32s = npt.NDArray[np.int32]
_Marks = npt.NDArray[np.bool_]

#: What a read has instead of a source: nothing was found; it is not looked at.
_NOTHING, _SKIPPED = -1, -2
#: What is wrong with a read.
GARBAGE, OWN_LOST, OWN_LATER = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """A history of registers; transactions are places in it, and so are micro-operations."""

    history: History
    #: Gives the kernels for a history of this size.
    kernels: Kernels
    #: For each micro-operation its transaction, and its key counted from 0.
    owner: _Int32s
    key: _Int32s
    key_count: int
    #: For each micro-operation what is wrong with it, 0 mostly; and what it read.
    fault: npt.NDArray[np.uint8]
    source: _Int32s
    is_final: _Marks
    #: A mark for each transaction that is committed, or unknown and observed.
    counts: _Marks
    #: The transaction of the session before each one, -1 for none, and the place in the session.
    before: _Int32s
    session: _Int32s
    place: _Int32s
    session_count: int
    #: Transactions that count, session by session.
    by_session: _Int32s
    #: The reads of each committed transaction, in its order.
    read_start: _Int32s
    read_mop: _Int32s
    read_key: _Int32s
    #: Whom they read from; the number of transactions where nothing was found.
    read_from: _Int32s
    #: The last write of the same key by the same transaction, -1 for none.
    read_then: _Int32s
    #: The last writes of each transaction that counts, by key.
    write_start: _Int32s
    write_mop: _Int32s
    write_key: _Int32s

    @property
    def read_by(self) -> _Int32s:
        """The transaction of each read."""
        return self.owner[self.read_mop]

    def write_of(self, transaction: int, key: int) -> int:
        """Return the micro-operation that is a transaction's last write of a key."""
        begin, end = self.write_start[transaction], self.write_start[transaction + 1]
        for mop in self.write_mop[begin:end].tolist():
            if self.key[mop] == key:
                return int(mop)
        raise KeyError(key)


def index_registers(history: History) -> Registers:
    """Return who reads from whom.

    Raises:
        HistoryError: A session overlaps itself, or a value is written to a key twice.
    """
    kernels = Kernels(history.mop_count)
    count = len(history)
    starts = history.mop_start.astype(np.int32)
    owner = np.repeat(np.arange(count, dtype=np.int32), np.diff(starts))
    key = np.empty(len(owner), dtype=np.int32)
    key_count = kernels(number_keys)(frozen(history.key), key)
    f, value = frozen(history.f), frozen(history.value)
    table = _table_for(int(np.count_nonzero(f == WRITE)))
    has_twins = kernels(_index)(f, key, value, table)
    order = _session_order(history)
    if has_twins or order is None:
        validate(history)
        order = np.lexsort((history.end, history.start, history.process))
    source = np.full(len(f), _SKIPPED, dtype=np.int32)
    following = np.full(len(f), -1, dtype=np.int32)
    is_final, fault = np.zeros(len(f), dtype=np.bool_), np.zeros(len(f), dtype=np.uint8)
    by_key = np.full((2, key_count), -1, dtype=np.int32)
    found_ones = (source, following, is_final, fault)
    kernels(_resolve)(
        frozen(history.type), starts, f, key, value, table, owner, by_key[0], by_key[1], *found_ones
    )
    del table, by_key
    counts = history.type == OK
    writers = owner[source[source >= 0]]
    counts[writers[history.type[writers] == INFO]] = True
    outer = _outer_reads(history, owner, source)
    read_mop = np.flatnonzero(outer).astype(np.int32)
    found = source[read_mop]
    read_from = np.where(found >= 0, owner[found], count).astype(np.int32)
    final = is_final & counts[owner]
    write_mop, write_start = _by_key(np.flatnonzero(final), owner, key, count)
    kept = order[counts[order]].astype(np.int32)
    before, session, place, sessions = _sessions(history, kept)
    return Registers(
        history=history,
        kernels=kernels,
        owner=owner,
        key=key,
        key_count=key_count,
        fault=fault,
        source=source,
        is_final=is_final,
        counts=counts,
        before=before,
        session=session,
        place=place,
        session_count=sessions,
        by_session=kept,
        read_start=_begins(owner[read_mop], count),
        read_mop=read_mop,
        read_key=key[read_mop],
        read_from=read_from,
        read_then=following[read_mop],
        write_start=write_start,
        write_mop=write_mop,
        write_key=key[write_mop],
    )


def grouped(kernels: Kernels, group: _Int32s, items: _Int32s, groups: int) -> Any:
    """Return where the items of each group begin, one more, and the items by group, as they came.

    Args:
        kernels: How to loop.
        group: The group of each item.
        items: The items.
        groups: How many groups there are.
    """
    start, members = np.zeros(groups + 1, dtype=np.int32), np.empty(len(items), dtype=np.int32)
    nothing = np.empty(0, dtype=np.int32)
    all_kinds = frozen(np.zeros(0, dtype=np.uint8))
    kernels(by_source)(frozen(group), frozen(items), all_kinds, 0, start, members, nothing)
    return start, members


def spread(begins: _Int32s, rows: _Int32s) -> Any:
    """Return the places of what stands with some rows, row by row.

    Args:
        begins: Where the places of each row begin; one more.
        rows: The rows.
    """
    counts = begins[rows + 1] - begins[rows]
    ends = np.cumsum(counts, dtype=np.int32)
    shift = begins[rows] - (ends - counts)
    places = np.arange(len(shift) and ends[-1], dtype=np.int32)
    places += np.repeat(shift, counts)
    return places


def _table_for(writes: int) -> Any:
    size = 16
    while size < 2 * writes:
        size *= 2
    return np.full(size, -1, dtype=np.int32)


def _outer_reads(history: History, owner: _Int32s, source: _Int32s) -> Any:
    """Mark the reads of committed transactions that saw another one's value, or nothing."""
    outer = source == _NOTHING
    seen = np.flatnonzero(source >= 0)
    outer[seen] = history.type[owner[source[seen]]] != FAIL
    return outer


def _begins(owners: _Int32s, count: int) -> _Int32s:
    begins = np.zeros(count + 1, dtype=np.int32)
    np.cumsum(np.bincount(owners, minlength=count), out=begins[1:])
    return begins


def _by_key(mops: Any, owner: _Int32s, key: _Int32s, count: int) -> tuple[_Int32s, _Int32s]:
    """Return micro-operations by transaction and key, and where those of each one begin."""
    mops = mops.astype(np.int32)
    same = owner[mops[:-1]] == owner[mops[1:]]
    if (same & (key[mops[:-1]] > key[mops[1:]])).any():
        rank = owner[mops].astype(np.int64) * (int(key.max(initial=0)) + 1) + key[mops]
        mops = mops[np.argsort(rank, kind="stable")]
    return mops, _begins(owner[mops], count)


def _session_order(history: History) -> Any:
    """Return the transactions by session and start; None where one overlaps the one before it."""
    process = history.process
    if int(process.max(initial=0)) < 2**15:
        process = process.astype(np.int16)  # which numpy sorts by radix
    order = np.argsort(process, kind="stable")
    first, second = order[:-1], order[1:]
    same = process[first] == process[second]
    is_late = (history.start[first] > history.start[second]) | (
        history.end[first] > history.start[second]
    )
    return None if (same & is_late).any() else order


def _sessions(history: History, kept: _Int32s) -> tuple[_Int32s, _Int32s, _Int32s, int]:
    count = len(history)
    before = np.full(count, -1, dtype=np.int32)
    session, place = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    process = history.process[kept]
    is_first = np.ones(len(kept), dtype=np.bool_)
    is_first[1:] = process[1:] != process[:-1]
    before[kept[1:]] = np.where(is_first[1:], -1, kept[:-1])
    session[kept] = np.cumsum(is_first) - 1
    begins = np.flatnonzero(is_first)
    place[kept] = np.arange(len(kept)) - begins[session[kept]]
    return before, session, place, len(begins)


def _index(f: Any, key: Any, value: Any, table: Any) -> bool:
    """Fill a table of the writes by key and value, and return whether two are the same."""
    size = len(table)
    has_twins = False
    for mop in range(len(f)):
        if f[mop] != 1:
            continue
        number = int(key[mop])
        mixed = (value[mop] ^ (value[mop] >> 30) ^ (number * 0x85EBCA77)) & 0x3FFFFFFF
        slot = (mixed * 0x9E3779B1 >> 15) & (size - 1)
        while table[slot] >= 0:
            other = table[slot]
            if key[other] == key[mop] and value[other] == value[mop]:
                has_twins = True
                break
            slot = (slot + 1) & (size - 1)
        table[slot] = mop
    return has_twins


def _resolve(
    kind: Any,
    starts: Any,
    f: Any,
    key: Any,
    value: Any,
    table: Any,
    owner: Any,
    writer: Any,
    written: Any,
    source: Any,
    following: Any,
    is_final: Any,
    fault: Any,
) -> None:
    """Find the source of each read, each transaction's last writes, and reads that cannot be.

    Also for each read the last write of its key by its own transaction.
    """
    nil = -9223372036854775807 - 1
    size = len(table)
    for transaction in range(len(kind)):
        for mop in range(starts[transaction], starts[transaction + 1]):
            number = int(key[mop])
            is_own = writer[number] == transaction
            if f[mop] == 1:
                if is_own:
                    is_final[written[number]] = False
                writer[number] = transaction
                written[number] = mop
                is_final[mop] = True
                continue
            if f[mop] != 2 or kind[transaction] != 0:
                continue
            wanted = value[mop]
            if is_own:
                if value[written[number]] != wanted:
                    fault[mop] = 2
                continue
            if wanted == nil:
                source[mop] = -1
                continue
            mixed = (wanted ^ (wanted >> 30) ^ (number * 0x85EBCA77)) & 0x3FFFFFFF
            slot = (mixed * 0x9E3779B1 >> 15) & (size - 1)
            found = -1
            while table[slot] >= 0:
                other = table[slot]
                if key[other] == number and value[other] == wanted:
                    found = other
                    break
                slot = (slot + 1) & (size - 1)
            if found < 0:
                fault[mop] = 1
            elif owner[found] == transaction:
                fault[mop] = 3
            else:
                source[mop] = found
        for mop in range(starts[transaction], starts[transaction + 1]):
            if f[mop] == 2 and writer[key[mop]] == transaction:
                following[mop] = written[key[mop]]
