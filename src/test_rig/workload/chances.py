"""How often each anomaly had the chance to show itself: what silence is worth.

How to think of it: an anomaly needs transactions that overlap in time and touch the same keys in a
certain way. So those pairs are counted, refused transactions included where a refusal is how a
level keeps its promise. They come part by part; of those that were counted the ones are kept that
had not ended when the oldest of those began that were open then: only they can overlap with what
comes later.

Within a key its transactions stand in the order of their ends; those that one overlaps with stand
right before it. So the work grows with the number of pairs that overlap on a key, which is that of
transactions times clients at most.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from test_rig.history import FAIL, INFO, NEVER, OK, READ, UNENDED, History, joined

__all__ = ["Chances"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: What is counted, in the order of the anomalies' badness, as the reports tell it.
_NAMES = (
    "G0",
    "G1a",
    "G1b",
    "G1c",
    "lost-update",
    "G-single",
    "G-nonadjacent",
    "G2-item",
    "internal",
)


class Chances:
    """Counts, part by part."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._transactions = 0
        self._late: History | None = None

    def add(self, part: History, *, open_since_ns: int | None = None) -> None:
        """Count what has ended.

        Args:
            part: What came since the last call.
            open_since_ns: When the oldest of those began that are open.
        """
        ended = part.select(part.end != UNENDED, np.ones(part.mop_count, dtype=np.bool_))
        self._transactions += len(ended)
        late = [] if self._late is None else [self._late]
        whole = joined([*late, ended])
        self._counts.update(_counted(whole, sum(map(len, late))))
        is_late = (whole.end != NEVER) & (open_since_ns is not None)
        is_late &= whole.end >= (open_since_ns or 0)
        self._late = whole.select(is_late, np.ones(whole.mop_count, dtype=np.bool_))

    def told(self) -> tuple[tuple[str, int], ...]:
        """Return the counts, in words."""
        return (
            ("transactions", self._transactions),
            *(
                (f"{'transactions' if name == 'internal' else 'pairs'} for {name}", count)
                for name in _NAMES
                for count in [self._counts[name]]
            ),
        )


@dataclass(frozen=True, slots=True)
class _Touches:
    """What each transaction does with each key, by key and then by end."""

    transaction: Ints
    key: Ints
    start: Ints
    end: Ints
    #: It reads the key before it writes it, if it does; reads it so twice; writes it; writes twice.
    reads: Flags
    rereads: Flags
    writes: Flags
    rewrites: Flags
    is_ok: Flags
    is_failed: Flags
    #: A committed one that reads the key again, or after its own write.
    again: Flags

    @classmethod
    def of(cls, part: History) -> _Touches:
        owner = part.transaction_of_mop()
        known = (
            part.type[owner] != INFO
        )  # how long one overlaps whose end is not known nobody knows
        order = np.flatnonzero(known)
        end = part.end
        order = order[np.lexsort((order, owner[order], end[owner[order]], part.key[order]))]
        key, txn, is_read = part.key[order], owner[order], part.f[order] >= READ
        is_first = np.ones(len(order), dtype=np.bool_)
        is_first[1:] = (key[1:] != key[:-1]) | (txn[1:] != txn[:-1])
        group = np.cumsum(is_first) - 1
        first = np.flatnonzero(is_first)
        size = len(first)
        writes_before = _before(~is_read, first, group)
        fresh = is_read & (writes_before == 0)
        reads = np.bincount(group[fresh], minlength=size)
        writes = np.bincount(group[~is_read], minlength=size)
        every_read = np.bincount(group[is_read], minlength=size)
        again = (every_read > 1) | (every_read > reads)
        of = txn[first]
        return cls(
            transaction=of,
            key=key[first],
            start=part.start[of],
            end=end[of],
            reads=reads > 0,
            rereads=reads > 1,
            writes=writes > 0,
            rewrites=writes > 1,
            is_ok=part.type[of] == OK,
            is_failed=part.type[of] == FAIL,
            again=again & (part.type[of] == OK),
        )

    def overlapping(self, among: Ints | None = None) -> tuple[Ints, Ints]:
        """Return the places of each two touches of a key whose transactions overlap.

        Args:
            among: The places to look at, in order; all if None.
        """
        places = np.arange(len(self.key)) if among is None else among
        key, start, end = self.key[places], self.start[places], self.end[places]
        # One number for key and time, so that one search finds the first that overlaps.
        rank = np.cumsum(np.diff(key, prepend=key[:1]) != 0)
        origin = int(start.min(initial=0))
        base = rank * (int(end.max(initial=0)) - origin + 1) - origin
        lowest = np.searchsorted(base + end, base + start, side="left")
        counts = np.maximum(np.arange(len(places)) - lowest, 0)
        second = np.repeat(np.arange(len(places)), counts)
        offset = np.arange(len(second)) - np.repeat(np.cumsum(counts) - counts, counts)
        first = np.repeat(lowest, counts) + offset
        return places[first], places[second]


