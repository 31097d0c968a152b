"""Transactions become columns.

How to think of it: `record` puts one tuple into a list and nothing more, so that a thread under
load may call it (several may, without a lock: CPython appends to a list as one step). Whoever
calls `take` or `history`, one thread at a time, pays for the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.columns import (
    APPEND,
    NEVER,
    NIL,
    READ,
    READ_LIST,
    WRITE,
    History,
    Timescale,
    joined,
    starts,
)
from test_rig.history.operation import OpType
from test_rig.history.packing import packed
from test_rig.history.spelling import spelled

__all__ = ["HistoryBuilder", "Mop"]

#: A micro-operation: ("append", key, value), ("w", key, value) or ("r", key, what was read). A
#: read of a list gives its elements, a read of a register its value, None is nothing or not known.
Mop: TypeAlias = tuple[str, int | str, int | Sequence[int] | None]

_TYPES = {OpType.OK: 0, OpType.FAIL: 1, OpType.INFO: 2}
_WRITES = {"append": APPEND, "w": WRITE, "write": WRITE}
_READS = frozenset({"r", "read"})
#: The least and the greatest key, and value: NIL is none.
_KEYS, _VALUES = (NIL, NEVER), (NIL + 1, NEVER)


class _Record(NamedTuple):
    process: str
    type: OpType
    mops: Sequence[Mop]
    start: int
    end: int
    level: str | None
    error_class: str | None
    error_code: str | None
    sql: str | None
    where: str | None


class HistoryBuilder:
    """Takes transactions as they end, and gives histories.

    Args:
        clock: What starts and ends count.
        is_kept: Whether `history` will be asked for all; else a part is forgotten once it is taken.
    """

    def __init__(self, *, clock: Timescale = Timescale.NS, is_kept: bool = True) -> None:
        self._clock, self._is_kept = clock, is_kept
        self._pending: list[_Record] = []
        self._parts: list[History] = []
        self._codes: dict[str, int] = {}
        self._has_named_keys: bool | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._pending)

    def record(
        self,
        process: str,
        type: OpType,  # the field's word, as in Op
        mops: Sequence[Mop],
        *,
        start: int,
        end: int = NEVER,
        level: str | None = None,
        error_class: str | None = None,
        error_code: str | None = None,
        sql: str | None = None,
        where: str | None = None,
    ) -> None:
        """Note a transaction that has ended, or whose answer is lost. Cheap, and safe in threads.

        Args:
            process: The session's name. After an `info` a session does nothing more: the next
                transaction of the same client has another name.
            type: OK, FAIL or INFO.
            mops: What it did, in order. The sequence must not be changed afterwards.
            start: When it began.
            end: When its end was known; not used for INFO.
            level: The level's name as the server read it back.
            error_class: A failure's kind.
            error_code: A failure's code.
            sql: What was sent; equal texts are kept once.
            where: What to call it in a message, where that is not its place.
        """
        self._pending.append(
            _Record(process, type, mops, start, end, level, error_class, error_code, sql, where)
        )

    def take(self) -> History:
        """Return what was recorded since the last call of this method or of `history`.

        Raises:
            HistoryError: Transactions that are not well formed, each with place and reason.
        """
        records, self._pending = self._pending, []
        part = self._columns(records)
        if self._is_kept:
            self._parts.append(part)
        self._count += len(records)
        return part

    def history(self) -> History:
        """Return all that was recorded.

        Raises:
            HistoryError: Transactions that are not well formed, each with place and reason.
        """
        self.take()
        self._parts = [joined(self._parts)]
        return self._parts[0]

    def _columns(self, records: Sequence[_Record]) -> History:
        problems: list[tuple[str, str]] = []
        mops = _Mops()
        for place, record in enumerate(records, self._count):
            try:
                self._take_mops(record, mops)
            except ValueError as error:
                problems.append((record.where or f"transaction {place}", str(error)))
        if problems:
            raise HistoryError(problems)
        code = self._code
        length = np.array(mops.length, dtype=np.int32)
        flat = History(
            type=np.array([_TYPES[each.type] for each in records], dtype=np.uint8),
            process=np.array([code(each.process) for each in records], dtype=np.int32),
            start=np.array([each.start for each in records], dtype=np.int64),
            end=np.array(
                [NEVER if each.type is OpType.INFO else each.end for each in records],
                dtype=np.int64,
            ),
            level=np.array([code(each.level) for each in records], dtype=np.int32),
            error_class=np.array([code(each.error_class) for each in records], dtype=np.int32),
            error_code=np.array([code(each.error_code) for each in records], dtype=np.int32),
            sql=np.array([code(each.sql) for each in records], dtype=np.int32),
            mop_start=starts(np.array([len(each.mops) for each in records], dtype=np.int64)),
            f=np.array(mops.f, dtype=np.uint8),
            key=np.array(mops.key, dtype=np.int64),
            value=np.array(mops.value, dtype=np.int64),
            element_start=starts(length)[:-1],
            element_count=length,
            element=np.array(mops.element, dtype=np.int64),
            strings=tuple(self._codes),
            has_named_keys=bool(self._has_named_keys),
            clock=self._clock,
        )
        return packed(flat)

    def _code(self, text: str | None) -> int:
        return -1 if text is None else self._codes.setdefault(text, len(self._codes))

    def _take_mops(self, record: _Record, into: _Mops) -> None:
        if record.type not in _TYPES:
            raise ValueError("an invocation is not the end of a transaction")
        if record.type is not OpType.INFO and record.end < record.start:
            raise ValueError(f"it ends at {record.end}, before it starts at {record.start}")
        for number, mop in enumerate(record.mops):
            try:
                f, key, value = mop
                into.add(f, self._key(key), value)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"micro-operation {number}, {spelled(mop, 80)}: {error}"
                ) from error

    def _key(self, key: int | str) -> int:
        is_named = isinstance(key, str)
        if self._has_named_keys is None:
            self._has_named_keys = is_named
        if is_named is not self._has_named_keys:
            raise ValueError("keys are all numbers or all texts")
        return self._code(key) if isinstance(key, str) else _number(key, "key", _KEYS)


class _Mops:
    """Columns of micro-operations while they grow."""

    def __init__(self) -> None:
        self.f: list[int] = []
        self.key: list[int] = []
        self.value: list[int] = []
        self.length: list[int] = []
        self.element: list[int] = []

    def add(self, f: str, key: int, value: int | Sequence[int] | None) -> None:
        """Add one.

        Raises:
            ValueError: It is not one.
        """
        kind, number, elements = _parsed(f, value)
        self.f.append(kind)
        self.key.append(key)
        self.value.append(number)
        self.length.append(len(elements))
        self.element.extend(elements)


def _parsed(f: str, value: int | Sequence[int] | None) -> tuple[int, int, Sequence[int]]:
    if f in _WRITES:
        if value is None:
            raise ValueError(f"{f} of nothing")
        return _WRITES[f], _number(value, "value"), ()
    if f not in _READS:
        raise ValueError(f"{spelled(f)} is none of append, w, r")
    if value is None:
        return READ, NIL, ()
    if isinstance(value, list | tuple):
        return READ_LIST, NIL, [_number(each, "element") for each in value]
    return READ, _number(value, "value"), ()


def _number(value: object, what: str, within: tuple[int, int] = _VALUES) -> int:
    if type(value) is not int:
        raise ValueError(f"the {what} {spelled(value, 40)} is not a whole number")
    if not within[0] <= value <= within[1]:
        raise ValueError(f"the {what} {value} is not within {within[0]} and {within[1]}")
    return value
