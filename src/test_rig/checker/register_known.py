"""Which versions of registers are known to follow which.

How to think of it: reading a register does not tell the order of its versions. What is known: what
was there at first comes before every version, and a transaction that read a version and then wrote
the key wrote a later one (else they would be a G1c). So a reader of the first precedes all writers
of the key, and a reader of a version those that read it and then wrote: rw edges. Writers that had
read another version come after it anyway and are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import frozen
from test_rig.checker.graph import RW, WR, WW, Edges
from test_rig.checker.register_index import Registers
from test_rig.checker.register_order import Line, Windows
from test_rig.history import Timescale

__all__ = [
    "Overwrites",
    "edges_of_order",
    "known_edges",
    "known_reach",
    "order_reach",
    "reads_edges",
    "stale_reads",
]

_Int32s = npt.NDArray[np.int32]
#: So many writes are held against one read that found nothing: fewer, where such pairs would be
#: more than a number of them and a number for each micro-operation, but some at least.
_MOST, _FEWEST = 4096, 16
_PAIRS, _PAIRS_A_MOP = 200_000, 4


def reads_edges(registers: Registers) -> Edges:
    """Return for each read that found something the edge from its writer."""
    kept = np.flatnonzero(registers.read_from < len(registers.history))
    mops = registers.read_mop[kept]
    return Edges.of(
        registers.read_from[kept], registers.read_by[kept], WR, registers.source[mops], mops
    )


class Overwrites:
    """Who wrote a key after having read it: for each read the write, -1 for none."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self.write: _Int32s = registers.kernels(_following)(
            registers.read_start,
            registers.read_mop,
            registers.write_start,
            registers.write_mop,
            registers.key,
            registers.key_count,
        )

    def lost_updates(self) -> list[tuple[int, ...]]:
        """Return groups of reads of one version whose transactions then wrote the key."""
        registers = self._registers
        reads = np.flatnonzero(self.write >= 0)
        keys = registers.read_key[reads]
        versions = registers.source[registers.read_mop[reads]]
        order = np.lexsort((reads, versions, keys))
        reads, keys, versions = reads[order], keys[order], versions[order]
        is_new = np.ones(len(reads), dtype=np.bool_)
        is_new[1:] = (keys[1:] != keys[:-1]) | (versions[1:] != versions[:-1])
        begins = np.flatnonzero(is_new)
        ends = np.append(begins, len(reads))[1:]
        owner = registers.owner
        found = []
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            if end - begin < 2:
                continue
            group = {int(owner[registers.read_mop[read]]): int(read) for read in reads[begin:end]}
            if len(group) > 1:
                found.append(tuple(sorted(group.values())))
        return found


def known_reach(registers: Registers, line: Line, written: Overwrites) -> _Int32s:
    """Return for each place in the line the last one from which a known edge goes back to it."""
    reads = reads_edges(registers)
    reach = _reach(line, reads.source, reads.target)
    _reach_back(registers, line, reach)
    _rw(registers, line, written, (reach, np.zeros(0, dtype=np.int32)))
    return reach


def known_edges(registers: Registers, line: Line, written: Overwrites, windows: Windows) -> Edges:
    """Return the wr and rw edges that can be in a cycle."""
    reads = reads_edges(registers)
    first, second = _rw(registers, line, written, (np.zeros(0, dtype=np.int32), windows.of))
    owner = registers.owner
    known = Edges.of(owner[first], owner[second], RW, first, second)
    return Edges.joined([reads.where(windows.hold(reads.source, reads.target)), known])


def _reach(line: Line, source: Any, target: Any) -> _Int32s:
    reach = np.zeros(len(line.order), dtype=np.int32)
    back = np.flatnonzero(line.rank[source] > line.rank[target])
    np.maximum.at(reach, line.rank[target[back]], line.rank[source[back]])
    return reach


def _reach_back(registers: Registers, line: Line, reach: _Int32s) -> None:
    """Note where sessions go back."""
    after = np.flatnonzero(registers.before >= 0)
    source = line.rank[registers.before[after]]
    target = line.rank[after]
    back = source > target
    np.maximum.at(reach, target[back], source[back])


def _rw(
    registers: Registers, line: Line, written: Overwrites, mode: tuple[_Int32s, _Int32s]
) -> Any:
    return registers.kernels(_overwritten)(
        line.rank,
        registers.owner,
        registers.read_mop,
        registers.read_from,
        registers.source,
        registers.key,
        registers.key_count,
        registers.write_mop,
        written.write,
        mode[0],
        mode[1],
        _most(registers),
    )


