"""Registers: transactions of random writes of registers, and reads of them.

Every value is written once, so that a value that was read names its writer. The order of a
register's versions is not told by reading it: the checker concludes what is known of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.list_append import RandomMops
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Plan, Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["Register"]

_TABLES = 2


class Register:
    """Writes and reads of registers."""

    name = "rw-register"
    about = "random writes and reads of registers: dirty reads, lost updates, known cycles"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return [
            (f"CREATE TABLE registers{number} (k INTEGER PRIMARY KEY, v INTEGER)", ())
            for number in range(_TABLES)
        ]

    def generator(self, plan: Plan, random: Random) -> RandomMops:
        return RandomMops(plan, random, "w")

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge(self.name)

    def perform(self, speech: Speech, request: Request) -> Any:
        return tuple(_perform_one(speech, *op) for op in request.value)


def _perform_one(speech: Speech, f: str, key: int, value: int | None) -> tuple[str, int, Any]:
    table = f"registers{key % _TABLES}"
    if f == "r":
        return (f, key, speech.one(f"SELECT v FROM {table} WHERE k = ?", key))  # noqa: S608 - ours
    speech.set(table, key, value)
    return (f, key, value)
