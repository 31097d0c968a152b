"""What contradicts monotonic atomic view, read atomic and causal consistency: one cycle for each.

How to think of it: each class of cycles has its edges: reads, the orders that follow at its level
(`register_atomic`, `register_causal`), for strong sessions the orders of sessions, and for strong
levels that of time. Where they have a cycle, no order of versions explains the history at that
level. A component that has shown a worse class is not searched for this one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from test_rig.checker.graph import PROCESS, REALTIME, WR, Edges, Orders, order_edges
from test_rig.checker.register_atomic import ATOMIC, CAUSAL, MONOTONIC, SESSION, Derived
from test_rig.checker.register_index import Registers
from test_rig.checker.strong import components
from test_rig.checker.witness import Edge, EdgeKind, Seen, told

__all__ = ["RULES", "Story", "view_cycles"]

#: What is not read, of a session or of time, but follows; its edges are told with their reason.
_FOLLOWS = 6
_ALL = (MONOTONIC, ATOMIC, SESSION)
#: Names, the rules and the orders that their cycles may use; each has all of those before it that
#: use no more, so that what those show is not shown again.
_CLASSES: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("G1c", (), ()),
    ("OTV", (MONOTONIC,), ()),
    ("fractured-read", (MONOTONIC, ATOMIC), ()),
    ("G1c-process", (), (PROCESS,)),
    ("OTV-process", (MONOTONIC,), (PROCESS,)),
    ("fractured-read-process", _ALL, (PROCESS,)),
    ("causality-violation", (*_ALL, CAUSAL), (PROCESS,)),
    ("G1c-realtime", (), (PROCESS, REALTIME)),
    ("OTV-realtime", (MONOTONIC,), (PROCESS, REALTIME)),
    ("fractured-read-realtime", _ALL, (PROCESS, REALTIME)),
)
#: What contradicts what at first was there: the name for each rule.
RULES = {
    MONOTONIC: "OTV",
    ATOMIC: "fractured-read",
    SESSION: "fractured-read-process",
    CAUSAL: "causality-violation",
}
#: So many steps a component's search takes before the shortest cycle so far is told.
_STEPS = 200_000
_Step = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a search came to."""

    seen: tuple[Seen, ...]
    #: For each transaction its component where causality is contradicted, else -1.
    causal: npt.NDArray[np.int32]


def view_cycles(registers: Registers, reads: Edges, derived: Derived, orders: Orders) -> Story:
    """Return the shortest cycle that was found of each class in each component.

    Args:
        registers: The history.
        reads: The edges of reads that can be in a cycle.
        derived: The orders that follow and can be in a cycle; none to what was there at first.
        orders: The orders of sessions and of time.
    """
    count = len(registers.history)
    nodes = count + orders.moments
    follows = _follow_edges(derived)
    used: list[tuple[frozenset[int], frozenset[int], int]] = []
    seen: list[Seen] = []
    causal = np.full(count, -1, dtype=np.int32)
    # The widest one first: what is in none of its components is in no cycle at all.
    every = _every(reads, follows, orders, nodes)
    label = components(every.source, every.target, nodes, registers.kernels)
    if (label < 0).all():
        return Story(seen=(), causal=causal)
    every = every.where((label[every.source] >= 0) & (label[every.source] == label[every.target]))
    rules = derived.rule[every.source_mop * (every.kind == _FOLLOWS)] if len(derived.rule) else None
    for name, some, orders_used in _CLASSES:
        keep = (every.kind == WR) | np.isin(every.kind, orders_used)
        if rules is not None:
            keep |= (every.kind == _FOLLOWS) & np.isin(rules, some)
        mine = every.where(keep)
        label = components(mine.source, mine.target, nodes, registers.kernels)
        if name == "causality-violation":
            causal = label[:count].astype(np.int32)
        shown = {
            int(label[node])
            for before, before_orders, node in used
            if before <= set(some) and before_orders <= set(orders_used)
        }
        inside = (label[mine.source] >= 0) & (label[mine.source] == label[mine.target])
        groups: dict[int, list[_Step]] = defaultdict(list)
        for step in _steps(mine.where(inside)):
            groups[int(label[step[0]])].append(step)
        for number, steps in sorted(groups.items()):
            if number in shown:
                continue
            cycle = _shortest(steps, count)
            if cycle is None:
                continue
            seen.append(_told(registers, derived, name, cycle))
            used.append((frozenset(some), frozenset(orders_used), cycle[0][0]))
    return Story(seen=tuple(seen), causal=causal)


def _follow_edges(derived: Derived) -> Edges:
    """Return the orders that follow as edges whose micro-operation is their own place."""
    places = np.arange(len(derived.source))
    return Edges.of(derived.source, derived.target, _FOLLOWS, places, places)