def _most(registers: Registers) -> int:
    """Return how many writes of its key a read of nothing is paired with: linear in the history."""
    is_first = registers.read_from == len(registers.history)
    reads = np.bincount(registers.key[registers.read_mop[is_first]], minlength=registers.key_count)
    writes = np.bincount(registers.key[registers.write_mop], minlength=registers.key_count)
    room = max(_PAIRS, _PAIRS_A_MOP * len(registers.owner))
    most = _MOST
    while most > _FEWEST and int(reads @ np.minimum(writes, most)) > room:
        most //= 2
    return most


def edges_of_order(registers: Registers, line: Line) -> Edges:
    """Return all edges that this order of versions makes."""
    kernel = registers.kernels(_versions)
    (w_first, w_second), (r_first, r_second) = kernel(
        line.order,
        registers.owner,
        registers.read_start,
        registers.read_mop,
        registers.source,
        registers.is_final,
        registers.write_start,
        registers.write_mop,
        registers.key,
        registers.key_count,
    )
    owner = registers.owner
    overwrote = Edges.of(owner[w_first], owner[w_second], WW, w_first, w_second)
    missed = Edges.of(owner[r_first], owner[r_second], RW, r_first, r_second)
    return Edges.joined([reads_edges(registers), overwrote, missed])


def order_reach(registers: Registers, line: Line, edges: Edges) -> _Int32s:
    """Return for each place in the line the last one from which an edge goes back to it."""
    reach = _reach(line, edges.source, edges.target)
    _reach_back(registers, line, reach)
    return reach


def stale_reads(registers: Registers) -> list[tuple[int, int]]:
    """Return reads of a version that had been overwritten before their transaction began.

    With each read a write that ended before, and had begun after the version's writer ended.
    """
    history = registers.history
    if history.clock is Timescale.SESSION:
        return []
    mops = registers.write_mop
    writers = registers.owner[mops]
    mops, writers = (each[history.type[writers] == 0] for each in (mops, writers))
    keys = registers.key[mops]
    order = np.lexsort((history.end[writers], keys))
    reads, found = registers.kernels(_stale)(
        mops[order],
        writers[order],
        np.searchsorted(keys[order], np.arange(registers.key_count + 1)).astype(np.int32),
        frozen(history.start),
        frozen(history.end),
        frozen(history.type),
        registers.owner,
        registers.read_mop,
        registers.read_from,
        registers.key,
    )
    process = history.process[registers.owner]
    other = process[registers.read_mop[reads]] != process[found]
    return list(zip(reads[other].tolist(), found[other].tolist(), strict=True))


def _following(
    read_start: Any, read_mop: Any, write_start: Any, write_mop: Any, key: Any, key_count: int
) -> Any:
    """Find for each read the last write of the same key by the same transaction."""
    writer = np.full(key_count, -1, dtype=np.int32)
    written = np.zeros(key_count, dtype=np.int32)
    found = np.full(len(read_mop), -1, dtype=np.int32)
    for each in range(len(read_start) - 1):
        if read_start[each] == read_start[each + 1]:
            continue
        for place in range(write_start[each], write_start[each + 1]):
            writer[key[write_mop[place]]] = each
            written[key[write_mop[place]]] = write_mop[place]
        for read in range(read_start[each], read_start[each + 1]):
            number = key[read_mop[read]]
            if writer[number] == each:
                found[read] = written[number]
    return found


