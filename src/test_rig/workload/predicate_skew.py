"""Write skew by predicate: whoever finds no row of a group inserts one.

In any serial order the second of two transactions finds the row of the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from test_rig.history import Mop, OpType
from test_rig.workload.evidence import witness_of_registers
from test_rig.workload.flaws import PHANTOM_SKEW
from test_rig.workload.ledger import Evidence, Ledger, Recent
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown
from test_rig.workload.write_skew import Sides

if TYPE_CHECKING:
    from random import Random

__all__ = ["PredicateSkew"]

_COUNT = "SELECT count(*) FROM calls WHERE g = ?"
_INSERT = "INSERT INTO calls (g, side) VALUES (?, ?)"


def _both_found_none(one: Done, other: Done) -> Evidence:
    """Return what shows it of rows: each read both as not there, and wrote its own."""

    def mops(done: Done) -> Sequence[Mop]:
        _, group, side = done.request.value
        rows = (2 * group, 2 * group + 1)
        return (*(("r", row, None) for row in rows), ("w", rows[side], 1))

    deeds = [(one, mops(one)), (other, mops(other))]
    return lambda: witness_of_registers(deeds, ("G2-item",))


class _PhantomJudge:
    def __init__(self) -> None:
        self._ledger = Ledger()
        #: By pair and round: what has ended.
        self._ended: Recent[tuple[int, int], list[Done]] = Recent(list)
        self._pairs = self._overlapping = 0

    def feed(self, done: Done) -> None:
        pair, turn, _ = done.request.value
        ended = self._ended[pair, turn]
        for other in ended:
            self._pairs += 1
            # Refused ones count: that is how a level keeps its promise.
            self._overlapping += other.end_ns > done.start_ns
            if _has_claimed(other) and _has_claimed(done):
                self._ledger.add(
                    PHANTOM_SKEW,
                    lambda other=other: (
                        f"processes {other.process} and {done.process} both "  # type: ignore[misc]  # bound now, called at once
                        f"claimed round {turn} of pair {pair}, and each had found it free"
                    ),
                    evidence=partial(_both_found_none, other, done),
                )
        ended.append(done)

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (("pairs", self._pairs), ("pairs that overlapped", self._overlapping))


def _has_claimed(done: Done) -> bool:
    return done.type is OpType.OK and bool(done.value)


class PredicateSkew:
    """A row may be inserted only while there is none of its group."""

    name = "write-skew-predicate"
    about = "of two transactions that find a group empty one at most may fill it (G2)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        table = "CREATE TABLE calls (g INTEGER, side INTEGER, PRIMARY KEY (g, side))"
        return ((table, ()),)

    def generator(self, plan: Plan, random: Random) -> Sides:
        del plan  # every turn is of a new group
        return Sides(1, random)

    def judge(self, plan: Plan) -> _PhantomJudge:
        del plan
        return _PhantomJudge()

    def perform(self, speech: Speech, request: Request) -> Any:
        _, group, side = request.value
        is_free = not speech.one(_COUNT, group)
        if is_free:
            speech.run(_INSERT, group, side)
        return is_free
