"""The smallest part of a history that still shows an anomaly: its witness.

How to think of it: leaving out a write together with the value in every read that saw it, or a
read alone, never makes an anomaly: what explained the whole explains the part. So one may try any
part. It begins with the transactions of the anomaly and the reads that tell the order of their
writes, on the keys that it is about; where that does not show the anomaly any more, with more of
the history. Then delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and isolating
failure-inducing input", TSE 2002) leaves out groups of micro-operations, smaller and smaller, as
long as the anomaly remains. A read stays with what its own transaction wrote to its key before:
many databases show the newest state to who has written. What is left is a history of its own from
which nothing else can be taken. The same history gives the same witness, and the work is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from test_rig.checker.judge import Checked, check
from test_rig.checker.witness import Seen
from test_rig.history import NIL, OK, READ, READ_LIST, WRITE, History

__all__ = ["Reduced", "reduce"]

#: So many micro-operations are judged in all, counted at every judgement.
_LIMIT = 3_000_000
_Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """A witness."""

    #: A history of its own.
    history: History
    #: The anomaly, by the places of this history.
    seen: Seen
    #: For each of its transactions the place in the whole history.
    origin: tuple[int, ...]
    #: Whether nothing more can be left out; else the limit ended the search.
    is_minimal: bool


def reduce(
    history: History,
    seen: Seen,
    *,
    judge: Callable[[History], Checked] = check,
    limit: int = _LIMIT,
) -> Reduced:
    """Return the smallest part of a history that shows the anomaly.

    Args:
        history: The whole, as it was judged.
        seen: What was seen in it.
        judge: What judged it.
        limit: So many micro-operations are judged in all; the first attempts are free.

    Raises:
        ValueError: The history does not show it.
    """
    search = _Search(seen.anomaly, judge, limit)
    owner = history.transaction_of_mop()
    for part in _parts(history, seen):
        whole = _projected(history, part)
        found = search.shows(whole)
        if found is not None:
            break
    else:
        raise ValueError(f"the history does not show {seen.anomaly}")
    left, found = search.smallest(whole, found)
    places = np.unique(owner[_tidied(history, part)])[np.unique(whole.transaction_of_mop()[left])]
    return Reduced(
        history=_projected(whole, left),
        seen=found,
        origin=tuple(places.tolist()),
        is_minimal=search.left > 0,
    )


def _parts(history: History, seen: Seen) -> Iterator[_Marks]:
    """Yield ever larger parts, as marks of micro-operations, with which a search may begin."""
    owner = history.transaction_of_mop()
    members = np.isin(owner, np.array(seen.transactions, dtype=np.int64))
    shown = [each for edge in seen.edges for each in (edge.first_mop, edge.second_mop)]
    shown += list(seen.mops)
    mops = np.array([each for each in shown if each is not None], dtype=np.int64)
    own_keys = np.unique(history.key[members])
    keys = np.unique(history.key[mops]) if len(mops) else own_keys
    for about in (keys, own_keys):
        of_keys = np.isin(history.key, about)
        mine = members & of_keys
        yield mine
        with_order = mine | (of_keys & np.isin(owner, _longest_readers(history, owner, about)))
        yield with_order
        yield of_keys & (with_order | np.isin(owner, owner[_writers(history, mine)]))
        yield of_keys
    yield np.ones(history.mop_count, dtype=np.bool_)


def _longest_readers(
    history: History, owner: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return who tells most of the order of each key."""
    lists = np.flatnonzero((history.f == READ_LIST) & (history.type[owner] == OK))
    lists = lists[np.isin(history.key[lists], keys)]
    lengths = history.element_count[lists]
    order = np.lexsort((-lists, lengths, history.key[lists]))
    last = np.flatnonzero(np.diff(history.key[lists][order], append=-1) != 0)
    return owner[lists[order[last]]]


def _writers(history: History, reads: _Marks) -> npt.NDArray[np.int64]:
    """Return the writes of what the marked reads saw."""
    wanted = {
        (int(history.key[mop]), value)
        for mop in np.flatnonzero(reads & (history.f >= READ)).tolist()
        for value in _values(history, mop)
    }
    keys = np.unique(history.key[reads])
    writes = np.flatnonzero((history.f <= WRITE) & np.isin(history.key, keys))
    pairs = zip(history.key[writes].tolist(), history.value[writes].tolist(), strict=True)
    return writes[np.array([pair in wanted for pair in pairs], dtype=np.bool_)]


