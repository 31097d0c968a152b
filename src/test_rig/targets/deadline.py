"""Deadlines that act: one thread that ends what takes too long.

Theory of operation. A statement is *watched* while it runs. The watchdog sleeps until the earliest
deadline of all watched statements; past it, the watch turns from armed to fired and its action
runs on a thread of its own, since it has to talk to a server that may not answer. A connection has
one watch for all of its statements: they come and go thousands of times for each deadline that is
ever reached.

A statement that is in time pays two calls of C, and no lock: `arm` puts a mark into the watch's
list, `is_over` takes it out. Taking out is atomic, so it decides the race: who gets the mark, the
statement or the watchdog, came first. Three things are left to see to. The watchdog may get the
mark of a later statement, which is not due yet: then it puts it back, and a statement that misses
its mark asks under the lock. A statement that is watched while the watchdog looks for the earliest
deadline must wake it: whatever is due before `next_look` does, and `next_look` is infinite
meanwhile. And a watchdog that ends itself looks once more after it has said so: who was watched
earlier is seen now, and who comes later starts another one.

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
_NEVER = float("inf")


class Watch:
    """What is watched, one statement after the other. Made by `Watchdog.watch`."""

    __slots__ = ("_action", "_marks", "_thread", "_watchdog", "deadline")

    def __init__(self, watchdog: Watchdog, action: Callable[[], None]) -> None:
        self._watchdog, self._action = watchdog, action
        #: When the statement is too late, on the clock of `time.monotonic`.
        self.deadline = _NEVER
        #: Holds one while a statement is under way.
        self._marks: list[bool] = []
        #: Where the action runs, once it has fired.
        self._thread: threading.Thread | None = None

    def arm(self, deadline: float) -> None:
        """Watch a statement that begins, until `is_over`."""
        self.deadline = deadline
        self._marks.append(True)
        if deadline < self._watchdog.next_look:
            self._watchdog.attend()

    def is_over(self) -> bool:
        """Say that the statement has ended, and return whether it was in time.

        Otherwise its action has ended, too, or has taken too long.
        """
        try:
            self._marks.pop()
        except IndexError:
            return not self._has_fired()
        return True

    def _has_fired(self) -> bool:
        with self._watchdog.lock:  # held from when the mark was taken until the action has begun
            if self._marks:
                self._marks.clear()
                return False
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_ACTION_S)
        return thread is not None

    def is_due(self, now: float) -> bool:
        """Return whether a statement is under way that is too late."""
        return bool(self._marks) and self.deadline <= now

    def is_armed(self) -> bool:
        """Return whether a statement is under way."""
        return bool(self._marks)

    def forget(self) -> None:
        """Forget the statement: in a forked child, since it is the parent's."""
        self._marks.clear()

    def fire(self) -> None:
        """Run the action, unless the statement came first. Under the watchdog's lock.

        A watch that has fired is let go: what was late is not used again.
        """
        try:
            self._marks.pop()
        except IndexError:
            return
        if self.deadline > time.monotonic():  # a later one's
            self._marks.append(True)
            return
        self._watchdog.let_go(self)
        self._thread = threading.Thread(
            target=self._action, name="test-rig-deadline-action", daemon=True
        )
        self._thread.start()


class Watchdog:
    """Runs actions when deadlines pass. Thread-safe."""

    def __init__(self, *, idle_s: float = _IDLE_S) -> None:
        self._idle_s = idle_s
        self._watches: set[Watch] = set()
        self.forget()

    def forget(self) -> None:
        """Start without a thread: what a forked child must do, since threads are not inherited."""
        self.lock = threading.Condition(threading.Lock())
        #: What is due before must `attend`.
        self.next_look = _NEVER
        self._thread: threading.Thread | None = None
        for watch in self._watches:
            watch.forget()

    def watch(self, action: Callable[[], None]) -> Watch:
        """Return a watch whose action runs, on its own thread, when a statement is too late.

        It must be given back to `let_go`.
        """
        made = Watch(self, action)
        self._watches.add(made)
        return made

    def let_go(self, watch: Watch) -> None:
        """Watch no more of its statements. Needs no lock: it may be called by the collector."""
        self._watches.discard(watch)

    def arm(self, seconds: float, action: Callable[[], None]) -> Watch:
        """Watch one thing from now on; `action` runs on its own thread after so many seconds."""
        watch = self.watch(action)
        watch.arm(time.monotonic() + seconds)
        return watch

    def disarm(self, watch: Watch) -> bool:
        """End what `arm` began; return whether it had fired: then its action has ended, too."""
        in_time = watch.is_over()
        self.let_go(watch)
        return not in_time

    def attend(self) -> None:
        """See to it that the thread runs, and looks for the earliest deadline again."""
        with self.lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="test-rig-deadlines", daemon=True
                )
                self._thread.start()
            else:
                self.lock.notify()

    def _run(self) -> None:
        idle_since = time.monotonic()
        with self.lock:
            while True:
                self.next_look, now = _NEVER, time.monotonic()
                for watch in tuple(self._watches):
                    if watch.is_due(now):
                        watch.fire()
                armed = [each.deadline for each in tuple(self._watches) if each.is_armed()]
                if armed:
                    idle_since = now
                elif now - idle_since >= self._idle_s:
                    self._thread = None
                    if not any(each.is_armed() for each in tuple(self._watches)):
                        return
                    self._thread = threading.current_thread()
                # Not longer than that: nobody wakes it when the last statement has ended.
                self.next_look = min([now + self._idle_s, *armed])
                self.lock.wait(self.next_look - now)


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.forget)
