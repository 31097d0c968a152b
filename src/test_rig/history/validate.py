"""What must hold of any history before a judge may look at it.

Numbers that stand for something else stand for something that is there. A session does one thing
at a time, and nothing more after an answer that was lost; nobody writes the same value to a key
twice. A judge that took these for granted would accuse where nothing happened, so a history that
breaks one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.columns import (
    APPEND,
    INFO,
    NIL,
    OK,
    READ,
    READ_LIST,
    WRITE,
    History,
    Int64s,
)

__all__ = ["models", "validate"]

#: Problems that are told one by one.
_MOST = 100
#: So many transactions or micro-operations are looked at together.
_AT_ONCE = 1 << 15


def validate(history: History) -> None:
    """Refuse a history that is not well formed.

    Raises:
        HistoryError: Every kind of problem, with the transactions that show it.
    """
    # What stands for nothing cannot be told by its name.
    problems = [*_strays(history)] or [*_overlaps(history), *_duplicates(history)]
    if problems:
        raise HistoryError(problems)


def _strays(history: History) -> Iterator[tuple[str, str]]:
    """Yield for each column the first number that stands for nothing."""
    texts, elements = len(history.strings), len(history.element)
    columns: list[tuple[str, str, Any, int, int]] = [
        ("transaction", "type", history.type, OK, INFO),
        ("transaction", "process", history.process, 0, texts - 1),
        ("micro-operation", "f", history.f, APPEND, READ_LIST),
        ("micro-operation", "element_count", history.element_count, 0, elements),
    ]
    codes = ("level", "error_class", "error_code", "sql")
    columns += [("transaction", name, getattr(history, name), -1, texts - 1) for name in codes]
    if history.has_named_keys:
        columns.append(("micro-operation", "key", history.key, 0, texts - 1))
    columns.append(("micro-operation", "element_start", history.element_start, 0, elements))
    for what, name, column, least, most in columns:
        # The extremes are found at memory speed, the place only where it is wanted.
        if len(column) and (column.min() < least or column.max() > most):
            place = int(np.flatnonzero((column < least) | (column > most))[0])
            yield f"{what} {place}", f"{name} is {column[place]}, not within {least} and {most}"
    for part in _parts(history.mop_count):
        ends = history.element_start[part] + history.element_count[part]
        if ends.max() > elements:
            place = int(np.flatnonzero(ends > elements)[0])
            yield (
                f"micro-operation {part.start + place}",
                f"the end of its elements is {ends[place]}, not within 0 and {elements}",
            )
            return
    for part in _parts(history.mop_count):
        is_nothing = (history.value[part] == NIL) & (history.f[part] <= WRITE)
        if is_nothing.any():
            place = part.start + int(np.flatnonzero(is_nothing)[0])
            yield f"micro-operation {place}", f"writes {NIL}, which stands for nothing"
            break
    if elements and history.element.min() == NIL:
        place = int(np.flatnonzero(history.element == NIL)[0])
        yield f"element {place}", f"is {NIL}, which stands for nothing"


def _overlaps(history: History) -> list[tuple[str, str]]:
    # Most histories have each session's transactions in order: that is told in a tenth of the time.
    if _are_in_order(history):
        return []
    order = np.lexsort((history.end, history.start, history.process))
    before, after = order[:-1], order[1:]
    same = history.process[before] == history.process[after]
    late = same & (history.end[before] > history.start[after])
    return [
        (f"transaction {after[place]}", _overlap(history, int(before[place])))
        for place in np.flatnonzero(late)[:_MOST]
    ]


def _are_in_order(history: History) -> bool:
    """Return whether each session's transactions stand one after another, and none overlap."""
    processes = int(history.process.max(initial=-1)) + 1
    ended = np.full(processes, np.iinfo(np.int64).min)
    number = np.int16 if processes < 2**15 else np.int32  # of which a sort is ten times as fast
    for part in _parts(len(history)):
        process = history.process[part]
        order = np.argsort(process.astype(number), kind="stable")
        session, start, end = process[order], history.start[part][order], history.end[part][order]
        is_last = np.append(session[1:] != session[:-1], True)
        before = np.roll(end, 1)
        first = np.flatnonzero(np.roll(is_last, 1))
        before[first] = ended[session[first]]
        if (before > start).any():
            return False
        ended[session[is_last]] = end[is_last]
    return True


def _parts(count: int) -> Iterator[slice]:
    """Yield slices of an array that stay in the processor's cache, with all that is made of them.

    Memory that is new costs more than what is done there.
    """
    return (slice(first, first + _AT_ONCE) for first in range(0, count, _AT_ONCE))


def _overlap(history: History, before: int) -> str:
    name = history.text(int(history.process[before]))
    if history.type[before] == INFO:
        return (
            f"session {name} goes on after transaction {before}, whose answer was lost; "
            "what follows needs another session"
        )
    return f"session {name} begins it before its transaction {before} has ended"


def _duplicates(history: History) -> list[tuple[str, str]]:
    if _are_dense_and_distinct(history):
        return []
    written = np.flatnonzero(history.f <= WRITE)
    if _are_distinct(history.key[written], history.value[written]):
        return []
    order = written[np.lexsort((history.value[written], history.key[written]))]
    first, second = order[:-1], order[1:]
    same = (history.key[first] == history.key[second]) & (
        history.value[first] == history.value[second]
    )
    owner = history.transaction_of_mop()
    return [
        (
            f"transaction {owner[second[place]]}",
            f"writes {history.value[first[place]]} to key {history.key_of(int(first[place]))}, "
            f"as transaction {owner[first[place]]} does; values must be unique to say who was read",
        )
        for place in np.flatnonzero(same)[:_MOST]
    ]


def _are_dense_and_distinct(history: History) -> bool:
    """Return whether no pair was written twice, where so few are possible that each has a mark."""
    if not history.mop_count:
        return True
    first, width = int(history.key.min()), int(history.value.max()) + 1
    size = (int(history.key.max()) - first + 1) * width
    # Nothing but NIL is below zero; beside it, as no sign is, all of these are smaller.
    if size > 4 * history.mop_count + _AT_ONCE or history.value.view(np.uint64).max() > 2**63:
        return False
    seen = np.zeros(max(size, 0), np.bool_)
    written = 0
    for part in _parts(history.mop_count):
        is_written = history.f[part] <= WRITE
        pairs = ((history.key[part] - first) * width + history.value[part])[is_written]
        seen[pairs] = True
        written += len(pairs)
    return int(np.count_nonzero(seen)) == written


def _are_distinct(key: Int64s, value: Int64s) -> bool:
    """Return whether no pair is there twice, False also where the pairs do not fit into 63 bits."""
    if not len(key):
        return True
    low, width = int(value.min()), int(value.max()) - int(value.min()) + 1
    first = int(key.min())
    if (int(key.max()) - first + 1) * width >= 2**63:
        return False
    pairs = (key - first) * width + (value - low)
    pairs.sort(kind="stable")  # most come nearly in order
    return bool((pairs[1:] != pairs[:-1]).all())


def models(history: History) -> frozenset[str]:
    """Return the models that the micro-operations are of: `list-append`, `rw-register`."""
    kinds = np.bincount(history.f, minlength=4)
    registers = int(kinds[WRITE]) + int(np.count_nonzero(history.value[history.f == READ] != NIL))
    lists = int(kinds[0]) + int(kinds[3])
    return frozenset(
        name for name, count in (("list-append", lists), ("rw-register", registers)) if count
    )
