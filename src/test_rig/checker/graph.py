"""Who precedes whom: edges as arrays, and the components in which cycles are.

How to think of it: nodes are the transactions that count (committed, or unknown and observed) and,
behind them, one node for each of their ends in real time, in order. "Ended before the other began"
is then three edges a transaction (into its end's node, on to the next one, and from the last end
before it began) instead of a pair for every two transactions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from test_rig.history import OK, History, Timescale

__all__ = ["PROCESS", "REALTIME", "RW", "WR", "WW", "Edges", "Ints", "components", "order_edges"]

Ints: TypeAlias = npt.NDArray[np.int64]

#: Kinds of edges.
WW, WR, RW, PROCESS, REALTIME = 0, 1, 2, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Edges between nodes; a node below the number of transactions is one."""

    source: Ints
    target: Ints
    kind: npt.NDArray[np.uint8]
    #: The micro-operations of source and target that show the edge, -1 where none do.
    source_mop: Ints
    target_mop: Ints

    def __len__(self) -> int:
        return len(self.source)

    @staticmethod
    def of(source: Ints, target: Ints, kind: int, *mops: Ints) -> Edges:
        """Return edges of one kind, without those from a transaction to itself."""
        keep = source != target
        nothing = np.full(len(source), -1, dtype=np.int64)
        first, second = mops or (nothing, nothing)
        return Edges(
            source=source[keep],
            target=target[keep],
            kind=np.full(int(keep.sum()), kind, dtype=np.uint8),
            source_mop=first[keep],
            target_mop=second[keep],
        )

    @staticmethod
    def joined(parts: Iterable[Edges]) -> Edges:
        """Return the edges of all parts."""
        found = list(parts)
        return Edges(
            **{
                name: np.concatenate([getattr(part, name) for part in found])
                for name in ("source", "target", "kind", "source_mop", "target_mop")
            }
        )

    def where(self, keep: npt.NDArray[np.bool_]) -> Edges:
        """Return the edges that are marked."""
        return Edges(
            source=self.source[keep],
            target=self.target[keep],
            kind=self.kind[keep],
            source_mop=self.source_mop[keep],
            target_mop=self.target_mop[keep],
        )


def order_edges(history: History, counts: npt.NDArray[np.bool_]) -> tuple[Edges, Edges, int]:
    """Return the edges of sessions and those of real time, and how many nodes there are then.

    Nothing follows from the end of a transaction whose answer was lost.

    Args:
        history: The history.
        counts: A mark for each transaction that is a node.
    """
    nodes = np.flatnonzero(counts)
    order = nodes[np.lexsort((history.start[nodes], history.process[nodes]))]
    before, after = order[:-1], order[1:]
    same = (history.process[before] == history.process[after]) & (history.type[before] == OK)
    process = Edges.of(before[same], after[same], PROCESS)
    if history.clock is Timescale.SESSION:
        none = np.zeros(0, dtype=np.int64)
        return process, Edges.of(none, none, REALTIME), len(history)
    ended = nodes[history.type[nodes] == OK]
    ended = ended[np.argsort(history.end[ended], kind="stable")]
    moments = len(history) + np.arange(len(ended), dtype=np.int64)
    last = np.searchsorted(history.end[ended], history.start[nodes], side="left") - 1
    begun = nodes[last >= 0]
    source = np.concatenate((ended, moments[:-1], moments[last[last >= 0]]))
    target = np.concatenate((moments, moments[1:], begun))
    return process, Edges.of(source, target, REALTIME), len(history) + len(ended)


def components(source: Ints, target: Ints, count: int) -> Ints:
    """Return the strongly connected component of each node, -1 for one that is alone.

    Components are numbered by their smallest node, whatever found them.
    """
    if not len(source):
        return np.full(count, -1, dtype=np.int64)
    try:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
    except ImportError:
        labels = _tarjan(source, target, count)
    else:
        ones = np.ones(len(source), dtype=np.int8)
        matrix = coo_matrix((ones, (source, target)), shape=(count, count)).tocsr()
        labels = connected_components(matrix, directed=True, connection="strong")[1]
    return _numbered(np.asarray(labels, dtype=np.int64))


def _numbered(labels: Ints) -> Ints:
    sizes = np.bincount(labels)
    members = np.flatnonzero(sizes[labels] > 1)
    result = np.full(len(labels), -1, dtype=np.int64)
    if len(members):
        found, first, inverse = np.unique(labels[members], return_index=True, return_inverse=True)
        rank = np.empty(len(found), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(found))
        result[members] = rank[inverse]
    return result


def _tarjan(source: Ints, target: Ints, count: int) -> Ints:
    """R. Tarjan, "Depth-first search and linear graph algorithms", 1972, without recursion."""
    order = np.argsort(source, kind="stable")
    heads = target[order].tolist()
    first = np.searchsorted(source[order], np.arange(count + 1)).tolist()
    low, label, index = [0] * count, [-1] * count, [0] * count
    stack: list[int] = []
    counter, found, edge = 0, 0, first[:-1]
    for root in range(count):
        if index[root]:
            continue
        path = [root]
        while path:
            node = path[-1]
            if not index[node]:
                counter += 1
                index[node] = low[node] = counter
                stack.append(node)
            place, end = edge[node], first[node + 1]
            while place < end:
                head = heads[place]
                if not index[head]:
                    break
                if label[head] < 0 and index[head] < low[node]:
                    low[node] = index[head]
                place += 1
            if place < end:
                edge[node] = place
                path.append(heads[place])
                continue
            edge[node] = end
            path.pop()
            if path and low[node] < low[path[-1]]:
                low[path[-1]] = low[node]
            if low[node] == index[node]:
                while True:
                    member = stack.pop()
                    label[member] = found
                    if member == node:
                        break
                found += 1
    return np.array(label, dtype=np.int64)
