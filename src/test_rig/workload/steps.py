"""An order of statements that should bring a cycle about again.

How to think of it: each edge of the cycle says what has to come first. An anti-dependency: the read
before the append that it missed. A read or write dependency: the one transaction's COMMIT before
the other's read or append; where that cannot be (both read what the other wrote), its append. What
the transactions did with other keys is left out. An order of all steps that respects this, and
each transaction's own order, is the script; where there is none, only chance shows it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from test_rig.verdict import WitnessStep
from test_rig.workload.dependencies import RW, Edge, Edges, Txn

__all__ = ["steps_of"]

#: More transactions are hard to bring about, and to read.
_MOST = 4
#: A step of a transaction: its place in the cycle, and the step's place in it.
_At = tuple[int, int]


def steps_of(txns: Sequence[Txn], cycle: Sequence[int], edges: Edges) -> tuple[WitnessStep, ...]:
    """Return the steps of the transactions of a cycle in an order that should show it again."""
    if len(cycle) > _MOST:
        return ()
    around = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    keys = {edges[pair].key for pair in around}
    scripts = [_script(number, txns[place], keys) for number, place in enumerate(cycle)]
    wanted = [edges[pair] for pair in around]
    for waits_for_commit in (True, False):
        order = _ordered(scripts, wanted, waits_for_commit=waits_for_commit)
        if order is not None:
            return tuple(scripts[txn][step] for txn, step in order)
    return ()


def _script(number: int, txn: Txn, keys: set[int]) -> list[WitnessStep]:
    steps = [WitnessStep(txn=number + 1, do="begin")]
    for f, key, value in txn.mops:
        if key in keys:
            element = value if isinstance(value, int) else None
            do = "append" if f == "append" else "read"
            steps.append(WitnessStep(txn=number + 1, do=do, key=key, element=element))
    return [*steps, WitnessStep(txn=number + 1, do="commit")]


def _ordered(
    scripts: Sequence[Sequence[WitnessStep]], wanted: Sequence[Edge], *, waits_for_commit: bool
) -> list[_At] | None:
    """Return an order, or None; `wanted` has the edge from each transaction to the next one."""
    sorter: TopologicalSorter[_At] = TopologicalSorter()
    for txn, script in enumerate(scripts):
        for step in range(1, len(script)):
            sorter.add((txn, step), (txn, step - 1))
    for txn, edge in enumerate(wanted):
        after = (txn + 1) % len(scripts)
        pair = _constraint(scripts, (txn, after), edge, waits_for_commit=waits_for_commit)
        if pair is None:
            return None
        sorter.add(pair[1], pair[0])
    try:
        return list(sorter.static_order())
    except CycleError:
        return None


def _constraint(
    scripts: Sequence[Sequence[WitnessStep]],
    pair: tuple[int, int],
    edge: Edge,
    *,
    waits_for_commit: bool,
) -> tuple[_At, _At] | None:
    """Return which step has to come before which one."""
    first, second = pair
    if edge.kind == RW:
        read = _find(scripts[first], "read", edge.key)
        missed = _find(scripts[second], "append", edge.key)
        return None if read is None or missed is None else ((first, read), (second, missed))
    cause = len(scripts[first]) - 1
    if not waits_for_commit:
        cause = _find(scripts[first], "append", edge.key, last=True) or cause
    # What was read or appended last of the key is what tells that the other came before.
    seen = [_find(scripts[second], do, edge.key, last=True) for do in ("read", "append")]
    effect = seen[0] if seen[0] is not None else seen[1]
    return None if effect is None else ((first, cause), (second, effect))


def _find(script: Sequence[WitnessStep], do: str, key: int, *, last: bool = False) -> int | None:
    places = [place for place, step in enumerate(script) if (step.do, step.key) == (do, key)]
    return None if not places else places[-1 if last else 0]
