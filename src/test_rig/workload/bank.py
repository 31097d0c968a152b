"""Bank: transfers between accounts, and reads that must always find the same total.

Half of the reads take all accounts with one statement, half with one statement for each: a level
whose statements each see a state of their own shows its read skew to the second kind only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from test_rig.history import OpType
from test_rig.verdict import WitnessHistory
from test_rig.workload.evidence import Beside, witness_of_registers
from test_rig.workload.flaws import READ_SKEW
from test_rig.workload.ledger import Evidence, Ledger
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request, Shown

if TYPE_CHECKING:
    from random import Random

__all__ = ["Bank"]

_OPENING = 100
_READ = "SELECT v FROM bank WHERE k = ?"
_READ_ALL = "SELECT k, v FROM bank ORDER BY k"
# An account never goes below zero: whoever cannot pay does nothing.
_TAKE = "UPDATE bank SET v = v - ? WHERE k = ? AND v >= ?"
_GIVE = "UPDATE bank SET v = v + ? WHERE k = ?"


class _Generator:
    def __init__(self, plan: Plan, random: Random) -> None:
        self._accounts, self._random = max(2, plan.keys), random

    def request(self) -> Request:
        if self._random.random() < 0.5:
            payer, payee = self._random.sample(range(1, self._accounts + 1), 2)
            return Request("transfer", (payer, payee, self._random.randint(1, 5)))
        accounts = tuple(range(1, self._accounts + 1))
        how = "read" if self._random.random() < 0.5 else "read-each"
        return Request(how, accounts)

    def final(self) -> Sequence[Request]:
        return (Request("read", tuple(range(1, self._accounts + 1))),)


class _Judge:
    def __init__(self, plan: Plan) -> None:
        self._total = _OPENING * max(2, plan.keys)
        self._ledger = Ledger()
        self._last_transfer_ns = -1
        self._reads = self._overlapping = 0
        self._transfers = Beside()

    def feed(self, done: Done) -> None:
        if done.type is not OpType.OK:
            return
        if done.request.f == "transfer":
            self._last_transfer_ns = done.end_ns
            self._transfers.add(done)
            return
        self._reads += 1
        self._overlapping += self._last_transfer_ns > done.start_ns
        total = sum(balance for _, balance in done.value)
        if total != self._total:
            self._ledger.add(
                READ_SKEW,
                lambda: (
                    f"process {done.process} read a total of {total}, not {self._total}: "
                    + ", ".join(f"account {account} has {value}" for account, value in done.value)
                ),
                evidence=lambda: _seen_in_part(done, self._transfers.of(done)),
            )

    def shown(self) -> tuple[Shown, ...]:
        return self._ledger.shown()

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return (("reads", self._reads), ("reads beside a committed transfer", self._overlapping))


def _seen_in_part(read: Done, beside: Sequence[Done]) -> Evidence:
    """Return what shows a transfer of which a read saw one account before it, and one after."""
    found = dict(read.value)

    def smallest() -> WitnessHistory | None:
        for transfer in beside:
            if transfer.value is None:
                continue
            rows = [(k, was, now) for k, was, now in transfer.value if was != now]
            is_new = [found[k] == now for k, _, now in rows]
            is_old = [found[k] == was for k, was, _ in rows]
            if not ((is_new[0] and is_old[1]) or (is_new[1] and is_old[0])):
                continue
            moves = [mop for k, was, now in rows for mop in (("r", k, was), ("w", k, now))]
            reads = [("r", k, found[k]) for k in sorted(k for k, _, _ in rows)]
            before = [("w", k, was) for k, was, _ in rows]
            shown = witness_of_registers(
                [(transfer, moves), (read, reads)], ("G-single", "fractured-read"), before=before
            )
            if shown is not None:
                return shown
        return None

    return smallest


class Bank:
    """Transfers and totals."""

    name = "bank"
    about = "transfers between accounts; every read must find the same total (G-single)"

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        accounts = range(1, max(2, plan.keys) + 1)
        return (
            ("CREATE TABLE bank (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)", ()),
            *(("INSERT INTO bank (k, v) VALUES (?, ?)", (k, _OPENING)) for k in accounts),
        )

    def generator(self, plan: Plan, random: Random) -> _Generator:
        return _Generator(plan, random)

    def judge(self, plan: Plan) -> _Judge:
        return _Judge(plan)

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "transfer":
            payer, payee, amount = request.value
            if speech.run(_TAKE, amount, payer, amount):
                speech.run(_GIVE, amount, payee)
                # What it made of them, before its COMMIT: (account, balance before, after).
                now = [(payer, speech.one(_READ, payer), amount)]
                now.append((payee, speech.one(_READ, payee), -amount))
                return tuple((k, left + taken, left) for k, left, taken in now)
            return None
        if request.f == "read":
            return speech.rows(_READ_ALL)
        return tuple((k, speech.one(_READ, k)) for k in request.value)
