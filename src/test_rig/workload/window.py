"""The last transactions of a history that grows, in bounded memory.

How to think of it: what is older goes, with its values in what others read. Leaving out a write
together with the value in every read that saw it, or a read, never makes an anomaly: what explained
the whole explains the part. So a window accuses nobody whom the whole would not; a cycle that needs
what has gone is not found in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from test_rig.history import NIL, READ, UNENDED, WRITE, History, joined, settled

__all__ = ["Window"]


class Window:
    """Keeps the last transactions.

    Args:
        most: When there are more, the older half of so many is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[History] = []
        #: Those that were open when the last part was taken.
        self._open: History | None = None
        #: How many have gone.
        self.gone = 0

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, part: History) -> None:
        """Add what came last; those that were open before are in it again."""
        is_open = part.end == UNENDED
        every = np.ones(part.mop_count, dtype=np.bool_)
        self._parts.append(part.select(~is_open, every))
        self._open = settled(part.select(is_open, every), 0)

    @property
    def surplus(self) -> int:
        """How many of the oldest are to go now."""
        return len(self) - self._most // 2 if len(self) > self._most else 0

    def drop(self, count: int) -> None:
        """Let the oldest go."""
        whole = joined(self._parts)
        keep = np.arange(len(whole)) >= count
        self._parts = [whole.select(keep, np.ones(whole.mop_count, dtype=np.bool_))]
        self.gone += count

    def history(self) -> History:
        """Return what is kept, and what is open.

        Once some have gone, it is without the values that nobody in it wrote.
        """
        self._parts = [joined(self._parts)]
        whole = self._parts[0] if self._open is None else joined([self._parts[0], self._open])
        return _closed(whole) if self.gone else whole


def _closed(history: History) -> History:
    """Return a history without the values that nobody in it wrote."""
    count = history.mop_count
    keys = np.concatenate((history.key, np.repeat(history.key, history.element_count)))
    pair = _pairs(keys, np.concatenate((history.value, history.apart().element)))
    is_known = np.isin(pair, pair[:count][history.f <= WRITE])
    has_value = (history.f == READ) & (history.value != NIL)
    return history.keep_elements(is_known[count:]).select(
        np.ones(len(history), dtype=np.bool_), ~has_value | is_known[:count]
    )


def _pairs(key: npt.NDArray[np.int64], value: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a number for each key and value, the same for the same."""
    _, key_rank = np.unique(key, return_inverse=True)
    values, value_rank = np.unique(value, return_inverse=True)
    found: npt.NDArray[np.int64] = key_rank * len(values) + value_rank
    return found
