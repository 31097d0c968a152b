"""A history of transactions as columns.

How to think of it: one row for each transaction, one for each micro-operation (an append, a write
or a read of one key), and the elements of the lists that were read. A transaction's
micro-operations stand together, in the order in which it did them; `mop_start` says where they
begin. The elements of a read stand together too, `element_count` of them from `element_start` on;
reads share those that they have in common, so that a list that grows is there once, not once for
each read (`packed`). Arrays are never changed once a history has been made.

`start` and `end` are places in one order of time, as `clock` says: nanoseconds where they were
recorded, else the places of the operations in the file they came from. A transaction precedes
another in real time if its end is smaller than the other's start; equal numbers are concurrent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "APPEND",
    "FAIL",
    "INFO",
    "NEVER",
    "NIL",
    "OK",
    "READ",
    "READ_LIST",
    "UNENDED",
    "WRITE",
    "History",
    "Timescale",
]

Int64s: TypeAlias = npt.NDArray[np.int64]
Int32s: TypeAlias = npt.NDArray[np.int32]
Bytes: TypeAlias = npt.NDArray[np.uint8]

#: Types of transactions: committed, certainly without effect, unknown.
OK, FAIL, INFO = 0, 1, 2
#: Micro-operations. A READ has one value, a READ_LIST has elements.
APPEND, WRITE, READ, READ_LIST = 0, 1, 2, 3
#: The value of a read that found nothing, or whose answer is not known.
NIL = np.iinfo(np.int64).min
#: The end of a transaction whose answer never came.
NEVER = np.iinfo(np.int64).max
#: The end of an INFO that was still open when it was written. The last part of a history that grows
#: has those that are open then, which others may have read; in the parts before they do not count.
UNENDED = -1


class Timescale(Enum):
    """What the starts and ends of transactions count."""

    #: Nanoseconds of one clock.
    NS = "ns"
    #: Places of the operations in a file: a total order without durations.
    PLACE = "place"
    #: Places within the session: nothing is known of the time between sessions.
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Transactions, in the order in which they were recorded.

    Codes in `process`, `level`, `error_class`, `error_code` and `sql` are places in `strings`; -1
    is none. A key is a number itself, or with `has_named_keys` a place in `strings`.
    """

    #: OK, FAIL or INFO for each transaction.
    type: Bytes
    process: Int32s
    start: Int64s
    end: Int64s
    #: The level's name as the server read it back.
    level: Int32s
    error_class: Int32s
    error_code: Int32s
    #: The SQL that was sent.
    sql: Int32s
    #: Where each transaction's micro-operations begin; one more entry than transactions.
    mop_start: Int64s
    #: APPEND, WRITE, READ or READ_LIST for each micro-operation.
    f: Bytes
    key: Int64s
    #: What was appended, written or read; NIL for a list.
    value: Int64s
    #: Where each micro-operation's elements begin, and how many they are.
    element_start: Int64s
    element_count: Int32s
    #: Of one place the elements of several reads may begin, which then begin alike.
    element: Int64s
    strings: tuple[str, ...] = field(repr=False)
    has_named_keys: bool = False
    #: What `start` and `end` count.
    clock: Timescale = Timescale.PLACE
    #: Whether it was read from a file that has no end: more may have followed.
    is_cut: bool = False

    def __len__(self) -> int:
        return len(self.type)

    @property
    def mop_count(self) -> int:
        """How many micro-operations there are."""
        return len(self.f)

    def text(self, code: int) -> str | None:
        """Return the text of a code, None for -1."""
        return None if code < 0 else self.strings[code]

    def key_of(self, mop: int) -> int | str:
        """Return the key of a micro-operation as it was given."""
        return self.key_name(int(self.key[mop]))

    def key_name(self, key: int) -> int | str:
        """Return a key as it was given."""
        return self.strings[key] if self.has_named_keys else key

    def elements(self, mop: int) -> tuple[int, ...]:
        """Return the elements of a list that was read."""
        start = int(self.element_start[mop])
        return tuple(self.element[start : start + int(self.element_count[mop])].tolist())

    def mops(self, transaction: int) -> range:
        """Return the places of a transaction's micro-operations."""
        return range(int(self.mop_start[transaction]), int(self.mop_start[transaction + 1]))

    def transaction_of_mop(self) -> Int64s:
        """Return for each micro-operation the transaction that it belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.mop_start))

    def apart(self) -> History:
        """Return the same with elements of its own for each read, one read after another."""
        return replace(
            self,
            element=self.element[spread(self.element_start, self.element_count)],
            element_start=starts(self.element_count)[:-1],
        )

    def keep_elements(self, keep: npt.NDArray[np.bool_]) -> History:
        """Return the same, with the marked elements in the lists that were read.

        Args:
            keep: A mark for each element of each read, as they stand `apart`.
        """
        flat = self.apart()
        before = np.concatenate(([0], np.cumsum(keep)))
        start, end = before[flat.element_start], before[flat.element_start + flat.element_count]
        return replace(
            flat,
            element=flat.element[keep],
            element_start=start,
            element_count=(end - start).astype(np.int32),
        )

    def select(self, keep: npt.NDArray[np.bool_], keep_mop: npt.NDArray[np.bool_]) -> History:
        """Return the transactions and micro-operations that are marked.

        Args:
            keep: A mark for each transaction.
            keep_mop: A mark for each micro-operation; those of a transaction that is left out go
                with it.
        """
        kept_mop = keep_mop & np.repeat(keep, np.diff(self.mop_start))
        before = np.concatenate(([0], np.cumsum(kept_mop)))
        counts = before[self.mop_start[1:]] - before[self.mop_start[:-1]]
        start, many = self.element_start[kept_mop], self.element_count[kept_mop]
        # Elements that nobody has read any more go too: a window that moves on must not grow.
        size = len(self.element) + 1
        begun = np.bincount(start[many > 0], minlength=size)
        ended = np.bincount((start + many)[many > 0], minlength=size)
        is_read = np.cumsum(begun - ended)[:-1] > 0
        return History(
            type=self.type[keep],
            process=self.process[keep],
            start=self.start[keep],
            end=self.end[keep],
            level=self.level[keep],
            error_class=self.error_class[keep],
            error_code=self.error_code[keep],
            sql=self.sql[keep],
            mop_start=starts(counts[keep]),
            f=self.f[kept_mop],
            key=self.key[kept_mop],
            value=self.value[kept_mop],
            element_start=starts(is_read.view(np.int8))[start],
            element_count=many,
            element=self.element[is_read],
            strings=self.strings,
            has_named_keys=self.has_named_keys,
            clock=self.clock,
            is_cut=self.is_cut,
        )


def settled(history: History, last: int) -> History:
    """Return a history that has grown, its transactions without an end as `UNENDED` says.

    Args:
        history: All parts.
        last: Where the last part begins.
    """
    is_open = (history.type == INFO) & (history.end == UNENDED)
    if not is_open.any():
        return history
    keep = ~is_open | (np.arange(len(history)) >= last)
    kept = history.select(keep, np.ones(history.mop_count, dtype=np.bool_))
    return replace(kept, end=np.where(is_open[keep], NEVER, kept.end))


def starts(counts: npt.NDArray[np.integer | np.bool_]) -> Int64s:
    """Return where groups of these sizes begin, and at last where the last one ends."""
    result = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=result[1:])
    return result


def spread(begins: npt.NDArray[np.integer], counts: npt.NDArray[np.integer]) -> Int64s:
    """Return the places of groups that begin somewhere, one after another."""
    total = starts(counts)
    return np.repeat(begins - total[:-1], counts) + np.arange(total[-1], dtype=np.int64)


def joined(parts: Sequence[History]) -> History:
    """Return histories as one; each has the strings of the one before it, and perhaps more.

    Raises:
        ValueError: There is none, or keys or times differ in kind.
    """
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    columns = ("type", "process", "start", "end", "level", "error_class", "error_code", "sql")
    inner = ("f", "key", "value", "element_count", "element")
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in columns + inner
    }
    arrays["mop_start"] = starts(np.concatenate([np.diff(part.mop_start) for part in parts]))
    places = starts(np.array([len(part.element) for part in parts]))[:-1]
    arrays["element_start"] = np.concatenate(
        [part.element_start + place for part, place in zip(parts, places, strict=True)]
    )
    # A part without transactions knows nothing of keys.
    return History(
        **arrays,
        strings=last.strings,
        has_named_keys=any(part.has_named_keys for part in parts),
        clock=first.clock,
        is_cut=any(part.is_cut for part in parts),
    )
