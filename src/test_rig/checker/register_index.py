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
from test_rig.history import FAIL, INFO, OK, History, validate

__all__ = ["Registers", "index_registers"]

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
    #: Whom they read from; the number of transactions where nothing was found.
    read_from: _Int32s
    #: The last writes of each transaction that counts, by key.
    write_start: _Int32s
    write_mop: _Int32s

    @property
    def read_by(self) -> _Int32s:
        """The transaction of each read."""
        return self.owner[self.read_mop]

    @property
    def read_key(self) -> _Int32s:
        """The key of each read."""
        return self.key[self.read_mop]

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
    key, key_count = kernels(_number)(frozen(history.key))
    f, value = frozen(history.f), frozen(history.value)
    table, has_twins = kernels(_index)(f, key, value)
    order = _session_order(history)
    if has_twins or order is None:
        validate(history)
        order = np.lexsort((history.end, history.start, history.process))
    source, is_final, fault = kernels(_resolve)(
        frozen(history.type), starts, f, key, value, table, owner, key_count
    )
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
        read_from=read_from,
        write_start=write_start,
        write_mop=write_mop,
    )


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


def _number(key: Any) -> Any:
    """Count keys from 0, in the order in which they appear."""
    size = 1024
    slots = np.full(size, -1, dtype=np.int32)
    names = np.empty(size, dtype=np.int64)
    numbers = np.empty(len(key), dtype=np.int32)
    count = 0
    for mop in range(len(key)):
        wanted = key[mop]
        slot = (((wanted ^ (wanted >> 30)) & 0x3FFFFFFF) * 0x9E3779B1 >> 15) & (size - 1)
        while slots[slot] >= 0 and names[slots[slot]] != wanted:
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot] = count
            names[count] = wanted
            count += 1
        numbers[mop] = slots[slot]
        if 2 * count > size:
            size *= 2
            more = np.empty(size, dtype=np.int64)
            more[:count] = names[:count]
            names = more
            slots = np.full(size, -1, dtype=np.int32)
            for number in range(count):
                wanted = names[number]
                slot = (((wanted ^ (wanted >> 30)) & 0x3FFFFFFF) * 0x9E3779B1 >> 15) & (size - 1)
                while slots[slot] >= 0:
                    slot = (slot + 1) & (size - 1)
                slots[slot] = number
    return numbers, count


def _index(f: Any, key: Any, value: Any) -> Any:
    """Return a table of the writes by key and value, and whether two are the same."""
    writes = 0
    for mop in range(len(f)):
        writes += f[mop] == 1
    size = 16
    while size < 2 * writes:
        size *= 2
    table = np.full(size, -1, dtype=np.int32)
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
    return table, has_twins


def _resolve(
    kind: Any, starts: Any, f: Any, key: Any, value: Any, table: Any, owner: Any, key_count: int
) -> Any:
    """Find the source of each read, each transaction's last writes, and reads that cannot be."""
    nil = -9223372036854775807 - 1
    source = np.full(len(f), -2, dtype=np.int32)
    is_final = np.zeros(len(f), dtype=np.bool_)
    fault = np.zeros(len(f), dtype=np.uint8)
    writer = np.full(key_count, -1, dtype=np.int32)
    written = np.full(key_count, -1, dtype=np.int32)
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
    return source, is_final, fault
