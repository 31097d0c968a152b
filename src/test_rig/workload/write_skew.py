"""Write skew: of two transactions that may each act only if neither has, one at most may act.

By item: two rows hold the round in which each was last claimed; whoever finds both below a round
claims its own row for it. By predicate: whoever finds no row of a group inserts one. In any serial
order the second of the two finds what the first one did.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from test_rig.history import Mop, OpType
from test_rig.workload.evidence import witness_of_registers
from test_rig.workload.flaws import PHANTOM_SKEW, Evidence, Ledger, Recent
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown

if TYPE_CHECKING:
    from random import Random

__all__ = ["PredicateSkew", "WriteSkew"]

_READ = "SELECT v FROM skew WHERE k = ?"
_CLAIM = "UPDATE skew SET v = ? WHERE k = ?"
_COUNT = "SELECT count(*) FROM calls WHERE g = ?"
_INSERT = "INSERT INTO calls (g, side) VALUES (?, ?)"


class _Generator:
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


class WriteSkew:
    """Each of two rows may be claimed only while neither is."""

    name = "write-skew"
    about = "of two transactions that read both rows one at most may write its own (G2-item)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        return (
            ("CREATE TABLE skew (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),
            *(("INSERT INTO skew (k, v) VALUES (?, 0)", (k,)) for k in range(2 * plan.keys)),
        )

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan.keys, random)

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge("rw-register", mops=_claims)

    def perform(self, speech: Speech, request: Request) -> Any:
        pair, turn, side = request.value
        claimed = tuple(speech.one(_READ, 2 * pair + each) for each in (0, 1))
        if _is_free(claimed, turn):
            speech.run(_CLAIM, turn, 2 * pair + side)
        return claimed


class PredicateSkew:
    """A row may be inserted only while there is none of its group."""

    name = "write-skew-predicate"
    about = "of two transactions that find a group empty one at most may fill it (G2)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        table = "CREATE TABLE calls (g INTEGER, side INTEGER, PRIMARY KEY (g, side))"
        return ((table, ()),)

    def generator(self, plan: Plan, random: Random) -> _Generator:
        del plan  # every turn is of a new group
        return _Generator(1, random)

    def judge(self, plan: Plan) -> _PhantomJudge:
        del plan
        return _PhantomJudge()

    def perform(self, speech: Speech, request: Request) -> Any:
        _, group, side = request.value
        is_free = not speech.one(_COUNT, group)
        if is_free:
            speech.run(_INSERT, group, side)
        return is_free
