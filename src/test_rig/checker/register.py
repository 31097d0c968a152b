"""The verdict on a history of registers: what it shows, what is proved, what is unknown.

How to think of it: values are unique, so who read from whom is known; the order of versions is not.
If one order of the transactions replays the whole history, it is serializable, and that is all.
Else four things are asked. What contradicts read committed, monotonic atomic view, read atomic and
causal consistency: these have an exact and fast answer. What the known orders of versions show:
cycles that contradict stronger levels. What was read although it had been overwritten before. And
whether an order near to the observed one proves a level. A level that is neither contradicted nor
proved is unknown: to decide snapshot isolation or serializability of registers is NP-complete
(C. Papadimitriou, "The Serializability of Concurrent Database Updates", JACM 1979).
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from test_rig.checker.compiling import frozen
from test_rig.checker.cycles import Found, find_cycles
from test_rig.checker.graph import RW, Edges, Orders, order_edges, orders_of
from test_rig.checker.register_atomic import Derived, atomic, atomic_reach
from test_rig.checker.register_causal import Causality, is_tractable
from test_rig.checker.register_first import (
    Paths,
    cyclic_versions,
    faults,
    known_seen,
    lost_seen,
    of_the_first,
    promised,
    stale_seen,
)
from test_rig.checker.register_index import Registers, index_registers
from test_rig.checker.register_known import (
    Overwrites,
    edges_of_order,
    lost_updates,
    order_reach,
    reads_edges,
    stale_reads,
)
from test_rig.checker.register_order import Line, Windows, line_up, windows_of
from test_rig.checker.register_serial import is_serial, schedule
from test_rig.checker.register_views import view_cycles
from test_rig.checker.strong import components
from test_rig.checker.witness import Seen
from test_rig.history import History, Timescale
from test_rig.isolation import GUARANTEES, history_levels

__all__ = ["Judged", "judge_registers"]

_Int32s = npt.NDArray[np.int32]
_Integers = npt.NDArray[np.integer]

#: Where one of these is shown, some transactions read what was not committed.
_DIRTY = frozenset({"G1a", "G1b", "G1c"})
#: Levels whose anomalies are all looked for, whatever the order of versions.
_EXACT = ("read uncommitted", "read committed", "monotonic atomic view")
#: So many edges are searched for the cycles of an order first; and the logarithm, to the base of
#: two, of how many times as many each time after.
_FIRST_TURN, _LARGER = 4096, 3


@dataclass(slots=True)
class Judged:
    """What a history of registers comes to."""

    seen: list[Seen] = field(default_factory=list)
    #: Levels of which it is proved that they allow the history.
    proved: frozenset[str] = frozenset()
    #: Why the others are not known.
    reason: str | None = None


def judge_registers(history: History) -> Judged:
    """Judge a history of registers.

    Raises:
        HistoryError: A session overlaps itself, or a value is written to a key twice.
    """
    registers = index_registers(history)
    judged = Judged(seen=list(faults(registers)))
    levels = history_levels("rw-register")
    has_time = history.clock is not Timescale.SESSION
    line = line_up(registers)
    if (
        line.is_causal
        and is_serial(registers, line)
        and (not has_time or line.keeps_time(registers))
    ):
        names = frozenset(each.anomaly for each in judged.seen)
        judged.proved = _allowing(levels, names, has_time=has_time)
        return judged
    judged.seen += lost_seen(registers, lost_updates(registers))
    derived = _views(registers, line, judged)
    known_ones = _known(registers, line, judged)
    before = tuple(
        np.concatenate((first, second[known_ones.kind == RW]))
        for first, second in zip(derived, (known_ones.source, known_ones.target), strict=True)
    )
    known = {each.edges for each in judged.seen if each.anomaly == "G-single-realtime"}
    stale = stale_seen(registers, stale_reads(registers))
    judged.seen += [each for each in stale if each.edges not in known]
    names = frozenset(each.anomaly for each in judged.seen)
    forms = ("", "strong session ", *(("strong ",) if has_time else ()))
    exact = {f"{form}{name}" for name in _EXACT for form in forms}
    exact |= {"read atomic", "strong session read atomic"}
    if is_tractable(registers):
        exact.add("causal consistency")
    proved = {name for name, forbids in levels.items() if name in exact and not forbids & names}
    # Strong sessions first; without them more may be proved of the plain levels.
    for has_sessions in (True, False):
        if any(not levels[name] & names for name in levels.keys() - exact - proved):
            candidate = line_up(registers, (before[0], before[1]), has_sessions=has_sessions)
            proved |= _proved(
                registers, candidate, levels, names, proved, has_sessions=has_sessions
            )
    judged.proved = frozenset(proved)
    judged.reason = _reason(registers)
    return judged


def _reason(registers: Registers) -> str:
    if not is_tractable(registers):
        return (
            f"{registers.session_count} sessions of {len(registers.history)} transactions are too "
            "many for causal consistency; the order of versions is not known"
        )
    return (
        "the order in which versions of registers replaced each other is not known; what is known "
        "contradicts nothing, and the order in which transactions ended proves nothing"
    )


def _allowing(
    levels: dict[str, frozenset[str]], names: Set[str], *, has_time: bool
) -> frozenset[str]:
    return frozenset(
        name
        for name, forbids in levels.items()
        if not forbids & names
        and (has_time or not any(each.endswith("-realtime") for each in forbids))
    )


def _views(registers: Registers, line: Line, judged: Judged) -> tuple[_Int32s, _Int32s]:
    """Add what contradicts the views; return sources and targets of what follows from them."""
    reads = reads_edges(registers)
    reach = atomic_reach(registers, line)
    _note(line, reach, reads.source, reads.target)
    after = np.flatnonzero(registers.before >= 0)
    _note(line, reach, registers.before[after], after)
    causality, causal = None, None
    if is_tractable(registers):
        causality = Causality(registers, line)
        causal = causality.derived()
        _note(line, reach, *_inner(registers, causal))
    windows = _windows(registers, line, reach)
    parts = [atomic(registers, line, windows)] + ([causal] if causal is not None else [])
    derived = Derived(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("source", "target", "read", "rule")
        }
    )
    is_first = derived.target == len(registers.history)
    first = derived.where(is_first)
    inner = derived.where(~is_first)
    inner = inner.where(windows.hold(inner.source, inner.target))
    paths = Paths(registers, causality)
    judged.seen += of_the_first(registers, first, paths)
    if not windows.count:
        broken = first.read
    else:
        orders = _orders(registers, windows)
        story = view_cycles(
            registers, reads.where(windows.hold(reads.source, reads.target)), inner, orders
        )
        judged.seen += story.seen
        is_cyclic = (story.causal[inner.source] >= 0) & (
            story.causal[inner.source] == story.causal[inner.target]
        )
        broken = np.concatenate((first.read, inner.read[is_cyclic]))
    names = {each.anomaly for each in judged.seen}
    if "G1c" in names:
        judged.seen += cyclic_versions(registers)
    if causality is not None:
        wanted = np.unique(broken)
        found = causality.guarantees(wanted)
        is_dirty = bool(names & _DIRTY)
        judged.seen += promised(registers, wanted.tolist(), found, paths, is_dirty=is_dirty)
    kept = inner.rule <= 1
    return inner.source[kept], inner.target[kept]


def _inner(registers: Registers, derived: Derived) -> tuple[_Int32s, _Int32s]:
    keep = derived.target < len(registers.history)
    return derived.source[keep], derived.target[keep]


def _windows(registers: Registers, line: Line, reach: _Int32s) -> Windows:
    """Return the windows of edges; one of all where the order of time goes back too."""
    if registers.history.clock is not Timescale.SESSION and not line.keeps_time(registers):
        reach[:1] = len(reach) - 1
    return windows_of(line, reach)


def _note(line: Line, reach: _Int32s, source: _Integers, target: _Integers) -> None:
    """Note how far edges go back."""
    first, second = line.rank[source], line.rank[target]
    back = first > second
    np.maximum.at(reach, second[back], first[back])


def _orders(registers: Registers, windows: Windows) -> Orders:
    return orders_of(
        registers.history,
        frozen((registers.counts & (windows.of >= 0)).view(np.uint8)),
        registers.kernels,
    )


def _with_orders(registers: Registers, edges: Edges, windows: Windows) -> tuple[list[Edges], int]:
    """Return edges, and those of the orders of sessions and of time; and how many nodes."""
    orders = _orders(registers, windows)
    nodes = len(registers.history) + orders.moments
    return [edges, *order_edges(orders, np.zeros(nodes, dtype=np.int32))], nodes


def _cycles(
    registers: Registers, parts: list[Edges], nodes: int, label: _Int32s | None = None
) -> Found:
    return find_cycles(
        parts,
        nodes,
        transactions=len(registers.history),
        kernels=registers.kernels,
        label=label,
    )


def _cycles_in_turns(registers: Registers, parts: list[Edges], nodes: int) -> Iterator[Found]:
    """Yield the cycles of small components, then those of larger ones."""
    ends = [np.concatenate([getattr(part, end) for part in parts]) for end in ("source", "target")]
    label = components(ends[0], ends[1], nodes, registers.kernels)
    inner = label[ends[0]]
    sizes = np.bincount(inner[(inner >= 0) & (inner == label[ends[1]])])
    del ends, inner
    order = np.argsort(sizes, kind="stable")
    # Each turn has some times the edges of all before it.
    turn = np.empty(len(sizes), dtype=np.int64)
    turn[order] = np.log2(1 + np.cumsum(sizes[order]) / _FIRST_TURN).astype(np.int64) // _LARGER
    for each in np.unique(turn).tolist():
        own = label.copy()
        own[label >= 0] = np.where(turn[label[label >= 0]] == each, label[label >= 0], -1)
        some = [
            part.where((own[part.source] >= 0) & (own[part.source] == own[part.target]))
            for part in parts
        ]
        yield _cycles(registers, some, nodes, own)


def _known(registers: Registers, line: Line, judged: Judged) -> Edges:
    """Add what known orders of versions show; return their edges that can be in a cycle."""
    written = Overwrites(registers)
    windows = _windows(registers, line, written.reach(line))
    edges = written.edges(windows)
    if not windows.count:
        return edges
    found = _cycles(registers, *_with_orders(registers, edges, windows))
    # Those without rw are those of the views.
    kept = [each for each in found.cycles if not each.anomaly.startswith(("G0", "G1c"))]
    judged.seen += known_seen(registers, kept)
    return edges


def _proved(
    registers: Registers,
    line: Line,
    levels: dict[str, frozenset[str]],
    seen: frozenset[str],
    proved: Set[str],
    *,
    has_sessions: bool,
) -> frozenset[str]:
    """Return the levels that this order proves, or one that is made from it.

    Args:
        registers: The history.
        line: The order.
        levels: The anomalies that each level forbids.
        seen: Those that are known.
        proved: Levels that are proved already.
        has_sessions: Whether the order is to keep those of sessions.
    """
    has_time = registers.history.clock is not Timescale.SESSION
    serial = schedule(registers, line, has_sessions=has_sessions)
    if serial is not None:
        is_timely = has_time and has_sessions and serial.keeps_time(registers)
        return frozenset(
            name
            for name in _allowing(levels, seen, has_time=is_timely)
            if has_sessions or not any(each.endswith("-process") for each in levels[name])
        )
    edges = edges_of_order(registers, line)
    reach = order_reach(registers, line, edges)
    windows = _windows(registers, line, reach)
    names = set(seen)
    if windows.count:
        edges = edges.where(windows.hold(edges.source, edges.target))
        for found in _cycles_in_turns(registers, *_with_orders(registers, edges, windows)):
            for name in {*(each.anomaly for each in found.cycles), *found.undecided}:
                names |= {name, *_perhaps(name)}
            # What is left to prove is most often ruled out by the first of very many cycles.
            if _allowing(levels, names, has_time=has_time) <= proved:
                break
    return _allowing(levels, names, has_time=has_time)


def _perhaps(name: str) -> set[str]:
    """Return what else a cycle of one order of versions may be; of another it may be nothing."""
    begin, _, order = name.rpartition("-")
    begin, order = (begin, f"-{order}") if order in ("process", "realtime") else (name, "")
    if begin not in ("G0", "G1c", "G-single"):
        return set()
    sessions = {*GUARANTEES, "causality-violation"}
    return {f"OTV{order}", f"fractured-read{order}", "lost-update"} | sessions
