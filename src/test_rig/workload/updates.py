"""Lost update and internal: what one transaction may expect of the rows that it reads and writes.

Every written value is new, so that a value read names its writer. Of two committed transactions
that read the same value of a row and both wrote the row, one has overwritten the other unseen. And
a transaction that reads a row again must find the same value, or after its own write that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.history import OpType
from test_rig.workload.flaws import (
    ABORTED_READ,
    LOST_UPDATE,
    OWN_WRITE,
    UNREPEATABLE,
    Ledger,
    Recent,
)
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown

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


class _Beside:
    """Counts transactions that overlapped another on the same row; refused ones too."""

    def __init__(self) -> None:
        self.all = self.count = 0
        self._last: dict[int, int] = {}

    def feed(self, key: int, done: Done) -> None:
        self.all += 1
        self.count += self._last.get(key, -1) > done.start_ns
        self._last[key] = done.end_ns

    def told(self) -> tuple[tuple[str, int], ...]:
        return (("transactions", self.all), ("overlapping on one row", self.count))


class _UpdateJudge:
    def __init__(self) -> None:
        self._ledger, self._beside = Ledger(), _Beside()
        #: By the value that was read: who read it and wrote over it.
        self._readers: Recent[int | tuple[int, int], list[Done]] = Recent(list, most=65536)
        self._failed: Recent[int, list[bool]] = Recent(lambda: [False], most=65536)

    def feed(self, done: Done) -> None:
        key, new = done.request.value
        if done.type is OpType.FAIL:
            self._failed[new][0] = True
            if self._readers[key, new]:
                self._dirty(key, new)
        self._beside.feed(key, done)
        if done.type is not OpType.OK:
            return
        old = done.value
        if old and self._failed[old][0]:
            self._dirty(key, old)
        readers = self._readers[key, old]
        if readers:
            other = readers[0]
            self._ledger.add(
                LOST_UPDATE,
                lambda: (
                    f"processes {other.process} and {done.process} both read {old} of row "
                    f"{key}; they wrote {other.request.value[1]} and {new}, so one is lost"
                ),
            )
        readers.append(done)

    def _dirty(self, key: int, value: int) -> None:
        self._ledger.add(
            ABORTED_READ, lambda: f"{value} of row {key} was read, and its writer had failed"
        )

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return self._beside.told()


class _InternalJudge:
    def __init__(self) -> None:
        self._ledger, self._beside = Ledger(), _Beside()

    def feed(self, done: Done) -> None:
        key, new = done.request.value
        self._beside.feed(key, done)
        if done.type is not OpType.OK:
            return
        first, again, own = done.value
        who = f"process {done.process}"
        if first != again:
            self._ledger.add(
                UNREPEATABLE, lambda: f"{who} read {first} and then {again} of row {key}"
            )
        if own != new:
            self._ledger.add(OWN_WRITE, lambda: f"{who} wrote {new} to row {key} and read {own}")

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return self._beside.told()


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

    def judge(self, plan: Plan) -> _UpdateJudge:
        del plan
        return _UpdateJudge()

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

    def judge(self, plan: Plan) -> _InternalJudge:
        del plan
        return _InternalJudge()

    def perform(self, speech: Speech, request: Request) -> Any:
        key, new = request.value
        first, again = speech.one(_READ, key), speech.one(_READ, key)
        speech.run(_WRITE, new, key)
        return (first, again, speech.one(_READ, key))
