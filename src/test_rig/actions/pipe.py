"""One driver's pipe: what waits for it, when it is called, and what becomes of each event.

Theory of operation: a pipe has a thread with an event loop of its own, a queue of its own and a
file of its own, so that a driver that hangs, fails or fills its disk holds nobody up. `offer` may
be called from any thread; it puts events into an inbox and returns. The pipe's thread does the
rest, in turns: write the inbox to disk where that is wanted, fill the backlog, hand the driver the
next batch unless the breaker is open, and deal with the answers when they come.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from test_rig.actions.backlog import Backlog, Parcel, Policy
from test_rig.actions.delivery import Delivery, retry
from test_rig.actions.driver import Driver, DriverContext, TellsStatus, end_of, told
from test_rig.actions.event import Event
from test_rig.actions.intake import Intake
from test_rig.actions.options import shown_options
from test_rig.actions.pipe_options import Leftover, PipePlan
from test_rig.actions.sending import BatchLimit, Sorted, sort_answers
from test_rig.actions.spool import Spool, spool_path
from test_rig.actions.tally import PastDelivery, Tally
from test_rig.actions.ticket import Ticket
from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import RigError
from test_rig.resilience import BreakerPhase, BreakerState, CallEvent, admit, clean_message, settle

__all__ = ["Pipe"]

_LOG = logging.getLogger("test_rig.actions")
#: How often the file is asked whether another process wants dead letters sent again.
_POLL_S = 0.5
#: Rows of delivered events that are removed at once, where nothing new is written.
_SETTLE_ROWS = 4096
_LEAST_STOP_S = 1.0
_STARTING_S = 0.05
#: What an inbox holds at least: the policy decides behind it, on the pipe's thread.
_INBOX = 20_000


@dataclass(slots=True)
class _Delivered:
    """What came into the inbox at once."""

    parcels: list[Parcel]
    patient: bool
    ticket: Ticket | None


class Pipe:
    """A driver with everything around it; `start`, `offer`, `stop`.

    Args:
        plan: The driver and the options.
        folder: Where its file is kept.
        context: What the driver is given.
        clock: For order and durations.
    """

    def __init__(
        self, plan: PipePlan, folder: Path, context: DriverContext, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.plan, self.name = plan, plan.name
        self._options = plan.pipe
        self._clock, self._rng = clock, context.rng
        self._path = spool_path(folder, plan.name)
        self._driver: Driver = plan.kind.make(plan.options, context)
        self._backlog = Backlog(
            plan.pipe.queue_size, plan.pipe.policy, interval_ns=round(plan.pipe.interval_s * 1e9)
        )
        self._batch = BatchLimit(plan.pipe.batch_size or plan.kind.batch_size)
        self._breaker = BreakerState()
        self._retry, self._breaker_config = plan.pipe.retry, plan.pipe.breaker
        self.tally = Tally(plan.pipe.history)
        self._guard = threading.Lock()
        self._inbox: deque[_Delivered] = deque()
        self._inbox_count = 0
        self._is_asleep = self._is_saturated = False
        self._in_flight: set[asyncio.Task[None]] = set()
        self._in_flight_count = 0
        #: The batches whose answers are not in.
        self._unanswered: dict[int, list[Parcel]] = {}
        self._state = "not started"
        self._last_error = ""
        self._stop_by_ns: int | None = None
        self._leftover: Leftover | None = None
        self._thread = threading.Thread(target=self._run, name=f"actions {plan.name}", daemon=True)
        self._is_up = threading.Event()
        self._failure: BaseException | None = None

    # -- from any thread ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; what waits on disk from before is sent first.

        Raises:
            RigError: The file cannot be used.
        """
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            raise self._failure

    def offer(
        self, events: Sequence[Event], *, patient: bool = False, ticket: Ticket | None = None
    ) -> None:
        """Take events in; never waits.

        Args:
            events: In their order, those that the driver wants.
            patient: The source waited for `room` before.
            ticket: Told when the events are taken, and on disk where that is set.
        """
        now_ns = self._clock.now_ns()
        parcels = [Parcel(event=event, born_ns=now_ns) for event in events]
        with self._guard:
            is_over = self._inbox_count > max(_INBOX, 4 * self._options.queue_size)
            if (is_over and not patient) or self._leftover is not None:
                self.tally.lose("inbox full" if self._leftover is None else "stopped", len(parcels))
                if ticket is not None:
                    ticket.refuse()
                return
            if ticket is not None and not self._options.spool:
                # Nothing has to be written: what is in the inbox is taken.
                ticket.take()
                ticket = None
            self._inbox.append(_Delivered(parcels, patient, ticket))
            self._inbox_count += len(parcels)
            # While every batch is on its way nothing can be done but make room: a driver that
            # hangs shall not even cost its thread's time.
            if not self._is_saturated or self._inbox_count >= self._options.queue_size:
                self._wake_up()

    def room(self) -> int:
        """Return how many more measurements fit before the policy has to decide."""
        if self._options.spool:
            return max(0, self._options.spool_limit - self._spool.depth - self._inbox_count)
        return max(0, self._backlog.room() - self._inbox_count)

    @property
    def capacity(self) -> int:
        """The most that `room` can be."""
        return self._options.spool_limit if self._options.spool else self._options.queue_size

    @property
    def blocks(self) -> bool:
        """Whether sources that can wait shall wait for room."""
        return self._options.policy is Policy.BLOCK

    def stop(self, timeout_s: float) -> None:
        """Begin to stop: deliver what waits, within the limit, then stop the driver."""
        with self._guard:
            if self._stop_by_ns is None:
                self._stop_by_ns = self._clock.now_ns() + round(timeout_s * 1e9)
                self._wake_up()

    def join(self) -> Leftover:
        """Wait for the end of `stop`, and return what was left."""
        self._thread.join()
        return self._leftover or Leftover(name=self.name, spooled=0, dead=0)

    def snapshot(self) -> dict[str, Any]:
        """Return what is true of the pipe now, as plain data."""
        oldest_ns = self._backlog_oldest_ns()
        age_s = 0.0 if oldest_ns is None else (self._clock.now_ns() - oldest_ns) / 1e9
        return {
            "driver": self.plan.kind.name,
            "state": self._state,
            "last_error": self._last_error,
            "queued": len(self._backlog) + self._inbox_count,
            "in_flight": self._in_flight_count,
            "oldest_age_s": round(max(0.0, age_s), 6),
            "spooled": self._spool.waiting if self._is_up.is_set() and not self._failure else 0,
            "dead_letters": self._spool.dead_count if self._is_up.is_set() else 0,
            "breaker": self._breaker.phase.value,
            "batch_limit": self._batch.now,
            "policy": self._options.policy.value,
            "spool": self._options.spool,
            **self.tally.numbers(),
        }

    def history(self, limit: int | None = None) -> list[PastDelivery]:
        """Return past deliveries, the newest last."""
        return self.tally.history(limit)

    def options_shown(self) -> dict[str, Any]:
        """Return the driver's options without secrets."""
        return shown_options(self.plan.options)

    def driver_status(self, timeout_s: float = 5.0) -> Mapping[str, Any]:
        """Ask the driver itself; empty where it has nothing to say.

        Raises:
            RigError: It did not answer.
        """
        if not isinstance(self._driver, TellsStatus) or not self._thread.is_alive():
            return {}
        asked = asyncio.run_coroutine_threadsafe(self._driver.status(), self._loop)
        try:
            return dict(asked.result(timeout_s))
        except Exception as exc:
            asked.cancel()
            why = "no answer" if isinstance(exc, TimeoutError) else clean_message(exc)
            raise RigError(f"the driver does not tell its status: {why}", where=self.name) from exc

    def _backlog_oldest_ns(self) -> int | None:
        try:
            return self._backlog.oldest_ns()
        except (RuntimeError, IndexError, StopIteration):  # it changed while it was looked at
            return None

    def _wake_up(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._loop.call_soon_threadsafe(self._wake.set)

    # -- the pipe's thread -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._spool = Spool(self._path)
        except BaseException as exc:  # noqa: BLE001 -- a thread's top: `start` raises it
            self._failure = exc
            self._is_up.set()
            return
        self._intake = Intake(self._options, self._backlog, self._spool, self.tally)
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._live())

    async def _live(self) -> None:
        self._wake = asyncio.Event()
        self._is_up.set()
        try:
            if await self._start_driver():
                await self._work()
        except Exception as exc:  # noqa: BLE001 -- a thread's top: it must be told
            self._fail(f"the pipe failed: {clean_message(exc)}")
            _LOG.exception("the pipe of %s failed", self.name)
        finally:
            await self._wind_up()

    async def _start_driver(self) -> bool:
        """Try until the driver is up; return whether it is, or the end came first."""
        self._state, attempt = "starting", 0
        while not self._is_in_vain():
            starting = asyncio.create_task(self._driver.start())
            starting.add_done_callback(lambda _: self._wake.set())
            end_ns = self._clock.now_ns() + round(self._options.timeout_s * 1e9)
            # What comes meanwhile is taken in: a source waits for its disk, not for the driver.
            while not starting.done() and self._clock.now_ns() < end_ns and not self._is_in_vain():
                self._accept()
                await self._sleep(_STARTING_S)
            is_unwanted = not starting.done() and self._is_in_vain()
            if (problem := await end_of(starting, within_s=_LEAST_STOP_S)) is None:
                self._state = "running"
                return True
            if is_unwanted:
                break
            attempt += 1
            self._fail(f"does not start: {problem}")
            self._accept()
            await self._sleep(self._retry.longest_delay_s(attempt) * max(0.1, self._rng.random()))
        self._accept()
        return False

    def _is_in_vain(self) -> bool:
        """Return whether it ends, and nothing waits for the driver or no time is left."""
        if self._stop_by_ns is None:
            return False
        waits = self._inbox_count or len(self._backlog) or self._spool.waiting
        return not waits or self._clock.now_ns() >= self._stop_by_ns

    async def _work(self) -> None:
        polled_ns = 0
        while True:
            self._accept()
            now_ns = self._clock.now_ns()
            if now_ns - polled_ns > _POLL_S * 1e9:
                polled_ns = now_ns
                self._intake.fetch_again()
                self._spool.settle()
            self._intake.refill(self._batch.now, now_ns=now_ns)
            if self._launch():
                continue
            if self._stop_by_ns is not None and self._is_done(now_ns):
                return
            if self._spool.unsettled > _SETTLE_ROWS:
                self._spool.settle()
            await self._sleep(self._pause_s())

    def _is_done(self, now_ns: int) -> bool:
        assert self._stop_by_ns is not None  # noqa: S101 -- the caller looked
        if now_ns >= self._stop_by_ns:
            return True
        if self._in_flight or self._inbox:
            return False
        due_ns = self._backlog.next_due_ns()
        return due_ns is None or max(due_ns, self._admitted_ns()) > self._stop_by_ns

    def _pause_s(self) -> float:
        moments = []
        if len(self._in_flight) < self.plan.kind.in_flight:
            due_ns = self._backlog.next_due_ns()
            if due_ns is not None:
                moments.append(max(due_ns, self._admitted_ns()))
        if self._stop_by_ns is not None:
            moments.append(self._stop_by_ns)
        if not moments:
            return _POLL_S
        return max(0.001, min(_POLL_S, (min(moments) - self._clock.now_ns()) / 1e9))

    def _admitted_ns(self) -> int:
        """Return when the breaker lets a batch through."""
        if self._breaker.phase is BreakerPhase.OPEN:
            return self._breaker.opened_ns + self._breaker_config.recovery_ns
        return 0

    async def _sleep(self, seconds: float) -> None:
        with self._guard:
            is_full = len(self._in_flight) >= self.plan.kind.in_flight
            self._is_saturated = is_full and not self._options.spool
            may_wait = self._is_saturated and self._inbox_count < self._options.queue_size
            if self._inbox and self._state == "running" and not may_wait:
                return
            self._is_asleep = True
            self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._is_asleep = False

    # -- taking in ---------------------------------------------------------------------------

    def _accept(self) -> None:
        """Empty the inbox: to disk where that is wanted, then into the backlog."""
        with self._guard:
            came, self._inbox = self._inbox, deque()
        if not came:
            return
        parcels = [parcel for each in came for parcel in each.parcels]
        self.tally.accepted += len(parcels)
        is_kept = True
        if self._options.spool:
            is_kept = self._intake.accept_durably(parcels)
        else:
            for each in came:
                self._intake.admit(each.parcels, patient=each.patient and self.blocks)
        with self._guard:
            self._inbox_count -= len(parcels)
        for ticket in (each.ticket for each in came if each.ticket is not None):
            if is_kept:
                ticket.take()
            else:
                ticket.refuse()

    # -- sending -----------------------------------------------------------------------------

    def _launch(self) -> bool:
        """Hand the driver the next batch; return whether there was one."""
        if len(self._in_flight) >= self.plan.kind.in_flight:
            return False
        now_ns = self._clock.now_ns()
        due_ns = self._backlog.next_due_ns()
        if due_ns is None or due_ns > now_ns or self._lingers(now_ns):
            return False
        breaker, may_pass = admit(self._breaker, self._breaker_config, now_ns=now_ns)
        if not may_pass:
            return False
        batch = self._unexpired(self._backlog.take(self._batch.now, now_ns=now_ns))
        if not batch:
            return bool(self._backlog.next_due_ns() == 0)
        self._breaker = breaker
        self._in_flight_count += len(batch)
        self._unanswered[id(batch)] = batch
        task = asyncio.create_task(self._deliver(batch, breaker.era))
        self._in_flight.add(task)
        task.add_done_callback(self._landed)
        return True

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()

    def _lingers(self, now_ns: int) -> bool:
        if not self._options.linger_s or self._stop_by_ns is not None:
            return False
        oldest_ns = self._backlog.oldest_ns()
        is_young = oldest_ns is not None and now_ns - oldest_ns < self._options.linger_s * 1e9
        return is_young and len(self._backlog) < self._batch.now

    def _unexpired(self, batch: list[Parcel]) -> list[Parcel]:
        if not self._options.ttl_s or not batch:
            return batch
        oldest_ns = time.time_ns() - round(self._options.ttl_s * 1e9)
        fresh = [parcel for parcel in batch if parcel.event.timestamp_ns >= oldest_ns]
        if len(fresh) < len(batch):
            self.tally.expired += len(batch) - len(fresh)
            self._spool.delivered(p for p in batch if p.event.timestamp_ns < oldest_ns)
        return fresh

    async def _deliver(self, batch: list[Parcel], era: int) -> None:
        events = [parcel.event for parcel in batch]
        started_ns = self._clock.now_ns()
        answers = await self._send(events)
        del self._unanswered[id(batch)]
        now_ns = self._clock.now_ns()
        done = sort_answers(batch, answers, self._retry, chance=self._rng.random())
        self._settle(done, era, now_ns)
        self._spool.delivered(done.delivered)
        if done.again:
            self.tally.retried += len(done.again)
            self._fail(done.again[0][1].reason)
            due_ns = now_ns + round(done.pause_s * 1e9)
            self._backlog.hold((parcel for parcel, _ in done.again), due_ns=due_ns)
        if done.dead:
            self._bury(done.dead)
        self._in_flight_count -= len(batch)
        self.tally.settle(batch, answers, started_ns=started_ns, now_ns=now_ns)

    async def _send(self, events: list[Event]) -> Sequence[Delivery]:
        """Call the driver; whatever happens is an answer for each event."""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                answers = await self._driver.send(events)
        except TimeoutError:
            return [retry(f"no answer within {self._options.timeout_s:g} s")] * len(events)
        except Exception as exc:  # noqa: BLE001 -- a driver's door
            return [retry(told(exc))] * len(events)
        if len(answers) != len(events) or not all(isinstance(a, Delivery) for a in answers):
            what = f"the driver answered for {len(answers)} events, not {len(events)}"
            return [retry(what)] * len(events)
        return answers

    def _settle(self, done: Sorted, era: int, now_ns: int) -> None:
        """Tell the breaker and the size of batches how a batch ended."""
        event = CallEvent.SUCCESS if done.is_answer else CallEvent.FAILURE
        before = self._breaker.phase
        self._breaker = settle(self._breaker, self._breaker_config, event, era=era, now_ns=now_ns)
        self._batch.settle(has_failed=not done.is_answer)
        if before is not self._breaker.phase:
            _LOG.info("driver %s: the breaker is %s", self.name, self._breaker.phase.value)
            has_closed = self._breaker.phase is BreakerPhase.CLOSED
            if has_closed and self._options.redrive and self._spool.dead_count:
                self.tally.redriven += self._spool.redrive(limit=3)

    def _bury(self, letters: list[tuple[Parcel, str, str, bool]]) -> None:
        self._fail(letters[-1][1])
        self.tally.dead += len(letters)
        self._spool.bury(letters, limit=self._options.dead_letters)

    def _fail(self, why: str) -> None:
        if why != self._last_error:
            _LOG.warning("driver %s: %s", self.name, why)
        self._last_error = why

    # -- the end -----------------------------------------------------------------------------

    async def _wind_up(self) -> None:
        """Cancel what is on its way, stop the driver, keep what is left."""
        self._state = "stopping"
        for task in list(self._in_flight):
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=_LEAST_STOP_S)
        left_s = ((self._stop_by_ns or 0) - self._clock.now_ns()) / 1e9
        limit_s = max(_LEAST_STOP_S, left_s)
        try:
            async with asyncio.timeout(limit_s + _LEAST_STOP_S):
                await self._driver.stop(timeout_s=limit_s)
        except Exception as exc:  # noqa: BLE001 -- a driver's door
            self._fail(f"does not stop: {told(exc)}")
        self._keep_the_rest()
        self._state = "stopped"

    def _keep_the_rest(self) -> None:
        """Write down what is only in memory: the next start sends it."""
        self._accept()
        broken_off = [parcel for batch in self._unanswered.values() for parcel in batch]
        rest = [each for each in (*broken_off, *self._backlog.drain()) if not each.seq]
        if rest:
            self._spool.append(rest)
        with self._guard:
            self._leftover = Leftover(
                name=self.name,
                spooled=self._spool.waiting,
                dead=self._spool.dead_count,
            )
        self._spool.close()
