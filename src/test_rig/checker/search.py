"""Kernel: the way back from edges that a class of cycles must have.

A class is a small automaton over the kinds of edges; `cycles` says where it is searched, and why.
Bits of a state: the edge before was an rw (of G2-item: the next one must be); several rw; an edge
of an order. Only one class needs the second one; the last one is there where orders are wanted.
"""

from __future__ import annotations

import numpy as np

from test_rig.checker.compiling import Bytes, Int32s

__all__ = ["search", "states_of"]


def states_of(place: int, *, is_ordered: bool) -> int:
    """Return how many states the automaton of a class has.

    Args:
        place: Which class it is.
        is_ordered: Whether a cycle must have an edge of an order.
    """
    return (4 if place == 3 else 2) * (2 if is_ordered else 1)


def search(
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
    steps: int,
    walk_start: Int32s,
    walks: Int32s,
    is_shortest: Bytes,
    of_group: Int32s,
    stamp: Int32s,
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
        steps: How many each edge of a group allows.
        walk_start: Is filled with where each cycle begins in `walks`.
        walks: Is filled with the edges of cycles.
        is_shortest: Is filled with whether a cycle is known to be the shortest.
        of_group: Is filled with the group of each cycle.
        stamp: Zeros, for each state of each node, as many as `states_of` says; of few of them
            memory is wanted.
    """
    nodes = len(start) - 1
    is_doubled = place == 2 or place == 3
    states = len(stamp) // nodes
    ordered = states // 2 if is_ordered else 0  # the bit of an edge of an order, the last one
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
        budget = steps * weight[here] + 1000 * steps
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
                                then = (state & ~1) | ordered
                            elif what == 1 and place == 0:
                                continue
                            else:
                                then = state & ~1
                            to = target[other]
                            if to == goal:
                                if is_ordered and not then & ordered:
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
            of_group[told] = here
            written += size
            told += 1
        first = end
    walk_start[told] = written
    return told
