"""The shortest cycle of each class in each component.

How to think of it: a class is a small automaton over the kinds of edges, and each class has an
edge that all its cycles have. Only the strongly connected components of the class's own edges are
searched: of G0 those of ww alone, of G-single and G-nonadjacent those of a doubled graph, in which
a node that was just reached by an rw has no rw that goes on (so there is no edge from it; every
closed walk there has no two adjacent rw). From each edge that the class must have, a breadth-first
search over (node, state) looks for the way back to its source, first to a depth of three
transactions, then half as much again, until one is found: so the cost is that of the surroundings
of edges as far as the shortest cycle is long, not of the component.

What is guaranteed: whether there is a cycle of a class is decided in linear time, but for G-single
in a component that has cycles of G-nonadjacent too; G0, G1c, G-single and G2-item are told with a
shortest cycle, G-nonadjacent where its shortest walk is no two cycles of worse classes. The steps
of a search are bounded by a multiple of the component's edges; where that bound was met (a large
component without short cycles), the cycle that is told is one of the class, and not known to be the
shortest. The bound counts steps, not seconds: the answer is the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import Bytes, Int32s, Kernels, frozen
from test_rig.checker.graph import (
    PASS,
    PROCESS,
    REALTIME,
    RW,
    WR,
    WW,
    Edges,
    by_source,
    components,
)
from test_rig.isolation import CYCLES

__all__ = ["Cycle", "Found", "Step", "find_cycles"]

#: Source, target, kind, micro-operations of both.
Step = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A cycle, with the nodes that are no transactions."""

    anomaly: str
    #: The first begins at a transaction.
    steps: tuple[Step, ...]
    #: Whether no shorter one of its class is in its component; else none was found in bounded time.
    is_shortest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the search for cycles came to."""

    #: The shortest cycle of each class of each component, the worst classes first.
    cycles: tuple[Cycle, ...]
    #: Classes of which a component may have a cycle that was not found in bounded time.
    undecided: tuple[str, ...]


_STAGES = (("", ()), ("-process", (PROCESS,)), ("-realtime", (PROCESS, REALTIME)))
_G0, _G1C, _G_SINGLE, _G_NONADJACENT, _G2_ITEM = range(5)
_BEGIN = (WW, WR, RW, RW, RW)
# Bits of a state: the edge before was an rw (of G2-item: the next one must be); several rw; an edge
# of an order.
_JUST, _SEVERAL, _ORDERED = 1, 2, 4


def find_cycles(
    edges: Edges,
    process: Edges,
    realtime: Edges,
    count: int,
    *,
    transactions: int,
    kernels: Kernels | None = None,
) -> Found:
    """Find the shortest cycle of each class of each component.

    A class with an order is looked for only where the component shows none without it that is as
    bad or worse.

    Args:
        edges: What reads and writes show.
        process: The order of each session.
        realtime: The order of time; its nodes beyond transactions are moments, in order.
        count: How many nodes there are.
        transactions: How many of them, the first ones, are transactions.
        kernels: How to loop.
    """
    every = Edges.joined([edges, process, realtime])
    kernels = (kernels or Kernels(0)).or_for(len(every) + count)
    label = components(every.source, every.target, count, kernels)
    every = every.where((label[every.source] >= 0) & (label[every.source] == label[every.target]))
    nodes = np.flatnonzero(label >= 0)
    if not len(nodes):
        return Found(cycles=(), undecided=())
    local = np.empty(count, np.int32)
    local[nodes] = np.arange(len(nodes), dtype=np.int32)
    graph = _Graph(
        source=local[every.source],
        target=local[every.target],
        kind=every.kind,
        nodes=len(nodes),
        transactions=int(np.searchsorted(nodes, transactions)),
    )
    # A search may take many steps for each edge.
    kernels = kernels.or_for(40 * len(every))
    found: list[Cycle] = []
    undecided: list[str] = []
    rank = np.full(len(nodes), len(CYCLES), np.int64)
    for suffix, orders in _STAGES:
        stage = graph.of_kinds((WW, WR, RW, PASS, *orders))
        group = components(stage.source, stage.target, stage.nodes, kernels)
        inner = group[stage.source]
        stage = stage.where((inner >= 0) & (inner == group[stage.target]))
        by_node = stage.by_node(kernels)
        # The worst class that each group has shown; the last one is of nodes that are alone.
        worst = np.full(int(group.max()) + 2, len(CYCLES), np.int64)
        np.minimum.at(worst, group, rank)
        for place, name in enumerate(CYCLES):
            for walk, is_shortest in _cycles(stage, by_node, place, group, worst, orders, kernels):
                if not len(walk):
                    undecided.append(name + suffix)
                    continue
                number = stage.number[walk]
                found.append(
                    Cycle(
                        anomaly=name + suffix,
                        steps=tuple(
                            zip(
                                every.source[number].tolist(),
                                every.target[number].tolist(),
                                every.kind[number].tolist(),
                                every.source_mop[number].tolist(),
                                every.target_mop[number].tolist(),
                                strict=True,
                            )
                        ),
                        is_shortest=is_shortest,
                    )
                )
                first = stage.source[walk[0]]
                rank[first] = min(rank[first], place)
    return Found(cycles=tuple(found), undecided=tuple(dict.fromkeys(undecided)))


class _Graph:
    """Edges between the nodes of components, numbered anew."""

    def __init__(
        self,
        source: Int32s,
        target: Int32s,
        kind: Bytes,
        nodes: int,
        transactions: int,
        number: Int32s | None = None,
    ) -> None:
        self.source, self.target, self.kind = source, target, kind
        self.nodes, self.transactions = nodes, transactions
        #: Which edges they were at first.
        self.number = np.arange(len(source), dtype=np.int32) if number is None else number

    def where(self, keep: npt.NDArray[np.bool_]) -> _Graph:
        """Return the edges that are marked."""
        return _Graph(
            self.source[keep],
            self.target[keep],
            self.kind[keep],
            self.nodes,
            self.transactions,
            self.number[keep],
        )

    def by_node(self, kernels: Kernels) -> tuple[Int32s, Int32s]:
        """Return where the edges of each node begin, one more, and the edges by source."""
        start = np.zeros(self.nodes + 1, np.int32)
        heads, places = np.empty(len(self.source), np.int32), np.empty(len(self.source), np.int32)
        kernels(by_source)(frozen(self.source), frozen(self.target), start, heads, places)
        return frozen(start), frozen(places)

    def of_kinds(self, kinds: tuple[int, ...]) -> _Graph:
        """Return the edges of some kinds."""
        wanted = np.zeros(PASS + 1, np.bool_)
        wanted[list(kinds)] = True
        return self.where(wanted[self.kind])


def _class_label(
    stage: _Graph, place: int, group: Int32s, orders: tuple[int, ...], kernels: Kernels
) -> Int32s:
    """Return the components of a class's own edges: by node, of a doubled graph by node twice."""
    if place == _G2_ITEM:
        return group
    if place in (_G0, _G1C):
        own = stage.of_kinds((WW, *((WR,) if place == _G1C else ()), *orders))
        return components(own.source, own.target, own.nodes, kernels)
    is_rw, is_pass = stage.kind == RW, stage.kind == PASS
    other = ~is_rw & ~is_pass
    source, target = 2 * stage.source, 2 * stage.target
    return components(
        np.concatenate((source[is_rw], source[is_pass] + 1, source[other], source[other] + 1)),
        np.concatenate((target[is_rw] + 1, target[is_pass] + 1, target[other], target[other])),
        2 * stage.nodes,
        kernels,
    )


