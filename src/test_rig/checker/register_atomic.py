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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.register_index import Registers
from test_rig.checker.register_order import Line, Windows

__all__ = [
    "ATOMIC",
    "CAUSAL",
    "MONOTONIC",
    "SESSION",
    "Derived",
    "atomic",
    "atomic_reach",
    "overlooked",
]

_Int32s = npt.NDArray[np.int32]

#: So many edges are found at once, unless one transaction alone has more.
_ROOM = 1 << 16

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
    list(_run(registers, line, reach, np.zeros(0, dtype=np.int32)))
    return reach


def atomic(registers: Registers, line: Line, windows: Windows) -> Derived:
    """Return the orders that can be in a cycle, and those that cannot be."""
    parts = list(_run(registers, line, np.zeros(0, dtype=np.int32), windows.of))
    found = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), dtype=np.int32)
    return Derived(source=found[0], target=found[1], read=found[2], rule=found[3])


def _run(registers: Registers, line: Line, reach: _Int32s, window: _Int32s) -> Iterator[_Int32s]:
    """Yield what is found, piece by piece."""
    reads = len(registers.read_mop)
    reader, first_read, session_of, last_writer = np.full(
        (4, registers.key_count), -1, dtype=np.int32
    )
    next_read = np.full(reads, -1, dtype=np.int32)
    kernel = registers.kernels(overlooked)
    room, at = _ROOM, 0
    while at < len(registers.by_session):
        out = np.empty((4, room), dtype=np.int32)
        then, size = kernel(
            at,
            registers.by_session,
            registers.session,
            registers.read_start,
            registers.read_key,
            registers.read_from,
            registers.write_start,
            registers.write_key,
            line.rank,
            reach,
            window,
            reader,
            first_read,
            session_of,
            last_writer,
            next_read,
            out,
        )
        if size:
            yield out[:, :size].copy()
        if then == at:
            room *= 2
        at = then


def overlooked(
    at: int,
    by_session: Any,
    session: Any,
    read_start: Any,
    read_key: Any,
    read_from: Any,
    write_start: Any,
    write_key: Any,
    rank: Any,
    reach: Any,
    window: Any,
    reader: Any,
    first_read: Any,
    session_of: Any,
    last_writer: Any,
    next_read: Any,
    out: Any,
) -> Any:
    """Mark how far edges reach back, or with windows put out those within them.

    Returns whose edges had no room any more, and how many there are of those before.

    Args:
        at: With which transaction of `by_session` to begin.
        by_session: Transactions, session by session.
        session: The session of each.
        read_start: Where its reads begin.
        read_key: The key of each read.
        read_from: Whom it read from.
        write_start: Where its last writes begin.
        write_key: The key of each.
        rank: The place of each transaction in the line.
        reach: Is filled, without windows.
        window: The window of each transaction, if any.
        reader: For each key who read it last,
        first_read: its first read of it,
        session_of: the session that wrote it last,
        last_writer: and its last writer.
        next_read: For each read the reader's next one of the key.
        out: Is filled with source, target, read and rule.
    """
    count = len(rank)
    is_kept = len(window) > 0
    room = out.shape[1]
    size = 0
    for index in range(at, len(by_session)):
        each = by_session[index]
        head = session[each]
        full = size
        begin, end = read_start[each], read_start[each + 1]
        for read in range(end - 1, begin - 1, -1):
            number = read_key[read]
            next_read[read] = -1
            if reader[number] == each and first_read[number] > read:
                next_read[read] = first_read[number]
            reader[number] = each
            first_read[number] = read
        for read in range(begin, end):
            seen = read_from[read]
            writes_begin = writes_end = 0
            turns = 0
            by_reads = False
            # One source is looked at once, at the first read from it; few reads cost less.
            is_repeated = seen == count
            if read - begin < 64:
                for other in range(begin, read):
                    if read_from[other] == seen:
                        is_repeated = True
                        break
            if not is_repeated:
                writes_begin, writes_end = write_start[seen], write_start[seen + 1]
                by_reads = end - begin < writes_end - writes_begin
                turns = end - begin if by_reads else writes_end - writes_begin
            # First what the own session wrote, then all that was read from.
            for turn in range(-1, turns):
                place = -1
                source = seen
                if turn < 0:
                    number = read_key[read]
                    if session_of[number] == head:
                        place = read
                        source = last_writer[number]
                elif by_reads:
                    number = read_key[begin + turn]
                    low, high = writes_begin, writes_end
                    while low < high:
                        middle = (low + high) // 2
                        if write_key[middle] < number:
                            low = middle + 1
                        else:
                            high = middle
                    if low < writes_end and write_key[low] == number:
                        place = begin + turn
                else:
                    number = write_key[writes_begin + turn]
                    if reader[number] == each:
                        place = first_read[number]
                while place >= 0:
                    target = read_from[place]
                    if target != source:
                        if not is_kept:
                            if target < count and rank[source] > rank[target]:
                                reach[rank[target]] = max(reach[rank[target]], rank[source])
                        elif target == count or (
                            window[source] >= 0 and window[source] == window[target]
                        ):
                            if size == room:
                                return index, full
                            out[0, size] = source
                            out[1, size] = target
                            out[2, size] = place
                            out[3, size] = 2 if turn < 0 else (0 if place > read else 1)
                            size += 1
                    if turn < 0 or by_reads:
                        break
                    place = next_read[place]
        for place in range(write_start[each], write_start[each + 1]):
            number = write_key[place]
            session_of[number] = head
            last_writer[number] = each
    return len(by_session), size
