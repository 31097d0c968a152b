"""Cycles of dependencies, named after the kinds of their edges.

How to think of it: no serial order explains a cycle. How bad it is depends on its edges: of write
dependencies alone it is G0, with read dependencies G1c; with one anti-dependency (rw) G-single;
with several, no two of which follow each other, G-nonadjacent; otherwise G2-item. Transactions that
lie on a common cycle form a component, and each component is searched by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from test_rig.workload.dependencies import RW, WR, WW, Edges

__all__ = ["classified", "components"]

#: So many edges of a component are tried for each class; beyond, the weaker accusation is made.
_TRIES = 300

Graph = Mapping[int, Sequence[int]]


def classified(edges: Edges) -> Iterator[tuple[str, list[int]]]:
    """Yield the name of each class of cycles in each component, with one short cycle of it.

    A cycle is the places of its transactions in order; the last one leads back to the first.
    """
    for component in components(_graph(edges, {WW, WR, RW})):
        inside = {
            pair: edge
            for pair, edge in edges.items()
            if pair[0] in component and pair[1] in component
        }
        yield from _classes(inside)


def _classes(edges: Edges) -> Iterator[tuple[str, list[int]]]:
    found = False
    writes, flow = _graph(edges, {WW}), _graph(edges, {WW, WR})
    for name, kind, graph in (("G0", WW, writes), ("G1c", WR, flow), ("G-single", RW, flow)):
        cycle = _first(edges, kind, lambda u, v, graph=graph: _path(graph, v, u))  # type: ignore[misc]  # bound now
        if cycle:
            found = True
            yield name, cycle
    if found:
        return
    anti = _graph(edges, {RW})
    cycle = _first(edges, RW, lambda u, v: _spaced_path(flow, anti, v, u))
    if cycle:
        yield "G-nonadjacent", cycle
        return
    every = _graph(edges, {WW, WR, RW})
    cycle = _first(edges, RW, lambda u, v: _path(every, v, u))
    if cycle:
        yield "G2-item", cycle


def _graph(edges: Edges, kinds: set[int]) -> dict[int, list[int]]:
    graph: dict[int, list[int]] = {}
    for (before, after), edge in edges.items():
        if edge.kind in kinds:
            graph.setdefault(before, []).append(after)
    return graph


def _first(
    edges: Edges, kind: int, search: Callable[[int, int], list[int] | None]
) -> list[int] | None:
    """Return the shortest of the first cycles that go through an edge of this kind."""
    best: list[int] | None = None
    tried = 0
    for (before, after), edge in edges.items():
        if edge.kind != kind:
            continue
        tried += 1
        path = search(before, after)
        if path and (best is None or len(path) < len(best)):
            best = path
        if tried >= _TRIES or (best is not None and len(best) <= 2):
            break
    return best


def _path(graph: Graph, start: int, goal: int) -> list[int] | None:
    """Return the shortest way from start to goal, both included."""
    came: dict[int, int] = {start: start}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here == goal:
            return _walked(came, here, start)
        for there in graph.get(here, ()):
            if there not in came:
                came[there] = here
                waiting.append(there)
    return None


def _walked(came: Mapping[int, int], here: int, start: int) -> list[int]:
    way = [here]
    while here != start:
        here = came[here]
        way.append(here)
    return way[::-1]


def _spaced_path(flow: Graph, anti: Graph, start: int, goal: int) -> list[int] | None:
    """Return a way, begun after an anti-dependency and followed by one, that has no two in a row.

    A place is reached in two states: by an anti-dependency, after which none may follow, or not.
    """
    first = (start, True)
    came: dict[tuple[int, bool], tuple[int, bool]] = {first: first}
    waiting = deque([first])
    while waiting:
        here = place, is_after_anti = waiting.popleft()
        if place == goal and not is_after_anti:
            way = [place]
            while here != first:
                here = came[here]
                way.append(here[0])
            return way[::-1]
        steps: Iterable[tuple[int, bool]] = ((there, False) for there in flow.get(place, ()))
        if not is_after_anti:
            steps = (*steps, *((there, True) for there in anti.get(place, ())))
        for there in steps:
            if there not in came:
                came[there] = here
                waiting.append(there)
    return None


def components(graph: Graph) -> list[set[int]]:
    """Return the sets of two or more that can all reach each other (Tarjan 1972, iterative)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[set[int]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for after in rest:
                if after not in index:
                    index[after] = low[after] = len(index)
                    stack.append(after)
                    on_stack.add(after)
                    work.append((after, iter(graph.get(after, ()))))
                    break
                if after in on_stack:
                    low[node] = min(low[node], index[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = set()
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.add(member)
                        if member == node:
                            break
                    if len(group) > 1:
                        found.append(group)
    return found
