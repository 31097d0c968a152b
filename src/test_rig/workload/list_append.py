"""List-append: transactions of random appends to lists, and reads of them.

A list that was read tells the order of all appends to it, so that nearly every dependency between
transactions is known, and every kind of cycle can be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.keys import RotatingKeys
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Plan, Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["ListAppend", "RandomMops"]

#: Keys are spread over so many tables.
_TABLES = 2


class RandomMops:
    """Transactions of random reads and writes of keys that are left after a while.

    Args:
        plan: How many keys, how many operations at most.
        random: Where chance comes from.
        write: What a write is called.
    """

    def __init__(self, plan: Plan, random: Random, write: str) -> None:
        self._random, self._most, self._write = random, plan.ops, write
        self._keys = RotatingKeys(
            random,
            count=plan.keys,
            writes_per_key=plan.writes_per_key,
            rest=4 * plan.clients * plan.ops,
        )

    def request(self) -> Request:
        left = self._keys.left()
        if left is not None:
            return Request("txn", (("r", left, None),))
        count = self._random.randint(1, self._most)
        return Request("txn", tuple(self._op() for _ in range(count)))

    def _op(self) -> tuple[str, int, int | None]:
        key = self._keys.choose()
        if self._random.random() < 0.5:
            return ("r", key, None)
        return (self._write, key, self._keys.value(key))

    def final(self) -> Sequence[Request]:
        return [Request("txn", (("r", key, None),)) for key in self._keys.in_use]


class ListAppend:
    """Appends to lists, which tell the order of all versions that were read."""

    name = "list-append"
    about = "random appends to and reads of lists: dirty reads, lost updates, cycles of every kind"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return [
            (f"CREATE TABLE lists{number} (k INTEGER PRIMARY KEY, v TEXT)", ())
            for number in range(_TABLES)
        ]

    def generator(self, plan: Plan, random: Random) -> RandomMops:
        return RandomMops(plan, random, "append")

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge(self.name)

    def perform(self, speech: Speech, request: Request) -> Any:
        return tuple(_perform_one(speech, *op) for op in request.value)


def _perform_one(speech: Speech, f: str, key: int, value: int | None) -> tuple[str, int, Any]:
    table = f"lists{key % _TABLES}"
    if f == "append":
        speech.set(table, key, str(value), appends=True)
        return (f, key, value)
    found = speech.one(f"SELECT v FROM {table} WHERE k = ?", key)  # noqa: S608 - our names
    return (f, key, tuple(map(int, found.split(","))) if found else ())