def _values(history: History, mop: int) -> tuple[int, ...]:
    if history.f[mop] == READ_LIST:
        return history.elements(mop)
    value = int(history.value[mop])
    return () if value == NIL else (value,)


class _Search:
    """One search; counts what it has judged."""

    def __init__(self, anomaly: str, judge: Callable[[History], Checked], limit: int) -> None:
        self._anomaly, self._judge, self.left = anomaly, judge, limit
        #: For each read the last write of its key by its own transaction before it, or -1.
        self._own = np.zeros(0, dtype=np.int64)

    def shows(self, history: History) -> Seen | None:
        """Return the anomaly as a history shows it, the one of the fewest transactions."""
        self.left -= history.mop_count
        same = [each for each in self._judge(history).seen if each.anomaly == self._anomaly]
        return min(same, key=lambda each: len(each.transactions), default=None)

    def smallest(self, whole: History, seen: Seen) -> tuple[_Marks, Seen]:
        """Leave out what can be left out, by whole transactions first."""
        owner = whole.transaction_of_mop()
        self._own = _own_writes(whole, owner)
        part = np.ones(whole.mop_count, dtype=np.bool_)
        part, seen = self._without(whole, part, seen, _by_transaction(part, owner))
        return self._without(whole, part, seen, _one_by_one(part))

    def _without(
        self, whole: History, part: _Marks, seen: Seen, groups: list[list[int]]
    ) -> tuple[_Marks, Seen]:
        size = max(len(groups) // 2, 1)
        while self.left > 0 and groups:
            is_smaller, place = False, 0
            while place < len(groups) and self.left > 0:
                less = part.copy()
                less[[mop for group in groups[place : place + size] for mop in group]] = False
                is_whole = less.any() and not (less & (self._own >= 0) & ~less[self._own]).any()
                found = self.shows(_projected(whole, less)) if is_whole else None
                if found is None:
                    place += size
                else:
                    part, seen, is_smaller = less, found, True
                    del groups[place : place + size]
            if size == 1 and not is_smaller:
                break
            size = max(size // 2, 1)
        return _tidied(whole, part), seen


def _own_writes(history: History, owner: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each read the last write of its key by its own transaction before it, or -1."""
    order = np.lexsort((np.arange(history.mop_count), history.key, owner))
    is_write = history.f[order] <= WRITE
    last = np.maximum.accumulate(np.where(is_write, np.arange(len(order)), -1))
    write = order[last]
    same = (last >= 0) & ~is_write & (owner[write] == owner[order])
    same &= history.key[write] == history.key[order]
    found = np.full(history.mop_count, -1)
    found[order] = np.where(same, write, -1)
    return found


def _by_transaction(part: _Marks, owner: npt.NDArray[np.int64]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for mop in np.flatnonzero(part).tolist():
        groups.setdefault(int(owner[mop]), []).append(mop)
    # From the end: what comes late mostly only tells what was before.
    return list(groups.values())[::-1]


def _one_by_one(part: _Marks) -> list[list[int]]:
    return [[mop] for mop in np.flatnonzero(part).tolist()][::-1]


def _tidied(history: History, part: _Marks) -> _Marks:
    """Leave out what a projection leaves out as well: reads of values whose write is gone."""
    values = _left_out(history, part)
    mops = np.flatnonzero(part & (history.f == READ)).tolist()
    gone = [mop for mop in mops if (int(history.key[mop]), int(history.value[mop])) in values]
    tidy = part.copy()
    tidy[gone] = False
    return tidy


def _left_out(history: History, part: _Marks) -> frozenset[tuple[int, int]]:
    """Return the keys and values of the writes of a part's keys that are not in the part."""
    keys = np.unique(history.key[part])
    gone = np.flatnonzero((history.f <= WRITE) & ~part & np.isin(history.key, keys))
    return frozenset(zip(history.key[gone].tolist(), history.value[gone].tolist(), strict=True))


def _projected(history: History, part: _Marks) -> History:
    """Return the marked micro-operations as a history, without the values nobody writes there."""
    part = _tidied(history, part)
    owner = history.transaction_of_mop()
    keep = np.zeros(len(history), dtype=np.bool_)
    keep[owner[part]] = True
    small = history.select(keep, part)
    values = _left_out(history, part)
    if not values or not small.element_count.any():
        return small
    elements = small.apart().element.tolist()
    pairs = zip(np.repeat(small.key, small.element_count).tolist(), elements, strict=True)
    return small.keep_elements(np.array([pair not in values for pair in pairs], dtype=np.bool_))
