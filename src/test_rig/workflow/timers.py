"""What the engine does later: monotonic, so a clock that is set neither hurries nor delays it."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Timers"]


class Timers:
    """Functions and when to call them, for one thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def later(self, wait_s: float, function: Callable[..., None], *values: Any) -> None:
        """Call a function when so much time is over."""
        entry = (time.monotonic() + max(0.0, wait_s), next(self._numbers), function, values)
        heapq.heappush(self._heap, entry)

    def wait_s(self) -> float | None:
        """Return how long it is until the next one is due; None where there is none."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None

    def fire(self) -> None:
        """Call those that are due."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            _, _, function, values = heapq.heappop(self._heap)
            function(*values)
