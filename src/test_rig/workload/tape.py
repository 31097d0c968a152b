"""What happened, in the order in which it was seen: clients write, the run's own thread reads.

A client waits for nothing but a short lock, under which the clock is read too: so the order of the
entries is the order of their times. Everything that costs more (files, judging) is done by whoever
takes the entries.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from test_rig.clock import Clock
from test_rig.history import Op, OpType
from test_rig.workload.workload import Done, Request

__all__ = ["Entry", "Sent", "Silence", "Tape", "Writable", "operation"]


@dataclass(frozen=True, slots=True)
class Sent:
    """An operation begins."""

    process: int
    request: Request
    time_ns: int


Entry = Sent | Done


def operation(entry: Entry) -> Op:
    """Return an entry as an operation of a history; its index is for the history to say."""
    process, f = str(entry.process), entry.request.f
    if isinstance(entry, Sent):
        return Op(
            process=process,
            type=OpType.INVOKE,
            f=f,
            value=entry.request.value,
            time_ns=entry.time_ns,
            index=0,
        )
    return Op(
        process=process,
        type=entry.type,
        f=f,
        value=entry.value,
        time_ns=entry.end_ns,
        index=0,
        error=entry.failure,
    )


class Writable(Protocol):
    """Where clients write what they do."""

    def sent(self, process: int, request: Request) -> int:
        """Note that an operation begins; return when."""

    def ended(
        self,
        sent: Sent,
        kind: OpType,
        value: Any,
        *,
        due_ns: int | None = None,
        error: str | None = None,
        code: str | None = None,
        sql: str | None = None,
    ) -> None:
        """Note how an operation ended."""


class Tape:
    """Entries that wait to be taken. Times count from the tape's start."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._start_ns = clock.now_ns()
        self._entries: deque[Entry] = deque()

    def now_ns(self) -> int:
        """Return the nanoseconds since the start."""
        return self._clock.now_ns() - self._start_ns

    def sent(self, process: int, request: Request) -> int:
        """Note that an operation begins; return when."""
        with self._lock:
            now_ns = self._clock.now_ns() - self._start_ns
            self._entries.append(Sent(process, request, now_ns))
        return now_ns

    def ended(
        self,
        sent: Sent,
        kind: OpType,
        value: Any,
        *,
        due_ns: int | None = None,
        error: str | None = None,
        code: str | None = None,
        sql: str | None = None,
    ) -> None:
        """Note how an operation ended."""
        due = sent.time_ns if due_ns is None else due_ns
        with self._lock:
            now_ns = self._clock.now_ns() - self._start_ns
            self._entries.append(
                Done(
                    process=sent.process,
                    request=sent.request,
                    type=kind,
                    value=value,
                    start_ns=sent.time_ns,
                    end_ns=now_ns,
                    due_ns=due,
                    error=error,
                    code=code,
                    sql=sql,
                )
            )

    def take(self) -> list[Entry]:
        """Return the entries that nobody has taken, and forget them."""
        with self._lock:
            entries, self._entries = self._entries, deque()
        return list(entries)


class Silence:
    """Takes nothing: for measuring what recording costs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        """Return the clock's nanoseconds."""
        return self._clock.now_ns()

    def sent(self, process: int, request: Request) -> int:
        """Do nothing."""
        del process, request
        return 0

    def ended(
        self,
        sent: Sent,
        kind: OpType,
        value: Any,
        *,
        due_ns: int | None = None,
        error: str | None = None,
        code: str | None = None,
        sql: str | None = None,
    ) -> None:
        """Do nothing."""
        del sent, kind, value, due_ns, error, code, sql

    def take(self) -> list[Entry]:
        """Return nothing."""
        return []
