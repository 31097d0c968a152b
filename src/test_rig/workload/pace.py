"""When the next transaction is due: as soon as somebody can, or at a steady rate."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Pace"]


class Pace:
    """Gives out times. Its owner holds a lock while it asks for one.

    Args:
        rate: Transactions a second, or None for as fast as it goes.
        now_ns: The time on whose scale the answers are.
    """

    def __init__(self, rate: float | None, now_ns: Callable[[], int]) -> None:
        self._step_ns = None if rate is None else round(1e9 / rate)
        self._now_ns = now_ns
        self._next_ns: int | None = None

    def slot_ns(self) -> int | None:
        """Return when the next one is due; None for at once."""
        if self._step_ns is None:
            return None
        slot = self._now_ns() if self._next_ns is None else self._next_ns
        # Those that come too late keep their times: their waiting counts as latency.
        self._next_ns = slot + self._step_ns
        return slot

    def wait(self, slot_ns: int | None, stopped: threading.Event) -> bool:
        """Wait until a slot has come; return whether everything was stopped before."""
        if slot_ns is None:
            return stopped.is_set()
        left_s = (slot_ns - self._now_ns()) / 1e9
        return stopped.wait(left_s) if left_s > 0 else stopped.is_set()
