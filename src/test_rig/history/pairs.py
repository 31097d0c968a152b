"""Operations (invocations and their ends) become transactions, and transactions operations.

How to think of it: a process does one thing at a time, so an end belongs to the last invocation of
its process, in the order that `op_order` finds. An invocation that never ends, and an `info`, are
the same: nobody knows. Times are used where every operation has one and they never go back in that
order; else the places in it are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.builder import HistoryBuilder, Mop
from test_rig.history.columns import NEVER, NIL, READ, READ_LIST, History, Int64s, Timescale
from test_rig.history.op_order import op_order, same_indexes
from test_rig.history.operation import Op, OpType
from test_rig.history.spelling import spelled
from test_rig.history.validate import validate

__all__ = ["Placed", "events", "from_ops", "to_ops"]

#: An operation with where it stands in its file.
Placed = tuple[str, Op]

_NAMES = ("append", "w", "r", "r")
_SHORT = {"write": "w", "read": "r"}
_EXAMPLE = '["append",1,2]'
#: Problems that are told one by one.
_MOST = 100


def from_ops(ops: Iterable[Placed], *, file: str | None = None) -> History:
    """Return the transactions of operations whose values are lists of micro-operations.

    Their order is that of their indexes, else of their times, else the one in which they come. An
    `info` that nothing invoked (a fault, a remark) is left out where its process is no number.
    Where no operation is an invocation, each is a transaction, and nothing is known of time.

    Raises:
        HistoryError: Every operation that cannot be one, with its place.
    """
    placed = list(_without_remarks(list(ops)))
    indexes = np.array([op.index for _, op in placed], dtype=np.int64)
    if same := same_indexes(indexes):
        problems = [
            (placed[other][0], f"index {indexes[one]} is that of {placed[one][0]} too")
            for one, other in same[:_MOST]
        ]
        raise HistoryError(problems, file=file)
    order = op_order(indexes, np.array([op.time_ns for _, op in placed], dtype=np.int64))
    if order.places is not None:
        placed = [placed[place] for place in order.places.tolist()]
    if not any(op.type is OpType.INVOKE for _, op in placed):
        return _transactions(list(_invoked(placed)), Timescale.SESSION, file)
    clock = Timescale.NS if order.is_timed else Timescale.PLACE
    # Who sees the lines alone must be told which order it is that they contradict.
    hint = "" if order.places is None else f", in the order of their {order.by}"
    return _transactions(placed, clock, file, hint)


def _without_remarks(placed: list[Placed]) -> Iterator[Placed]:
    """Yield what sessions did; a remark, such as a fault that was made, has no part in an order."""
    sessions = {op.process for _, op in placed if op.type is OpType.INVOKE}
    for where, op in placed:
        if op.type is not OpType.INFO or op.process.isdecimal() or op.process in sessions:
            yield where, op


def _invoked(placed: list[Placed]) -> Iterator[Placed]:
    for where, op in placed:
        yield where, replace(op, type=OpType.INVOKE)
        yield where, op


def _transactions(
    placed: list[Placed], clock: Timescale, file: str | None, hint: str = ""
) -> History:
    builder = HistoryBuilder(clock=clock)
    problems = list(_fill(builder, placed, clock is Timescale.NS, hint))
    if problems:
        raise HistoryError(problems, file=file)
    try:
        history = builder.history()
        validate(history)
    except HistoryError as error:
        raise HistoryError(error.problems, file=file) from error
    return history


def _fill(
    builder: HistoryBuilder, placed: list[Placed], is_timed: bool, hint: str
) -> Iterator[tuple[str, str]]:
    waiting: dict[str, tuple[str, Op, int]] = {}
    ended: set[str] = set()
    for place, (where, op) in enumerate(placed):
        at = op.time_ns if is_timed else place
        if op.type is OpType.INVOKE:
            if op.process in waiting:
                yield where, f"process {op.process} invokes before it has ended what it began{hint}"
            elif op.process in ended:
                yield where, f"process {op.process} goes on after its answer was lost (info){hint}"
            waiting[op.process] = (where, op, at)
            continue
        if op.process not in waiting:
            if op.type is OpType.INFO and not op.process.isdecimal():
                continue  # a remark again
            yield where, f"{op.type.value} of process {op.process} without an invocation{hint}"
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
    told = sent.value if done is None or done.value is None else done.value
    mops = _mops(told)
    if told is not sent.value and sent.value is not None:
        _agree(_mops(sent.value), mops, f"the invocation ({span[2]})")
    if kind is OpType.OK and done is not None and done.value is None:
        # Null would say that nothing was found there.
        if any(_is_read(f) for f, _, _ in mops):
            raise ValueError(f"ok of process {sent.process} does not tell what was read")
    elif kind is not OpType.OK:
        mops = [(f, key, None if _is_read(f) else what) for f, key, what in mops]
    builder.record(
        sent.process,
        kind,
        mops,
        start=span[0],
        end=span[1],
        error_class=None if done is None else done.error,
        where=span[2],
    )


def _agree(sent: list[Mop], told: list[Mop], invocation: str) -> None:
    """Refuse an end that tells what was not invoked; what was read is known to ends alone."""
    if len(sent) != len(told):
        text = f"{len(told)} micro-operations, where {invocation} has {len(sent)}"
        raise ValueError(text)
    for number, (one, other) in enumerate(zip(sent, told, strict=True)):
        if _asked(one) != _asked(other):
            text = f"micro-operation {number} is {spelled(other)}, where {invocation} has"
            raise ValueError(f"{text} {spelled(one)}")


def _asked(mop: Mop) -> tuple[object, object, object]:
    """Return what the invocation knows of a micro-operation already."""
    f, key, what = mop
    return _SHORT.get(f, f), key, None if _is_read(f) else what


def _is_read(f: str) -> bool:
    return _SHORT.get(f, f) == "r"


def _mops(value: object) -> list[Mop]:
    if not isinstance(value, list | tuple):
        text = f"{spelled(value)} is no list of micro-operations such as {_EXAMPLE}"
        raise ValueError(text)  # noqa: TRY004  # data of a file, not a caller's type
    for each in value:
        if not isinstance(each, list | tuple) or len(each) != 3 or not isinstance(each[0], str):
            raise ValueError(f"{spelled(each)} is no micro-operation such as {_EXAMPLE}")
    return [(f, key, what) for f, key, what in value]


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
