"""Anomalies of registers that are no cycles of many, and those of what sessions are promised.

How to think of it: each is told by the reads that show it and the edges between their transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from test_rig.checker.cycles import Cycle
from test_rig.checker.register_atomic import ATOMIC, CAUSAL, MONOTONIC, SESSION, Derived
from test_rig.checker.register_causal import Causality
from test_rig.checker.register_index import GARBAGE, OWN_LATER, OWN_LOST, Registers
from test_rig.checker.register_views import RULES, read_edge
from test_rig.checker.strong import components
from test_rig.checker.telling import seen_cycles
from test_rig.checker.witness import Edge, EdgeKind, Seen, told
from test_rig.history import FAIL, NIL, Timescale
from test_rig.isolation import GUARANTEES

__all__ = [
    "Paths",
    "cyclic_versions",
    "faults",
    "known_seen",
    "lost_seen",
    "of_the_first",
    "promised",
    "stale_seen",
]

#: So many of each anomaly are told.
_MOST = 10_000
#: So many steps are taken to tell all of them, and then one of each.
_STEPS = 1_000_000
#: So many reads are then looked at for each guarantee of sessions.
_TRIES = 50


def faults(registers: Registers) -> Iterator[Seen]:
    """Yield reads of nobody's values, of what was rolled back or not final, of not one's own."""
    history, owner = registers.history, registers.owner
    for code in (GARBAGE, OWN_LOST, OWN_LATER):
        for mop in np.flatnonzero(registers.fault == code)[:_MOST].tolist():
            reader, value = f"T{owner[mop]}", int(history.value[mop])
            found = "nothing" if value == NIL else str(value)
            why = {
                GARBAGE: f"{reader} read {found}, which nobody wrote",
                OWN_LOST: f"{reader} wrote another value, and then read {found}",
                OWN_LATER: f"{reader} read {found}, which it wrote only later",
            }[code]
            name = "garbage-read" if code == GARBAGE else "internal"
            yield _seen(registers, name, why, (mop,))
    reads = np.flatnonzero(registers.source >= 0)
    writes = registers.source[reads]
    is_failed = history.type[owner[writes]] == FAIL
    for mop, write in _pairs(reads, writes, is_failed):
        why = f"T{owner[mop]} read {history.value[mop]} of T{owner[write]}, which was rolled back"
        yield _seen(registers, "G1a", why, (write, mop), read_edge(registers, (write, mop)))
    for mop, write in _pairs(reads, writes, ~registers.is_final[writes] & ~is_failed):
        why = f"T{owner[mop]} read {history.value[mop]}; T{owner[write]} wrote the key after it"
        yield _seen(registers, "G1b", why, (write, mop), read_edge(registers, (write, mop)))


def _pairs(reads: Any, writes: Any, keep: Any) -> Iterator[tuple[int, int]]:
    first, second = reads[keep], writes[keep]
    return zip(first[:_MOST].tolist(), second[:_MOST].tolist(), strict=True)


def lost_seen(registers: Registers, groups: list[tuple[int, ...]]) -> Iterator[Seen]:
    """Yield the groups of transactions that read one version and then wrote the key."""
    for reads in groups[:_MOST]:
        mops = tuple(int(registers.read_mop[read]) for read in reads)
        value = int(registers.history.value[mops[0]])
        names = " and ".join(f"T{registers.owner[mop]}" for mop in mops)
        found = "nothing" if value == NIL else value
        why = f"{names} each read {found} and then wrote the key"
        yield _seen(registers, "lost-update", why, mops)


def cyclic_versions(registers: Registers) -> Iterator[Seen]:
    """Yield for each group of versions that were made of each other a cycle of them.

    A version is made of one that its transaction read before it wrote the key.
    """
    made = np.flatnonzero(registers.read_then >= 0)
    source = registers.source[registers.read_mop[made]]
    made, source = made[source >= 0], source[source >= 0]
    target = registers.read_then[made]
    label = components(source, target, len(registers.owner), registers.kernels)
    inside = np.flatnonzero((label[source] >= 0) & (label[source] == label[target]))
    # By version the read of what it was made of: back from any of them there is a cycle.
    came = dict(zip(target[inside].tolist(), made[inside].tolist(), strict=True))
    told_ones: set[int] = set()
    for begin in sorted(came):
        if int(label[begin]) in told_ones or len(told_ones) == _MOST:
            continue
        told_ones.add(int(label[begin]))
        walk, version = dict[int, int](), begin
        while version not in walk:
            walk[version] = came[version]
            version = int(registers.source[registers.read_mop[came[version]]])
        reads = list(walk.values())[list(walk).index(version) :]
        value, mops = registers.history.value, registers.read_mop[reads].tolist()
        made_of = zip(mops, registers.read_then[reads].tolist(), strict=True)
        why = "; ".join(
            f"T{registers.owner[read]} read {value[read]} and then wrote {value[write]}"
            for read, write in made_of
        )
        yield _seen(registers, "cyclic-versions", why, tuple(mops))


def known_seen(registers: Registers, cycles: Sequence[Cycle]) -> Iterator[Seen]:
    """Yield cycles of known orders of versions."""
    for seen in seen_cycles(registers.history, cycles):
        edges = tuple(
            _missed(registers, edge.first_mop, edge.second_mop)
            if edge.kind is EdgeKind.RW
            and edge.first_mop is not None
            and edge.second_mop is not None
            else edge
            for edge in seen.edges
        )
        yield replace(seen, edges=edges, why=told(edges, verb="wrote"))


def stale_seen(registers: Registers, reads: list[tuple[int, int]]) -> Iterator[Seen]:
    """Yield for each key a read of what had been overwritten before its transaction began."""
    told_keys: set[int] = set()
    for read, write in reads:
        mop = int(registers.read_mop[read])
        key = int(registers.key[mop])
        if key in told_keys:
            continue
        told_keys.add(key)
        edges = (
            _missed(registers, mop, write),
            _order(registers, write, mop, EdgeKind.REALTIME),
        )
        yield _cycle("G-single-realtime", edges)


def of_the_first(registers: Registers, derived: Derived, paths: Paths) -> Iterator[Seen]:
    """Yield for each key the worst case of who sees a writer and reads what was there at first."""
    told_keys: set[int] = set()
    told_rules: set[int] = set()
    for rule in (MONOTONIC, ATOMIC, SESSION, CAUSAL):
        for place in np.flatnonzero(derived.rule == rule).tolist():
            mop = int(registers.read_mop[derived.read[place]])
            key = int(registers.key[mop])
            if key in told_keys or (paths.is_enough and rule in told_rules):
                continue
            told_keys.add(key)
            told_rules.add(rule)
            writer = int(derived.source[place])
            write = registers.write_of(writer, key)
            path = paths.between(writer, int(registers.owner[mop]))
            yield _cycle(RULES[rule], (_missed(registers, mop, write), *path))


def promised(
    registers: Registers, reads: list[int], found: object, paths: Paths, *, is_dirty: bool
) -> Iterator[Seen]:
    """Yield for each key and guarantee of sessions a read that broke it.

    That what was read is older than what was promised follows from who read whom. It does not from
    a dirty read: who is read may write the key only afterwards.

    Args:
        registers: The history.
        reads: The reads.
        found: What `Causality.guarantees` says of them.
        paths: Ways between transactions.
        is_dirty: Whether the history shows reads of what was not committed; then nothing follows
            from reads of a transaction that may not have ended.
    """
    table = np.asarray(found)
    told_ones: set[tuple[str, int]] = set()
    tries = dict.fromkeys(GUARANTEES, _TRIES)
    for place in np.flatnonzero((table >= 0).any(axis=1)).tolist():
        mop = int(registers.read_mop[reads[place]])
        reader, key = int(registers.owner[mop]), int(registers.key[mop])
        for number, name in enumerate(GUARANTEES):
            writer, via = int(table[place, 2 * number]), int(table[place, 2 * number + 1])
            if writer < 0 or (name, key) in told_ones or (paths.is_enough and not tries[name]):
                continue
            tries[name] -= paths.is_enough
            older = int(registers.read_from[reads[place]])
            # Why what was read is the older value; what was there at first always is.
            order = paths.between(older, writer) if older < len(registers.history) else ()
            if is_dirty and any(_may_be_dirty(registers, edge) for edge in order):
                continue
            told_ones.add((name, key))
            tries[name] = 0
            missed = _missed(registers, mop, registers.write_of(writer, key))
            path = paths.between(writer, via) + paths.between(via, reader)
            yield _cycle(name, (missed, *path), besides=order)


class Paths:
    """Shortest ways by sessions and reads.

    Args:
        registers: The history.
        causality: What precedes what, where it is known.
    """

    def __init__(self, registers: Registers, causality: Causality | None) -> None:
        self._registers, self._causality = registers, causality
        self._left = _STEPS

    @property
    def is_enough(self) -> bool:
        """Whether so much was looked for that one witness of each anomaly is enough."""
        return self._left <= 0

    def between(self, source: int, target: int) -> tuple[Edge, ...]:
        """Return a shortest way, among those that are between the two where that is known."""
        if source == target:
            return ()
        may_be = None if self._causality is None else self._causality.precedes(source)
        may_be = may_be or _is_any
        came: dict[int, tuple[int, int]] = {}
        level, known = [target], {target}
        # By session, the place before which all are known.
        passed: dict[int, int] = {}
        while level:
            following: list[int] = []
            for node in level:
                for other, read in self._into(node, passed, may_be):
                    self._left -= 1
                    if other in known:
                        continue
                    known.add(other)
                    came[other] = (node, read)
                    if other == source:
                        return self._edges(came, source, target)
                    following.append(other)
            level = following
        raise AssertionError("what is seen can be reached")

    def _into(
        self, node: int, passed: dict[int, int], may_be: Callable[[int], bool]
    ) -> Iterator[tuple[int, int]]:
        """Yield who comes right before, with the read that says so, -1 for a session's order."""
        registers = self._registers
        reads = slice(int(registers.read_start[node]), int(registers.read_start[node + 1]))
        for read, other in enumerate(registers.read_from[reads].tolist(), reads.start):
            if other < len(registers.history) and may_be(other):
                yield other, read
        session, place = int(registers.session[node]), int(registers.place[node])
        first = passed.get(session, 0)
        passed[session] = max(first, place)
        # All of the session before: its order is one step.
        for _ in range(first, place):
            node = int(registers.before[node])
            if not may_be(node):
                break
            yield node, -1

    def _edges(
        self, came: dict[int, tuple[int, int]], source: int, target: int
    ) -> tuple[Edge, ...]:
        registers, edges = self._registers, []
        while source != target:
            node, read = came[source]
            if read < 0:
                edges.append(Edge(source=source, target=node, kind=EdgeKind.PROCESS))
            else:
                mop = int(registers.read_mop[read])
                edges.append(read_edge(registers, (int(registers.source[mop]), mop)))
            source = node
        return tuple(edges)


