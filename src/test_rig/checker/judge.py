"""The verdict on a history of lists: what it shows, and which levels that rules out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from test_rig.checker.append import edge_of, infer
from test_rig.checker.cycles import Step, find_cycles
from test_rig.checker.graph import PROCESS, REALTIME, RW, WR, WW, order_edges
from test_rig.checker.witness import Edge, EdgeKind, Seen, told
from test_rig.errors import UnknownName, UsageError
from test_rig.history import History, Timescale, models, validate
from test_rig.isolation import history_levels, strongest_standing, weakest_broken
from test_rig.verdict import Verdict

__all__ = ["Checked", "check"]

_KINDS = {
    WW: EdgeKind.WW,
    WR: EdgeKind.WR,
    RW: EdgeKind.RW,
    PROCESS: EdgeKind.PROCESS,
    REALTIME: EdgeKind.REALTIME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a history comes to."""

    transactions: int
    seen: tuple[Seen, ...]
    weakest_broken: tuple[str, ...]
    strongest_standing: tuple[str, ...]
    #: The level that was asked for, and what is to be said of it.
    level: str | None
    verdict: Verdict


def check(history: History, *, level: str | None = None) -> Checked:
    """Judge a history of lists.

    Args:
        history: The history.
        level: The level to hold it against; without one any anomaly makes it invalid.

    Raises:
        HistoryError: It is not well formed.
        UsageError: It holds registers, or there is no such level.
    """
    levels = history_levels()
    if level is not None and level not in levels:
        raise UnknownName("level", level, list(levels))
    if "rw-register" in models(history):
        raise UsageError("the history holds registers; only lists can be judged")
    validate(history)
    shown = infer(history)
    process, realtime, count = order_edges(history, np.array(shown.counts, dtype=bool))
    cycles = find_cycles(shown.columns(), process, realtime, count)
    seen = [*shown.anomalies, *(_cycle(history, name, steps) for name, steps in cycles)]
    names = {each.anomaly for each in seen}
    has_realtime = history.clock is not Timescale.SESSION
    is_bad = bool(names if level is None else names & levels[level])
    verdict = Verdict.INVALID if is_bad else Verdict.VALID
    needs_time = level is not None and any(each.endswith("-realtime") for each in levels[level])
    if not is_bad and (not len(history) or (needs_time and not has_realtime)):
        verdict = Verdict.UNKNOWN
    return Checked(
        transactions=len(history),
        seen=tuple(seen),
        weakest_broken=weakest_broken(names),
        strongest_standing=strongest_standing(names, has_realtime=has_realtime),
        level=level,
        verdict=verdict,
    )


def _cycle(history: History, name: str, steps: Sequence[Step]) -> Seen:
    """Return a cycle, without its nodes of real time."""
    shift = next(place for place, step in enumerate(steps) if step[0] < len(history))
    edges: list[Edge] = []
    begun = -1
    for source, target, kind, first, second in [*steps[shift:], *steps[:shift]]:
        begun = source if source < len(history) else begun
        if target < len(history):
            edges.append(edge_of(history, (begun, target), _KINDS[kind], (first, second)))
    return Seen(
        anomaly=name,
        transactions=tuple(edge.source for edge in edges),
        why=told(edges),
        edges=tuple(edges),
        mops=tuple(
            mop for edge in edges for mop in (edge.first_mop, edge.second_mop) if mop is not None
        ),
    )
