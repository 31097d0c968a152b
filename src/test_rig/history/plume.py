"""The text form of Plume, which PolySI and AWDIT read too.

One event a line, `w(key,value,session,transaction)` or `r(key,value,session,transaction)`, in
numbers from 0 on; a transaction's lines stand together. The value 0 is what a key has at first (-1
is taken for the same). What was refused is transaction -1: Plume and AWDIT know that, PolySI does
not. Nothing is told of what nobody knows.

How to think of it: compiled loops read the usual lines of large files into columns, and give up at
anything else, as `op_columns` says; then the general parser tells what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.builder import Mop
from test_rig.history.columns import FAIL, NIL, READ, WRITE, History, Int64s, starts
from test_rig.history.op_columns import Compile, compiled, names
from test_rig.history.operation import OpType
from test_rig.history.plume_scan import scan_events
from test_rig.history.sessions import Fitted, Sessions, fitted, numbered, registers, transactions

__all__ = ["columns_of_plume", "fit_plume", "from_plume", "plume_lines"]

# Python makes no number of some thousand digits, and no history has one.
_LINE = re.compile(
    r"\s*([rw])\(\s*(-?\w{1,999})\s*,\s*(-?\d{1,999})\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*\)\s*"
)
_INT = re.compile(r"-?\d+")


def from_plume(lines: Iterable[str], *, file: str | None = None) -> History:
    """Read the text form.

    Raises:
        HistoryError: Every line that is no event; transactions whose lines do not stand together.
    """
    sessions, problems = Sessions(file), list[tuple[str, str]]()
    open_id, mops, begun = ("", ""), list[Mop](), ""
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            problems.append(
                (f"line {number}", f"{line.strip()!r:.60} is no event such as w(1,2,0,0)")
            )
            continue
        f, key, value, session, transaction = found.groups()
        if (session, transaction) != open_id:
            if mops:
                sessions.add(open_id[0], _kind(open_id[1]), mops, begun)
            open_id, mops, begun = (session, transaction), [], f"line {number}"
            if open_id in seen and transaction != "-1":
                what = f"transaction {transaction} of session {session} goes on here"
                problems.append((begun, f"{what}, after another one"))
            seen.add(open_id)
        mops.append((f, _key(key), _known(f, int(value), transaction)))
    if mops:
        sessions.add(open_id[0], _kind(open_id[1]), mops, begun)
    if problems:
        raise HistoryError(problems, file=file)
    return sessions.history()


def _kind(transaction: str) -> OpType:
    return OpType.FAIL if transaction == "-1" else OpType.OK


def _key(text: str) -> int | str:
    return int(text) if _INT.fullmatch(text) else text


def _known(f: str, value: int, transaction: str) -> int | None:
    return None if f == "r" and (value in (0, -1) or transaction == "-1") else value


def columns_of_plume(content: bytes, compile_: Compile = compiled) -> History | None:
    """Return the transactions of a file, or None where it is not of the usual shape.

    Args:
        content: The file.
        compile_: Makes kernels fast.
    """
    data = np.frombuffer(content, dtype=np.uint8)
    is_whole, f, key, value, session, transaction = compile_(scan_events)(
        data, content.count(b"\n") + 1
    )
    if not is_whole or not len(f):
        return None
    begins = np.ones(len(f), dtype=np.bool_)
    begins[1:] = (session[1:] != session[:-1]) | (transaction[1:] != transaction[:-1])
    first = np.flatnonzero(begins)
    who, number = session[first], transaction[first]
    is_refused = number == -1
    if _goes_on(who[~is_refused], number[~is_refused]):
        return None
    counts = np.diff(np.append(first, len(f)))
    is_nothing = (value == 0) | (value == -1) | np.repeat(is_refused, counts)
    codes, strings = names(who)
    # Where each transaction stands within its session.
    order = np.argsort(codes, kind="stable")
    ranks = np.arange(len(first), dtype=np.int64)
    place = np.empty(len(first), dtype=np.int64)
    place[order] = 2 * (ranks - starts(np.bincount(codes))[codes[order]])
    return registers(
        type=np.where(is_refused, FAIL, 0).astype(np.uint8),
        process=codes,
        start=place,
        mop_start=np.append(first, len(f)).astype(np.int64),
        f=f,
        key=key,
        value=np.where((f == READ) & is_nothing, NIL, value),
        strings=tuple(strings),
    )


def _goes_on(who: Int64s, number: Int64s) -> bool:
    """Return whether a transaction's lines stand apart."""
    order = np.lexsort((number, who))
    who, number = who[order], number[order]
    return bool(((who[1:] == who[:-1]) & (number[1:] == number[:-1])).any())


def fit_plume(history: History) -> Fitted:
    """Return what the text form can tell of a history.

    Raises:
        HistoryError: The history holds what it cannot tell.
    """
    fit = numbered(fitted(history, "plume", keeps="read"))
    if (fit.history.value == 0).any():
        what = "its value 0 is what a key has at first; one is written or read here"
        raise HistoryError([("plume", what)])
    many = int((fit.history.type == FAIL).sum())
    if not many:
        return fit
    remark = f"transactions marked as refused (number -1): {many}, whose writes were read"
    return Fitted(history=fit.history, remarks=(*fit.remarks, remark))


def plume_lines(history: History) -> Iterator[str]:
    """Yield the lines of what was fitted, some at once."""
    kinds, processes = history.type.tolist(), history.process.tolist()
    for place, events in transactions(history, _event):
        number = -1 if kinds[place] == FAIL else place
        end = f",{processes[place]},{number})\n"
        if events:
            yield end.join(events) + end


def _event(f: int, key: int, value: int) -> str:
    return f"{'w' if f == WRITE else 'r'}({key},{0 if value == NIL else value}"
