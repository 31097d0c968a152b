"""Which versions of registers are known to follow which.

How to think of it: reading a register does not tell the order of its versions. What is known: what
was there at first comes before every version, and a transaction that read a version and then wrote
the key wrote a later one (else they would be a G1c). So a reader of the first precedes all writers
of the key, and a reader of a version those that read it and then wrote: rw edges, but not between
two that both wrote then. Writers that had read another version come after it anyway and are left
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import frozen
from test_rig.checker.graph import RW, WR, WW, Edges
from test_rig.checker.register_index import Registers, grouped, spread
from test_rig.checker.register_order import Line, Windows
from test_rig.history import OK, Timescale

__all__ = [
    "Overwrites",
    "edges_of_order",
    "lost_updates",
    "order_reach",
    "reads_edges",
    "stale_reads",
]

_Int32s = npt.NDArray[np.int32]
#: So many writes are held against one read that found nothing: fewer, where such pairs would be
#: more than a number of them and a number for each micro-operation, but some at least.
_MOST, _FEWEST = 4096, 16
_PAIRS, _PAIRS_A_MOP = 200_000, 4
#: So many pairs are looked at together.
_AT_ONCE = 2_000_000


def reads_edges(registers: Registers) -> Edges:
    """Return for each read that found something the edge from its writer."""
    kept = np.flatnonzero(registers.read_from < len(registers.history))
    mops = registers.read_mop[kept]
    return Edges.of(
        registers.read_from[kept], registers.read_by[kept], WR, registers.source[mops], mops
    )


def lost_updates(registers: Registers) -> list[tuple[int, ...]]:
    """Return groups of reads of one version whose transactions then wrote the key."""
    reads = np.flatnonzero(registers.read_then >= 0)
    keys = registers.read_key[reads]
    versions = registers.source[registers.read_mop[reads]]
    # Most versions are read so by nobody or by one.
    nobody = versions < 0
    times = np.bincount(versions[~nobody], minlength=1)
    at_first = np.bincount(keys[nobody], minlength=1)
    is_shared = np.empty(len(reads), dtype=np.bool_)
    is_shared[~nobody] = times[versions[~nobody]] > 1
    is_shared[nobody] = at_first[keys[nobody]] > 1
    reads, keys, versions = reads[is_shared], keys[is_shared], versions[is_shared]
    order = np.lexsort((reads, versions, keys))
    reads, keys, versions = reads[order], keys[order], versions[order]
    is_new = np.ones(len(reads), dtype=np.bool_)
    is_new[1:] = (keys[1:] != keys[:-1]) | (versions[1:] != versions[:-1])
    begins = np.flatnonzero(is_new)
    ends = np.append(begins, len(reads))[1:]
    owner = registers.owner
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        group = {int(owner[registers.read_mop[read]]): int(read) for read in reads[begin:end]}
        if len(group) > 1:
            found.append(tuple(sorted(group.values())))
    return found


class Overwrites:
    """Which writes are known to come after what each read saw."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._reads = reads_edges(registers)
        kernels, then = registers.kernels, registers.read_then
        is_first = registers.read_from == len(registers.history)
        mops, key, groups = registers.read_mop, registers.key, registers.key_count
        # By key, the writes of those that had read no version.
        is_after = np.zeros(len(registers.owner), dtype=np.bool_)
        is_after[then[(then >= 0) & ~is_first]] = True
        writes = registers.write_mop[~is_after[registers.write_mop]]
        first_start, first_writes = grouped(kernels, key[writes], writes, groups)
        # By version, the writes of those that had read it, the last of them first.
        later = np.flatnonzero((then >= 0) & ~is_first)[::-1]
        versions = registers.source[mops[later]]
        start, following = grouped(kernels, versions, then[later], len(registers.owner))
        #: The writes that follow each read stand in one piece.
        self._writes = np.concatenate((first_writes, following))
        version = registers.source[mops]  # -1 where nothing was found
        begin, end = start[version], start[version + 1]
        begin += np.int32(len(first_writes))
        end += np.int32(len(first_writes))
        number = registers.read_key[is_first]
        begin[is_first] = first_start[number]
        most = _most(registers)
        end[is_first] = np.minimum(first_start[number + 1], first_start[number] + most)
        self._begin, self._count = begin, end - begin
        # Of two that read one version and then wrote, one missed the other's write and the other
        # overwrote it. Which of them is not known, and the two are a lost update anyway.
        self._count[(then >= 0) & ~is_first] = 0
        self._updates = np.zeros(len(registers.owner), dtype=np.bool_)
        own = (then >= 0) & is_first
        self._updates[mops[own]] = self._updates[then[own]] = True

    def reach(self, line: Line) -> _Int32s:
        """Return for each place in the line the last one from which a known edge goes back."""
        reach = _reach(line, self._reads.source, self._reads.target)
        _reach_back(self._registers, line, reach)
        owner, rank = self._registers.owner, line.rank
        for read, write in self._pairs():
            first, second = rank[owner[read]], rank[owner[write]]
            back = np.flatnonzero(first > second)
            np.maximum.at(reach, second[back], first[back])
        return reach

    def edges(self, windows: Windows) -> Edges:
        """Return the wr and rw edges that can be in a cycle."""
        owner, parts = self._registers.owner, []
        reads = self._reads
        for read, write in self._pairs():
            kept = np.flatnonzero(windows.hold(owner[read], owner[write]))
            read, write = read[kept], write[kept]
            parts.append(Edges.of(owner[read], owner[write], RW, read, write))
        return Edges.joined([reads.where(windows.hold(reads.source, reads.target)), *parts])

    def _pairs(self) -> Iterator[tuple[_Int32s, _Int32s]]:
        """Yield reads and writes that follow them, some millions of pairs at a time at most."""
        reads = np.flatnonzero(self._count > 0)
        before = np.cumsum(self._count[reads])
        begin = 0
        while begin < len(reads):
            done = int(before[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(before, done + _AT_ONCE)))
            some = reads[begin:end]
            counts = self._count[some]
            places = np.arange(int(before[end - 1]) - done)
            places += np.repeat(self._begin[some] - (before[begin:end] - counts - done), counts)
            read, write = np.repeat(self._registers.read_mop[some], counts), self._writes[places]
            kept = ~(self._updates[read] & self._updates[write])
            yield read[kept], write[kept]
            begin = end


