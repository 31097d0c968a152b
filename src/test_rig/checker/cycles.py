"""The shortest cycle of each class in each component.

How to think of it: a class is a small automaton over the kinds of edges, and each class has an edge
that all its cycles have. Only the strongly connected components of the class's own edges are
searched: of G0 those of ww alone, of G-single and G-nonadjacent those of a doubled graph, in which
a node that was just reached by an rw has no rw that goes on (so there is no edge from it; every
closed walk there has no two adjacent rw). From each edge that the class must have, a breadth-first
search over (node, state) looks for the way back to its source, first to a depth of three
transactions, then half as much again, until one is found: so the cost is that of the surroundings
of edges as far as the shortest cycle is long, not of the component. A large component without short
cycles is searched through from one such edge, and then without that edge, whose shortest cycle is
known: of a ring nothing is left then.

What is guaranteed: whether there is a cycle of a class is decided in linear time, but for G-single
in a component that has cycles of G-nonadjacent too; G0, G1c, G-single and G2-item are told with a
shortest cycle, G-nonadjacent where its shortest walk is no two cycles of worse classes. The steps
of a search are bounded by a multiple of the component's edges; where that bound was met (a large
component of many long cycles), the cycle that is told is one of the class, and not known to be the
shortest. The bound counts steps, not seconds: the answer is the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import Bytes, Int32s, Kernels, frozen
from test_rig.checker.graph import PASS, PROCESS, REALTIME, RW, WR, WW, Edges, Orders
from test_rig.checker.search import search, states_of
from test_rig.checker.strong import by_source, components, doubled, strong
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
#: Steps for each edge of a component: of the first search, and of one that is not given up soon.
_FEW, _MANY = 50, 1000
#: So many edges are searched from one by one, and left out.
_ROUNDS = 32


def find_cycles(
    parts: Iterable[Edges],
    count: int,
    *,
    transactions: int,
    kernels: Kernels | None = None,
    label: Int32s | None = None,
) -> Found:
    """Find the shortest cycle of each class of each component.

    A class with an order is looked for only where the component shows none without it that is as
    bad or worse.

    Args:
        parts: What reads and writes show, and the orders of sessions and of time; the nodes of the
            last one beyond transactions are moments, in order.
        count: How many nodes there are.
        transactions: How many of them, the first ones, are transactions.
        kernels: How to loop.
        label: The component of each node, where it is known and all edges are within components.
    """
    # Behind those that micro-operations show come those of orders, of which there may be more.
    kept = sorted(parts, key=lambda part: not len(part.source_mop))
    size = sum(len(part) for part in kept)
    kernels = (kernels or Kernels(0)).or_for(size + count)
    if label is None:
        ends = (
            np.concatenate([part.source for part in kept]),
            np.concatenate([part.target for part in kept]),
        )
        label = components(*ends, count, kernels)
        inner = [label[part.source] for part in kept]
        kept = [
            part.where((own >= 0) & (own == label[part.target]))
            for part, own in zip(kept, inner, strict=True)
        ]
    nodes = np.flatnonzero(label >= 0).astype(np.int32)
    if not len(nodes):
        return Found(cycles=(), undecided=())
    local = np.empty(count, np.int32)
    local[nodes] = np.arange(len(nodes), dtype=np.int32)
    names = ("source", "target", "kind", "source_mop", "target_mop")
    columns = {name: [getattr(part, name) for part in kept] for name in names}
    del label, kept
    # One column after the other: of a history that is all cycles they are most of the memory.
    graph = _Graph(
        source=_through(local, columns.pop("source")),
        target=_through(local, columns.pop("target")),
        kind=np.concatenate(columns.pop("kind")),
        nodes=len(nodes),
        transactions=int(np.searchsorted(nodes, transactions)),
    )
    mops = (np.concatenate(columns.pop("source_mop")), np.concatenate(columns.pop("target_mop")))
    del local
    # A search may take many steps for each edge.
    kernels = kernels.or_for(40 * len(graph.source))
    found: list[tuple[str, Int32s, bool]] = []
    undecided: list[str] = []
    rank = np.full(len(nodes), len(CYCLES), np.int8)
    for suffix, orders in _STAGES:
        if orders and not (graph.kind == orders[-1]).any():
            continue
        for place, walk, is_shortest in _staged(graph, orders, rank, kernels):
            if len(walk):
                found.append((CYCLES[place] + suffix, walk, is_shortest))
            else:
                undecided.append(CYCLES[place] + suffix)
    return Found(
        cycles=tuple(_told(graph, nodes, mops, found)), undecided=tuple(dict.fromkeys(undecided))
    )


def _staged(
    graph: _Graph, orders: tuple[int, ...], rank: npt.NDArray[np.int8], kernels: Kernels
) -> list[tuple[int, Int32s, bool]]:
    """Return for each class and group a shortest cycle, and whether it is known to be one.

    Args:
        graph: All edges.
        orders: Orders of which a cycle must have an edge, if any; all other edges are used too.
        rank: The worst class of cycles that begin at each node; is brought up to date.
        kernels: How to loop.
    """
    group, is_inside = graph.groups((WW, WR, RW, PASS, *orders), kernels)
    stage = graph.where(is_inside)
    by_node = stage.by_node(kernels)
    # The worst class that each group has shown; the last one is of nodes that are alone.
    worst = np.full(int(group.max()) + 2, len(CYCLES), np.int8)
    np.minimum.at(worst, group, rank)
    walks: list[tuple[int, Int32s, bool]] = []
    for place in range(len(CYCLES)):
        for walk, is_shortest in _cycles(stage, by_node, place, group, worst, orders, kernels):
            walks.append((place, walk, is_shortest))
            if len(walk):
                first = stage.source[walk[0]]
                rank[first] = min(rank[first], place)
    places = np.flatnonzero(is_inside).astype(np.int32)
    return [(place, places[walk], is_shortest) for place, walk, is_shortest in walks]


def _through(local: Int32s, parts: list[npt.NDArray[np.integer]]) -> Int32s:
    """Return the new numbers of nodes, of one part after the other."""
    found = np.empty(sum(len(part) for part in parts), np.int32)
    place = 0
    for part in parts:
        # "clip" writes to where it belongs at once; all numbers are within.
        np.take(local, part, out=found[place : place + len(part)], mode="clip")
        place += len(part)
    return found


def _told(
    graph: _Graph,
    nodes: npt.NDArray[np.integer],
    mops: tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]],
    found: list[tuple[str, Int32s, bool]],
) -> Iterator[Cycle]:
    """Yield cycles of which the class and the places of the edges are given.

    Args:
        graph: All edges.
        nodes: What its nodes were before they were numbered anew.
        mops: The micro-operations of source and target of the edges that have any.
        found: The cycles.
    """
    if not found:
        return
    numbers = np.concatenate([number for _, number, _ in found])
    ends = (nodes[graph.source[numbers]], nodes[graph.target[numbers]])
    shown = numbers < len(mops[0])
    own_mops = np.full((2, len(numbers)), -1, np.int32)
    own_mops[:, shown] = [each[numbers[shown]] for each in mops]
    columns = (*ends, graph.kind[numbers], *own_mops)
    steps = zip(*(column.tolist() for column in columns), strict=True)
    for name, number, is_shortest in found:
        own = tuple(islice(steps, len(number)))
        yield Cycle(anomaly=name, steps=own, is_shortest=is_shortest)


@dataclass(frozen=True, slots=True)
class _Graph:
    """Edges between the nodes of components, numbered anew."""

    source: Int32s
    target: Int32s
    kind: Bytes
    nodes: int
    transactions: int
    #: The components of the doubled graph, once they were asked for: two classes have the same.
    doubles: list[Int32s] = field(default_factory=list)

    def length(self, walk: Int32s) -> int:
        """Return how many transactions a walk comes through."""
        return int(np.count_nonzero(self.source[walk] < self.transactions))

    def girth(
        self, edge: Int32s, by_node: tuple[Int32s, Int32s], group: Int32s, kernels: Kernels
    ) -> int:
        """Return how many transactions the shortest cycle of any kind through an edge has."""
        plain = replace(self, kind=np.full(len(self.kind), WW, np.uint8), doubles=[])
        of_class = (_G0, np.zeros(self.nodes, np.int32), group, ())
        found = _walks(plain, by_node, edge, of_class, _MANY, kernels)
        return min((plain.length(walk) for _, walk, _ in found), default=0)

    def renumbered(self) -> _Graph:
        """Return the same edges, with no other nodes than theirs."""
        nodes, local = np.unique(np.concatenate((self.source, self.target)), return_inverse=True)
        source, target = np.split(local.astype(np.int32), 2)
        transactions = int(np.searchsorted(nodes, self.transactions))
        return _Graph(source, target, self.kind, len(nodes), transactions)

    def where(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> _Graph:
        """Return the edges that are marked, or named by their places."""
        if keep.dtype == np.bool_ and keep.all():
            return self
        ends = (self.source[keep], self.target[keep], self.kind[keep])
        return _Graph(*ends, self.nodes, self.transactions)

    def by_node(self, kernels: Kernels) -> tuple[Int32s, Int32s]:
        """Return where the edges of each node begin, one more, and the edges by source."""
        start = np.zeros(self.nodes + 1, np.int32)
        heads, places = np.empty(0, np.int32), np.empty(len(self.source), np.int32)
        all_kinds = np.zeros(0, np.uint8)
        kernels(by_source)(
            frozen(self.source), frozen(self.target), frozen(all_kinds), 0, start, heads, places
        )
        return frozen(start), frozen(places)

    def doubled(self, kernels: Kernels) -> Int32s:
        """Return the components of the doubled graph."""
        if not self.doubles:
            start = np.zeros(2 * self.nodes + 1, np.int32)
            twice = np.count_nonzero((self.kind != RW) & (self.kind != PASS))
            heads = np.empty(len(self.source) + twice, np.int32)
            arrays = (frozen(self.source), frozen(self.target), frozen(self.kind), start, heads)
            kernels(doubled)(*arrays)
            self.doubles.append(strong(start, heads, Orders.none(), kernels))
        return self.doubles[0]

    def groups(
        self, kinds: tuple[int, ...], kernels: Kernels
    ) -> tuple[Int32s, npt.NDArray[np.bool_]]:
        """Return the components of the edges of some kinds, and a mark for each edge of theirs."""
        group = components(
            self.source, self.target, self.nodes, kernels, kind=self.kind, kinds=kinds
        )
        wanted = np.zeros(PASS + 1, np.bool_)
        wanted[list(kinds)] = True
        inner = group[self.source]
        is_inside = inner == group[self.target]
        is_inside &= inner >= 0
        is_inside &= wanted[self.kind]
        return group, is_inside


def _class_label(
    stage: _Graph, place: int, group: Int32s, orders: tuple[int, ...], kernels: Kernels
) -> Int32s:
    """Return the components of a class's own edges: by node, of a doubled graph by node twice."""
    if place == _G2_ITEM:
        return group
    if place in (_G0, _G1C):
        kinds = (WW, *((WR,) if place == _G1C else ()), *orders)
        return components(
            stage.source, stage.target, stage.nodes, kernels, kind=stage.kind, kinds=kinds
        )
    return stage.doubled(kernels)


