"""What a history of lists shows: anomalies without a cycle, and the edges in which cycles are.

How to think of it: the kernels of `versions` find each key's order of versions, and the version
before and after each micro-operation; edges follow from those two numbers and are written out only
where cycles can be. An append that nobody read, of a transaction that is known to be committed (as
one is whose answer was lost, but of which something was read), comes after all that was read. A key
whose reads no order explains gives no ww and no rw; whom a read saw is certain all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from test_rig.checker.compiling import Bytes, Int32s, Ints, Kernels, Marks, frozen
from test_rig.checker.graph import PASS, RW, Edges, Orders
from test_rig.checker.indexing import fill_index, number_keys
from test_rig.checker.strong import strong
from test_rig.checker.versions import (
    compare,
    link,
    order_versions,
    reorder,
    scan,
    sift,
)
from test_rig.history import APPEND, OK, History, spread, validate

__all__ = ["Shown", "adjacent", "infer"]


@dataclass(slots=True, kw_only=True)
class Shown:
    """What was found without looking for cycles."""

    #: For each micro-operation the number of its key, its transaction, and what it was marked as.
    number: Int32s
    owner: Int32s
    marks: Marks
    #: How many versions each read saw, -1 for what is no committed read.
    seen: Int32s
    #: The version of each append, -1 where no sound read shows it.
    position: Int32s
    #: How many versions of each key were read, and a mark where no order explains its reads.
    order_size: Int32s
    is_unsound: Bytes
    #: A longest read of each key, -1 for none.
    longest: Int32s
    #: Appends by key and value: `index_start` says where each key's begin; -1 is free.
    index_start: Ints
    index: Int32s
    #: A mark for each transaction that is committed, or unknown and observed.
    counts: Bytes
    #: The append of the version before and after each micro-operation, -1 for none.
    before: Int32s
    after: Int32s
    #: How many edges follow from the two.
    edges: int
    #: The edges of unread chains; their nodes stand after the transactions.
    chains: Edges
    chain_nodes: int


def infer(history: History, kernels: Kernels) -> Shown:
    """Return what the history shows without looking for cycles.

    Raises:
        HistoryError: A value was appended to a key twice.
    """
    mops = history.mop_count
    type_, f, value = frozen(history.type), frozen(history.f), frozen(history.value)
    mop_start = frozen(history.mop_start)
    element_count = frozen(history.element_count)
    lists = (frozen(history.element_start), element_count, frozen(history.element))
    number = np.empty(mops, np.int32)
    keys = kernels(number_keys)(frozen(history.key), number)
    number = frozen(number)
    owner, next_append = np.empty(mops, np.int32), np.empty(mops, np.int32)
    appends, longest = np.zeros(keys, np.int32), np.full(keys, -1, np.int32)
    marks = np.zeros(mops, np.uint16)
    rows = (type_, mop_start, f, value, *lists, number)
    kernels(scan)(*rows, owner, next_append, appends, longest, marks)
    owner, next_append = frozen(owner), frozen(next_append)
    index_start, index = _index(f, value, number, appends, kernels, history)
    order_size = np.zeros(keys, np.int32)
    order_size[longest >= 0] = element_count[longest[longest >= 0]]
    order_start = frozen(np.concatenate(([0], np.cumsum(order_size, dtype=np.int64))))
    order = np.empty(int(order_start[-1]), np.int32)
    position = np.full(mops, -1, np.int32)
    is_troubled, is_unsound = np.zeros(keys, np.uint8), np.zeros(keys, np.uint8)
    counts = (type_ == OK).astype(np.uint8)
    kernels(order_versions)(
        type_, value, *lists, owner, index_start, index, longest,
        order_start, order, position, is_troubled, counts,
    )  # fmt: skip
    seen = np.empty(mops, np.int32)
    elements = kernels(compare)(type_, mop_start, f, *lists, number, longest, seen, is_troubled)
    before, after = np.full(mops, -1, np.int32), np.empty(mops, np.int32)
    if is_troubled.any():
        sifted_start, sifted = np.empty(mops, np.int64), np.empty(elements, np.int64)
        kernels(sift)(
            type_, value, *lists, number, owner, next_append, index_start, index,
            is_troubled, seen, marks, sifted_start, sifted, counts, is_unsound, before,
        )  # fmt: skip
        kernels(reorder)(
            value, number, index_start, index, is_troubled, is_unsound, seen, marks,
            sifted_start, sifted, longest, order_start, order, order_size, position,
        )  # fmt: skip
        del sifted_start, sifted
    unread, unread_first = np.zeros(keys, np.int32), np.full(keys, -1, np.int32)
    # NumPy asks for large pages, which is faster than what a compiled loop can ask for.
    updater = np.zeros(len(order) + keys, np.int32)
    edges = kernels(link)(
        frozen(counts), mop_start, f, number, owner, next_append, is_troubled, is_unsound, seen,
        marks, order_start, order, order_size, position, longest, unread, unread_first, updater,
        before, after,
    )  # fmt: skip
    shown = Shown(
        number=number,
        owner=owner,
        marks=marks,
        seen=seen,
        position=position,
        order_size=order_size,
        is_unsound=is_unsound,
        longest=longest,
        index_start=index_start,
        index=index,
        counts=counts,
        before=before,
        after=after,
        edges=edges,
        chains=Edges.none(),
        chain_nodes=0,
    )
    if (unread > 1).any() and len(readers := np.flatnonzero(after < -1)):
        unread_mops = (f == APPEND) & (position < 0) & (counts[owner] > 0)
        unread_mops &= is_unsound[number] == 0
        _chain(history, shown, readers, np.flatnonzero(unread_mops & (unread[number] > 1)))
    return shown


def _index(
    f: Bytes, value: Ints, number: Int32s, appends: Int32s, kernels: Kernels, history: History
) -> tuple[Ints, Int32s]:
    """Return the appends by key and value, and where each key's begin."""
    sizes = np.ones(len(appends), np.int64)
    while (short := sizes < 2 * appends).any():
        sizes[short] *= 2
    index_start = frozen(np.concatenate(([0], np.cumsum(sizes))))
    index = np.full(int(index_start[-1]), -1, np.int32)
    if kernels(fill_index)(f, value, number, index_start, index):
        validate(history)
    return index_start, frozen(index)


