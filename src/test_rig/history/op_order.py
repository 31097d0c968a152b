"""In which order operations were seen, whatever the order of the lines that tell them.

How to think of it: who merges the logs of several clients has a file whose lines stand in another
order than what they tell, and real time must not be taken from that. What the operations say
themselves goes first: their indexes, else their times, and only else their lines. Indexes and times
count where every operation has one. Where they contradict each other the indexes are the order, and
no time is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from test_rig.history.columns import Int64s
from test_rig.history.operation import UNTOLD

__all__ = ["OpOrder", "op_order", "same_indexes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpOrder:
    """The order of operations."""

    #: Their places in their file, as they follow each other; None where that is the file's order.
    places: Int64s | None
    #: What told it: indexes, times or lines.
    by: str
    #: Whether their times never go back in this order, so that they are durations too.
    is_timed: bool


def op_order(indexes: Int64s, times: Int64s) -> OpOrder:
    """Return the order of operations.

    Args:
        indexes: Of each operation, UNTOLD for none; no two are the same.
        times: Of each operation, UNTOLD for none. Equal ones are seen in the order of the lines;
            where all are 0 there are none.
    """
    has_times = bool((times != UNTOLD).all() and times.any())
    places, by = None, "lines"
    if (indexes != UNTOLD).all():
        places, by = _sorted(indexes), "indexes"
    elif has_times:
        places, by = _sorted(times), "times"
    is_timed = has_times and _is_sorted(times if places is None else times[places])
    return OpOrder(places=places, by=by, is_timed=is_timed)


def same_indexes(indexes: Int64s) -> list[tuple[int, int]]:
    """Return the pairs of places that have the same index, the later one second."""
    told = np.flatnonzero(indexes != UNTOLD)
    numbers = indexes[told]
    if (numbers[1:] > numbers[:-1]).all():
        return []
    order = told[np.argsort(numbers, kind="stable")]
    same = np.flatnonzero(indexes[order[1:]] == indexes[order[:-1]])
    return list(zip(order[same].tolist(), order[same + 1].tolist(), strict=True))


def _sorted(numbers: Int64s) -> Int64s | None:
    return None if _is_sorted(numbers) else np.argsort(numbers, kind="stable")


def _is_sorted(numbers: Int64s) -> bool:
    return bool((numbers[1:] >= numbers[:-1]).all())
