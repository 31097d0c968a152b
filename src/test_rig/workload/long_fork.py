"""Long fork: two writes of different rows, and reads that must agree which of them came first.

The rows of a group are written once each, by different transactions. A read that finds the first
row alone and a read that finds the second one alone contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.history import OpType
from test_rig.workload.flaws import LONG_FORK, Ledger, Recent
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown

if TYPE_CHECKING:
    from random import Random

__all__ = ["LongFork"]

_READ = "SELECT v FROM fork WHERE k = ?"
_INSERT = "INSERT INTO fork (k, v) VALUES (?, 1)"
_FIRST, _SECOND = (1, None), (None, 1)
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


class _Judge:
    def __init__(self) -> None:
        self._ledger = Ledger()
        #: By group: who saw the first row alone, and who the second one alone.
        self._alone: Recent[int, dict[tuple[Any, ...], Done]] = Recent(dict)
        self._partial = self._reads = 0

    def feed(self, done: Done) -> None:
        if done.type is not OpType.OK or done.request.f != "read":
            return
        self._reads += 1
        if done.value not in (_FIRST, _SECOND):
            return
        self._partial += 1
        first, second = done.request.value
        alone = self._alone[first // 2]
        other = alone.get(done.value[::-1])
        if other is not None:
            self._ledger.add(
                LONG_FORK,
                lambda: (
                    f"of the rows {first} and {second} process {other.process} saw only "
                    f"{_seen(other)} and process {done.process} only {_seen(done)}"
                ),
            )
        alone.setdefault(done.value, done)

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (("reads", self._reads), ("reads between two writes", self._partial))


def _seen(done: Done) -> int:
    first, second = done.request.value
    return int(first if done.value == _FIRST else second)


class LongFork:
    """Two writes, and readers who must agree on their order."""

    name = "long-fork"
    about = "writes of two rows; all reads must agree which came first (long fork)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return (("CREATE TABLE fork (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),)

    def generator(self, plan: Plan, random: Random) -> _Generator:
        del plan
        return _Generator(random)

    def judge(self, plan: Plan) -> _Judge:
        del plan
        return _Judge()

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "write":
            speech.run(_INSERT, request.value)
            return request.value
        return tuple(speech.one(_READ, key) for key in request.value)
