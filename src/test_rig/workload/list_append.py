"""List-append and read-write register: transactions of random reads and writes of random keys.

What such a history shows is for the checker to say: it infers the order of the versions of a key
(from the lists that were read, where writes append) and looks for cycles of every kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.workload.keys import RotatingKeys
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Plan, Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["ListAppend", "Register"]

#: Keys are spread over so many tables.
_TABLES = 2


class _Generator:
    def __init__(self, plan: Plan, random: Random, write: str) -> None:
        self._random, self._write, self._most = random, write, plan.ops
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


class _Random:
    """What both have in common."""

    _write: str
    _prefix: str
    _type: str

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        del plan  # rows are made as they are written
        return [
            (f"CREATE TABLE {self._prefix}{n} (k INTEGER PRIMARY KEY, v {self._type})", ())
            for n in range(_TABLES)
        ]

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random, self._write)

    def perform(self, speech: Speech, request: Request) -> Any:
        return tuple(self._perform_one(speech, *op) for op in request.value)

    def _perform_one(self, speech: Speech, f: str, key: int, value: Any) -> tuple[str, int, Any]:
        table = f"{self._prefix}{key % _TABLES}"
        if f == "r":
            found = speech.one(f"SELECT v FROM {table} WHERE k = ?", key)  # noqa: S608 - ours
            return (f, key, self._read(found))
        speech.set(table, key, self._written(value), appends=f == "append")
        return (f, key, value)

    def _read(self, found: Any) -> Any:
        return found

    def _written(self, value: int) -> Any:
        return value


class ListAppend(_Random):
    """Appends to lists, which tell the order of all versions that were read."""

    name = "list-append"
    about = "random appends to and reads of lists; the checker looks for every kind of cycle"
    _write, _prefix, _type = "append", "lists", "TEXT"

    def _read(self, found: Any) -> tuple[int, ...]:
        return tuple(map(int, found.split(","))) if found else ()

    def _written(self, value: int) -> str:
        return str(value)


class Register(_Random):
    """Writes and reads of registers."""

    name = "rw-register"
    about = "random writes and reads of registers with values that never repeat"
    _write, _prefix, _type = "w", "registers", "INTEGER"
