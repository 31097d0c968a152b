"""What a history of lists shows: anomalies without a cycle, and the edges in which cycles are.

How to think of it: who reads a list of unique elements sees who wrote before whom. The longest
read of a key by a committed transaction is its version order; every other one must be a beginning
of it. An append that nobody read, of a transaction that is known to be committed, comes after all
that was read. A key whose reads contradict each other gives no edges.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from test_rig.checker.graph import RW, WR, WW, Edges
from test_rig.checker.witness import Edge, EdgeKind, Seen
from test_rig.history import APPEND, FAIL, OK, READ, History

__all__ = ["Shown", "edge_of", "infer"]


@dataclass(slots=True)
class Shown:
    """What was found without looking for cycles."""

    anomalies: list[Seen] = field(default_factory=list)
    edges: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    #: A mark for each transaction that is committed, or unknown and observed.
    counts: list[bool] = field(default_factory=list)

    def columns(self) -> Edges:
        """Return the edges as arrays."""
        table = np.array(sorted(set(self.edges)), dtype=np.int64).reshape(-1, 5)
        return Edges(
            source=table[:, 0],
            target=table[:, 1],
            kind=table[:, 2].astype(np.uint8),
            source_mop=table[:, 3],
            target_mop=table[:, 4],
        )


@dataclass(slots=True)
class _Read:
    mop: int
    transaction: int
    seen: tuple[int, ...]
    #: The reader's own appends to the key before this read.
    own: tuple[int, ...]
    #: What its read before this one saw, and how many appends came between them.
    last: tuple[int, ...] | None
    since: int


class _Key:
    """The appends and reads of one key."""

    def __init__(self) -> None:
        #: Value -> micro-operation and transaction.
        self.appends: dict[int, tuple[int, int]] = {}
        self.reads: list[_Read] = []
        #: Transaction -> its last append.
        self.final: dict[int, int] = {}


def infer(history: History) -> Shown:
    """Return what the history shows without looking for cycles."""
    shown = Shown()
    keys = _keys(history)
    shown.counts = (history.type == OK).tolist()
    for key in keys.values():
        for read in key.reads:
            for value in read.seen:
                _, writer = key.appends.get(value, (-1, -1))
                if writer >= 0 and history.type[writer] != FAIL:
                    shown.counts[writer] = True
    for number, key in sorted(keys.items()):
        _judge_key(history, history.key_name(number), key, shown)
    return shown


def _keys(history: History) -> dict[int, _Key]:
    keys: dict[int, _Key] = defaultdict(_Key)
    for transaction in range(len(history)):
        own: dict[int, list[int]] = defaultdict(list)
        last: dict[int, tuple[tuple[int, ...], int]] = {}
        for mop in history.mops(transaction):
            key, f = int(history.key[mop]), int(history.f[mop])
            if f == APPEND:
                value = int(history.value[mop])
                keys[key].appends[value] = (mop, transaction)
                keys[key].final[transaction] = value
                own[key].append(value)
            elif history.type[transaction] == OK:
                seen = () if f == READ else history.elements(mop)
                before, count = last.get(key, (None, 0))
                since = len(own[key]) - count
                keys[key].reads.append(
                    _Read(mop, transaction, seen, tuple(own[key]), before, since)
                )
                last[key] = (seen, len(own[key]))
    return keys


def edge_of(
    history: History, transactions: tuple[int, int], kind: EdgeKind, mops: tuple[int, int]
) -> Edge:
    """Return an edge with what its micro-operations did; those of an order are -1."""
    source, target = transactions
    first, second = mops
    if first < 0:
        return Edge(source=source, target=target, kind=kind)
    written = int(history.value[second])
    seen = history.elements(first)
    return Edge(
        source=source,
        target=target,
        kind=kind,
        key=history.key_of(first),
        first=(seen[-1] if seen else None) if kind is EdgeKind.RW else int(history.value[first]),
        second=int(history.value[first]) if kind is EdgeKind.WR else written,
        first_mop=first,
        second_mop=second,
    )


class _Told:
    """The anomalies of one key, each told once."""

    def __init__(self, history: History, name: int | str, shown: Shown) -> None:
        self._history, self._name, self._shown = history, name, shown
        self._told: set[tuple[str, tuple[int, ...]]] = set()

    def tell(
        self,
        anomaly: str,
        transactions: tuple[int, ...],
        why: str,
        mops: tuple[int, ...],
        kind: EdgeKind | None = None,
    ) -> None:
        """Tell one; with a kind it is an edge between two transactions and micro-operations."""
        if (anomaly, transactions) in self._told:
            return
        self._told.add((anomaly, transactions))
        edges: tuple[Edge, ...] = ()
        if kind is not None:
            (source, target), (first, second) = transactions, mops
            edges = (edge_of(self._history, (source, target), kind, (first, second)),)
        why = f"key {self._name}: {why}"
        self._shown.anomalies.append(
            Seen(anomaly=anomaly, transactions=transactions, why=(why,), edges=edges, mops=mops)
        )


def _judge_key(history: History, name: int | str, key: _Key, shown: Shown) -> None:
    longest = max((read.seen for read in key.reads), key=len, default=())
    is_sound = True
    told = _Told(history, name, shown)
    for read in key.reads:
        reader, seen = read.transaction, read.seen
        if len(set(seen)) < len(seen):
            told.tell("duplicate-elements", (reader,), f"T{reader} read {list(seen)}", (read.mop,))
            is_sound = False
        if seen != longest[: len(seen)]:
            other = next(each for each in key.reads if each.seen == longest)
            pair = (reader, other.transaction)
            why = f"T{reader} read {list(seen)}, T{pair[1]} read {list(longest)}"
            told.tell("incompatible-order", pair, why, (read.mop, other.mop))
            is_sound = False
        for value in seen:
            mop, writer = key.appends.get(value, (-1, -1))
            if writer < 0:
                why = f"T{reader} read {value}, which nobody appended"
                told.tell("garbage-read", (reader,), why, (read.mop,))
                is_sound = False
            elif writer != reader and history.type[writer] == FAIL:
                why = f"T{reader} read {value} of T{writer}, which was rolled back"
                told.tell("G1a", (writer, reader), why, (mop, read.mop), EdgeKind.WR)
        if seen and (found := key.appends.get(seen[-1])) is not None:
            mop, writer = found
            if writer != reader and key.final[writer] != seen[-1]:
                why = f"T{reader} read {seen[-1]} last; T{writer} appended more after it"
                told.tell("G1b", (writer, reader), why, (mop, read.mop), EdgeKind.WR)
        if (fault := _internal(read, key)) is not None:
            told.tell("internal", (reader,), f"T{reader} {fault}", (read.mop,))
            is_sound = False
    _dirty_updates(history, key, longest, told)
    _lost_updates(key, told)
    if is_sound:
        shown.edges.extend(_edges(key, longest, shown.counts))


def _internal(read: _Read, key: _Key) -> str | None:
    own, seen = read.own, read.seen
    later = [v for v in seen if key.appends.get(v, (-1, -1))[0] > read.mop]
    if any(key.appends[value][1] == read.transaction for value in later):
        return f"read {list(seen)}, with what it appended only later"
    tail = own[len(own) - read.since :] if read.last is not None else own
    if read.last is not None and seen != read.last + tail:
        return f"read {list(read.last)}, appended {list(tail)}, and then read {list(seen)}"
    if tail and seen[-len(tail) :] != tail:
        return f"appended {list(tail)}, and then read {list(seen)}"
    return None


def _dirty_updates(history: History, key: _Key, longest: tuple[int, ...], told: _Told) -> None:
    order = [key.appends.get(value, (-1, -1)) for value in longest]
    for place, (mop, writer) in enumerate(order):
        if writer < 0 or history.type[writer] != FAIL:
            continue
        rest = (each for each in order[place + 1 :] if each[1] >= 0 and history.type[each[1]] == OK)
        after = next(rest, None)
        if after is not None:
            why = f"T{after[1]} built on {longest[place]} of T{writer}, which was rolled back"
            told.tell("dirty-update", (writer, after[1]), why, (mop, after[0]), EdgeKind.WW)


def _lost_updates(key: _Key, told: _Told) -> None:
    updates: dict[tuple[int, ...], list[_Read]] = defaultdict(list)
    for read in key.reads:
        writes_later = key.final.get(read.transaction)
        if read.last is None and not read.own and writes_later is not None:
            updates[read.seen].append(read)
    for seen, reads in updates.items():
        if len(reads) > 1:
            transactions = tuple(read.transaction for read in reads)
            names = " and ".join(f"T{each}" for each in transactions)
            why = f"{names} each read {list(seen)} and then appended"
            told.tell("lost-update", transactions, why, tuple(read.mop for read in reads))


def _edges(
    key: _Key, longest: tuple[int, ...], counts: list[bool]
) -> list[tuple[int, int, int, int, int]]:
    order = [key.appends[value] for value in longest]
    place = {mop: index for index, (mop, _) in enumerate(order)}
    standing = [each for each in order if counts[each[1]]]
    unread = [each for each in key.appends.values() if each[0] not in place and counts[each[1]]]
    found = [(a, b, WW, x, y) for (x, a), (y, b) in pairwise(standing)]
    if standing:
        found += [(standing[-1][1], b, WW, standing[-1][0], y) for y, b in unread]
    for read in key.reads:
        seen = [each for each in order[: len(read.seen)] if counts[each[1]]]
        foreign = [each for each in seen if each[1] != read.transaction]
        if foreign:
            found.append((foreign[-1][1], read.transaction, WR, foreign[-1][0], read.mop))
        rest = [each for each in order[len(read.seen) :] if counts[each[1]]]
        following = rest[:1] or unread
        found += [(read.transaction, b, RW, read.mop, y) for y, b in following]
    return [each for each in found if each[0] != each[1]]
