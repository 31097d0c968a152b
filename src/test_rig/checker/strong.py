"""Kernels: edges by node, and strongly connected components, in which all cycles are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import Bytes, Int32s, Kernels, frozen
from test_rig.checker.graph import Orders

__all__ = ["by_source", "components", "doubled", "pearce", "strong"]


def components(
    source: npt.NDArray[np.integer],
    target: npt.NDArray[np.integer],
    count: int,
    kernels: Kernels | None = None,
    *,
    kind: Bytes | None = None,
    kinds: Iterable[int] = (),
) -> Int32s:
    """Return the strongly connected component of each node, -1 for one that is alone.

    Components are numbered by their smallest node.

    Args:
        source: Where edges begin.
        target: Where they end.
        count: How many nodes there are.
        kernels: How to loop.
        kind: The kind of each edge, where not all of them count.
        kinds: Those that count then.
    """
    kernels = kernels or Kernels(len(source) + count)
    wanted = sum(1 << each for each in kinds)
    start = np.zeros(count + 1, np.int32)
    heads = np.empty(len(source), np.int32)
    places = np.empty(0, np.int32)
    kernels(by_source)(
        frozen(source.astype(np.int32, copy=False)),
        frozen(target.astype(np.int32, copy=False)),
        frozen(np.zeros(0, np.uint8) if kind is None else kind),
        wanted,
        start,
        heads,
        places,
    )
    return strong(start, heads, Orders.none(), kernels)


def by_source(
    source: Int32s,
    target: Int32s,
    kind: Bytes,
    wanted: int,
    start: Int32s,
    heads: Int32s,
    places: Int32s,
) -> None:
    """Sort edges by source: where each node's begin, and their targets, or which edges they are.

    Whichever of the two has no room is left out, and so is an edge whose kind is no bit of what is
    wanted; all are where no kinds are given.
    """
    has_heads, has_places, has_kinds = len(heads) > 0, len(places) > 0, len(kind) > 0
    for edge in range(len(source)):
        if not has_kinds or (wanted >> kind[edge]) & 1:
            start[source[edge] + 1] += 1
    for node in range(1, len(start)):
        start[node] += start[node - 1]
    for edge in range(len(source)):
        if has_kinds and not (wanted >> kind[edge]) & 1:
            continue
        node = source[edge]
        if has_heads:
            heads[start[node]] = target[edge]
        if has_places:
            places[start[node]] = edge
        start[node] += 1
    for node in range(len(start) - 1, 0, -1):
        start[node] = start[node - 1]
    start[0] = 0


def doubled(source: Int32s, target: Int32s, kind: Bytes, start: Int32s, heads: Int32s) -> None:
    """Sort the edges of the doubled graph by source, as `by_source` does.

    A node is there twice: as it is (2n), and as it was just reached by an rw (2n + 1), from where
    no other rw goes on.
    """
    for edge in range(len(source)):
        if kind[edge] != 5:
            start[2 * source[edge] + 1] += 1
        if kind[edge] != 2:
            start[2 * source[edge] + 2] += 1
    for node in range(1, len(start)):
        start[node] += start[node - 1]
    for edge in range(len(source)):
        node = 2 * source[edge]
        head = 2 * target[edge] + (1 if kind[edge] == 2 or kind[edge] == 5 else 0)
        if kind[edge] != 5:
            heads[start[node]] = head
            start[node] += 1
        if kind[edge] != 2:
            heads[start[node + 1]] = head
            start[node + 1] += 1
    for node in range(len(start) - 1, 0, -1):
        start[node] = start[node - 1]
    start[0] = 0


def strong(start: Int32s, heads: Int32s, orders: Orders, kernels: Kernels) -> Int32s:
    """Return the components of nodes that have edges and orders.

    Args:
        start: Where the edges of each node begin; one more.
        heads: The targets of edges; nodes from `len(start) - 1` on are moments.
        orders: The orders of the nodes that are transactions; they come first.
        kernels: How to loop.
    """
    label = np.zeros(len(start) - 1 + orders.moments, np.int32)
    # NumPy asks for large pages, which is faster than what a compiled loop can ask for.
    scratch = np.empty((2, len(label)), np.int32)
    kernels(pearce)(
        frozen(start),
        frozen(heads),
        frozen(orders.following),
        frozen(orders.to_moment),
        frozen(orders.begun),
        frozen(orders.begun_start),
        label,
        *scratch,
    )
    return label


def pearce(
    start: Int32s,
    heads: Int32s,
    following: Int32s,
    to_moment: Int32s,
    begun: Int32s,
    begun_start: Int32s,
    label: Int32s,
    path: Int32s,
    cursor: Int32s,
) -> None:
    """D. Pearce, "A space-efficient algorithm for finding strongly connected components", 2016.

    It is Tarjan's (1972) with one number for each node; without recursion. Linear in nodes and
    edges. Components of several nodes are numbered by their smallest one.

    Args:
        start: Where the edges of each node begin; one more.
        heads: The targets of edges.
        following: The session's next transaction.
        to_moment: The moment after each transaction.
        begun: Transactions by the moment at which they begin.
        begun_start: Where each moment's begin; one more.
        label: Zeros; is filled with components, -1 for a node that is alone.
        path: Scratch, for each node. From the left the way to the node that is looked at, those
            from which an earlier one can be reached as -1 - node; from the right nodes that wait
            for the first one of their component.
        cursor: Scratch, for each node.
    """
    plain, transactions, count = len(start) - 1, len(following), len(label)
    last = count - plain - 1
    # A label is the number of the earliest node that is known to be reached, and at last one larger
    # than all of these.
    alone = 2147483647
    met, found, waiting = 0, 0, count
    for root in range(count):
        if label[root]:
            continue
        path[0] = root
        cursor[0] = start[root] if root < plain else begun_start[root - plain]
        depth = 1
        met += 1
        label[root] = met
        while depth:
            node = path[depth - 1]
            if node < 0:
                node = -1 - node
            at = cursor[depth - 1]
            head = -1
            best = label[node]
            if node < plain:
                end = start[node + 1]
                while at < end:
                    each = heads[at]
                    at += 1
                    if not label[each]:
                        head = each
                        break
                    if label[each] < best:
                        best = label[each]
                if head < 0 and node < transactions:
                    if at == end:
                        at += 1
                        each = following[node]
                        if each >= 0:
                            if not label[each]:
                                head = each
                            elif label[each] < best:
                                best = label[each]
                    if head < 0 and at == end + 1:
                        at += 1
                        each = to_moment[node]
                        if each >= 0:
                            each += plain
                            if not label[each]:
                                head = each
                            elif label[each] < best:
                                best = label[each]
            else:
                moment = node - plain
                end = begun_start[moment + 1]
                while at < end:
                    each = begun[at]
                    at += 1
                    if not label[each]:
                        head = each
                        break
                    if label[each] < best:
                        best = label[each]
                if head < 0 and at == end:
                    at += 1
                    if moment < last:
                        each = node + 1
                        if not label[each]:
                            head = each
                        elif label[each] < best:
                            best = label[each]
            cursor[depth - 1] = at
            if best < label[node]:
                label[node] = best
                path[depth - 1] = -1 - node
            if head >= 0:
                met += 1
                label[head] = met
                path[depth] = head
                cursor[depth] = start[head] if head < plain else begun_start[head - plain]
                depth += 1
                continue
            depth -= 1
            if path[depth] < 0:
                waiting -= 1
                path[waiting] = node
                above = path[depth - 1]
                if above < 0:
                    above = -1 - above
                if best < label[above]:
                    label[above] = best
                    path[depth - 1] = -1 - above
                continue
            met -= 1
            if waiting == count or label[path[waiting]] < best:
                label[node] = alone
                continue
            found += 1
            while waiting < count and label[path[waiting]] >= best:
                label[path[waiting]] = alone - found
                waiting += 1
                met -= 1
            label[node] = alone - found
    rank = np.zeros(found, np.int32)
    known = 0
    for node in range(count):
        number = alone - label[node] - 1
        if number < 0:
            label[node] = -1
            continue
        if not rank[number]:
            known += 1
            rank[number] = known
        label[node] = rank[number] - 1
