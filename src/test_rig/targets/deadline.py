"""Deadlines that act: one thread that ends what takes too long.

Theory of operation. A statement is *watched* while it runs. The watchdog sleeps until the earliest
deadline of all watched statements; past it, the watch turns from armed to fired and its action
runs on a thread of its own, since it has to talk to a server that may not answer. `disarm` is the
other end of the race: whoever comes first, under one lock, decides whether the statement was in
time. Watches live in a set, not in a heap: statements come and go thousands of times for each
deadline that is ever reached.

One watchdog, `WATCHDOG`, serves the whole process. Its thread ends itself when there is nothing to
watch, and a forked child starts with none.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

__all__ = ["WATCHDOG", "Watch", "Watchdog"]

#: The thread ends itself after so long without anything to watch.
_IDLE_S = 2.0
#: How long `disarm` waits for an action that runs. Actions bound themselves; this is for one that
#: fails to, so that it costs its own thread and not the session's.
_ACTION_S = 10.0


class Watch:
    """One watched statement: a receipt, to be handed back to `Watchdog.disarm`."""

    __slots__ = ("action", "deadline", "fired", "thread")

    def __init__(self, deadline: float, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self.action = action
        #: Whether the deadline came before the statement's end.
        self.fired = False
        #: Where the action runs, once it has fired.
        self.thread: threading.Thread | None = None


class Watchdog:
    """Runs actions when deadlines pass. Thread-safe."""

    def __init__(self, *, idle_s: float = _IDLE_S) -> None:
        self._idle_s = idle_s
        self.forget()

    def forget(self) -> None:
        """Start from nothing: what a forked child must do, since threads are not inherited."""
        self._wake = threading.Condition(threading.Lock())
        self._watches: set[Watch] = set()
        self._next = float("inf")
        self._thread: threading.Thread | None = None

    def arm(self, seconds: float, action: Callable[[], None]) -> Watch:
        """Watch from now on; `action` runs on its own thread once `seconds` have passed."""
        watch = Watch(time.monotonic() + seconds, action)
        with self._wake:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="test-rig-deadlines", daemon=True
                )
                self._thread.start()
            elif watch.deadline < self._next:
                self._wake.notify()
        return watch

    def disarm(self, watch: Watch) -> bool:
        """End a watch; return whether it had fired. Waits for its action, within bounds."""
        with self._wake:
            self._watches.discard(watch)
            fired, thread = watch.fired, watch.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ACTION_S)
        return fired

    def _run(self) -> None:
        idle_since = time.monotonic()
        with self._wake:
            while True:
                now = time.monotonic()
                for watch in [w for w in self._watches if w.deadline <= now]:
                    self._fire(watch)
                if self._watches:
                    idle_since = now
                elif now - idle_since >= self._idle_s:
                    self._thread = None
                    return
                # Not longer than that: nobody wakes it when the last watch is disarmed.
                self._next = min([now + self._idle_s, *(w.deadline for w in self._watches)])
                self._wake.wait(self._next - now)

    def _fire(self, watch: Watch) -> None:
        self._watches.discard(watch)
        watch.fired = True
        watch.thread = threading.Thread(
            target=watch.action, name="test-rig-deadline-action", daemon=True
        )
        watch.thread.start()


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.forget)
