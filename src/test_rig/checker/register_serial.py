"""Whether one order of the transactions explains a whole history of registers.

How to think of it: an order is a proof if replaying it one by one gives every read what it saw.
Where the observed one is none, a scheduler makes one: a transaction may run once its reads are what
is there, and once nobody is left who reads what it overwrites. Of those that may run, the first of
the given order does. It looks at each choice once, so it proves much and disproves nothing.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np

from test_rig.checker.register_index import Registers
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
            registers.read_mop,
            registers.read_from,
            registers.write_start,
            registers.write_mop,
            registers.key,
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
    ranks = line.rank[registers.owner[registers.write_mop]]
    keys = registers.key[registers.write_mop]
    by_key = np.lexsort((ranks, keys))
    reads = np.argsort(versions, kind="stable").astype(np.int32)
    mops = len(registers.owner)
    order = registers.kernels(_schedule)(
        line.order,
        line.rank,
        registers.owner,
        registers.before if has_sessions else np.full_like(registers.before, -1),
        registers.read_start,
        registers.read_mop,
        versions,
        registers.write_start,
        registers.write_mop,
        registers.key,
        np.searchsorted(keys[by_key], np.arange(registers.key_count + 1)).astype(np.int32),
        ranks[by_key].astype(np.int32),
        np.searchsorted(versions[reads], np.arange(mops + 1)).astype(np.int32),
        reads,
        _TRIED,
    )
    if len(order) < len(line.order):
        return None
    rank = np.full(len(line.rank), -1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return Line(order=order, rank=rank, is_causal=has_sessions)


def _replay(
    order: Any,
    read_start: Any,
    read_mop: Any,
    read_from: Any,
    write_start: Any,
    write_mop: Any,
    key: Any,
    last: Any,
) -> bool:
    """Run the transactions one by one."""
    for each in order:
        for read in range(read_start[each], read_start[each + 1]):
            if last[key[read_mop[read]]] != read_from[read]:
                return False
        for place in range(write_start[each], write_start[each + 1]):
            last[key[write_mop[place]]] = each
    return True


def _schedule(
    order: Any,
    rank: Any,
    owner: Any,
    before: Any,
    read_start: Any,
    read_mop: Any,
    versions: Any,
    write_start: Any,
    write_mop: Any,
    key: Any,
    writer_start: Any,
    writer: Any,
    reader_start: Any,
    reader: Any,
    tried: int,
) -> Any:
    """Let run what may run, the first in the given order first.

    Before `tried_until` each was tried once; those of them for which something has changed since
    wait to be tried again.
    """
    keys = len(writer_start) - 1
    done = np.zeros(len(rank), dtype=np.bool_)
    following = np.full(len(rank), -1, dtype=np.int32)
    for each in order:
        if before[each] >= 0:
            following[before[each]] = each
    last = np.full(keys, -1, dtype=np.int32)
    # How many reads are left of what is there; of what was there at first to begin with.
    left = np.zeros(keys, dtype=np.int32)
    for read in range(len(read_mop)):
        if versions[read] < 0:
            left[key[read_mop[read]]] += 1
    first = writer_start[:-1].copy()
    own = np.zeros(keys, dtype=np.int32)
    result = np.empty(len(order), dtype=np.int32)
    size = 0
    waiting: Any = [0]
    waits = np.zeros(len(order), dtype=np.bool_)
    tried_until = 1
    while len(waiting) > 0 or tried_until < len(order):
        if len(waiting) > 0:
            now = heappop(waiting)
            waits[now] = False
        else:
            now = tried_until
            tried_until += 1
        each = order[now]
        if done[each] or (before[each] >= 0 and not done[before[each]]):
            continue
        is_ready = True
        for read in range(read_start[each], read_start[each + 1]):
            number = key[read_mop[read]]
            own[number] += 1
            if last[number] != versions[read]:
                is_ready = False
        if is_ready:
            for place in range(write_start[each], write_start[each + 1]):
                number = key[write_mop[place]]
                if left[number] > own[number]:
                    is_ready = False
        for read in range(read_start[each], read_start[each + 1]):
            own[key[read_mop[read]]] = 0
        if not is_ready:
            continue
        done[each] = True
        result[size] = each
        size += 1
        if following[each] >= 0:
            then = np.int64(rank[following[each]])
            if then < tried_until and not waits[then]:
                heappush(waiting, then)
                waits[then] = True
        for read in range(read_start[each], read_start[each + 1]):
            left[key[read_mop[read]]] -= 1
        for place in range(write_start[each], write_start[each + 1]):
            mop = write_mop[place]
            last[key[mop]] = mop
            left[key[mop]] = reader_start[mop + 1] - reader_start[mop]
            for index in range(reader_start[mop], reader_start[mop + 1]):
                then = np.int64(rank[owner[read_mop[reader[index]]]])
                if then < tried_until and not waits[then]:
                    heappush(waiting, then)
                    waits[then] = True
        reads = read_start[each + 1] - read_start[each]
        writes = write_start[each + 1] - write_start[each]
        for turn in range(reads + writes):
            if turn < reads:
                number = key[read_mop[read_start[each] + turn]]
            else:
                number = key[write_mop[write_start[each] + turn - reads]]
            # Whoever reads what is there may be the last one, and write it too.
            if last[number] >= 0 and left[number] == 1:
                mop = last[number]
                for index in range(reader_start[mop], reader_start[mop + 1]):
                    other = owner[read_mop[reader[index]]]
                    then = np.int64(rank[other])
                    if not done[other] and then < tried_until and not waits[then]:
                        heappush(waiting, then)
                        waits[then] = True
            if left[number] > 1:
                continue
            while first[number] < writer_start[number + 1] and done[order[writer[first[number]]]]:
                first[number] += 1
            some = 0
            for index in range(first[number], writer_start[number + 1]):
                then = np.int64(writer[index])
                if not done[order[then]]:
                    if then < tried_until and not waits[then]:
                        heappush(waiting, then)
                        waits[then] = True
                    some += 1
                    if some == tried:
                        break
    return result[:size]