def _every(reads: Edges, follows: Edges, orders: Orders, nodes: int) -> Edges:
    """Return all edges, those of orders between transactions that have others only."""
    inside = np.full(nodes, -1, dtype=np.int32)
    inside[: len(orders.following)] = 0
    inside[len(orders.following) :] = 0
    process, realtime = order_edges(orders, inside)
    return Edges.joined([reads, follows, process, realtime])


def _steps(edges: Edges) -> Iterator[_Step]:
    columns = (edges.source, edges.target, edges.kind, edges.source_mop, edges.target_mop)
    return zip(*(column.tolist() for column in columns), strict=True)


def _shortest(steps: list[_Step], count: int) -> list[_Step] | None:
    """Return the shortest cycle, counted in transactions, or the shortest in bounded steps."""
    after: dict[int, list[_Step]] = defaultdict(list)
    for step in steps:
        after[step[0]].append(step)
    best: list[_Step] | None = None
    left = _STEPS
    for begin in sorted(node for node in after if node < count):
        length = count + 1 if best is None else sum(step[0] < count for step in best)
        if best is not None and (length <= 2 or left <= 0):
            break
        came: dict[int, _Step] = {}
        depths = {begin: 0}
        waiting = deque([begin])
        while waiting and begin not in came:
            node = waiting.popleft()
            for step in after[node]:
                left -= 1
                head = step[1]
                # Moments of time cost nothing: only transactions count.
                depth = depths[node] + (node < count)
                if head == begin:
                    came[begin] = step
                    break
                if head in depths and depths[head] <= depth:
                    continue
                if depth >= length:
                    continue
                depths[head], came[head] = depth, step
                (waiting.append if node < count else waiting.appendleft)(head)
        if begin not in came:
            continue
        walk = [came[begin]]
        while walk[-1][0] != begin:
            walk.append(came[walk[-1][0]])
        walk.reverse()
        if best is None or sum(step[0] < count for step in walk) < length:
            best = walk
    return best


def _told(registers: Registers, derived: Derived, name: str, cycle: Sequence[_Step]) -> Seen:
    history = registers.history
    count = len(history)
    edges: list[Edge] = []
    why: list[str] = []
    begun, first_kind = -1, WR
    for source, target, kind, first, second in cycle:
        if source < count:
            begun, first_kind = source, kind
        if target >= count:
            continue
        if first_kind == _FOLLOWS:
            edge, reason = _overwritten(registers, derived, first)
            edges.append(edge)
            why.append(reason)
            continue
        edge = _edge(registers, (begun, target), first_kind, (first, second))
        edges.append(edge)
        why.extend(told([edge], verb="wrote"))
    mops = [mop for edge in edges for mop in (edge.first_mop, edge.second_mop) if mop is not None]
    mops += [
        int(registers.read_mop[derived.read[first]])
        for _, _, kind, first, _ in cycle
        if kind == _FOLLOWS
    ]
    return Seen(
        anomaly=name,
        transactions=tuple(edge.source for edge in edges),
        why=tuple(why),
        edges=tuple(edges),
        mops=tuple(dict.fromkeys(mops)),
    )


def _edge(
    registers: Registers, transactions: tuple[int, int], kind: int, mops: tuple[int, int]
) -> Edge:
    source, target = transactions
    if kind != WR:
        order = EdgeKind.PROCESS if kind == PROCESS else EdgeKind.REALTIME
        return Edge(source=source, target=target, kind=order)
    return read_edge(registers, mops)


def read_edge(registers: Registers, mops: tuple[int, int]) -> Edge:
    """Return the edge from the writer of a value to its reader."""
    write, read = mops
    value = int(registers.history.value[write])
    return Edge(
        source=int(registers.owner[write]),
        target=int(registers.owner[read]),
        kind=EdgeKind.WR,
        key=registers.history.key_of(write),
        first=value,
        second=value,
        first_mop=write,
        second_mop=read,
    )


def _overwritten(registers: Registers, derived: Derived, place: int) -> tuple[Edge, str]:
    """Return the edge between two writers that follows from a read, and why it does."""
    history = registers.history
    read = int(registers.read_mop[derived.read[place]])
    source, target = int(derived.source[place]), int(derived.target[place])
    first = registers.write_of(source, int(registers.key[read]))
    second = int(registers.source[read])
    edge = Edge(
        source=source,
        target=target,
        kind=EdgeKind.WW,
        key=history.key_of(read),
        first=int(history.value[first]),
        second=int(history.value[second]),
        first_mop=first,
        second_mop=second,
    )
    reader = int(registers.owner[read])
    why = (
        f"T{source} < T{target} (ww): T{reader} sees T{source}, and read key {edge.key} with "
        f"T{target}'s {edge.second} all the same, so that T{source}'s {edge.first} came before it"
    )
    return edge, why
