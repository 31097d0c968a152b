"""What the forms of checkers of registers have in common: sessions of transactions, without times.

How to think of it: such a form knows what was committed, some also what was refused, and none what
nobody knows. `fitted` makes of a history one of committed and refused transactions that shows the
same. What was refused had no effect: it is needed only where somebody has read it nevertheless. A
transaction whose answer was lost and whose write was read has had its effect: it was committed. One
whose writes nobody has read may be left out, since no order needs it: whatever explains the others
explains them without it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from test_rig.errors import HistoryError
from test_rig.history.builder import HistoryBuilder, Mop
from test_rig.history.columns import (
    FAIL,
    INFO,
    NIL,
    OK,
    READ,
    WRITE,
    Bytes,
    History,
    Int32s,
    Int64s,
    Timescale,
    spread,
    starts,
)
from test_rig.history.operation import OpType
from test_rig.history.validate import validate

__all__ = ["Fitted", "Sessions", "fitted", "numbered", "registers", "transactions"]

#: So many transactions become text at once.
_AT_ONCE = 20_000

_Marks = npt.NDArray[np.bool_]


class Sessions:
    """Takes transactions of sessions whose places count alone, and gives a history."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._builder = HistoryBuilder(clock=Timescale.SESSION)
        self._places: dict[str, int] = {}

    def add(self, session: str, kind: OpType, mops: list[Mop], where: str) -> None:
        """Take a session's next transaction."""
        place = self._places.get(session, 0)
        self._places[session] = place + 2
        self._builder.record(session, kind, mops, start=place, end=place + 1, where=where)

    def history(self) -> History:
        """Return what was taken.

        Raises:
            HistoryError: It is not well formed.
        """
        try:
            history = self._builder.history()
            validate(history)
        except HistoryError as error:
            raise HistoryError(error.problems, file=self._file) from error
        return history


