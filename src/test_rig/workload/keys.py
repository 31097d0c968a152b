"""Which keys to use: a few at a time, some much more than others, and each only for a while.

How to think of it: the keys in use stand in a row, and each is chosen half as often as the one
before it, so that the first ones are hot. A key that was written often enough leaves for a new one:
what is read of a key stays short, and there are always fresh keys, whose first write is a conflict
of its own kind.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["RotatingKeys"]


class RotatingKeys:
    """The keys in use, from 1 on.

    Args:
        random: Where chance comes from.
        count: How many are in use at a time.
        writes_per_key: After so many values a key is left.
        rest: A key that was left is told by `left` after so many more choices: until then somebody
            may still be writing it.
    """

    def __init__(self, random: Random, *, count: int, writes_per_key: int, rest: int) -> None:
        self._random, self._limit, self._rest = random, writes_per_key, rest
        self._next = count + 1
        self._keys = list(range(1, count + 1))
        self._written = dict.fromkeys(self._keys, 0)
        self._left: deque[tuple[int, int]] = deque()
        self._chosen = 0

    @property
    def in_use(self) -> tuple[int, ...]:
        """The keys in use, and those that were left and not yet told."""
        return (*(key for _, key in self._left), *self._keys)

    def choose(self) -> int:
        """Return one of the keys in use."""
        self._chosen += 1
        return self._keys[self._place()]

    def _place(self) -> int:
        # Each place half as likely as the one before; what is beyond the last starts again.
        bits = self._random.getrandbits(32) | 1 << 32
        return ((bits & -bits).bit_length() - 1) % len(self._keys)

    def value(self, key: int) -> int:
        """Return the next value to write to a key in use: 1, 2, 3, ..."""
        value = self._written[key] + 1
        self._written[key] = value
        if value == self._limit:
            del self._written[key]
            self._keys[self._keys.index(key)] = self._next
            self._written[self._next] = 0
            self._next += 1
            self._left.append((self._chosen + self._rest, key))
        return value

    def left(self) -> int | None:
        """Return a key that was left and has rested, once; None where there is none."""
        if self._left and self._left[0][0] <= self._chosen:
            return self._left.popleft()[1]
        return None
