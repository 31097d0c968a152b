"""What contradicts monotonic atomic view, read atomic and causal consistency: one cycle for each.

How to think of it: each class of cycles has its edges: reads, the orders that follow at its level
(`register_atomic`, `register_causal`), for strong sessions the orders of sessions, and for strong
levels that of time. Where they have a cycle, no order of versions explains the history at that
level. A component that has shown a worse class is not searched for this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import Bytes, Int32s, Kernels, frozen
from test_rig.checker.graph import PROCESS, REALTIME, WR, Edges, Orders, order_edges
from test_rig.checker.register_atomic import ATOMIC, CAUSAL, MONOTONIC, SESSION, Derived
from test_rig.checker.register_index import Registers, grouped
from test_rig.checker.strong import components
from test_rig.checker.witness import Edge, EdgeKind, Seen, told

__all__ = ["RULES", "Story", "shortest", "view_cycles"]

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
        mine = mine.where(inside)
        for cycle in _cycles(registers.kernels, mine, label, shown, count):
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


def _cycles(
    kernels: Kernels, edges: Edges, label: Int32s, shown: set[int], count: int
) -> Iterator[list[_Step]]:
    """Yield the shortest cycle of each component, or the shortest in bounded steps.

    Args:
        kernels: How to loop.
        edges: Edges within components.
        label: The component of each node, -1 for none.
        shown: Components that are left out.
        count: How many nodes are transactions, which alone count.
    """
    wanted = label >= 0
    wanted[wanted] = ~np.isin(label[wanted], list(shown))
    edges = edges.where(wanted[edges.source])
    nodes = np.flatnonzero(wanted)
    if not len(nodes):
        return
    # Nodes anew from 0, component by component.
    nodes = nodes[np.argsort(label[nodes], kind="stable")]
    local = np.zeros(len(label), dtype=np.int32)
    local[nodes] = np.arange(len(nodes), dtype=np.int32)
    is_first = np.ones(len(nodes), dtype=np.bool_)
    is_first[1:] = label[nodes[1:]] != label[nodes[:-1]]
    group_start = np.append(np.flatnonzero(is_first), len(nodes)).astype(np.int32)
    kernels = kernels.or_for(40 * len(edges))
    places = np.arange(len(edges), dtype=np.int32)
    start, places = grouped(kernels, local[edges.source], places, len(nodes))
    walk_start = np.zeros(len(group_start), dtype=np.int32)
    walks = np.empty(len(nodes), dtype=np.int32)
    kernels(shortest)(
        frozen(group_start),
        frozen((nodes < count).view(np.uint8)),
        frozen(start),
        frozen(places),
        frozen(local[edges.source]),
        frozen(local[edges.target]),
        _STEPS,
        np.zeros(len(nodes), dtype=np.int32),
        np.zeros(len(nodes), dtype=np.int32),
        np.zeros(len(nodes), dtype=np.int32),
        np.zeros(2 * len(nodes) + 2, dtype=np.int32),
        walk_start,
        walks,
    )
    columns = (edges.source, edges.target, edges.kind, edges.source_mop, edges.target_mop)
    found = walks[: walk_start[-1]]
    steps = zip(*(column[found].tolist() for column in columns), strict=True)
    for size in np.diff(walk_start).tolist():
        yield list(islice(steps, size))


def shortest(
    group_start: Int32s,
    is_counted: Bytes,
    start: Int32s,
    places: Int32s,
    source: Int32s,
    target: Int32s,
    steps: int,
    stamp: Int32s,
    depth: Int32s,
    came: Int32s,
    waiting: Int32s,
    walk_start: Int32s,
    walks: Int32s,
) -> None:
    """Find a shortest cycle of each component, from each node that counts one search.

    Args:
        group_start: Where the nodes of each component begin; one more.
        is_counted: Whether a node counts in the length; others cost nothing.
        start: Where the edges of each node begin in `places`; one more.
        places: Edges by source.
        source: Where each edge begins.
        target: Where it ends.
        steps: So many are taken in a component before the shortest cycle so far is told.
        stamp: Zeros for each node: the search that met it last.
        depth: Room for each node: how many that count stand before it.
        came: Room for each node: the edge that led to it.
        waiting: Room for twice as many nodes as there are, and two: a queue with two ends.
        walk_start: Is filled with where the edges of each cycle begin in `walks`.
        walks: Is filled with them.
    """
    room = len(waiting)
    written = number = 0
    for group in range(len(group_start) - 1):
        walk_start[group] = written
        best = size = 0
        left = steps
        for begin in range(group_start[group], group_start[group + 1]):
            if not is_counted[begin]:
                continue
            if best > 0 and (best <= 2 or left <= 0):
                break
            number += 1
            stamp[begin] = number
            depth[begin] = 0
            last = -1
            head, tail = 0, 1
            waiting[0] = begin
            while head != tail and last < 0:
                node = waiting[head]
                head = head + 1 if head + 1 < room else 0
                # Moments of time cost nothing: only transactions count.
                then = depth[node] + is_counted[node]
                for slot in range(start[node], start[node + 1]):
                    edge = places[slot]
                    left -= 1
                    to = target[edge]
                    if to == begin:
                        last = edge
                        break
                    if stamp[to] == number and depth[to] <= then:
                        continue
                    if best > 0 and then >= best:
                        continue
                    stamp[to] = number
                    depth[to] = then
                    came[to] = edge
                    if is_counted[node]:
                        waiting[tail] = to
                        tail = tail + 1 if tail + 1 < room else 0
                    else:
                        head = head - 1 if head > 0 else room - 1
                        waiting[head] = to
            if last < 0:
                continue
            length = size_now = 0
            edge = last
            while True:
                if is_counted[source[edge]]:
                    length += 1
                size_now += 1
                if source[edge] == begin:
                    break
                edge = came[source[edge]]
            if best == 0 or length < best:
                best, size = length, size_now
                edge = last
                for place in range(size - 1, -1, -1):
                    walks[written + place] = edge
                    edge = came[source[edge]]
        written += size
    walk_start[len(group_start) - 1] = written


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
