"""Who precedes whom: edges as arrays, and the orders of sessions and of time.

How to think of it: nodes are transactions and, behind them, nodes that stand between them, so that
orders with very many pairs need few edges. A *moment* is one for each time at which transactions
begin that others had ended before: "ended before the other began" is an edge from each transaction
to the next moment, from each moment to the one after it, and from a moment to those that begin
there. An *unread chain* leads from who read all of a key to all appends that nobody read, but not
to its own: there is a chain in each direction, and the reader enters both beside its own appends.
Only transactions count in the length of a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import Bytes, Int32s, Ints, Kernels, frozen
from test_rig.history import History, Timescale, validate

__all__ = [
    "PASS",
    "PROCESS",
    "REALTIME",
    "RW",
    "WR",
    "WW",
    "Edges",
    "Orders",
    "order_edges",
    "orders_of",
]

#: Kinds of edges; PASS goes on from a node of an unread chain, as what led into it.
WW, WR, RW, PROCESS, REALTIME, PASS = 0, 1, 2, 3, 4, 5


_NO_MOPS = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Edges between nodes; a node below the number of transactions is one."""

    source: npt.NDArray[np.integer]
    target: npt.NDArray[np.integer]
    kind: Bytes
    #: The micro-operations of source and target that show the edge, -1 where none do; no entries
    #: at all where none show any.
    source_mop: npt.NDArray[np.integer]
    target_mop: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.source)

    @staticmethod
    def of(
        source: npt.NDArray[np.integer],
        target: npt.NDArray[np.integer],
        kind: int,
        *mops: npt.NDArray[np.integer],
    ) -> Edges:
        """Return edges of one kind, without those from a transaction to itself."""
        keep = source != target
        first, second = (each[keep] for each in mops) if mops else (_NO_MOPS, _NO_MOPS)
        return Edges(
            source=source[keep].astype(np.int32),
            target=target[keep].astype(np.int32),
            kind=np.full(int(keep.sum()), kind, dtype=np.uint8),
            source_mop=first.astype(np.int32),
            target_mop=second.astype(np.int32),
        )

    @staticmethod
    def none() -> Edges:
        """Return no edges."""
        return Edges.of(np.zeros(0, np.int64), np.zeros(0, np.int64), WW)

    @staticmethod
    def joined(parts: Iterable[Edges]) -> Edges:
        """Return the edges of all parts."""
        found = list(parts)
        return Edges(
            source=np.concatenate([part.source for part in found]),
            target=np.concatenate([part.target for part in found]),
            kind=np.concatenate([part.kind for part in found]),
            source_mop=np.concatenate([_padded(part.source_mop, len(part)) for part in found]),
            target_mop=np.concatenate([_padded(part.target_mop, len(part)) for part in found]),
        )

    def where(self, keep: npt.NDArray[np.bool_]) -> Edges:
        """Return the edges that are marked."""
        return Edges(
            source=self.source[keep],
            target=self.target[keep],
            kind=self.kind[keep],
            source_mop=self.source_mop[keep] if len(self.source_mop) else _NO_MOPS,
            target_mop=self.target_mop[keep] if len(self.target_mop) else _NO_MOPS,
        )


