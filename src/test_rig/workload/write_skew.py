"""Write skew: of two transactions that may each act only if neither has, one at most may act.

Two rows hold the round in which each was last claimed; whoever finds both below a round claims its
own row for it. In any serial order the second of the two finds what the first one did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.history import Mop, OpType
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["Sides", "WriteSkew"]

_READ = "SELECT v FROM skew WHERE k = ?"
_CLAIM = "UPDATE skew SET v = ? WHERE k = ?"


class Sides:
    """Both sides of a pair one after the other, so that two clients have them at once."""

    def __init__(self, pairs: int, random: Random) -> None:
        self._pairs, self._random, self._turn = pairs, random, 0
        self._waiting: list[Request] = []

    def request(self) -> Request:
        if not self._waiting:
            turn, pair = divmod(self._turn, self._pairs)
            self._turn += 1
            self._waiting = [Request("claim", (pair, turn + 1, side)) for side in (0, 1)]
            self._random.shuffle(self._waiting)
        return self._waiting.pop()

    def final(self) -> Sequence[Request]:
        return ()


def _claims(done: Done) -> Sequence[Mop]:
    """Return a claim as registers: each row is written once for a round, by one side."""
    pair, turn, side = done.request.value
    rows, write = (2 * pair, 2 * pair + 1), ("w", 2 * pair + side, turn)
    if done.type is not OpType.OK:
        return (*(("r", row, None) for row in rows), write)
    reads = tuple(("r", row, found or None) for row, found in zip(rows, done.value, strict=True))
    return (*reads, write) if _is_free(done.value, turn) else reads


def _is_free(claimed: Sequence[int], turn: int) -> bool:
    return max(claimed) < turn


class WriteSkew:
    """Each of two rows may be claimed only while neither is."""

    name = "write-skew"
    about = "of two transactions that read both rows one at most may write its own (G2-item)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        return (
            ("CREATE TABLE skew (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),
            *(("INSERT INTO skew (k, v) VALUES (?, 0)", (k,)) for k in range(2 * plan.keys)),
        )

    def generator(self, plan: Plan, random: Random) -> Sides:
        return Sides(plan.keys, random)

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge("rw-register", mops=_claims)

    def perform(self, speech: Speech, request: Request) -> Any:
        pair, turn, side = request.value
        claimed = tuple(speech.one(_READ, 2 * pair + each) for each in (0, 1))
        if _is_free(claimed, turn):
            speech.run(_CLAIM, turn, 2 * pair + side)
        return claimed
