"""Lost update and internal: what one transaction may expect of the rows that it reads and writes.

Every written value is new, so that a value read names its writer: these are registers, and the
checker of histories judges them. Of two committed transactions that read the same value of a row
and both wrote the row, one has overwritten the other unseen. And a transaction that reads a row
again must find the same value, or after its own write that one.
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

__all__ = ["Internal", "LostUpdate"]

_READ = "SELECT v FROM versions WHERE k = ?"
_WRITE = "UPDATE versions SET v = ? WHERE k = ?"


class _Generator:
    def __init__(self, plan: Plan, random: Random, f: str) -> None:
        self._keys, self._random, self._f, self._next = plan.keys, random, f, 0

    def request(self) -> Request:
        self._next += 1
        return Request(self._f, (self._random.randint(1, self._keys), self._next))

    def final(self) -> Sequence[Request]:
        return ()


def _update(done: Done) -> Sequence[Mop]:
    key, new = done.request.value
    old = done.value if done.type is OpType.OK else None
    # 0 is what was there before anybody wrote.
    return (("r", key, old or None), ("w", key, new))


def _look(done: Done) -> Sequence[Mop]:
    key, new = done.request.value
    first, again, own = done.value if done.type is OpType.OK else (None, None, None)
    return (
        ("r", key, first or None),
        ("r", key, again or None),
        ("w", key, new),
        ("r", key, own),
    )


class _Versions:
    """The table that both share."""

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        keys = range(1, plan.keys + 1)
        return (
            ("CREATE TABLE versions (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),
            *(("INSERT INTO versions (k, v) VALUES (?, 0)", (k,)) for k in keys),
        )


class LostUpdate(_Versions):
    """Read a row, then write it."""

    name = "lost-update"
    about = "rows are read and then written; no update may go unseen (lost update, G1a)"

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random, "update")

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge("rw-register", mops=_update)

    def perform(self, speech: Speech, request: Request) -> Any:
        key, new = request.value
        old = speech.one(_READ, key)
        speech.run(_WRITE, new, key)
        return old


class Internal(_Versions):
    """Read a row twice, write it, read it again."""

    name = "internal"
    about = "a transaction reads again what it read, and what it wrote (internal, G-single)"

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random, "look")

    def judge(self, plan: Plan) -> HistoryJudge:
        del plan
        return HistoryJudge("rw-register", mops=_look)

    def perform(self, speech: Speech, request: Request) -> Any:
        key, new = request.value
        first, again = speech.one(_READ, key), speech.one(_READ, key)
        speech.run(_WRITE, new, key)
        return (first, again, speech.one(_READ, key))