def _reach(line: Line, source: Any, target: Any) -> _Int32s:
    reach = np.zeros(len(line.order), dtype=np.int32)
    first, second = line.rank[source], line.rank[target]
    back = np.flatnonzero(first > second)
    np.maximum.at(reach, second[back], first[back])
    return reach


def _reach_back(registers: Registers, line: Line, reach: _Int32s) -> None:
    """Note where sessions go back."""
    after = np.flatnonzero(registers.before >= 0)
    source = line.rank[registers.before[after]]
    target = line.rank[after]
    back = source > target
    np.maximum.at(reach, target[back], source[back])


def _most(registers: Registers) -> int:
    """Return how many writes of its key a read of nothing is paired with: linear in the history."""
    is_first = registers.read_from == len(registers.history)
    reads = np.bincount(registers.read_key[is_first], minlength=registers.key_count)
    writes = np.bincount(registers.write_key, minlength=registers.key_count)
    room = max(_PAIRS, _PAIRS_A_MOP * len(registers.owner))
    most = _MOST
    while most > _FEWEST and int(reads @ np.minimum(writes, most)) > room:
        most //= 2
    return most


def edges_of_order(registers: Registers, line: Line) -> Edges:
    """Return all edges that this order of versions makes."""
    key, owner = registers.key, registers.owner
    writes = registers.write_mop[spread(registers.write_start, line.order)]
    start, versions = grouped(registers.kernels, key[writes], writes, registers.key_count)
    # By write the version before it and the one after it, -1 for none; by key the first one.
    nothing = np.int32(-1)
    after = np.full(len(owner), nothing, dtype=np.int32)
    before = np.full(len(owner), nothing, dtype=np.int32)
    after[versions[:-1]], before[versions[1:]] = versions[1:], versions[:-1]
    is_used = start[:-1] < start[1:]
    first = np.full(registers.key_count, nothing, dtype=np.int32)
    first[is_used] = versions[start[:-1][is_used]]
    before[first[is_used]] = nothing
    after[versions[start[1:][is_used] - 1]] = nothing
    over = writes[before[writes] >= 0]
    overwrote = Edges.of(owner[before[over]], owner[over], WW, before[over], over)
    reads = registers.read_mop[spread(registers.read_start, line.order)]
    version = registers.source[reads]
    then = np.where(
        version < 0,
        first[key[reads]],
        np.where(registers.is_final[version], after[version], nothing),
    )
    kept = then >= 0
    reads, then = reads[kept], then[kept]
    missed = Edges.of(owner[reads], owner[then], RW, reads, then)
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
    ended = np.argsort(history.end, kind="stable").astype(np.int32)
    ended = ended[registers.counts[ended] & (history.type[ended] == OK)]
    mops = registers.write_mop[spread(registers.write_start, ended)]
    begins, mops = grouped(registers.kernels, registers.key[mops], mops, registers.key_count)
    writers = registers.owner[mops]
    found = np.full(len(registers.read_mop), -1, dtype=np.int32)
    registers.kernels(_stale)(
        mops,
        writers,
        begins,
        frozen(history.start),
        frozen(history.end),
        frozen(history.type),
        registers.read_by,
        registers.read_key,
        registers.read_from,
        np.empty(len(writers), dtype=np.int32),
        found,
    )
    reads = np.flatnonzero(found >= 0)
    found = found[reads]
    process = history.process[registers.owner]
    other = process[registers.read_mop[reads]] != process[found]
    return list(zip(reads[other].tolist(), found[other].tolist(), strict=True))


def _stale(
    mops: Any,
    writers: Any,
    begins: Any,
    start: Any,
    end: Any,
    kind: Any,
    read_by: Any,
    read_key: Any,
    read_from: Any,
    latest: Any,
    found: Any,
) -> None:
    """Find for each read the latest begun writer of its key that ended before the reader began."""
    # For each writer in the order of ends, who of its key began last of those up to it.
    for number in range(len(begins) - 1):
        for place in range(begins[number], begins[number + 1]):
            latest[place] = place
            if place > begins[number]:
                before = latest[place - 1]
                if start[writers[before]] > start[writers[place]]:
                    latest[place] = before
    for read in range(len(read_by)):
        moment = start[read_by[read]]
        source = read_from[read]
        low, right = begins[read_key[read]], begins[read_key[read] + 1]
        left = low
        while left < right:
            middle = (left + right) // 2
            if end[writers[middle]] < moment:
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
            found[read] = mops[other]