def _overwritten(
    rank: Any,
    owner: Any,
    read_mop: Any,
    read_from: Any,
    source: Any,
    key: Any,
    key_count: int,
    write_mop: Any,
    following: Any,
    reach: Any,
    window: Any,
    most: int,
) -> Any:
    """Pair reads with the writes that are known to come next; mark how far back, or return."""
    count = len(rank)
    is_kept = len(window) > 0
    # By key: the writes of those that had read no version; the last read of each version by mop.
    start = np.zeros(key_count + 1, dtype=np.int32)
    reads = len(read_mop)
    after = np.zeros(len(owner), dtype=np.bool_)
    for read in range(reads):
        if following[read] >= 0 and read_from[read] != count:
            after[following[read]] = True
    for mop in write_mop:
        if not after[mop]:
            start[key[mop] + 1] += 1
    for number in range(key_count):
        start[number + 1] += start[number]
    filled = start[:-1].copy()
    first_writes = np.empty(start[key_count], dtype=np.int32)
    for mop in write_mop:
        if not after[mop]:
            first_writes[filled[key[mop]]] = mop
            filled[key[mop]] += 1
    # By version that was read: its reads, linked; and those among them that wrote next, linked.
    head = np.full(len(owner), -1, dtype=np.int32)
    link = np.full(reads, -1, dtype=np.int32)
    room = 1024 if is_kept else 1
    out = np.empty((2, room), dtype=np.int32)
    size = 0
    for read in range(reads):
        if following[read] >= 0 and read_from[read] != count:
            version = source[read_mop[read]]
            link[read] = head[version]
            head[version] = read
    for read in range(reads):
        mop = read_mop[read]
        each = owner[mop]
        is_first = read_from[read] == count
        number = key[mop]
        begin = start[number] if is_first else 0
        end = min(start[number + 1], begin + most) if is_first else 0
        following_read = -1 if is_first else head[source[mop]]
        while begin < end or following_read >= 0:
            if is_first:
                write = first_writes[begin]
                begin += 1
            else:
                write = following[following_read]
                following_read = link[following_read]
            other = owner[write]
            if other == each:
                continue
            if not is_kept:
                if rank[each] > rank[other]:
                    reach[rank[other]] = max(reach[rank[other]], rank[each])
            elif window[each] >= 0 and window[each] == window[other]:
                if size == room:
                    wider = np.empty((2, 2 * room), dtype=np.int32)
                    wider[:, :room] = out
                    out = wider
                    room *= 2
                out[0, size], out[1, size] = mop, write
                size += 1
    return out[:, :size]


def _versions(
    order: Any,
    owner: Any,
    read_start: Any,
    read_mop: Any,
    source: Any,
    is_final: Any,
    write_start: Any,
    write_mop: Any,
    key: Any,
    key_count: int,
) -> Any:
    """Link the versions of each key in this order, and each read to the version after its own."""
    last = np.full(key_count, -1, dtype=np.int32)
    first = np.full(key_count, -1, dtype=np.int32)
    following = np.full(len(owner), -1, dtype=np.int32)
    ww = np.empty((2, len(write_mop)), dtype=np.int32)
    rw = np.empty((2, len(read_mop)), dtype=np.int32)
    writes, reads = 0, 0
    for each in order:
        for place in range(write_start[each], write_start[each + 1]):
            mop = write_mop[place]
            number = key[mop]
            if last[number] < 0:
                first[number] = mop
            else:
                following[last[number]] = mop
                ww[0, writes], ww[1, writes] = last[number], mop
                writes += 1
            last[number] = mop
    for each in order:
        for read in range(read_start[each], read_start[each + 1]):
            mop = read_mop[read]
            version = source[mop]
            if version < 0:
                after = first[key[mop]]
            elif is_final[version]:
                after = following[version]
            else:
                after = -1
            if after >= 0:
                rw[0, reads], rw[1, reads] = mop, after
                reads += 1
    return ww[:, :writes], rw[:, :reads]


def _stale(
    mops: Any,
    writers: Any,
    begins: Any,
    start: Any,
    end: Any,
    kind: Any,
    owner: Any,
    read_mop: Any,
    read_from: Any,
    key: Any,
) -> Any:
    """Find for each read the latest begun writer of its key that ended before the reader began."""
    # For each writer in the order of ends, who of its key began last of those up to it.
    latest = np.empty(len(writers), dtype=np.int32)
    for number in range(len(begins) - 1):
        for place in range(begins[number], begins[number + 1]):
            latest[place] = place
            if place > begins[number]:
                before = latest[place - 1]
                if start[writers[before]] > start[writers[place]]:
                    latest[place] = before
    reads = np.empty(len(read_mop), dtype=np.int32)
    found = np.empty(len(read_mop), dtype=np.int32)
    size = 0
    for read in range(len(read_mop)):
        mop = read_mop[read]
        each = owner[mop]
        source = read_from[read]
        left, right = begins[key[mop]], begins[key[mop] + 1]
        low = left
        while left < right:
            middle = (left + right) // 2
            if end[writers[middle]] < start[each]:
                left = middle + 1
            else:
                right = middle
        if left == low:
            continue
        other = latest[left - 1]
        # Of what was there at first the order of versions is known anyway.
        if source == len(start) or source == writers[other]:
            continue
        if kind[source] == 0 and end[source] < start[writers[other]]:
            reads[size], found[size] = read, mops[other]
            size += 1
    return reads[:size], found[:size]
