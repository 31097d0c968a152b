"""Who must have written first, if transactions are seen as a whole or not at all.

How to think of it: who sees a transaction, by having read from it or by following it in a session,
sees all of it. So if it reads a key from another one although the first wrote the key too, the
first one's value was overwritten: the first precedes the other. At monotonic atomic view that
follows only for reads after the one that saw it; at read atomic for all, in strong sessions also
for what the own session wrote. Where the orders that follow contradict each other, no order of
versions explains the history at that level.

Source: R. Biswas and C. Enea, "On the Complexity of Checking Transactional Consistency", OOPSLA
2019, figure 3 (their read committed is monotonic atomic view here: Adya's read committed lets a
transaction see another one in part); the smaller side of each pair is looped over, as in
L. Møldrup and A. Pavlogiannis, "AWDIT: An Optimal Weak Database Isolation Tester", PLDI 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.register_index import Registers
from test_rig.checker.register_order import Line, Windows

__all__ = ["ATOMIC", "CAUSAL", "MONOTONIC", "SESSION", "Derived", "atomic", "atomic_reach"]

_Int32s = npt.NDArray[np.int32]

#: From what an order follows.
MONOTONIC, ATOMIC, SESSION, CAUSAL = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Orders that follow: a source's value of a key was overwritten by the target's."""

    source: _Int32s
    #: The number of transactions where the reader found nothing: then it cannot be.
    target: _Int32s
    #: The read of the target's value, as a place among the reads.
    read: _Int32s
    #: MONOTONIC, ATOMIC, SESSION or CAUSAL.
    rule: _Int32s

    def where(self, keep: npt.NDArray[np.bool_]) -> Derived:
        """Return those that are marked."""
        return Derived(
            source=self.source[keep],
            target=self.target[keep],
            read=self.read[keep],
            rule=self.rule[keep],
        )


def atomic_reach(registers: Registers, line: Line) -> _Int32s:
    """Return for each place in the line the last one from which an edge goes back to it."""
    reach = np.zeros(len(line.order), dtype=np.int32)
    _run(registers, line, reach, None)
    return reach


def atomic(registers: Registers, line: Line, windows: Windows) -> Derived:
    """Return the orders that can be in a cycle, and those that cannot be."""
    found = _run(registers, line, np.zeros(0, dtype=np.int32), windows)
    return Derived(source=found[0], target=found[1], read=found[2], rule=found[3])


def _run(registers: Registers, line: Line, reach: _Int32s, windows: Windows | None) -> Any:
    return registers.kernels(_atomic)(
        registers.by_session,
        registers.before,
        registers.read_start,
        registers.read_mop,
        registers.read_from,
        registers.write_start,
        registers.write_mop,
        registers.key,
        registers.key_count,
        line.rank,
        reach,
        np.zeros(0, dtype=np.int32) if windows is None else windows.of,
    )


def _atomic(
    by_session: Any,
    before: Any,
    read_start: Any,
    read_mop: Any,
    read_from: Any,
    write_start: Any,
    write_mop: Any,
    key: Any,
    key_count: Any,
    rank: Any,
    reach: Any,
    window: Any,
) -> Any:
    """Mark how far edges reach back, or with windows return those within them."""
    count = len(before)
    is_kept = len(window) > 0
    room = 1024 if is_kept else 1
    out = np.empty((4, room), dtype=np.int32)
    size = 0
    # For each key: the first of the reader's reads of it, and the session's last writer.
    reader = np.full(key_count, -1, dtype=np.int32)
    first_read = np.zeros(key_count, dtype=np.int32)
    next_read = np.full(len(read_mop), -1, dtype=np.int32)
    session_of = np.full(key_count, -1, dtype=np.int32)
    last_writer = np.zeros(key_count, dtype=np.int32)
    head = -1
    for each in by_session:
        if before[each] < 0:
            head = each
        begin, end = read_start[each], read_start[each + 1]
        for read in range(end - 1, begin - 1, -1):
            number = key[read_mop[read]]
            next_read[read] = -1
            if reader[number] == each:
                next_read[read] = first_read[number]
            reader[number] = each
            first_read[number] = read
        for read in range(begin, end):
            number = key[read_mop[read]]
            target = read_from[read]
            if session_of[number] == head and last_writer[number] != target:
                source = last_writer[number]
                if not is_kept:
                    if target < count and rank[source] > rank[target]:
                        reach[rank[target]] = max(reach[rank[target]], rank[source])
                elif target == count or (window[source] >= 0 and window[source] == window[target]):
                    if size == room:
                        wider = np.empty((4, 2 * room), dtype=np.int32)
                        wider[:, :room] = out
                        out = wider
                        room *= 2
                    out[0, size], out[1, size], out[2, size], out[3, size] = source, target, read, 2
                    size += 1
            seen = target
            if seen == count:
                continue
            writes_begin, writes_end = write_start[seen], write_start[seen + 1]
            # One source is looked at once, at the first read from it; few reads cost less.
            is_repeated = False
            if read - begin < 64:
                for other in range(begin, read):
                    if read_from[other] == seen:
                        is_repeated = True
                        break
            if is_repeated:
                continue
            by_reads = end - begin < writes_end - writes_begin
            for turn in range(end - begin if by_reads else writes_end - writes_begin):
                if by_reads:
                    place = begin + turn
                    number = key[read_mop[place]]
                    low, high = writes_begin, writes_end
                    while low < high:
                        middle = (low + high) // 2
                        if key[write_mop[middle]] < number:
                            low = middle + 1
                        else:
                            high = middle
                    if low == writes_end or key[write_mop[low]] != number:
                        continue
                else:
                    number = key[write_mop[writes_begin + turn]]
                    if reader[number] != each:
                        continue
                    place = first_read[number]
                while place >= 0:
                    target = read_from[place]
                    if target != seen:
                        rule = 0 if place > read else 1
                        if not is_kept:
                            if target < count and rank[seen] > rank[target]:
                                reach[rank[target]] = max(reach[rank[target]], rank[seen])
                        elif target == count or (
                            window[seen] >= 0 and window[seen] == window[target]
                        ):
                            if size == room:
                                wider = np.empty((4, 2 * room), dtype=np.int32)
                                wider[:, :room] = out
                                out = wider
                                room *= 2
                            out[0, size], out[1, size] = seen, target
                            out[2, size], out[3, size] = place, rule
                            size += 1
                    place = -1 if by_reads else next_read[place]
        for place in range(write_start[each], write_start[each + 1]):
            number = key[write_mop[place]]
            session_of[number] = head
            last_writer[number] = each
    return out[:, :size]
