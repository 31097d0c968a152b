"""Long fork: two writes of different rows, and reads that must agree which of them came first.

The rows of a group are written once each, by different transactions. A read that finds the first
row alone and a read that finds the second one alone contradict each other. The rows are registers,
and the checker of histories judges them: a long fork is a G-nonadjacent there.
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

__all__ = ["LongFork"]

_READ = "SELECT v FROM fork WHERE k = ?"
_INSERT = "INSERT INTO fork (k, v) VALUES (?, 1)"
#: So many reads belong to a group.
_READS = 6


class _Generator:
    def __init__(self, random: Random) -> None:
        self._random, self._group = random, 0
        self._waiting: list[Request] = []

    def request(self) -> Request:
        if not self._waiting:
            # Two groups at a time: their requests mix, and no group is over too soon.
            self._waiting = self._requests(self._group) + self._requests(self._group + 1)
            self._group += 2
            self._random.shuffle(self._waiting)
        return self._waiting.pop()

    @staticmethod
    def _requests(group: int) -> list[Request]:
        keys = (2 * group, 2 * group + 1)
        return [Request("write", key) for key in keys] + [Request("read", keys)] * _READS

    def final(self) -> Sequence[Request]:
        return ()


def _mops(done: Done) -> Sequence[Mop]:
    if done.request.f == "write":
        return (("w", done.request.value, 1),)
    found = done.value if done.type is OpType.OK else (None, None)
    return tuple(("r", key, value) for key, value in zip(done.request.value, found, strict=True))


class LongFork:
    """Two writes, and readers who must agree on their order."""

    name = "long-fork"
    about = "writes of two rows; all reads must agree which came first (G-nonadjacent)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return (("CREATE TABLE fork (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),)

    def generator(self, plan: Plan, random: Random) -> _Generator:
        del plan
        return _Generator(random)

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge("rw-register", mops=_mops)

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "write":
            speech.run(_INSERT, request.value)
            return request.value
        return tuple(speech.one(_READ, key) for key in request.value)
