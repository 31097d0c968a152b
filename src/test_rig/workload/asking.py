"""Asks a judge, again and again, what it has found, beside those who work.

How to think of it: judging takes processor time that the clients want too, and the more the longer
the history is; so the pause after it grows with what it took. A judge of histories may be fed while
it judges; any other one is asked between two feedings.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

from test_rig.workload.client import Source
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.workload import Done, Judge, Shown

__all__ = ["Asking"]

#: The pause after an answer, in seconds: so many times what it took, within these limits.
_TIMES, _LEAST_S, _MOST_S = 9, 0.5, 5.0


class Asking:
    """A thread of its own that asks.

    Args:
        judge: Who is asked.
        source: Where a judge's own failure ends the run.
    """

    def __init__(self, judge: Judge, source: Source) -> None:
        self._judge, self._source = judge, source
        self._guard = nullcontext() if isinstance(judge, HistoryJudge) else threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="judge", daemon=True)
        #: What it said last.
        self.shown: tuple[Shown, ...] = ()

    def start(self) -> None:
        """Start asking."""
        self._thread.start()

    def feed(self, done: Done) -> None:
        """Feed the judge."""
        with self._guard:
            self._judge.feed(done)

    def stop(self) -> None:
        """Ask no more; the judge is the caller's afterwards."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        pause_s = _LEAST_S
        while not self._stopped.wait(pause_s):
            started = time.thread_time()
            try:
                with self._guard:
                    self.shown = self._judge.shown()
            except Exception as error:  # noqa: BLE001 - the top of a thread: the run raises it
                self._source.break_off(error)
                return
            pause_s = min(max(_TIMES * (time.thread_time() - started), _LEAST_S), _MOST_S)
