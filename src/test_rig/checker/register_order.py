"""In which order transactions can stand, and which of them can be in a cycle at all.

How to think of it: put the transactions into one order in which readers stand after those they
read from, near to the order in which they ended. No cycle crosses a place that no edge crosses
backwards; so only edges within the windows that backward edges span are looked at again, and where
there is no backward edge there is no cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.register_index import Registers, grouped
from test_rig.history import OK, Timescale

__all__ = ["Line", "Windows", "line_up", "windows_of"]

_Int32s = npt.NDArray[np.int32]
_Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The transactions that count, in one order."""

    order: _Int32s
    #: The place of each transaction in it; -1 for one that does not count.
    rank: _Int32s
    #: Whether sessions and reads all go forward; else they have a cycle.
    is_causal: bool

    def keeps_time(self, registers: Registers) -> bool:
        """Return whether no transaction stands before one that had ended before it began."""
        history = registers.history
        if history.clock is Timescale.SESSION or not len(self.order):
            return history.clock is not Timescale.SESSION
        is_known = history.type[self.order] == OK
        ends = np.where(is_known, history.end[self.order], np.iinfo(np.int64).max)
        soonest = np.minimum.accumulate(ends[::-1])[::-1]
        return bool((soonest[1:] >= history.start[self.order[:-1]]).all())


def line_up(
    registers: Registers,
    before: tuple[_Int32s, _Int32s] | None = None,
    *,
    has_sessions: bool = True,
) -> Line:
    """Return an order in which sessions and reads go forward, as far as they can.

    Args:
        registers: The history.
        before: More that should go forward: sources and targets.
        has_sessions: Whether sessions should.
    """
    history = registers.history
    base = np.flatnonzero(registers.counts)
    moment = np.where(history.type == OK, history.end, history.start)[base]
    if (moment[1:] < moment[:-1]).any():
        base = base[np.argsort(moment, kind="stable")]
    source, target = before or (np.zeros(0, np.int32), np.zeros(0, np.int32))
    begins, more = grouped(registers.kernels, target, source, len(history))
    order = np.empty(len(base), dtype=np.int32)
    is_causal = registers.kernels(_line)(
        base.astype(np.int32),
        registers.before if has_sessions else np.full_like(registers.before, -1),
        registers.read_start,
        registers.read_from,
        begins,
        more,
        np.zeros(len(history), dtype=np.uint8),
        np.zeros(len(history), dtype=np.int32),
        np.empty(len(base) + 1, dtype=np.int32),
        order,
    )
    rank = np.full(len(history), -1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return Line(order=order, rank=rank, is_causal=is_causal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows that backward edges span."""

    #: For each transaction the number of its window, -1 for one that is in no cycle.
    of: _Int32s
    count: int

    def hold(self, source: Any, target: Any) -> Any:
        """Mark the edges that can be in a cycle."""
        return (self.of[source] >= 0) & (self.of[source] == self.of[target])


def windows_of(line: Line, reach: _Int32s) -> Windows:
    """Return the windows.

    Args:
        line: The order.
        reach: For each place the last one from which an edge goes back to it or to one before it
            in the same edge's span; 0 for none.
    """
    places = np.arange(len(reach), dtype=np.int32)
    furthest = np.maximum.accumulate(np.maximum(reach, places))
    is_first = np.ones(len(reach), dtype=np.bool_)
    is_first[1:] = furthest[:-1] < places[1:]
    number = np.cumsum(is_first) - 1
    sizes = np.bincount(number)
    alone = sizes[number] == 1
    of = np.full(len(line.rank), -1, dtype=np.int32)
    of[line.order] = np.where(alone, -1, number)
    return Windows(of=of, count=int((sizes > 1).sum()))


def _line(
    base: Any,
    before: Any,
    read_start: Any,
    read_from: Any,
    more_start: Any,
    more: Any,
    state: Any,
    following: Any,
    stack: Any,
    order: Any,
) -> bool:
    """Place each transaction after those it comes from, which are placed first where need be.

    Returns whether all could be. The state is 1 while a transaction's sources are being placed, 2
    when it is.
    """
    count = len(before)
    placed = 0
    is_causal = True
    for root in base:
        if state[root] != 0:
            continue
        depth = 1
        stack[0] = root
        state[root] = 1
        while depth > 0:
            node = stack[depth - 1]
            reads = read_start[node + 1] - read_start[node]
            others = more_start[node + 1] - more_start[node]
            step = following[node]
            if step > reads + others:
                state[node] = 2
                order[placed] = node
                placed += 1
                depth -= 1
                continue
            following[node] = step + 1
            if step == 0:
                source = before[node]
            elif step <= reads:
                source = read_from[read_start[node] + step - 1]
            else:
                source = more[more_start[node] + step - reads - 1]
            if source < 0 or source == count:
                continue
            if state[source] == 0:
                state[source] = 1
                stack[depth] = source
                depth += 1
            elif state[source] == 1 and source != node and step <= reads:
                is_causal = False
    return is_causal
