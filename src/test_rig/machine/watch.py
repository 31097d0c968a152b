"""Watches the calls of one run from another thread, and ends those that take too long.

Theory of operation. A *span* is one call under watch. The runner begins and ends spans; the
watcher looks at the current one when its deadline has passed. A span is ended by whoever takes its
`claim` first, so that nothing is cancelled that had returned in time, and a span costs the runner
one lock that nobody else wants.

If the watcher comes first it stops the call's work (its statements are cancelled, its task too) and
waits a grace period for the runner to come back; then it cuts the connections and waits again; then
it *abandons* the runner, whose thread cannot be ended from outside. Runner and watcher hand over to
each other under one condition: a runner that comes back waits until the stopping is over, so that
no late cancellation can hit what it does next; a runner that comes back after it was abandoned does
nothing any more.

The watcher never sleeps longer than the shortest limit: a span that begins while it sleeps cannot
be due before it wakes, and the runner need not wake it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from test_rig.clock import Clock
from test_rig.machine.ledger import Call
from test_rig.machine.result import Phase

__all__ = ["Cut", "Span", "Watch"]

#: A runner that did not see an interruption when it began a call is found after so long.
_INTERRUPTED_NAP_S = 0.02


class Cut(Enum):
    """Why the watcher ended a call."""

    TIME = "time"
    INTERRUPTED = "interrupted"
    #: It did not return: its thread was left behind.
    ABANDONED = "abandoned"


class Span:
    """One call under watch."""

    __slots__ = ("call", "claim", "deadline_ns")

    def __init__(self, call: Call | None, deadline_ns: int | None) -> None:
        #: None: the machine's own clean-up.
        self.call = call
        self.deadline_ns = deadline_ns
        self.claim = threading.Lock()


class Watch:
    """What the runner and the watcher of one run share.

    Args:
        clock: Tells when deadlines pass.
        longest_nap_s: The shortest of the run's limits.
        grace_s: How long a call may take to return after each try to stop it.
        stop: Stops the work of the running call, softly.
        cut: Cuts what it waits for.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        longest_nap_s: float,
        grace_s: float,
        stop: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        self._clock, self._longest_nap_s, self._grace_s = clock, longest_nap_s, grace_s
        self._stop, self._cut = stop, cut
        #: The runner's current call.
        self.span: Span | None = None
        #: No `enter` and no `execute` shall begin any more.
        self.is_interrupted = False
        #: The call that was left behind.
        self.abandoned: Span | None = None
        self._wake = threading.Event()
        self._is_done = False
        self._turn = threading.Condition()
        self._stopped: tuple[Span, Cut] | None = None
        self._returned: Span | None = None

    # The runner's side

    def returned_late(self, span: Span) -> Cut:
        """Return why the watcher ended a call, once it has done so. Called without the claim."""
        with self._turn:
            if self.abandoned is span:
                return Cut.ABANDONED
            self._returned = span
            self._turn.notify_all()
            while self._stopped is None or self._stopped[0] is not span:
                self._turn.wait()
            return self._stopped[1]

    def finish(self) -> None:
        """Say that the runner has ended."""
        self._is_done = True
        self._wake.set()

    # The watcher's side

    def interrupt(self) -> None:
        """Ask that the run end now, its `exit` included. From any thread."""
        self.is_interrupted = True
        self._wake.set()

    def keep(self) -> bool:
        """Watch until the runner has ended; return False if it had to be abandoned."""
        while True:
            self._wake.wait(self._nap_s())
            self._wake.clear()
            if self._is_done:
                return True
            span = self.span
            why = None if span is None else self._why_end(span)
            if span is None or why is None or not span.claim.acquire(blocking=False):
                continue
            if not self._end(span, why):
                return False

    def _nap_s(self) -> float:
        if self.is_interrupted:
            return _INTERRUPTED_NAP_S
        span = self.span
        # A claimed span has ended, or its deadline has been dealt with.
        if span is None or span.deadline_ns is None or span.claim.locked():
            return self._longest_nap_s
        left_s = (span.deadline_ns - self._clock.now_ns()) / 1e9
        return min(self._longest_nap_s, max(left_s, 0.001))

    def _why_end(self, span: Span) -> Cut | None:
        if span.deadline_ns is not None and self._clock.now_ns() >= span.deadline_ns:
            return Cut.TIME
        is_work = span.call is not None and span.call.phase is not Phase.EXIT
        return Cut.INTERRUPTED if self.is_interrupted and is_work else None

    def _end(self, span: Span, why: Cut) -> bool:
        self._stop()
        with self._turn:
            self._stopped = (span, why)
            self._turn.notify_all()
            if self._turn.wait_for(lambda: self._returned is span, self._grace_s):
                return True
        self._cut()
        with self._turn:
            if self._turn.wait_for(lambda: self._returned is span, self._grace_s):
                return True
            self.abandoned = span
            return False
