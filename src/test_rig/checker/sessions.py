"""What sessions were promised of the lists that they read and append to.

How to think of it: a session that goes on must see what it did and saw before: its own appends
(read your writes), what it read (monotonic reads); its appends come after its earlier ones
(monotonic writes) and after what it read (writes follow reads). Each time one of them is broken
there is a cycle with the session's order; so only transactions that are on cycles are looked at,
key by key. What a third transaction sees, an append of a session without what the session had
appended or read before, shows in the cycle itself: three or four edges that go through the session.
Within one transaction it is `internal` that is broken.

Source: D. Terry et al., "Session Guarantees for Weakly Consistent Replicated Data", PDIS 1994.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from test_rig.checker.append import Shown
from test_rig.checker.compiling import Bytes, Int32s, Ints, Kernels, frozen
from test_rig.checker.indexing import number_keys
from test_rig.checker.witness import EdgeKind, Seen
from test_rig.history import OK, History
from test_rig.isolation import GUARANTEES

__all__ = ["broken_promises", "named_cycles"]

_READ_YOUR_WRITES, _MONOTONIC_READS, _MONOTONIC_WRITES, _WRITES_FOLLOW_READS = GUARANTEES
#: In the order of the kernel's columns.
_NAMES = (_READ_YOUR_WRITES, _MONOTONIC_READS, _MONOTONIC_WRITES)
_WR, _RW, _PROCESS = EdgeKind.WR, EdgeKind.RW, EdgeKind.PROCESS
#: Cycles that say that one was broken, from the edge after the rw on; a session's edges are one.
_CYCLES = {
    (_PROCESS, _WR, _RW): _MONOTONIC_WRITES,
    (_WR, _PROCESS, _WR, _RW): _WRITES_FOLLOW_READS,
}


def broken_promises(
    history: History, shown: Shown, label: Int32s, kernels: Kernels, *, most: int
) -> Iterator[Seen]:
    """Yield the guarantees of sessions that were broken, at most so many of each.

    Args:
        history: The history.
        shown: What it shows.
        label: The component of each transaction, -1 for one that is on no cycle.
        kernels: How to loop.
        most: So many of each are told.
    """
    on_cycles = np.flatnonzero((label[: len(history)] >= 0) & (history.type == OK))
    if not len(on_cycles):
        return
    by_session = on_cycles[np.argsort(history.start[on_cycles], kind="stable")].astype(np.int32)
    is_on_cycle = np.zeros(len(history), np.bool_)
    is_on_cycle[on_cycles] = True
    mops = np.flatnonzero(is_on_cycle[shown.owner])
    pair = history.process[shown.owner[mops]].astype(np.int64) * len(shown.longest)
    pair += shown.number[mops]
    numbered = np.empty(len(mops), np.int32)
    pairs = kernels(number_keys)(frozen(pair), numbered)
    number = np.full(history.mop_count, -1, np.int32)
    number[mops] = numbered
    found = np.full((3, history.mop_count), -1, np.int32)
    kernels(_broken)(
        frozen(by_session),
        frozen(history.mop_start),
        frozen(shown.number),
        frozen(number),
        pairs,
        frozen(shown.seen),
        frozen(shown.position),
        frozen(shown.is_unsound),
        frozen(shown.order_size),
        *found,
    )
    for name, others in zip(_NAMES, found, strict=True):
        for mop in np.flatnonzero(others >= 0)[:most].tolist():
            yield _told(history, shown, name, int(others[mop]), mop)


def named_cycles(cycles: Iterable[Seen]) -> Iterator[Seen]:
    """Yield the guarantees that cycles say were broken, by what a third transaction saw."""
    for cycle in cycles:
        if cycle.anomaly != "G-single-process":
            continue
        kinds = [edge.kind for edge in cycle.edges]
        first = kinds.index(_RW) + 1
        kinds = kinds[first:] + kinds[:first]
        shape = tuple(
            kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] is not kind
        )
        # Two wr after each other are a longer way, of which the guarantee says nothing.
        if shape in _CYCLES and kinds.count(_WR) == shape.count(_WR):
            yield replace(cycle, anomaly=_CYCLES[shape])


def _told(history: History, shown: Shown, name: str, first: int, second: int) -> Seen:
    before, after = int(shown.owner[first]), int(shown.owner[second])
    did = _did(history, shown, before, first)
    does = _did(history, shown, after, second)
    why = f"key {history.key_of(second)}: {did}; later in its session {does}"
    return Seen(anomaly=name, transactions=(before, after), why=(why,), mops=(first, second))


def _did(history: History, shown: Shown, transaction: int, mop: int) -> str:
    if shown.seen[mop] < 0:
        return f"T{transaction} appended {history.value[mop]}"
    values = history.elements(mop)
    if not values:
        return f"T{transaction} read an empty list"
    return f"T{transaction} read {len(values)} elements, the last one {values[-1]}"


def _broken(
    by_session: Int32s,
    mop_start: Ints,
    key: Int32s,
    pair: Int32s,
    pairs: int,
    seen: Int32s,
    position: Int32s,
    is_unsound: Bytes,
    order_size: Int32s,
    own_writes: Int32s,
    reads: Int32s,
    writes: Int32s,
) -> None:
    """Find for each micro-operation the earlier one that it should have come after.

    Args:
        by_session: Transactions, each session's in its order.
        mop_start: Where each transaction's micro-operations begin.
        key: The number of each micro-operation's key.
        pair: The number of its session and key.
        pairs: How many of those there are.
        seen: How many versions a read saw, -1 for an append.
        position: The version of an append, -1 where nobody read it.
        is_unsound: Keys whose order is not known.
        order_size: How many versions of each key were read.
        own_writes: Is filled for reads that miss their session's append.
        reads: Is filled for reads that see less than an earlier one.
        writes: Is filled for appends that stand before their session's earlier one.
    """
    # The furthest version that a session wrote and read, counted from one, and by what.
    wrote, wrote_by = np.zeros(pairs, np.int32), np.zeros(pairs, np.int32)
    read, read_by = np.zeros(pairs, np.int32), np.zeros(pairs, np.int32)
    for place in range(len(by_session)):
        transaction = by_session[place]
        for mop in range(mop_start[transaction], mop_start[transaction + 1]):
            each = pair[mop]
            if is_unsound[key[mop]]:
                continue
            if seen[mop] >= 0:
                if wrote[each] > seen[mop]:
                    own_writes[mop] = wrote_by[each]
                if read[each] > seen[mop]:
                    reads[mop] = read_by[each]
            elif position[mop] >= 0 and wrote[each] > position[mop] + 1:
                writes[mop] = wrote_by[each]
        # What it did itself binds only those after it.
        for mop in range(mop_start[transaction], mop_start[transaction + 1]):
            each = pair[mop]
            if is_unsound[key[mop]]:
                continue
            if seen[mop] >= 0:
                if seen[mop] > read[each]:
                    read[each], read_by[each] = seen[mop], mop
            else:
                version = position[mop] + 1
                if version == 0:  # nobody read it: it comes after all that was read
                    version = order_size[key[mop]] + 1
                if version > wrote[each]:
                    wrote[each], wrote_by[each] = version, mop
