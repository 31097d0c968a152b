"""Operations (invocations and their ends) become transactions, and transactions operations.

How to think of it: a process does one thing at a time, so an end belongs to the last invocation of
its process. An invocation that never ends, and an `info`, are the same: nobody knows. Times are
used where every operation has one and they never go back; else the places in the file are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.builder import HistoryBuilder, Mop
from test_rig.history.columns import NEVER, NIL, READ, READ_LIST, History, Int64s, Timescale
from test_rig.history.operation import Op, OpType
from test_rig.history.validate import validate

__all__ = ["Placed", "events", "from_ops", "to_ops"]

#: An operation with where it stands in its file.
Placed = tuple[str, Op]

_NAMES = ("append", "w", "r", "r")


def from_ops(ops: Iterable[Placed], *, file: str | None = None) -> History:
    """Return the transactions of operations whose values are lists of micro-operations.

    An `info` that nothing invoked (a fault, a remark) is left out where its process is no number.
    Where no operation is an invocation, each is a transaction, and nothing is known of time.

    Raises:
        HistoryError: Every operation that cannot be one, with its place.
    """
    placed = list(ops)
    if not any(op.type is OpType.INVOKE for _, op in placed):
        placed = list(_invoked(placed))
        return _transactions(placed, Timescale.SESSION, file)
    times = [op.time_ns for _, op in placed]
    is_timed = all(a <= b for a, b in pairwise(times)) and any(times)
    return _transactions(placed, Timescale.NS if is_timed else Timescale.PLACE, file)


def _invoked(placed: list[Placed]) -> Iterator[Placed]:
    for where, op in placed:
        if op.process.isdecimal() or op.type is not OpType.INFO:
            yield where, replace(op, type=OpType.INVOKE)
            yield where, op


def _transactions(placed: list[Placed], clock: Timescale, file: str | None) -> History:
    builder = HistoryBuilder(clock=clock)
    problems = list(_fill(builder, placed, clock is Timescale.NS))
    if problems:
        raise HistoryError(problems, file=file)
    try:
        history = builder.history()
        validate(history)
    except HistoryError as error:
        raise HistoryError(error.problems, file=file) from error
    return history


def _fill(
    builder: HistoryBuilder, placed: list[Placed], is_timed: bool
) -> Iterator[tuple[str, str]]:
    waiting: dict[str, tuple[str, Op, int]] = {}
    ended: set[str] = set()
    for place, (where, op) in enumerate(placed):
        at = op.time_ns if is_timed else place
        if op.type is OpType.INVOKE:
            if op.process in waiting:
                yield where, f"process {op.process} invokes before it has ended what it began"
            elif op.process in ended:
                yield where, f"process {op.process} goes on after its answer was lost (info)"
            waiting[op.process] = (where, op, at)
            continue
        if op.process not in waiting:
            if op.type is OpType.INFO and not op.process.isdecimal():
                continue  # a remark of the run, such as a fault that was made
            yield where, f"{op.type.value} of process {op.process} without an invocation"
            continue
        begun, sent, start = waiting.pop(op.process)
        if op.type is OpType.INFO:
            ended.add(op.process)
        try:
            _record(builder, sent, op, (start, at, begun))
        except ValueError as error:
            yield where, str(error)
    for begun, sent, start in waiting.values():
        try:
            _record(builder, sent, None, (start, NEVER, begun))
        except ValueError as error:
            yield begun, str(error)


def _record(builder: HistoryBuilder, sent: Op, done: Op | None, span: tuple[int, int, str]) -> None:
    kind = OpType.INFO if done is None else done.type
    source = done if done is not None and done.value is not None else sent
    error = None if done is None else done.error
    builder.record(
        sent.process,
        kind,
        _mops(source.value, is_known=kind is OpType.OK),
        start=span[0],
        end=span[1],
        error_class=error,
        where=span[2],
    )


def _mops(value: object, *, is_known: bool) -> list[Mop]:
    if not isinstance(value, list | tuple):
        text = f"{value!r:.60} is no list of micro-operations such as ['append', 1, 2]"
        raise ValueError(text)  # noqa: TRY004  # data of a file, not a caller's type
    mops: list[Mop] = []
    for each in value:
        if not isinstance(each, list | tuple) or len(each) != 3:
            text = f"{each!r:.60} is no micro-operation such as ['append', 1, 2]"
            raise ValueError(text)
        f, key, what = each
        mops.append((f, key, what if is_known or f not in ("r", "read") else None))
    return mops


def to_ops(history: History) -> list[Op]:
    """Return the invocations and ends of a history, in their order in time.

    Of a history that knows each session's order alone there are ends only, as `from_ops` takes
    them.
    """
    places, are_ends, moments = events(history)
    columns = zip(places.tolist(), are_ends.tolist(), moments.tolist(), strict=True)
    return [_op(history, each, index) for index, each in enumerate(columns)]


def events(history: History) -> tuple[Int64s, Int64s, Int64s]:
    """Return the operations of a history, in the order of `to_ops`.

    Returns:
        For each operation its transaction, whether it is the end (1) or not (0), and the moment.
    """
    everyone = np.arange(len(history), dtype=np.int64)
    if history.clock is Timescale.SESSION:
        return everyone, np.ones_like(everyone), np.zeros_like(everyone)
    # What ended at the moment at which another began was concurrent with it: the start goes first.
    moments = np.concatenate((history.start, history.end))
    order = np.argsort(moments, kind="stable")
    last = np.where(moments == NEVER, 0, moments).max(initial=0)
    places = np.concatenate((everyone, everyone))[order]
    are_ends = np.repeat(np.array([0, 1], dtype=np.int64), len(history))[order]
    moments = moments[order]
    return places, are_ends, np.where(moments == NEVER, last, moments)


def _op(history: History, event: tuple[int, int, int], index: int) -> Op:
    place, is_end, moment = event
    kind = (OpType.OK, OpType.FAIL, OpType.INFO)[history.type[place]] if is_end else OpType.INVOKE
    return Op(
        process=history.text(int(history.process[place])) or "",
        type=kind,
        f="txn",
        value=[_mop(history, mop, kind is OpType.OK) for mop in history.mops(place)],
        time_ns=moment if history.clock is Timescale.NS else 0,
        index=index,
        error=history.text(int(history.error_class[place])) if is_end else None,
    )


def _mop(history: History, mop: int, is_known: bool) -> list[Any]:
    f, value = int(history.f[mop]), int(history.value[mop])
    what: Any = None if value == NIL else value
    if f == READ_LIST:
        what = list(history.elements(mop))
    if f >= READ and not is_known:
        what = None
    return [_NAMES[f], history.key_of(mop), what]