def _padded(mops: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.integer]:
    return mops if len(mops) == count else np.full(count, -1, np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The orders of sessions and of time, by transaction; -1 is none."""

    #: The session's next transaction.
    following: Int32s
    #: The first moment after its end, the last one before it began; counted from 0.
    to_moment: Int32s
    from_moment: Int32s
    #: Transactions by the moment at which they begin, and where each moment's begin; one more.
    begun: Int32s
    begun_start: Int32s

    @staticmethod
    def none() -> Orders:
        """Return no orders."""
        nothing = np.zeros(0, np.int32)
        return Orders(
            following=nothing,
            to_moment=nothing,
            from_moment=nothing,
            begun=nothing,
            begun_start=np.zeros(1, np.int32),
        )

    @property
    def moments(self) -> int:
        """How many moments there are."""
        return len(self.begun_start) - 1


def orders_of(history: History, counts: Bytes, kernels: Kernels) -> Orders:
    """Return the orders of sessions and of time.

    Nothing follows from the end of a transaction whose answer was lost.

    Args:
        history: The history.
        counts: A mark for each transaction that is a node.
        kernels: How to loop.

    Raises:
        HistoryError: A session did two things at a time.
    """
    size = len(history)
    following = np.full(size, -1, np.int32)
    to_moment = np.full(size, -1, np.int32)
    from_moment = np.full(size, -1, np.int32)
    start, end = frozen(history.start), frozen(history.end)
    begun = frozen(np.argsort(start, kind="stable").astype(np.int32))
    processes = int(history.process.max(initial=-1)) + 2
    session = frozen(history.process)
    if kernels(_follow)(
        frozen(history.type), session, start, end, begun, counts, processes, following
    ):
        validate(history)
    begun_start = np.zeros(1, np.int32)
    if history.clock is not Timescale.SESSION:
        is_sorted = bool((end[1:] >= end[:-1]).all())  # as histories are that were recorded
        ended = np.arange(size) if is_sorted else np.argsort(end, kind="stable")
        ended = frozen(ended.astype(np.int32))
        begun_start = np.zeros(size + 1, np.int32)
        kept = np.empty(size, np.int32)
        arrays = (begun, ended, counts, to_moment, from_moment, kept, begun_start)
        moments, members = kernels(_moments)(frozen(history.type), start, end, *arrays)
        begun, begun_start = kept[:members], begun_start[: moments + 1]
    return Orders(
        following=following,
        to_moment=to_moment,
        from_moment=from_moment,
        begun=begun,
        begun_start=begun_start,
    )


def _follow(
    type_: Bytes,
    process: Int32s,
    start: Ints,
    end: Ints,
    begun: Int32s,
    counts: Bytes,
    processes: int,
    following: Int32s,
) -> int:
    """Link the transactions of sessions; return how many begin before the one before has ended."""
    last = np.zeros(processes, np.int32)  # the last transaction that counts and one
    latest = np.zeros(processes, np.int32)
    overlaps = 0
    for place in range(len(begun)):
        transaction = begun[place]
        session = process[transaction] + 1
        before = latest[session] - 1
        if before >= 0 and end[before] > start[transaction]:
            overlaps += 1
        latest[session] = transaction + 1
        if not counts[transaction]:
            continue
        before = last[session] - 1
        if before >= 0 and type_[before] == 0:
            following[before] = transaction
        last[session] = transaction + 1
    return overlaps


def _moments(
    type_: Bytes,
    start: Ints,
    end: Ints,
    begun: Int32s,
    ended: Int32s,
    counts: Bytes,
    to_moment: Int32s,
    from_moment: Int32s,
    kept: Int32s,
    begun_start: Int32s,
) -> tuple[int, int]:
    """Merge starts and ends; return how many moments and how many that begin at one there are."""
    place = told = moments = members = 0
    for number in range(len(begun)):
        transaction = begun[number]
        if not counts[transaction]:
            continue
        while place < len(ended) and end[ended[place]] < start[transaction]:
            if counts[ended[place]] and type_[ended[place]] == 0:
                if told == moments:  # the first one that ended since the moment before
                    begun_start[moments] = members
                    moments += 1
                to_moment[ended[place]] = moments - 1
            place += 1
        told = moments
        if moments:
            from_moment[transaction] = moments - 1
            kept[members] = transaction
            members += 1
    begun_start[moments] = members
    return moments, members


def order_edges(orders: Orders, label: Int32s) -> tuple[Edges, Edges]:
    """Return the orders of sessions and of time as edges, those within components.

    Args:
        orders: The orders.
        label: The component of each node, -1 for one that is alone; moments come last.
    """
    first = len(label) - orders.moments
    inside = np.flatnonzero(label[: len(orders.following)] >= 0)

    def within(source: Ints, target: Ints, kind: int) -> Edges:
        keep = label[source] == label[target]
        return Edges.of(source[keep], target[keep], kind)

    follows = inside[orders.following[inside] >= 0]
    process = within(follows, orders.following[follows].astype(np.int64), PROCESS)
    ends = inside[orders.to_moment[inside] >= 0]
    begins = inside[orders.from_moment[inside] >= 0]
    moments = first + np.flatnonzero(label[first:] >= 0)
    moments = moments[moments < len(label) - 1]
    realtime = Edges.joined(
        [
            within(ends, first + orders.to_moment[ends].astype(np.int64), REALTIME),
            within(moments, moments + 1, REALTIME),
            within(first + orders.from_moment[begins].astype(np.int64), begins, REALTIME),
        ]
    )
    return process, realtime
