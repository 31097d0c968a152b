"""Set: elements are added, and whoever reads later must find them.

A set is left for a new one after a while and read a last time when nobody adds to it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.workload.keys import RotatingKeys
from test_rig.workload.set_judge import SetJudge
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Plan, Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["Sets"]

_READ = "SELECT k FROM elements WHERE g = ? ORDER BY k"
_ADD = "INSERT INTO elements (k, g) VALUES (?, ?)"


class _Generator:
    def __init__(self, plan: Plan, random: Random) -> None:
        self._random, self._next = random, 0
        self._sets = RotatingKeys(
            random,
            count=max(1, plan.keys // 4),
            writes_per_key=plan.writes_per_key,
            rest=4 * plan.clients,
        )

    def request(self) -> Request:
        left = self._sets.left()
        if left is not None:
            return Request("read-last", left)
        group = self._sets.choose()
        if self._random.random() < 0.5:
            return Request("read", group)
        self._sets.value(group)
        self._next += 1
        return Request("add", (group, self._next))

    def final(self) -> Sequence[Request]:
        return [Request("read-last", group) for group in self._sets.in_use]


class Sets:
    """Elements added, and found again."""

    name = "set"
    about = "elements are added and must be found again (lost and stale elements, G1a)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return (
            ("CREATE TABLE elements (k INTEGER PRIMARY KEY, g INTEGER NOT NULL)", ()),
            ("CREATE INDEX elements_by_set ON elements (g)", ()),
        )

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random)

    def judge(self, plan: Plan) -> SetJudge:
        del plan
        return SetJudge()

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "add":
            group, element = request.value
            speech.run(_ADD, element, group)
            return request.value
        return tuple(row[0] for row in speech.rows(_READ, request.value))
