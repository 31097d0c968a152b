"""What ended and what is open, as transactions in columns.

How to think of it: a transaction may read what another one wrote whose own end is not known yet:
its answer is on the way. A history with the reader and without the writer would show a value that
nobody wrote. So those that are open are handed out with those that have ended, as unknown ones; the
next part has them again, ended or still open, and those of the part before count no more. What was
handed out is a history of its own at every moment, in memory and in a file whose writer was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from test_rig.history import UNENDED, History, HistoryBuilder, Mop, OpType
from test_rig.workload.workload import Done, Request

__all__ = ["Mops", "Transactions", "as_asked"]

#: Returns what an ended operation did: one that is not ok knows only what had been asked for.
Mops = Callable[[Done], Sequence[Mop]]


def as_asked(done: Done) -> Sequence[Mop]:
    """Return the micro-operations of an operation whose value is a list of them."""
    found: Sequence[Mop] = done.value
    return found


class Transactions:
    """Takes what begins and ends, and hands out transactions. One thread does both.

    Args:
        mops: What an operation did.
    """

    def __init__(self, mops: Mops) -> None:
        self._mops = mops
        self._builder = HistoryBuilder(is_kept=False)
        #: Those that have begun, by process: what was asked, and when.
        self._open: dict[int, tuple[Request, int]] = {}
        self._ended: list[Done] = []

    def begun(self, process: int, request: Request, start_ns: int) -> None:
        """Note that an operation begins."""
        self._open[process] = (request, start_ns)

    def ended(self, done: Done) -> None:
        """Note how one ended; they come in the order of their ends."""
        self._open.pop(done.process, None)
        self._ended.append(done)

    @property
    def open_since_ns(self) -> int | None:
        """When the oldest of those began that are open."""
        return min((start for _, start in self._open.values()), default=None)

    def take(self, levels: Mapping[int, str], *, is_over: bool = False) -> History:
        """Return what has ended since the last call, and at last what is open.

        Args:
            levels: What the server said of the level, by process.
            is_over: Nothing more comes: what is open will never end.
        """
        ended, self._ended = self._ended, []
        for process, (request, start) in self._open.items():
            ended.append(Done(process, request, OpType.INFO, request.value, start, start))
        for done in ended:
            self._record(done, levels.get(done.process))
        part = self._builder.take()
        if is_over or not self._open:
            self._open.clear()
            return part
        end = part.end.copy()
        end[-len(self._open) :] = UNENDED
        return replace(part, end=end)

    def _record(self, done: Done, level: str | None) -> None:
        self._builder.record(
            str(done.process),
            done.type,
            self._mops(done),
            start=done.start_ns,
            end=done.end_ns,
            level=level,
            error_class=done.error,
            error_code=done.code,
            sql=done.sql,
        )
