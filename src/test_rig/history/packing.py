"""Lists that were read share what they have in common.

How to think of it: who reads a list that grows reads the same beginning again and again; written
out, that is the square of its length. Of each key the longest read is kept, and every read that it
begins with takes its elements from there. The others, which no order of appends explains, or which
another history's reads are compared with only later, have elements of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from test_rig.history.columns import History, Int64s, spread, starts

__all__ = ["packed"]

#: So many elements are compared at once: a few megabytes.
_AT_ONCE = 1 << 18


def packed(history: History) -> History:
    """Return the same history, with no element more often than is needed to tell the reads."""
    count, begin = history.element_count, history.element_start
    reads = np.flatnonzero(count)
    reads = reads[np.lexsort((-count[reads], history.key[reads]))]
    key = history.key[reads]
    is_own = np.ones(len(reads), np.bool_)
    is_own[1:] = key[1:] != key[:-1]
    longest = reads[np.maximum.accumulate(np.where(is_own, np.arange(len(reads)), 0))]
    apart = np.flatnonzero(begin[reads] != begin[longest])
    differs = _differ(
        history.element, begin[reads[apart]], begin[longest[apart]], count[reads[apart]]
    )
    is_own[apart[differs]] = True
    own = reads[is_own]
    start = np.zeros(history.mop_count, np.int64)
    start[own] = starts(count[own])[:-1]
    start[reads[~is_own]] = start[longest[~is_own]]
    return replace(
        history,
        element=history.element[spread(begin[own], count[own])],
        element_start=start,
    )


def _differ(
    element: Int64s, one: Int64s, other: Int64s, count: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Return for pairs of lists of the same length, none of them empty, whether they differ."""
    total = starts(count)
    result = np.empty(len(count), np.bool_)
    first = 0
    while first < len(count):
        end = max(first + 1, int(np.searchsorted(total, total[first] + _AT_ONCE, "right")) - 1)
        part = slice(first, end)
        unlike = (
            element[spread(one[part], count[part])] != element[spread(other[part], count[part])]
        )
        result[part] = np.logical_or.reduceat(unlike, total[part] - total[first])
        first = end
    return result