def _before(mark: Flags, first: Ints, group: Ints) -> Ints:
    """Return how many marks stand before each place in its group."""
    count = np.cumsum(mark)
    found: Ints = count - mark - (count - mark)[first][group]
    return found


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of touches of a key, and which of them are of the same two transactions."""

    first: Ints
    second: Ints
    #: A number for the two transactions, from 0 on.
    of: Ints

    @classmethod
    def among(cls, touches: _Touches, since: int, places: Ints | None = None) -> _Pairs:
        first, second = touches.overlapping(places)
        is_new = touches.transaction[second] >= since
        first, second = first[is_new], second[is_new]
        size = int(touches.transaction.max(initial=0)) + 1
        name = touches.transaction[first] * size + touches.transaction[second]
        _, of = np.unique(name, return_inverse=True)
        return cls(first, second, of)

    def total(self, deeds: Flags | Ints) -> Ints:
        """Return the sum for each two transactions."""
        found: Ints = np.bincount(self.of, weights=deeds).astype(np.int64)
        return found


def _counted(history: History, first: int) -> dict[str, int]:
    """Return how many pairs of transactions touch their keys as each anomaly needs it.

    Args:
        history: The transactions in the order of their ends.
        first: Pairs count whose later one stands there or after it.
    """
    touches = _Touches.of(history)
    pairs = _Pairs.among(touches, first)
    a, b, total = pairs.first, pairs.second, pairs.total
    reads, writes, is_ok = touches.reads, touches.writes, touches.is_ok
    there, back = reads[a] & writes[b], writes[a] & reads[b]
    both = total(there & back)
    crossed = (total(there) > 0) & (total(back) > 0)
    # Of one key that both read and wrote it is a lost update.
    crossed &= (total(there) > 1) | (total(back) > 1) | (both == 0)
    middle = (touches.rewrites[a] & reads[b] & is_ok[b]) | (
        touches.rewrites[b] & reads[a] & is_ok[a]
    )
    refused = touches.is_failed & writes
    dirty = (refused[a] & reads[b] & is_ok[b]) | (refused[b] & reads[a] & is_ok[a])
    skewed = _reads_in_part(touches, pairs, (a, b)) | _reads_in_part(touches, pairs, (b, a))
    return {
        "G0": _several(total(writes[a] & writes[b]) > 1),
        "G1a": _several(total(dirty) > 0),
        "G1b": _several(total(middle) > 0),
        "G1c": _several(crossed),
        "lost-update": _several(both > 0),
        "G-single": _several(skewed),
        "G-nonadjacent": _forks(touches, first),
        "G2-item": _several(crossed),
        "internal": len(
            np.unique(touches.transaction[touches.again & (touches.transaction >= first)])
        ),
    }


def _reads_in_part(touches: _Touches, pairs: _Pairs, sides: tuple[Ints, Ints]) -> Flags:
    """Return which pairs have one that may see the other before one deed and after another."""
    reader, writer = sides
    is_written = touches.writes[writer]
    reads = touches.reads[reader] & is_written
    deeds = reads.astype(np.int64) + touches.rereads[reader] + touches.writes[reader]
    found: Flags = (pairs.total(reads) > 0) & (pairs.total(deeds * is_written) > 1)
    return found


def _forks(touches: _Touches, first: int) -> int:
    """Return how many pairs read the same two keys while others wrote them."""
    a, b = touches.overlapping()
    is_beside = np.zeros(len(touches.key), dtype=np.bool_)
    is_beside[a[touches.reads[a] & touches.writes[b]]] = True
    is_beside[b[touches.writes[a] & touches.reads[b]]] = True
    readers = _Pairs.among(touches, first, np.flatnonzero(is_beside))
    return _several(np.bincount(readers.of) > 1)


def _several(mark: Flags) -> int:
    return int(np.count_nonzero(mark))