def _cycles(
    stage: _Graph,
    by_node: tuple[Int32s, Int32s],
    place: int,
    group: Int32s,
    worst: npt.NDArray[np.int64],
    orders: tuple[int, ...],
    kernels: Kernels,
) -> Iterator[tuple[Int32s, bool]]:
    """Yield the edges of a shortest cycle of a class in each group that has one."""
    begins = np.flatnonzero(stage.kind == _BEGIN[place])
    if orders:
        begins = begins[worst[group[stage.source[begins]]] > place]
    if not len(begins):
        return
    label = _class_label(stage, place, group, orders, kernels)
    source, target = stage.source[begins], stage.target[begins]
    if place in (_G_SINGLE, _G_NONADJACENT):
        source, target = 2 * source, 2 * target + 1
    begins = begins[(label[source] >= 0) & (label[source] == label[target])]
    if not len(begins):
        return
    begins = begins[np.argsort(group[stage.source[begins]], kind="stable")].astype(np.int32)
    groups = len(worst) - 1
    walk_start = np.zeros(groups + 1, np.int32)
    walks = np.empty(stage.nodes + 4 * groups, np.int32)
    is_shortest = np.zeros(groups, np.uint8)
    told = kernels(_search)(
        frozen(stage.source),
        frozen(stage.target),
        frozen(stage.kind),
        *by_node,
        frozen(begins),
        frozen(group),
        frozen(label),
        stage.transactions,
        place,
        bool(orders),
        walk_start,
        walks,
        is_shortest,
    )
    starts, are_shortest = walk_start[: told + 1].tolist(), is_shortest[:told].tolist()
    for each in range(told):
        yield walks[starts[each] : starts[each + 1]], bool(are_shortest[each])


