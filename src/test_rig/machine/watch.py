"""Watches the calls of one run from another thread, and ends those that take too long.

Theory of operation. While a call runs, it lies in `running`, a list of at most one; the deadline is
beside it. When the call returns the runner takes it out again; the watcher takes it out when the
deadline has passed. A list's `pop` is atomic, so exactly one of the two gets it, nothing is
cancelled that had returned in time, and being watched costs the runner two calls of C. The watcher
may find, once it holds the call, that this is a later one than it had looked at, not due yet: then
it puts it back.

If the watcher comes first it stops the call's work (its statements are cancelled, its task too) and
waits a grace period for the runner to come back; then it cuts the connections and waits again; then
it *abandons* the runner, whose thread cannot be ended from outside. Runner and watcher hand over to
each other under one condition: a runner that comes back waits until the stopping is over, so that
no late cancellation can hit what it does next; a runner that comes back after it was abandoned does
nothing any more.

The watcher never sleeps longer than the shortest limit: a call that begins while it sleeps cannot
be due before it wakes, and the runner need not wake it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from test_rig.clock import Clock
from test_rig.machine.limits import NEVER_NS
from test_rig.machine.states import State
from test_rig.machine.trace import Call, Phase

__all__ = ["CLEANING_UP", "Cut", "Watch"]

#: A runner that did not see an interruption when it began a call is found after so long.
_INTERRUPTED_NAP_S = 0.02
#: The machine's own clean-up.
CLEANING_UP = Call(State.Completed, "machine", Phase.EXIT)


class Cut(Enum):
    """Why the watcher ended a call."""

    TIME = "time"
    INTERRUPTED = "interrupted"
    #: It did not return: its thread was left behind.
    ABANDONED = "abandoned"


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
        #: The call that runs, or nothing. The runner puts it in, after its deadline.
        self.running: list[Call] = []
        #: By when the call must have returned.
        self.deadline_ns = NEVER_NS
        #: No visit shall begin any more, and the work that runs shall end.
        self.is_interrupted = False
        #: The call that was left behind.
        self.abandoned: Call | None = None
        self._wake = threading.Event()
        self._is_done = False
        self._turn = threading.Condition()
        self._stopped: Cut | None = None
        self._has_returned = False

    # The runner's side

    def begin(self, call: Call, deadline_ns: int) -> None:
        """Watch a call from now on."""
        self.deadline_ns = deadline_ns
        self.running.append(call)

    def end(self) -> Cut | None:
        """Say that the call has returned; return why the watcher has ended it, if it has.

        Waits until the stopping is over.
        """
        try:
            self.running.pop()
        except IndexError:
            return self.returned_late()
        return None

    def returned_late(self) -> Cut | None:
        """Return why the watcher took the call out of `running`; None where it put it back."""
        with self._turn:
            if self.abandoned is not None:
                return Cut.ABANDONED
            self._has_returned = True
            self._turn.notify_all()
            while self._stopped is None and not self.running:
                self._turn.wait()
            self.running.clear()
            cut, self._stopped, self._has_returned = self._stopped, None, False
            return cut

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
            if not self._look():
                return False

    def _nap_s(self) -> float:
        if self.is_interrupted:
            return _INTERRUPTED_NAP_S
        if not self.running:
            return self._longest_nap_s
        left_s = (self.deadline_ns - self._clock.now_ns()) / 1e9
        return min(self._longest_nap_s, max(left_s, 0.001))

    def _look(self) -> bool:
        """End the running call if it is due; return False if it had to be abandoned."""
        try:
            seen = self.running[0]
        except IndexError:
            return True
        if self._why_end(seen) is None:
            return True
        try:
            call = self.running.pop()
        except IndexError:
            return True
        why = self._why_end(call)
        if why is not None:
            return self._end(call, why)
        with self._turn:
            self.running.append(call)
            self._turn.notify_all()
        return True

    def _why_end(self, call: Call) -> Cut | None:
        if self._clock.now_ns() >= self.deadline_ns:
            return Cut.TIME
        return Cut.INTERRUPTED if self.is_interrupted and call.phase is not Phase.EXIT else None

    def _end(self, call: Call, why: Cut) -> bool:
        self._stop()
        with self._turn:
            self._stopped = why
            self._turn.notify_all()
            if self._turn.wait_for(self._is_back, self._grace_s):
                return True
        self._cut()
        with self._turn:
            if self._turn.wait_for(self._is_back, self._grace_s):
                return True
            self.abandoned = call
            return False

    def _is_back(self) -> bool:
        """Return whether the runner has come back, or had and went on."""
        return self._has_returned or self._stopped is None
