"""A witness as values that reports draw and files keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from test_rig.checker.reduction import Reduced, reduce
from test_rig.checker.witness import Edge, Seen, told
from test_rig.history import (
    APPEND,
    FAIL,
    INFO,
    NIL,
    OK,
    READ_LIST,
    WRITE,
    History,
    HistoryBuilder,
    OpType,
    Timescale,
)
from test_rig.verdict import WitnessEdge, WitnessHistory, WitnessMop, WitnessTransaction

__all__ = ["history_of", "one_of_each", "witness_of"]

_TYPES = {OK: "ok", FAIL: "fail", INFO: "info"}
_NAMES = {APPEND: "append", WRITE: "w"}


def one_of_each(seen: Iterable[Seen]) -> Iterator[Seen]:
    """Yield of each anomaly the one with the fewest transactions, in the order of first sight."""
    best: dict[str, Seen] = {}
    for each in seen:
        known = best.get(each.anomaly)
        if known is None or len(each.transactions) < len(known.transactions):
            best[each.anomaly] = each
    yield from best.values()


def witness_of(history: History, seen: Seen) -> WitnessHistory:
    """Return the smallest part of a history that shows an anomaly.

    Raises:
        ValueError: The history does not show it.
    """
    found = reduce(history, seen)
    whole, edges, why = found.history, found.seen.edges, found.seen.why
    # The judge knows what its writers do: it tells edges first, and then perhaps more.
    words = why[: len(edges)] if len(why) >= len(edges) else told(edges)
    return WitnessHistory(
        transactions=tuple(_transaction(found, place) for place in range(len(whole))),
        members=found.seen.transactions,
        edges=tuple(_edge(whole, *each) for each in zip(edges, words, strict=True)),
        why=why,
        clock=whole.clock.value,
        is_minimal=found.is_minimal,
    )


def history_of(witness: WitnessHistory) -> History:
    """Return a witness as a history, for files and judges."""
    builder = HistoryBuilder(clock=Timescale(witness.clock))
    for each in witness.transactions:
        builder.record(
            each.process,
            OpType(each.type),
            [(mop.f, mop.key, mop.value) for mop in each.mops],
            start=each.start,
            end=each.start if each.end is None else each.end,
        )
    return builder.history()


def _transaction(found: Reduced, place: int) -> WitnessTransaction:
    whole = found.history
    kind = int(whole.type[place])
    return WitnessTransaction(
        process=whole.text(int(whole.process[place])) or "",
        type=_TYPES[kind],
        start=int(whole.start[place]),
        end=None if kind == INFO else int(whole.end[place]),
        mops=tuple(_mop(whole, mop) for mop in whole.mops(place)),
        origin=found.origin[place],
    )


def _mop(whole: History, mop: int) -> WitnessMop:
    f, value = int(whole.f[mop]), int(whole.value[mop])
    known: int | tuple[int, ...] | None = None if value == NIL else value
    return WitnessMop(
        f=_NAMES.get(f, "r"),
        key=whole.key_of(mop),
        value=whole.elements(mop) if f == READ_LIST else known,
    )


def _edge(whole: History, edge: Edge, why: str) -> WitnessEdge:
    def within(transaction: int, mop: int | None) -> int | None:
        return None if mop is None else mop - int(whole.mop_start[transaction])

    return WitnessEdge(
        source=edge.source,
        target=edge.target,
        kind=edge.kind.value,
        why=why,
        key=edge.key,
        source_mop=within(edge.source, edge.first_mop),
        target_mop=within(edge.target, edge.second_mop),
    )
