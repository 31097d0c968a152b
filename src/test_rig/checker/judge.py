"""The verdict on a history: what it shows, and which levels that rules out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from test_rig.checker.append import adjacent, infer
from test_rig.checker.compiling import Kernels, frozen
from test_rig.checker.cycles import find_cycles
from test_rig.checker.graph import order_edges, orders_of
from test_rig.checker.model import of_model
from test_rig.checker.register import judge_registers
from test_rig.checker.sessions import broken_promises, named_cycles
from test_rig.checker.telling import MOST, marked_anomalies, seen_cycles
from test_rig.checker.witness import Seen
from test_rig.history import History, Timescale
from test_rig.isolation import (
    Level,
    history_levels,
    level_named,
    strongest_standing,
    weakest_broken,
)
from test_rig.verdict import Verdict

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a history comes to."""

    transactions: int
    #: At most some thousands of each anomaly without a cycle.
    seen: tuple[Seen, ...]
    #: Classes of cycles of which none was found, nor known not to be there, in bounded time.
    undecided: tuple[str, ...]
    weakest_broken: tuple[str, ...]
    #: None of no transactions, which say nothing.
    strongest_standing: tuple[str, ...]
    #: The level that was asked for, and what is to be said of it.
    level: str | None
    verdict: Verdict
    model: str = "list-append"
    #: Levels that are neither contradicted nor proved, and why not.
    unknown_levels: tuple[str, ...] = ()
    reason: str | None = None
    #: Whether the history was read from a file without its end: more may have followed.
    is_cut: bool = False


def check(history: History, *, level: str | None = None, model: str | None = None) -> Checked:
    """Judge a history of lists or of registers.

    Args:
        history: The history.
        level: The level to hold it against, in any case, with blanks or hyphens; without one any
            anomaly makes it invalid.
        model: "list-append" or "rw-register"; the history tells where it is of one only.

    Raises:
        HistoryError: It is not well formed.
        UsageError: It is not of that model, or there is no such level.
    """
    model, history = of_model(history, model)
    levels = history_levels(model)
    if level is not None:
        level = level_named(level, levels)
    judge = _judge_registers if model == "rw-register" else _judge_lists
    found = replace(judge(history, level, levels), is_cut=history.is_cut)
    return found if len(history) else replace(found, strongest_standing=())


def _judge_lists(history: History, level: str | None, levels: dict[str, frozenset[str]]) -> Checked:
    kernels = Kernels(history.mop_count + len(history.element))
    shown = infer(history, kernels)
    orders = orders_of(history, frozen(shown.counts), kernels)
    edges, label = adjacent(shown, orders, kernels)
    parts = iter([*edges, *order_edges(orders, label)])
    marked = tuple(marked_anomalies(history, shown))
    shown.index = np.zeros(0, np.int32)
    del edges, orders  # where all are on cycles they are most of the memory
    found = find_cycles(parts, len(label), transactions=len(history), kernels=kernels, label=label)
    cycles = tuple(seen_cycles(history, found.cycles))
    seen = (
        *marked,
        *broken_promises(history, shown, label, kernels, most=MOST),
        *named_cycles(cycles),
        *cycles,
    )
    names = {each.anomaly for each in seen}
    has_realtime = history.clock is not Timescale.SESSION
    is_bad = bool(names if level is None else names & levels[level])
    verdict = Verdict.INVALID if is_bad else Verdict.VALID
    needs_time = level is not None and any(each.endswith("-realtime") for each in levels[level])
    may_be = bool(found.undecided if level is None else levels[level] & set(found.undecided))
    if not is_bad and (not len(history) or may_be or (needs_time and not has_realtime)):
        verdict = Verdict.UNKNOWN
    return Checked(
        transactions=len(history),
        seen=seen,
        undecided=found.undecided,
        weakest_broken=weakest_broken(names),
        strongest_standing=strongest_standing(names, has_realtime=has_realtime),
        level=level,
        verdict=verdict,
    )


def _judge_registers(
    history: History, level: str | None, levels: dict[str, frozenset[str]]
) -> Checked:
    judged = judge_registers(history)
    names = {each.anomaly for each in judged.seen}
    has_realtime = history.clock is not Timescale.SESSION
    is_bad = bool(names if level is None else names & levels[level])
    wanted = Level.SERIALIZABLE.value if level is None else level
    verdict = Verdict.INVALID if is_bad else Verdict.VALID
    if not is_bad and (not len(history) or wanted not in judged.proved):
        verdict = Verdict.UNKNOWN
    unknown = tuple(
        name for name in levels if name not in judged.proved and not levels[name] & names
    )
    return Checked(
        transactions=len(history),
        seen=tuple(judged.seen),
        undecided=(),
        weakest_broken=weakest_broken(names, model="rw-register"),
        strongest_standing=strongest_standing(
            names, has_realtime=has_realtime, model="rw-register"
        ),
        level=level,
        verdict=verdict,
        model="rw-register",
        unknown_levels=unknown,
        reason=judged.reason if unknown else None,
    )
