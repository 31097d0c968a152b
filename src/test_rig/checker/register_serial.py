"""Whether one order of the transactions explains a whole history of registers.

How to think of it: an order is a proof if replaying it one by one gives every read what it saw.
Where the observed one is none, a scheduler makes one: a transaction may run once its reads are what
is there, and once nobody is left who reads what it overwrites. Of those that may run, the first of
the given order does. It looks at each choice once, so it proves much and disproves nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from test_rig.checker.register_index import Registers, grouped, spread
from test_rig.checker.register_order import Line

__all__ = ["is_serial", "schedule"]

#: So many of those who wait to write a key are tried when it becomes free.
_TRIED = 16


def is_serial(registers: Registers, line: Line) -> bool:
    """Return whether every read sees the last writer before it in this order."""
    return bool(
        registers.kernels(_replay)(
            line.order,
            registers.read_start,
            registers.read_key,
            registers.read_from,
            registers.write_start,
            registers.write_key,
            np.full(registers.key_count, len(line.rank), dtype=np.int32),
        )
    )


def schedule(registers: Registers, line: Line, *, has_sessions: bool) -> Line | None:
    """Return an order that explains the history, or None where none was found.

    Args:
        registers: The history.
        line: Whom to let run first.
        has_sessions: Whether sessions go forward.
    """
    versions = np.where(
        registers.read_from < len(registers.history), registers.source[registers.read_mop], -1
    ).astype(np.int32)
    # A value that its transaction wrote over was never there for others to read.
    if not registers.is_final[versions[versions >= 0]].all():
        return None
    kernels, count = registers.kernels, len(line.order)
    # The writers of each key in the given order, and the readers of each version.
    writes = registers.write_mop[spread(registers.write_start, line.order)]
    keys = registers.key[writes]
    ranks = line.rank[registers.owner[writes]]
    writer_start, writer = grouped(kernels, keys, ranks, registers.key_count)
    found = np.flatnonzero(versions >= 0)
    readers = line.rank[registers.read_by[found]]
    reader_start, reader = grouped(kernels, versions[found], readers, len(registers.owner))
    at_first = registers.read_key[versions < 0]
    order, before = np.empty(count, dtype=np.int32), np.full(count, -1, dtype=np.int32)
    following = before.copy()
    if has_sessions:
        after = np.flatnonzero(registers.before[line.order] >= 0).astype(np.int32)
        before[after] = line.rank[registers.before[line.order[after]]]
        following[before[after]] = after
    size = kernels(_schedule)(
        line.order,
        before,
        following,
        registers.read_start,
        registers.read_key,
        versions,
        registers.write_start,
        registers.write_mop,
        registers.write_key,
        writer_start,
        writer,
        reader_start,
        reader,
        _TRIED,
        np.full(registers.key_count, -1, dtype=np.int32),
        np.bincount(at_first, minlength=registers.key_count).astype(np.int32),
        writer_start[:-1].copy(),
        np.zeros(registers.key_count, dtype=np.int32),
        np.zeros(count, dtype=np.uint8),
        np.empty(count + 1, dtype=np.int32),
        np.empty(count + 1, dtype=np.int32),
        order,
    )
    if size < count:
        return None
    rank = np.full(len(line.rank), -1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return Line(order=order, rank=rank, is_causal=has_sessions)


def _replay(
    order: Any,
    read_start: Any,
    read_key: Any,
    read_from: Any,
    write_start: Any,
    write_key: Any,
    last: Any,
) -> bool:
    """Run the transactions one by one."""
    for each in order:
        for read in range(read_start[each], read_start[each + 1]):
            if last[read_key[read]] != read_from[read]:
                return False
        for place in range(write_start[each], write_start[each + 1]):
            last[write_key[place]] = each
    return True


def _schedule(
    order: Any,
    before: Any,
    following: Any,
    read_start: Any,
    read_key: Any,
    versions: Any,
    write_start: Any,
    write_mop: Any,
    write_key: Any,
    writer_start: Any,
    writer: Any,
    reader_start: Any,
    reader: Any,
    tried: int,
    last: Any,
    left: Any,
    first: Any,
    own: Any,
    state: Any,
    heap: Any,
    woken: Any,
    result: Any,
) -> int:
    """Let run what may run, the first in the given order first; return how many ran.

    Before `tried_until` each was tried once; those of them for which something has changed since
    wait to be tried again, in a heap. They are places in the given order.

    Args:
        order: The given order.
        before: For each place that of the transaction before in its session, -1 for none.
        following: That of the one after it.
        read_start: Where the reads of each transaction begin.
        read_key: The key of each read.
        versions: The write that it saw, -1 for none.
        write_start: Where the last writes of each begin.
        write_mop: The micro-operation of each.
        write_key: Its key.
        writer_start: Where the writers of each key begin.
        writer: Their places, in the given order.
        reader_start: Where the readers of each write begin.
        reader: Their places.
        tried: So many writers of a key that becomes free are woken.
        last: For each key -1: the write that is there.
        left: How many reads are left of what is there.
        first: The first writer of each key that may not have run.
        own: Zeros for each key.
        state: Zeros for each place: 1 while it waits, 2 when it ran.
        heap: Room for those that wait.
        woken: Room for those that one transaction wakes, and no others.
        result: Is filled with the transactions in the order in which they ran.
    """
    size = waiting = 0
    tried_until = 0
    while waiting > 0 or tried_until < len(order):
        if waiting > 0:
            now = heap[0]
            state[now] = 0
            waiting -= 1
            moved = heap[waiting]
            at = 0
            while True:
                child = 2 * at + 1
                if child + 1 < waiting and heap[child + 1] < heap[child]:
                    child += 1
                if child >= waiting or heap[child] >= moved:
                    break
                heap[at] = heap[child]
                at = child
            heap[at] = moved
        else:
            now = tried_until
            tried_until += 1
        each = order[now]
        if before[now] >= 0 and state[before[now]] < 2:
            continue
        is_ready = True
        for read in range(read_start[each], read_start[each + 1]):
            number = read_key[read]
            own[number] += 1
            if last[number] != versions[read]:
                is_ready = False
        for place in range(write_start[each], write_start[each + 1]):
            number = write_key[place]
            if left[number] > own[number]:
                is_ready = False
        for read in range(read_start[each], read_start[each + 1]):
            own[read_key[read]] = 0
        if not is_ready:
            continue
        state[now] = 2
        result[size] = each
        size += 1
        for read in range(read_start[each], read_start[each + 1]):
            left[read_key[read]] -= 1
        for place in range(write_start[each], write_start[each + 1]):
            mop = write_mop[place]
            last[write_key[place]] = mop
            left[write_key[place]] = reader_start[mop + 1] - reader_start[mop]
        count = 0
        then = following[now]
        if then >= 0 and then < tried_until and state[then] == 0:
            state[then] = 1
            woken[count] = then
            count += 1
        reads = read_start[each + 1] - read_start[each]
        writes = write_start[each + 1] - write_start[each]
        for turn in range(reads + writes):
            is_write = turn >= reads
            place = write_start[each] + turn - reads if is_write else read_start[each] + turn
            number = write_key[place] if is_write else read_key[place]
            mop = last[number]
            # Whoever reads what is there may be the last one, and write it too.
            if mop >= 0 and (is_write or left[number] == 1):
                for index in range(reader_start[mop], reader_start[mop + 1]):
                    then = reader[index]
                    if then < tried_until and state[then] == 0:
                        state[then] = 1
                        woken[count] = then
                        count += 1
            if left[number] > 1:
                continue
            end = writer_start[number + 1]
            while first[number] < end and state[writer[first[number]]] == 2:
                first[number] += 1
            some = 0
            index = first[number]
            while index < end and some < tried:
                then = writer[index]
                if state[then] != 2:
                    some += 1
                    if then < tried_until and state[then] == 0:
                        state[then] = 1
                        woken[count] = then
                        count += 1
                index += 1
        for turn in range(count):
            at = waiting
            waiting += 1
            while at > 0 and heap[(at - 1) // 2] > woken[turn]:
                heap[at] = heap[(at - 1) // 2]
                at = (at - 1) // 2
            heap[at] = woken[turn]
    return size