def _is_any(_: int) -> bool:
    return True


def _may_be_dirty(registers: Registers, edge: Edge) -> bool:
    """Return whether a transaction may have been read before it had ended."""
    history = registers.history
    has_time = history.clock is not Timescale.SESSION
    is_after = has_time and history.end[edge.source] < history.start[edge.target]
    return edge.kind is EdgeKind.WR and not is_after


def _missed(registers: Registers, read: int, write: int) -> Edge:
    history = registers.history
    value = int(history.value[read])
    return Edge(
        source=int(registers.owner[read]),
        target=int(registers.owner[write]),
        kind=EdgeKind.RW,
        key=history.key_of(read),
        first=None if value == NIL else value,
        second=int(history.value[write]),
        first_mop=read,
        second_mop=write,
    )


def _order(registers: Registers, first: int, second: int, kind: EdgeKind) -> Edge:
    owner = registers.owner
    return Edge(source=int(owner[first]), target=int(owner[second]), kind=kind)


def _cycle(name: str, edges: tuple[Edge, ...], *, besides: tuple[Edge, ...] = ()) -> Seen:
    """Return a cycle, in words with what else is needed to see that it is one."""
    every = (*edges, *besides)
    mops = [mop for edge in every for mop in (edge.first_mop, edge.second_mop) if mop is not None]
    return Seen(
        anomaly=name,
        transactions=tuple(edge.source for edge in edges),
        why=told(every, verb="wrote"),
        edges=edges,
        mops=tuple(dict.fromkeys(mops)),
    )


def _seen(
    registers: Registers, name: str, why: str, mops: tuple[int, ...], edge: Edge | None = None
) -> Seen:
    owners = tuple(dict.fromkeys(registers.owner[list(mops)].tolist()))
    return Seen(
        anomaly=name,
        transactions=owners,
        why=(f"key {registers.history.key_of(mops[0])}: {why}",),
        edges=() if edge is None else (edge,),
        mops=mops,
    )
