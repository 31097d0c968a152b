"""Standard input as a source: JSON lines, as they come."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from test_rig.actions.incoming import events_of
from test_rig.actions.run import Actions
from test_rig.errors import NotAccepted

__all__ = ["LineSource"]

_CHUNK = 1 << 16
#: A line that is longer is none of ours.
_LINE = 4 << 20


@dataclass
class LineSource:
    """Reads JSON lines from a file descriptor until its end.

    Args:
        actions: Where events go.
        descriptor: What is read; as much as is there makes one batch.
        on_problem: Told of each line that is no event.
        on_accepted: Told how many events were accepted so far, each time some are.
        is_over: Asked again and again whether to stop before the end.
    """

    actions: Actions
    descriptor: int
    on_problem: Callable[[str], None]
    on_accepted: Callable[[int], None]
    is_over: Callable[[], bool] = lambda: False
    accepted: int = field(default=0, init=False)
    problems: int = field(default=0, init=False)
    _line: int = field(default=0, init=False)

    def run(self) -> None:
        """Read to the end, or until it is over.

        A line that is not accepted, since a queue is full, is offered again and again: the writer
        has to wait meanwhile.
        """
        rest = b""
        while not self.is_over():
            ready, _, _ = select.select([self.descriptor], [], [], 0.1)
            if not ready:
                continue
            chunk = os.read(self.descriptor, _CHUNK)
            if not chunk:
                break
            whole, newline, tail = (rest + chunk).rpartition(b"\n")
            rest = tail
            if newline:
                self._take(whole)
            elif len(rest) > _LINE:
                self._complain(f"line {self._line + 1}: longer than {_LINE} bytes")
                rest = b""
        if rest.strip():
            self._take(rest)

    def _take(self, text: bytes) -> None:
        lines = text.split(b"\n")
        events, problems = events_of(
            b"\n".join(lines), now_ns=time.time_ns(), next_id=self.actions.next_id
        )
        for problem in problems:
            number, _, what = problem.removeprefix("event ").partition(":")
            self._complain(f"line {self._line + int(number)}:{what}")
        self._line += len(lines)
        while events and not self.is_over():
            try:
                self.actions.submit(events, timeout_s=5.0)
            except NotAccepted as exc:
                self.on_problem(f"waiting: {exc.what}")
                time.sleep(0.05)
                continue
            self.accepted += len(events)
            self.on_accepted(self.accepted)
            return

    def _complain(self, what: str) -> None:
        self.problems += 1
        self.on_problem(what)
