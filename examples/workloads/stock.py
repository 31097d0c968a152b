"""A workload of one's own: many clients take from one stock, which must never be negative.

test-rig workload run examples/workloads/stock.py --url sqlite:// --time 2
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from test_rig.history import OpType
from test_rig.isolation import Anomaly, Level
from test_rig.workload import Done, Flaw, Plan, Request, Shown, Speech

#: The levels that promise that no update is lost.
CAREFUL = frozenset(level for level in Level if Anomaly.P4 in level.info.forbids)
OVERSOLD = Flaw("lost update", "sold what somebody else had sold", CAREFUL)
_ITEMS, _PIECES = 200, 3


class Stock:
    """Reads how many pieces there are, and takes one if there is one."""

    name = "stock"
    about = "pieces of an item are sold if there are any: none is sold twice"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        """Return what makes the tables."""
        del plan
        rows = [("INSERT INTO stock (k, v) VALUES (?, ?)", (key, _PIECES)) for key in range(_ITEMS)]
        return [("CREATE TABLE stock (k INTEGER PRIMARY KEY, v INTEGER)", ()), *rows]

    def generator(self, plan: Plan, random: Random) -> Buyers:
        """Return who says what to ask next."""
        del plan
        return Buyers(random)

    def perform(self, speech: Speech, request: Request) -> bool:
        """Sell one piece within the open transaction; say whether there was one."""
        left = speech.one("SELECT v FROM stock WHERE k = ?", request.value)
        if left > 0:
            speech.run("UPDATE stock SET v = ? WHERE k = ?", left - 1, request.value)
        return bool(left > 0)

    def judge(self, plan: Plan) -> Sales:
        """Return who looks at what was done."""
        del plan
        return Sales()


class Buyers:
    """Asks for one item after the other, each often enough to be sold out."""

    def __init__(self, random: Random) -> None:
        self._random, self._asked = random, 0

    def request(self) -> Request:
        """Return the next request."""
        self._asked += 1
        return Request("buy", min(self._asked // 8, _ITEMS - 1))

    def final(self) -> Sequence[Request]:
        """Nothing is asked at the end."""
        return []


class Sales:
    """Counts what was sold of each item."""

    def __init__(self) -> None:
        self._sold = [0] * _ITEMS

    def feed(self, done: Done) -> None:
        """Take one ended operation."""
        self._sold[done.request.value] += done.type is OpType.OK and done.value

    def shown(self) -> tuple[Shown, ...]:
        """Return what was found so far."""
        over = [f"item {k} was sold {n} times" for k, n in enumerate(self._sold) if n > _PIECES]
        return (Shown(flaw=OVERSOLD, count=len(over), witnesses=tuple(over[:5])),) if over else ()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        """Return how often it could have shown itself."""
        return (("items sold out", sum(sold >= _PIECES for sold in self._sold)),)
