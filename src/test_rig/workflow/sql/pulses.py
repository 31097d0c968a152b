"""How long other workers have been silent, by a clock that nobody sets.

What a worker writes as its heartbeat is the time of day, which may jump. So nobody subtracts it
from anything: a worker is silent for as long as the same heartbeat has been seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

__all__ = ["Pulses"]


class Pulses:
    """The heartbeats that were seen last, and since when."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}

    def silent(self, heartbeats: Iterable[tuple[str, float]], limit_s: float) -> set[str]:
        """Return the workers that have been silent for longer than the limit.

        Args:
            heartbeats: Each worker's, as recorded now; others are forgotten.
            limit_s: How long is too long.
        """
        now, before = time.monotonic(), self._seen
        self._seen = {}
        for worker, heartbeat in heartbeats:
            seen, since = before.get(worker, (heartbeat, now))
            self._seen[worker] = (heartbeat, since if seen == heartbeat else now)
        return {worker for worker, (_, since) in self._seen.items() if now - since > limit_s}
