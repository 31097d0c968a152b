"""The verdict on a history of lists: what it shows, and which levels that rules out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from test_rig.checker.append import infer
from test_rig.checker.cycles import Step, find_cycles
from test_rig.checker.graph import PROCESS, REALTIME, RW, WR, WW, order_edges
from test_rig.errors import UnknownName, UsageError
from test_rig.history import History, Timescale, models, validate
from test_rig.isolation import history_levels, strongest_standing, weakest_broken
from test_rig.verdict import Verdict

__all__ = ["Checked", "Seen", "check"]

_KINDS = {WW: "ww", WR: "wr", RW: "rw", PROCESS: "process", REALTIME: "realtime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One anomaly that the history shows."""

    anomaly: str
    #: Places in the history; those of a cycle in its order.
    transactions: tuple[int, ...]
    #: Who read what of whom, and why the order follows.
    why: tuple[str, ...]


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
    seen = [Seen(anomaly=a, transactions=t, why=(why,)) for a, t, why in shown.anomalies]
    seen += [
        Seen(anomaly=name, transactions=_members(steps, len(history)), why=_told(history, steps))
        for name, steps in find_cycles(shown.columns(), process, realtime, count)
    ]
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


def _members(steps: Sequence[Step], count: int) -> tuple[int, ...]:
    return tuple(step[0] for step in steps if step[0] < count)


def _told(history: History, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return why each transaction of a cycle precedes the next one."""
    shift = next(place for place, step in enumerate(steps) if step[0] < len(history))
    lines: list[str] = []
    begun = -1
    for source, target, kind, first, second in [*steps[shift:], *steps[:shift]]:
        begun = source if source < len(history) else begun
        if target >= len(history):
            continue  # on the way through time
        before = f"T{begun} < T{target} ({_KINDS[kind]}):"
        if kind == PROCESS:
            lines.append(f"{before} the session of both did T{begun} first")
        elif kind == REALTIME:
            lines.append(f"{before} T{begun} had ended before T{target} began")
        else:
            lines.append(f"{before} {_reason(history, kind, (begun, target), (first, second))}")
    return tuple(lines)


def _reason(history: History, kind: int, pair: tuple[int, int], mops: tuple[int, int]) -> str:
    key = history.key_of(mops[0])
    first, second = int(history.value[mops[0]]), int(history.value[mops[1]])
    if kind == WW:
        return f"T{pair[1]} appended {second} to key {key} after T{pair[0]}'s {first}"
    if kind == WR:
        return f"T{pair[1]} read key {key} with {first}, which T{pair[0]} appended"
    return f"T{pair[0]} read key {key} without {second}, which T{pair[1]} appended"
