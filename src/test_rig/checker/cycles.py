"""The shortest cycle of each class in each component.

How to think of it: a class is a small automaton over the kinds of edges; a breadth-first search
over (node, state) from every edge that a class must have, back to that edge's source, finds the
shortest walk of the class; nodes of real time count as others do. A walk that meets itself is left
out: it contains a shorter cycle, which is found by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator

from test_rig.checker.graph import PROCESS, REALTIME, RW, WR, WW, Edges, Ints, components
from test_rig.isolation import CYCLES

__all__ = ["Cycle", "find_cycles"]

#: The name of a class, and its edges: source, target, kind, micro-operations of both.
Step = tuple[int, int, int, int, int]
Cycle = tuple[str, tuple[Step, ...]]
_ORDERS = {"": (), "-process": (PROCESS,), "-realtime": (PROCESS, REALTIME)}
_BEGIN = {"G0": WW, "G1c": WR, "G-single": RW, "G-nonadjacent": RW, "G2-item": RW}
# Bits of a state: the edge before was an rw; several rw; two of them adjacent; the order was used.
_JUST, _SEVERAL, _ADJACENT, _ORDERED = 1, 2, 4, 8


def find_cycles(edges: Edges, process: Edges, realtime: Edges, count: int) -> list[Cycle]:
    """Return the shortest cycle of each class of each component, the worst classes first.

    Args:
        edges: What reads and writes show.
        process: The order of each session.
        realtime: The order of time.
        count: How many nodes there are.
    """
    found: list[Cycle] = []
    plain: list[Cycle] = []
    for order, parts in (
        ("", [edges]),
        ("-process", [edges, process]),
        ("-realtime", [edges, process, realtime]),
    ):
        every = Edges.joined(parts)
        label = components(every.source, every.target, count)
        inside = (label[every.source] >= 0) & (label[every.source] == label[every.target])
        kept = every.where(inside)
        groups: dict[int, list[Step]] = defaultdict(list)
        columns = (kept.source, kept.target, kept.kind, kept.source_mop, kept.target_mop)
        for step in zip(*(column.tolist() for column in columns), strict=True):
            groups[int(label[step[0]])].append(step)
        worst = _ranks(plain, label)
        new = [
            cycle
            for group, steps in sorted(groups.items())
            for cycle in _of_component(steps, order, worst.get(group, len(CYCLES)))
        ]
        plain += new
        found += new
    return found


def _ranks(cycles: list[Cycle], label: Ints) -> dict[int, int]:
    """Return the rank of the worst class that each component has shown without this order."""
    ranks: dict[int, int] = {}
    for name, steps in cycles:
        rank = next(n for n, each in enumerate(CYCLES) if name.startswith(each))
        group = int(label[steps[0][0]])
        ranks[group] = min(rank, ranks.get(group, rank))
    return ranks


def _of_component(steps: list[Step], order: str, below: int) -> Iterator[Cycle]:
    after: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        after[step[0]].append(step)
    for name in CYCLES[: below if order else len(CYCLES)]:
        best: list[Step] | None = None
        for step in steps:
            if step[2] == _BEGIN[name]:
                walk = _shortest(step, after, (name, bool(order)))
                if walk is not None and (best is None or len(walk) < len(best)):
                    best = walk
        if best is not None:
            yield name + order, tuple(best)


def _next(state: int, kind: int, name: str) -> int | None:
    """Return the state after an edge; None where the class has no such edge there."""
    if kind in (PROCESS, REALTIME):
        return (state & ~_JUST) | _ORDERED
    if kind != RW:
        return None if name == "G0" and kind != WW else state & ~_JUST
    if name in ("G0", "G1c", "G-single") or (name == "G-nonadjacent" and state & _JUST):
        return None
    return state | _SEVERAL | _JUST | (_ADJACENT if state & _JUST else 0)


def _is_of(name: str, state: int, is_ordered: bool) -> bool:
    if is_ordered and not state & _ORDERED:
        return False
    if name == "G-nonadjacent":
        return bool(state & _SEVERAL) and not state & _JUST
    if name == "G2-item":
        return bool(state & _SEVERAL) and bool(state & (_ADJACENT | _JUST))
    return True


def _shortest(
    first: Step, after: dict[int, list[Step]], form: tuple[str, bool]
) -> list[Step] | None:
    begin = (first[1], _JUST if first[2] == RW else 0)
    came: dict[tuple[int, int], tuple[tuple[int, int], Step] | None] = {begin: None}
    waiting = deque([begin])
    while waiting:
        at = waiting.popleft()
        for step in after[at[0]]:
            state = _next(at[1], step[2], form[0])
            if state is None or (step[1], state) in came:
                continue
            to = (step[1], state)
            came[to] = (at, step)
            if to[0] == first[0]:
                walk = _walk(first, to, came)
                if _is_of(form[0], state, form[1]) and walk is not None:
                    return walk
                continue
            waiting.append(to)
    return None


def _walk(
    first: Step,
    end: tuple[int, int],
    came: dict[tuple[int, int], tuple[tuple[int, int], Step] | None],
) -> list[Step] | None:
    steps: list[Step] = []
    at = end
    while (back := came[at]) is not None:
        at, step = back
        steps.append(step)
    walk = [first, *reversed(steps)]
    return walk if len({step[0] for step in walk}) == len(walk) else None