def registers(
    *,
    type: Bytes,  # the field's word, as in History
    process: Int32s,
    start: Int64s,
    mop_start: Int64s,
    f: Bytes,
    key: Int64s,
    value: Int64s,
    strings: tuple[str, ...],
) -> History:
    """Return sessions of transactions of registers, whose columns are known already.

    Args:
        type: As in `History`, as all others are.
        process: The sessions.
        start: The place of each transaction within its session; the next place is its end.
        mop_start: Where the micro-operations of each one begin.
        f: WRITE or READ.
        key: Keys that are numbers.
        value: What was written or read.
        strings: The names of the sessions.
    """
    nothing = np.full(len(type), -1, dtype=np.int32)
    return History(
        type=type,
        process=process,
        start=start,
        end=start + 1,
        level=nothing,
        error_class=nothing,
        error_code=nothing,
        sql=nothing,
        mop_start=mop_start,
        f=f,
        key=key,
        value=value,
        element_start=np.zeros(len(f), dtype=np.int64),
        element_count=np.zeros(len(f), dtype=np.int32),
        element=np.empty(0, dtype=np.int64),
        strings=strings,
        clock=Timescale.SESSION,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A history of registers, of transactions that are committed or refused."""

    history: History
    #: What a reader of the file should know of what it does not tell.
    remarks: tuple[str, ...]


def fitted(history: History, form: str, *, keeps: Literal["all", "read", "none"]) -> Fitted:
    """Return what a form can tell of a history, in the order in which sessions did it.

    Args:
        history: Any history.
        form: What to call the form.
        keeps: Which refused transactions it holds: `all`, those that were `read`, or `none`.

    Raises:
        HistoryError: It has lists, or negative values.
    """
    problems = []
    if ((history.f != WRITE) & (history.f != READ)).any():
        problems.append((form, "it has registers only, and this history has lists"))
    else:
        is_negative = (history.value < 0) & (history.value != NIL)
        for mop in np.flatnonzero(is_negative)[:1].tolist():
            what = f"its values are not negative, and one here is {history.value[mop]}"
            problems.append((form, what))
    if problems:
        raise HistoryError(problems)
    was_read = _read_of_uncommitted(history)
    is_info, is_fail = history.type == INFO, history.type == FAIL
    is_kept = {"all": is_fail, "read": is_fail & was_read, "none": is_fail & False}[keeps]
    promoted = is_info & was_read
    mop_type = np.repeat(history.type, np.diff(history.mop_start))
    # What a transaction has read is not known if its end is not.
    is_known = (history.f == WRITE) | (history.value != NIL) | (mop_type == OK)
    chosen = history.select((history.type == OK) | is_kept | promoted, is_known)
    chosen = replace(chosen, type=np.where(chosen.type == INFO, OK, chosen.type).astype(np.uint8))
    told = (
        (is_fail & ~is_kept & ~was_read, "left out: {} refused, which had no effect"),
        (is_fail & ~is_kept & was_read, "left out: {} refused, though their writes were read"),
        (is_info & ~was_read, "left out: {} with a lost answer, whose writes nobody has read"),
        (promoted, "taken as committed: {} with a lost answer, whose writes were read"),
    )
    remarks = tuple(
        f"transactions {sentence.format(many)}"
        for marks, sentence in told
        if (many := int(marks.sum()))
    )
    return Fitted(history=_in_order(chosen), remarks=remarks)


def _read_of_uncommitted(history: History) -> _Marks:
    """Return for each transaction whether it is not known as committed and its writes were read."""
    owner = history.transaction_of_mop()
    type_ = history.type[owner]
    writes = np.flatnonzero((history.f == WRITE) & (type_ != OK))
    reads = (history.f == READ) & (type_ == OK) & (history.value != NIL)
    found = np.zeros(len(history), dtype=np.bool_)
    if not len(writes):
        return found
    near = np.flatnonzero(reads & np.isin(history.value, history.value[writes]))
    seen = set(zip(history.key[near].tolist(), history.value[near].tolist(), strict=True))
    written = zip(history.key[writes].tolist(), history.value[writes].tolist(), strict=True)
    was_read = np.fromiter((each in seen for each in written), np.bool_, len(writes))
    found[owner[writes[was_read]]] = True
    return found


def _in_order(history: History) -> History:
    """Return the transactions as they began; of sessions alone each one's are in order already."""
    if history.clock is Timescale.SESSION or (history.start[1:] >= history.start[:-1]).all():
        return history
    order = np.argsort(history.start, kind="stable")
    counts = np.diff(history.mop_start)[order]
    mops = spread(history.mop_start[order], counts)
    return replace(
        history,
        type=history.type[order],
        process=history.process[order],
        start=history.start[order],
        end=history.end[order],
        mop_start=starts(counts),
        f=history.f[mops],
        key=history.key[mops],
        value=history.value[mops],
        element_start=history.element_start[mops],
        element_count=history.element_count[mops],
    )


def numbered(fit: Fitted) -> Fitted:
    """Return the same with keys that are numbers from 0 on, and say so where they were not."""
    history = fit.history
    if not history.has_named_keys and not (history.key < 0).any():
        return fit
    _, first, places = np.unique(history.key, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int64)
    keys = "texts" if history.has_named_keys else "negative"
    remark = f"keys that are {keys}: all are numbered instead, in the order of their appearance"
    return Fitted(
        history=replace(history, key=rank[places], has_named_keys=False),
        remarks=(*fit.remarks, remark),
    )


def transactions(
    history: History, shown: Callable[[int, int, int], str], order: Int64s | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the places of transactions, each with the texts of its micro-operations.

    Args:
        history: The history.
        shown: Gives a text from a micro-operation's f, key and value.
        order: The places; else all as they stand.
    """
    places = np.arange(len(history), dtype=np.int64) if order is None else order
    for first in range(0, len(places), _AT_ONCE):
        part = places[first : first + _AT_ONCE]
        counts = history.mop_start[part + 1] - history.mop_start[part]
        mops = spread(history.mop_start[part], counts)
        columns = (each[mops].tolist() for each in (history.f, history.key, history.value))
        texts = list(map(shown, *columns))
        for place, (begin, end) in zip(
            part.tolist(), pairwise(starts(counts).tolist()), strict=True
        ):
            yield place, texts[begin:end]