def _cycles(
    stage: _Graph,
    by_node: tuple[Int32s, Int32s],
    place: int,
    group: Int32s,
    worst: npt.NDArray[np.int8],
    orders: tuple[int, ...],
    kernels: Kernels,
) -> Iterator[tuple[Int32s, bool]]:
    """Yield the edges of a shortest cycle of a class in each group that has one."""
    may_begin = np.flatnonzero(stage.kind == _BEGIN[place])
    if orders:
        may_begin = may_begin[worst[group[stage.source[may_begin]]] > place]
    begins, label = _on_cycles(stage, may_begin, place, group, orders, kernels)
    if not len(begins):
        return
    begins = begins[np.argsort(group[stage.source[begins]], kind="stable")]
    of_class = (place, group, label, orders)
    for here, walk, is_shortest in _walks(stage, by_node, begins, of_class, _FEW, kernels):
        if is_shortest:
            yield walk, True
            continue
        inside = np.flatnonzero(group[stage.source] == here).astype(np.int32)
        better, is_shortest = _thorough(stage, place, inside, walk, orders, kernels)
        if len(better) or not is_shortest:
            yield better, is_shortest


def _thorough(
    stage: _Graph,
    place: int,
    edges: Int32s,
    best: Int32s,
    orders: tuple[int, ...],
    kernels: Kernels,
) -> tuple[Int32s, bool]:
    """Return a shortest cycle of a class in a component, and whether it is known to be one.

    Args:
        stage: The graph.
        place: The class.
        edges: The edges of the component.
        best: The cycle that is known, if any.
        orders: Orders of which a cycle must have an edge, if any.
        kernels: How to loop.
    """
    is_shortest = True
    told = np.zeros(0, np.int32)  # edges from which nothing is to be searched any more
    for left in range(_ROUNDS, -1, -1):
        part = stage.where(edges).renumbered()
        group = components(part.source, part.target, part.nodes, kernels)
        may_begin = np.flatnonzero(part.kind == _BEGIN[place])
        may_begin = may_begin[~np.isin(edges[may_begin], told)]
        begins, label = _on_cycles(part, may_begin, place, group, orders, kernels)
        if not len(begins):
            break
        by_node, one_group = part.by_node(kernels), np.zeros(part.nodes, np.int32)
        of_class = (place, one_group, label, orders)
        own = begins[:1] if left else begins
        for _, walk, is_exact in _walks(part, by_node, own, of_class, _MANY, kernels):
            is_shortest &= is_exact
            if len(walk) and (not len(best) or part.length(walk) < stage.length(best)):
                best = edges[walk]
        own = begins[:1]
        # A cycle of G2-item or G-nonadjacent may have an edge and begin at another one.
        is_needed = place > _G_SINGLE and (
            not len(best) or part.girth(own, by_node, group, kernels) < stage.length(best)
        )
        told = np.append(told, edges[own])
        if not is_needed:
            edges = np.delete(edges, own)
    return best, is_shortest


