"""How a source learns that its events are where they survive."""

from __future__ import annotations

import threading

__all__ = ["Ticket"]


class Ticket:
    """Tells a source that events are where they survive: taken, and on disk where that is set."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._is_refused = False
        if count == 0:
            self._done.set()

    def expect(self, count: int) -> None:
        """Wait for more of them."""
        with self._lock:
            self._left += count

    def take(self) -> None:
        """One of those that were waited for is done."""
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self._done.set()

    def refuse(self) -> None:
        """One of them could not take all events."""
        self._is_refused = True
        self._done.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all are done; return whether they are, and nothing was refused."""
        return self._done.wait(timeout_s) and not self._is_refused
