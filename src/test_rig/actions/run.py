"""The actions at work: what is emitted goes through the rules and into the pipe of each driver.

Theory of operation: `emit` puts an item into a bounded intake and returns. One thread, the router,
takes it from there: it gives it an id and the wall clock's time, lets the rules judge it, and hands
it to the pipe of every driver that wants it. Sources that can wait (standard input, HTTP) call
`submit`: it waits for room where a pipe's policy is `block`, and until events are on disk where a
pipe has a spool.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from test_rig.actions.driver import DriverContext
from test_rig.actions.event import (
    AlertEvent,
    ClearEvent,
    Event,
    MeasurementEvent,
    alert_event,
    measurement_event,
)
from test_rig.actions.judging import Judging, explain
from test_rig.actions.pipe import Pipe
from test_rig.actions.pipe_options import Leftover
from test_rig.actions.plan import ActionsPlan
from test_rig.actions.ticket import Ticket
from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import NotAccepted, Problem, SettingsError, UnknownName, UsageError
from test_rig.telemetry import Alert, Measurement

__all__ = ["Actions"]

_LOG = logging.getLogger("test_rig.actions")
#: The most items that wait for the router.
_INTAKE = 100_000
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class _Submitted:
    events: Sequence[Event]
    ticket: Ticket


class Actions:
    """All drivers of the settings, at work between `start` and `stop`.

    Args:
        plan: The settings.
        clock: For order and durations.
    """

    def __init__(self, plan: ActionsPlan, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.plan, self._clock = plan, clock
        self._intake: deque[Measurement | Alert | _Submitted] = deque()
        self._intake_lost = 0
        self._wake = threading.Event()
        self._is_idle = False
        self._is_stopping = False
        self._submitting = threading.Lock()
        self._guard = threading.Lock()
        self._pipes: dict[str, Pipe] = {}
        self._router = threading.Thread(target=self._route, name="actions router", daemon=True)
        self._run_id, self._count = secrets.token_hex(4), 0
        self._lock_file: BinaryIO | None = None
        self._leftovers: list[Leftover] | None = None

    def start(self) -> Self:
        """Start every driver; one that does not come up is tried again, and stops no other.

        Raises:
            SettingsError: A driver's options name a file that is not there: that is no trouble
                which passes.
            UsageError: Another process works in the same folder, or it cannot be used.
        """
        problems = [
            Problem(where=f"actions.drivers.{each.name}.{option}", what=f"there is no {what}")
            for each in self.plan.drivers
            for option, what in each.options.absent()
        ]
        if problems:
            raise SettingsError(problems)
        folder = self.plan.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = _locked(folder / "lock")
        except OSError as exc:
            raise UsageError(f"cannot be used: {exc.strerror}", where=str(folder)) from exc
        started: list[Pipe] = []
        try:
            self._judging = Judging(self.plan, now_ns=time.time_ns())
            for each in self.plan.drivers:
                own = folder / each.name
                own.mkdir(exist_ok=True)
                context = DriverContext(name=each.name, folder=own, emit=self.emit)
                self._pipes[each.name] = Pipe(each, folder, context, clock=self._clock)
            for pipe in self._pipes.values():
                pipe.start()
                started.append(pipe)
        except BaseException:
            for pipe in started:
                pipe.stop(0)
            for pipe in started:
                pipe.join()
            self._lock_file.close()
            raise
        self._router.start()
        return self

    @property
    def pipes(self) -> dict[str, Pipe]:
        """The pipes by their drivers' names."""
        return dict(self._pipes)

    def pipe(self, name: str) -> Pipe:
        """Return the pipe of a driver.

        Raises:
            UnknownName: The settings have no such driver.
        """
        if name not in self._pipes:
            raise UnknownName("driver", name, list(self._pipes))
        return self._pipes[name]

    def emit(self, item: Measurement | Alert) -> None:
        """Take a measurement or an alert; never waits, never raises."""
        if self._is_stopping or len(self._intake) >= _INTAKE:
            self._intake_lost += 1
            return
        self._intake.append(item)
        if self._is_idle:
            self._wake.set()

    def submit(self, events: Sequence[Event], *, timeout_s: float = 30.0) -> None:
        """Take events of a source that can wait.

        Returns once they are taken by every driver that wants them: on disk where a spool is on.

        Raises:
            NotAccepted: There was no room, or no disk, within the limit.
        """
        end_s = time.monotonic() + timeout_s
        with self._submitting:
            ticket = Ticket(1)
            self._wait_for_room(len(events), end_s)
            self._intake.append(_Submitted(events, ticket))
            self._wake.set()
        if not ticket.wait(max(0.0, end_s - time.monotonic())):
            raise NotAccepted("not every driver could take the events", todo="send them again")

    def _wait_for_room(self, count: int, end_s: float) -> None:
        while not self._is_stopping:
            full = [
                name
                for name, pipe in self._pipes.items()
                if pipe.blocks and pipe.room() < min(count, pipe.capacity)
            ]
            if not full and len(self._intake) < _INTAKE:
                return
            if time.monotonic() > end_s:
                what = f"the queue of {full[0]!r} is full" if full else "the rig is too busy"
                raise NotAccepted(what, todo="send them again later")
            time.sleep(0.002)
        raise NotAccepted("the actions are being stopped")

    def clear(self) -> None:
        """Have every driver take down what it shows."""
        now_ns = time.time_ns()
        event = ClearEvent(id=self.next_id(), timestamp=now_ns / 1e9, timestamp_ns=now_ns)
        self.submit([event])

    def next_id(self) -> str:
        """Return an id that no other event has."""
        with self._guard:
            self._count += 1
            return f"{time.time_ns() // 1_000_000:012x}-{self._run_id}-{self._count:x}"

    def explain(self, name: str) -> list[str]:
        """Return why an alert fires or does not.

        Raises:
            UnknownName: Nothing is known of it.
        """
        return explain(self.plan, self._judging.state, name, now_ns=time.time_ns())

    def snapshot(self) -> dict[str, Any]:
        """Return what is true now, as plain data."""
        notify = self._judging.state.notify
        firing = [key for key, each in dict(notify.active).items() if not each.is_over]
        return {
            "folder": str(self.plan.folder),
            "intake": len(self._intake),
            "intake_lost": self._intake_lost,
            "alerts_firing": firing,
            "rules": sorted(self.plan.rules),
            "drivers": {name: pipe.snapshot() for name, pipe in self._pipes.items()},
        }

    def is_alive(self) -> bool:
        """Return whether events are taken and routed."""
        return self._router.is_alive() and not self._is_stopping

    def not_ready(self) -> dict[str, str]:
        """Return which drivers do not work now, each with the reason; empty where all do."""
        waiting: dict[str, str] = {} if self.is_alive() else {"router": "stopped"}
        for name, pipe in self._pipes.items():
            told = pipe.snapshot()
            if told["state"] != "running":
                waiting[name] = f"{told['state']}: {told['last_error']}".rstrip(": ")
            elif told["breaker"] == "open":
                waiting[name] = f"the breaker is open: {told['last_error']}"
        return waiting

    def stop(self, timeout_s: float | None = None) -> list[Leftover]:
        """Deliver what waits, within the limit, stop every driver, and return what was left."""
        if self._leftovers is not None:
            return self._leftovers
        limit_s = self.plan.drain_s if timeout_s is None else timeout_s
        end_s = time.monotonic() + limit_s
        self._is_stopping = True
        self._wake.set()
        self._router.join()
        for pipe in self._pipes.values():
            pipe.stop(max(0.0, end_s - time.monotonic()))
        self._leftovers = [pipe.join() for pipe in self._pipes.values()]
        if self._lock_file is not None:
            self._lock_file.close()
        return self._leftovers

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Start, and stop at the end."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    # -- the router's thread -------------------------------------------------------------------

    def _route(self) -> None:
        ticked_s = 0.0
        while True:
            try:
                had_work = self._turn()
                if time.monotonic() - ticked_s >= _TICK_S:
                    ticked_s = time.monotonic()
                    self._tick()
            except Exception:  # noqa: BLE001 -- a thread's top: alerts must go on though one is odd
                _LOG.exception("routing failed")
                had_work = True
            if had_work:
                continue
            if self._is_stopping and not self._intake:
                break
            self._is_idle = True
            if not self._intake:
                self._wake.wait(_TICK_S)
            self._is_idle = False
            self._wake.clear()
        now_ns = time.time_ns()
        owed = self._judging.flush(now_ns=now_ns)
        self._judging.save(now_ns=now_ns, is_last=True)
        self._deliver(owed)

    def _turn(self) -> bool:
        """Route what waits; return whether anything did."""
        if not self._intake:
            return False
        emitted: list[Event] = []
        offset_ns = time.time_ns() - self._clock.now_ns()
        for _ in range(min(len(self._intake), 4096)):
            item = self._intake.popleft()
            if isinstance(item, _Submitted):
                self._hand_out(emitted)
                emitted = []
                self._hand_out(item.events, item.ticket)
            elif isinstance(item, Measurement):
                emitted.append(measurement_event(item, id=self.next_id(), wall_offset_ns=offset_ns))
            else:
                emitted.append(alert_event(item, id=self.next_id(), wall_offset_ns=offset_ns))
        self._hand_out(emitted)
        return True

    def _tick(self) -> None:
        now_ns = time.time_ns()
        alerts = self._judging.tick(now_ns=now_ns)
        self._judging.save(now_ns=now_ns)
        self._deliver(alerts)

    def _hand_out(self, events: Sequence[Event], ticket: Ticket | None = None) -> None:
        """Judge events, then give them to the drivers that want them."""
        if not events and ticket is None:
            return
        outgoing = self._judged(events)
        self._deliver(outgoing, ticket)
        if ticket is not None:
            ticket.take()

    def _judged(self, events: Sequence[Event]) -> Sequence[Event]:
        has_rules = bool(self.plan.rules)
        if not has_rules and not any(isinstance(event, AlertEvent) for event in events):
            return events
        now_ns = time.time_ns()
        outgoing: list[Event] = []
        for event in events:
            if isinstance(event, AlertEvent):
                outgoing += self._judging.take(event, now_ns)
                continue
            outgoing.append(event)
            if has_rules and isinstance(event, MeasurementEvent):
                outgoing += self._judging.judge(event, now_ns=now_ns)
        # What is told must be remembered first: a kill in between tells it again, by the same id.
        self._judging.save(now_ns=now_ns)
        return outgoing

    def _deliver(self, events: Sequence[Event], ticket: Ticket | None = None) -> None:
        if not events:
            return
        for pipe in self._pipes.values():
            options = pipe.plan.pipe
            wanted = events if options.wants_all else [e for e in events if options.wants(e)]
            if wanted:
                if ticket is not None:
                    ticket.expect(1)
                pipe.offer(wanted, patient=ticket is not None, ticket=ticket)


def _locked(path: Path) -> BinaryIO:
    """Return a file that no other process holds.

    Raises:
        UsageError: Another one does.
    """
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        file.close()
        what = "another process works in this folder"
        todo = "stop it, or set another actions.folder"
        raise UsageError(what, where=str(path.parent), todo=todo) from exc
    return file
