"""Deadlines that act: one thread that ends what takes too long.

Theory of operation. A statement is *watched* while it runs. The watchdog sleeps until the earliest
deadline of all watched statements; past it, the watch turns from armed to fired and its action
runs on a thread of its own, since it has to talk to a server that may not answer. Watches live in a
set, not in a heap: statements come and go thousands of times for each deadline that is ever
reached.

A statement that is in time pays two calls of C, and no lock: `arm` adds its watch to the set,
`disarm` takes it out. Taking out is atomic, so it decides the race: who gets the watch, the
statement or the watchdog, came first. Two things are left to see to. A watch that is added while
the watchdog looks for the earliest deadline must wake it: whatever is due before `_next` does, and
`_next` is infinite meanwhile. And a watchdog that ends itself looks once more after it has said so:
who added a watch earlier is seen now, and who adds one later starts another watchdog.

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

    __slots__ = ("action", "deadline", "thread")

    def __init__(self, deadline: float, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self.action = action
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
        self._watches.add(watch)
        if self._thread is None or watch.deadline < self._next:
            self._attend()
        return watch

    def disarm(self, watch: Watch) -> bool:
        """End a watch; return whether it had fired. Waits for its action, within bounds."""
        try:
            self._watches.remove(watch)
        except KeyError:
            return self._has_fired(watch)
        return False

    def _attend(self) -> None:
        """See to it that the thread runs, and looks at what was added."""
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="test-rig-deadlines", daemon=True
                )
                self._thread.start()
            else:
                self._wake.notify()

    def _has_fired(self, watch: Watch) -> bool:
        """Return whether a watch that is not there has fired, or was disarmed before."""
        with self._wake:  # held from when it was taken out until its action has begun
            thread = watch.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ACTION_S)
        return thread is not None

    def _run(self) -> None:
        idle_since = time.monotonic()
        with self._wake:
            while True:
                self._next = float("inf")
                watches = tuple(self._watches)
                now = time.monotonic()
                for watch in watches:
                    if watch.deadline <= now:
                        self._fire(watch)
                if watches:
                    idle_since = now
                elif now - idle_since >= self._idle_s:
                    self._thread = None
                    if not self._watches:
                        return
                    self._thread = threading.current_thread()
                    continue
                # Not longer than that: nobody wakes it when the last watch is disarmed.
                coming = [w.deadline for w in watches if w.deadline > now]
                self._next = min([now + self._idle_s, *coming])
                self._wake.wait(self._next - now)

    def _fire(self, watch: Watch) -> None:
        """Run a watch's action, unless its statement came first."""
        try:
            self._watches.remove(watch)
        except KeyError:
            return
        watch.thread = threading.Thread(
            target=watch.action, name="test-rig-deadline-action", daemon=True
        )
        watch.thread.start()


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.forget)