def _search(
    source: Int32s,
    target: Int32s,
    kind: Bytes,
    start: Int32s,
    places: Int32s,
    begins: Int32s,
    group: Int32s,
    label: Int32s,
    transactions: int,
    place: int,
    is_ordered: bool,
    walk_start: Int32s,
    walks: Int32s,
    is_shortest: Bytes,
) -> int:
    """Find a shortest cycle of a class in each group; return how many were found.

    One without edges says that the bound was met before one was found.

    Args:
        source: Where each edge begins.
        target: Where it ends.
        kind: Its kind.
        start: Where the edges of each node begin in `places`; one more.
        places: Edges by source.
        begins: Edges that a cycle of the class must have, by group.
        group: The component of each node, in which one cycle is told.
        label: The components of the class, of a doubled graph by node twice.
        transactions: Nodes below are transactions.
        place: Which class it is.
        is_ordered: Whether a cycle must have an edge of an order.
        walk_start: Is filled with where each cycle begins in `walks`.
        walks: Is filled with the edges of cycles.
        is_shortest: Is filled with whether a cycle is known to be the shortest.
    """
    nodes = len(start) - 1
    is_doubled = place == 2 or place == 3
    states = 8 if is_ordered else 4
    stamp = np.zeros(states * nodes, np.int32)
    came = np.empty(states * nodes, np.int32)
    came_from = np.empty(states * nodes, np.uint8)
    now = np.empty(states * nodes, np.int32)
    later = np.empty(states * nodes, np.int32)
    walk = np.empty(states * nodes + 2, np.int32)
    best_walk = np.empty(nodes + 4, np.int32)
    met = np.zeros(nodes, np.int32)
    # The edges between transactions and moments, for what one has to look at first.
    to_moment = np.zeros(nodes, np.int32)  # an edge and one; 0 is none
    from_moment = np.zeros(nodes, np.int32)
    weight = np.zeros(len(group) + 1, np.int64)
    for edge in range(len(source)):
        weight[group[source[edge]]] += 1
        if kind[edge] == 4:
            if source[edge] < transactions:
                to_moment[source[edge]] = edge + 1
            elif target[edge] < transactions:
                from_moment[target[edge]] = edge + 1
    number = walked = told = written = 0
    first = 0
    while first < len(begins):
        here = group[source[begins[first]]]
        end = first
        while end < len(begins) and group[source[begins[end]]] == here:
            end += 1
        best = size = 0
        is_exact = True
        # Cycles of two transactions, without a search.
        for at in range(first, end):
            if place == 3 or best:
                break
            edge = begins[at]
            goal, node = source[edge], target[edge]
            if node >= transactions:
                continue
            if is_ordered and place < 4 and to_moment[node] > 0 and from_moment[goal] > 0:
                out, into = to_moment[node] - 1, from_moment[goal] - 1
                if target[out] <= source[into]:
                    best_walk[0], best_walk[1], best_walk[2] = edge, out, into
                    best, size = 2, 3
                    break
            for slot in range(start[node], start[node + 1]):
                other = places[slot]
                what = kind[other]
                if target[other] != goal:
                    continue
                if is_ordered:
                    is_good = place < 4 and what == 3
                elif place == 4:
                    is_good = what == 2
                else:
                    is_good = what == 0 or (what == 1 and place > 0)
                if is_good:
                    best_walk[0], best_walk[1] = edge, other
                    best, size = 2, 2
                    break
        # So many steps for each edge of the component, and so many more.
        budget = 1000 * weight[here] + 1_000_000
        spent = 0
        cap = 3
        while best == 0:
            is_cut = False
            for at in range(first, end):
                edge = begins[at]
                goal, node = source[edge], target[edge]
                state = 1 if place >= 2 else 0
                inner = label[2 * node + 1] if is_doubled else label[node]
                number += 1
                level = 1 if node < transactions else 0
                stamp[states * node + state] = number
                came[states * node + state] = -1
                now[0] = states * node + state
                waiting, coming = 1, 0
                head = 0
                is_found = False
                while waiting and not is_found:
                    if level + 1 > cap or (best and level + 1 >= best):
                        is_cut = True
                        break
                    head = 0
                    while head < waiting and not is_found:
                        mark = now[head]
                        head += 1
                        node = mark // states
                        state = mark % states
                        spent += start[node + 1] - start[node]
                        for slot in range(start[node], start[node + 1]):
                            other = places[slot]
                            what = kind[other]
                            if what == 2:
                                if place < 3 or (place == 3 and state & 1):
                                    continue
                                then = (state | 3) if place == 3 else (state & ~1)
                            elif what == 5:
                                then = state
                            elif place == 4 and state & 1:
                                continue
                            elif what >= 3:
                                then = (state & ~1) | 4
                            elif what == 1 and place == 0:
                                continue
                            else:
                                then = state & ~1
                            to = target[other]
                            if to == goal:
                                if is_ordered and not then & 4:
                                    continue
                                if then & 1 or (place == 3 and not then & 2):
                                    continue
                                # The way back, and whether it meets itself.
                                walked += 1
                                walk[0] = other
                                length = 1
                                is_simple = True
                                while mark >= 0:
                                    if met[mark // states] == walked:
                                        is_simple = False
                                    met[mark // states] = walked
                                    back = came[mark]
                                    if back < 0:
                                        break
                                    walk[length] = back
                                    length += 1
                                    mark = states * source[back] + came_from[mark]
                                is_found = True
                                if is_simple:
                                    best = level + 1
                                    size = length + 1
                                    best_walk[0] = edge
                                    for offset in range(length):
                                        best_walk[offset + 1] = walk[length - 1 - offset]
                                break
                            if to == target[edge]:
                                continue
                            inside = label[2 * to + (then & 1)] if is_doubled else label[to]
                            mark_to = states * to + then
                            if inside != inner or stamp[mark_to] == number:
                                continue
                            stamp[mark_to] = number
                            came[mark_to] = other
                            came_from[mark_to] = state
                            if to < transactions:
                                later[coming] = mark_to
                                coming += 1
                            else:
                                now[waiting] = mark_to
                                waiting += 1
                    level += 1
                    now, later = later, now
                    waiting, coming = coming, 0
                if spent > budget:
                    break
            if spent > budget:
                is_exact = False
                if best or cap > nodes:
                    break
                # A last try takes what it finds.
                cap, spent = nodes + 1, 0
                continue
            is_exact = True
            if best or not is_cut:
                break
            cap += cap // 2
        if best or not is_exact:
            for offset in range(size):
                walks[written + offset] = best_walk[offset]
            walk_start[told] = written
            is_shortest[told] = is_exact
            written += size
            told += 1
        first = end
    walk_start[told] = written
    return told