def _on_cycles(
    stage: _Graph,
    begins: npt.NDArray[np.integer[Any]],
    place: int,
    group: Int32s,
    orders: tuple[int, ...],
    kernels: Kernels,
) -> tuple[Int32s, Int32s]:
    """Return those of the edges that are in a component of the class, and its components."""
    if not len(begins):
        return begins.astype(np.int32), group
    label = _class_label(stage, place, group, orders, kernels)
    source, target = stage.source[begins], stage.target[begins]
    if place in (_G_SINGLE, _G_NONADJACENT):
        source, target = 2 * source, 2 * target + 1
    begins = begins[(label[source] >= 0) & (label[source] == label[target])]
    return begins.astype(np.int32), label


def _walks(
    stage: _Graph,
    by_node: tuple[Int32s, Int32s],
    begins: Int32s,
    of_class: tuple[int, Int32s, Int32s, tuple[int, ...]],
    steps: int,
    kernels: Kernels,
) -> Iterator[tuple[int, Int32s, bool]]:
    """Yield a group, the edges of a cycle there, and whether it is known to be a shortest one.

    Args:
        stage: The graph.
        by_node: Its edges by node.
        begins: Where to begin, by group.
        of_class: The class, the groups, the class's components, the orders of which a cycle must
            have an edge.
        steps: How many each edge of a group allows.
        kernels: How to loop.
    """
    place, group, label, orders = of_class
    groups = int(group.max()) + 1
    walk_start = np.zeros(groups + 1, np.int32)
    walks = np.empty(stage.nodes + 4 * groups, np.int32)
    is_shortest, of_group = np.zeros(groups, np.uint8), np.empty(groups, np.int32)
    told = kernels(search)(
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
        steps,
        walk_start,
        walks,
        is_shortest,
        of_group,
        np.zeros(states_of(place, is_ordered=bool(orders)) * stage.nodes, np.int32),
    )
    starts, are_shortest = walk_start[: told + 1].tolist(), is_shortest[:told].tolist()
    for each, here in enumerate(of_group[:told].tolist()):
        yield here, walks[starts[each] : starts[each + 1]], bool(are_shortest[each])