def _chain(history: History, shown: Shown, readers: Ints, unread: Ints) -> None:
    """Lead from who read all of a key to all its unread appends.

    Left out are its own, and those of the transaction whose append it saw last (`after` is -3): of
    that one's version it saw a part.
    """
    mops = history.mop_count
    wanted = np.zeros(len(shown.longest), np.bool_)
    wanted[shown.number[readers]] = True
    unread = unread[wanted[shown.number[unread]]]
    unread = unread[np.argsort(shown.number[unread], kind="stable")]
    key = shown.number[unread].astype(np.int64)
    place = key * mops + unread
    count, first = len(unread), len(history)
    # Forwards an append's node leads to it and to the next one's, backwards to the one before.
    forwards = first + np.arange(count, dtype=np.int64)
    backwards = forwards + count
    same = np.flatnonzero(key[:-1] == key[1:])
    who = shown.owner[unread]
    none = np.full(len(same), -1, np.int64)
    reader_key = shown.number[readers].astype(np.int64)
    reader = shown.owner[readers].astype(np.int64)
    read = np.where(shown.after[readers] == -3, shown.owner[shown.before[readers]], reader)
    begin, end = np.searchsorted(key, reader_key), np.searchsorted(key, reader_key, side="right")
    own, others = (
        np.searchsorted(place, reader_key * mops + history.mop_start[np.stack((each, each + 1))])
        for each in (reader, read)
    )
    # What is left out are one or two parts of the chain, or nothing.
    has_own, has_others = own[0] < own[1], others[0] < others[1]
    is_whole = ~has_own & ~has_others
    own, others = np.where(has_own, own, others), np.where(has_others, others, own)
    low, high = np.minimum(own[0], others[0]), np.maximum(own[1], others[1])
    is_before, is_after = ~is_whole & (low > begin), is_whole | (high < end)
    high = np.where(is_whole, begin, high)  # it enters once, at the beginning
    between = np.minimum(own[1], others[1])
    counts = np.maximum(np.maximum(own[0], others[0]) - between, 0)
    counts[is_whole] = 0
    them = spread(between, counts)
    shown.chain_nodes = 2 * count
    shown.chains = Edges.joined(
        [
            Edges.of(forwards, who, PASS, unread, unread),
            Edges.of(backwards, who, PASS, unread, unread),
            Edges.of(forwards[same], forwards[same + 1], PASS, none, none),
            Edges.of(backwards[same + 1], backwards[same], PASS, none, none),
            Edges.of(
                reader[is_after],
                forwards[high[is_after]],
                RW,
                readers[is_after],
                unread[high[is_after]],
            ),
            Edges.of(
                reader[is_before],
                backwards[low[is_before] - 1],
                RW,
                readers[is_before],
                unread[low[is_before] - 1],
            ),
            Edges.of(
                np.repeat(reader, counts), who[them], RW, np.repeat(readers, counts), unread[them]
            ),
        ]
    )


