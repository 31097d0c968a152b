"""Registers: transactions of random writes of registers, and reads of them.

Every value is written once, so that a value that was read names its writer. The order of a
register's versions is not told by reading it; what is known is that a transaction which read a
value and then wrote the register came after that value, and that every value came after nothing.
Fewer dependencies are known than of lists, and none is guessed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from test_rig.history import OpType
from test_rig.workload.dependencies import RW, WR, WW, Edge, Edges, Model, Txn, add_edge, appended
from test_rig.workload.list_append import RandomMops
from test_rig.workload.list_judge import ListJudge
from test_rig.workload.speech import Speech
from test_rig.workload.workload import Done, Plan, Request

if TYPE_CHECKING:
    from random import Random

__all__ = ["REGISTERS", "Register"]

_TABLES = 2


def _outer_reads(txn: Txn) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield key and value of each read that comes before the transaction's own write of it."""
    own: set[int] = set()
    for f, key, value in txn.mops:
        if f != "r":
            own.add(key)
        elif value is not None and key not in own:
            yield key, tuple(value)  # type: ignore[arg-type]  # of a read it is a sequence


def _reads_own(txn: Txn) -> bool:
    own: dict[int, Any] = {}
    for f, key, value in txn.mops:
        if f != "r":
            own[key] = (value,)
        elif key in own and tuple(value or ()) != own[key]:  # type: ignore[arg-type]  # as above
            return False
    return True


def _edges_of(txns: Sequence[Txn], failed: Container[tuple[int, int]]) -> tuple[Edges, list[Txn]]:
    """Return what is known of who depends on whom; nobody contradicts an order that is not told."""
    del failed  # what nobody committed has no writer here
    writers: dict[tuple[int, int], int] = {}
    committed: dict[int, list[tuple[int, int]]] = {}
    for place, txn in enumerate(txns):
        for key, element in _final_writes(txn).items():
            writers[key, element] = place
            if not txn.is_unsure:
                committed.setdefault(key, []).append((place, element))
    reads = [
        (place, key, value)
        for place, txn in enumerate(txns)
        if not txn.is_unsure
        for key, value in _outer_reads(txn)
        if not value or (key, value[0]) in writers
    ]
    followers: dict[tuple[int, tuple[int, ...]], list[tuple[int, int]]] = {}
    for place, key, value in reads:
        own = _final_writes(txns[place])
        if key in own:
            followers.setdefault((key, value), []).append((place, own[key]))
    edges: Edges = {}
    for place, key, value in reads:
        writer = writers[key, value[0]] if value else None
        if value:
            add_edge(edges, writer, place, Edge(WR, key, value[0]))
        # Every value of a register came after nothing; after another one, those that had read it.
        later = followers.get((key, value), ()) if value else committed.get(key, ())
        for after, element in later:
            add_edge(edges, writer, after, Edge(WW, key, element))
            add_edge(edges, place, after, Edge(RW, key, element))
    return edges, []


def _final_writes(txn: Txn) -> dict[int, int]:
    return {key: values[-1] for key, values in appended(txn).items()}


REGISTERS = Model(_outer_reads, _edges_of, _reads_own, verb="wrote")


class _Judge(ListJudge):
    """Takes what was read of a register as a list of one value, or of none."""

    def __init__(self) -> None:
        super().__init__(model=REGISTERS)

    def feed(self, done: Done) -> None:
        if done.type is OpType.OK:
            mops = tuple(
                (f, key, () if value is None else (value,)) if f == "r" else (f, key, value)
                for f, key, value in done.value
            )
            done = replace(done, value=mops)
        super().feed(done)


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

    def judge(self, plan: Plan) -> ListJudge:
        del plan
        return _Judge()

    def perform(self, speech: Speech, request: Request) -> Any:
        return tuple(_perform_one(speech, *op) for op in request.value)


def _perform_one(speech: Speech, f: str, key: int, value: int | None) -> tuple[str, int, Any]:
    table = f"registers{key % _TABLES}"
    if f == "r":
        return (f, key, speech.one(f"SELECT v FROM {table} WHERE k = ?", key))  # noqa: S608 - ours
    speech.set(table, key, value)
    return (f, key, value)