def adjacent(shown: Shown, orders: Orders, kernels: Kernels) -> tuple[list[Edges], Int32s]:
    """Return the edges that can be on a cycle, in parts, and the component of each node.

    Nodes are the transactions, those of unread chains, and the moments; -1 is no component. What
    edges are made from goes: it is a quarter of what was found.
    """
    transactions = len(shown.counts)
    nodes = transactions + shown.chain_nodes
    start = np.zeros(nodes + 1, np.int32)
    heads = np.empty(shown.edges + len(shown.chains), np.int32)
    owner, before, after = shown.owner, frozen(shown.before), frozen(shown.after)
    source = frozen(shown.chains.source.astype(np.int32))
    target = frozen(shown.chains.target.astype(np.int32))
    kernels(_heads)(owner, before, after, source, target, start, heads)
    label = frozen(strong(start, heads, orders, kernels))
    none, no_kind = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    size = 0
    if (label >= 0).any():
        size = kernels(_inside)(owner, before, after, shown.seen, label, none, none, no_kind)
    first, second, kind = (
        np.empty(size, np.int32),
        np.empty(size, np.int32),
        np.empty(size, np.uint8),
    )
    if size:
        kernels(_inside)(owner, before, after, shown.seen, label, first, second, kind)
    shown.before = shown.after = np.zeros(0, np.int32)
    inner = label[shown.chains.source]
    chains = shown.chains.where((inner >= 0) & (inner == label[shown.chains.target]))
    shown.chains = Edges.none()
    found = Edges(
        source=owner[first],
        target=owner[second],
        kind=kind,
        source_mop=first,
        target_mop=second,
    )
    return [found, chains], label


def _heads(
    owner: Int32s,
    before: Int32s,
    after: Int32s,
    source: Int32s,
    target: Int32s,
    start: Int32s,
    heads: Int32s,
) -> None:
    """Put the targets of all edges behind each other, by source."""
    for mop in range(len(owner)):
        if before[mop] >= 0:
            start[owner[before[mop]] + 1] += 1
        if after[mop] >= 0:
            start[owner[mop] + 1] += 1
    for edge in range(len(source)):
        start[source[edge] + 1] += 1
    for node in range(1, len(start)):
        start[node] += start[node - 1]
    for mop in range(len(owner)):
        if before[mop] >= 0:
            node = owner[before[mop]]
            heads[start[node]] = owner[mop]
            start[node] += 1
        if after[mop] >= 0:
            node = owner[mop]
            heads[start[node]] = owner[after[mop]]
            start[node] += 1
    for edge in range(len(source)):
        node = source[edge]
        heads[start[node]] = target[edge]
        start[node] += 1
    for node in range(len(start) - 1, 0, -1):
        start[node] = start[node - 1]
    start[0] = 0


def _inside(
    owner: Int32s,
    before: Int32s,
    after: Int32s,
    seen: Int32s,
    label: Int32s,
    first: Int32s,
    second: Int32s,
    kind: Bytes,
) -> int:
    """Count the edges within components, and write them down where there is room for them."""
    count = 0
    for mop in range(len(owner)):
        inner = label[owner[mop]]
        if inner < 0:
            continue
        if before[mop] >= 0 and label[owner[before[mop]]] == inner:
            if len(first):
                first[count], second[count] = before[mop], mop
                kind[count] = 1 if seen[mop] >= 0 else 0
            count += 1
        if after[mop] >= 0 and label[owner[after[mop]]] == inner:
            if len(first):
                first[count], second[count] = mop, after[mop]
                kind[count] = 2
            count += 1
    return count
