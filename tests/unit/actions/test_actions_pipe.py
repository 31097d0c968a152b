"""A pipe with a driver that does what the test says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from test_rig.actions import (
    DELIVERED,
    AlertEvent,
    Delivery,
    DriverContext,
    DriverType,
    Event,
    MeasurementEvent,
    Options,
    read_options,
    rejected,
    retry,
)
from test_rig.actions.pipe import Pipe
from test_rig.actions.pipe_options import Leftover, PipeOptions, PipePlan
from test_rig.actions.spool import DeadLetters, spool_path
from test_rig.actions.ticket import Ticket

Answer = Callable[[Event], Delivery]


class Receiver:
    """A driver whose answers are told by a function; it notes what reached it."""

    def __init__(self, answer: Answer = lambda event: DELIVERED) -> None:
        self.answer = answer
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_stopped = False

    async def start(self) -> None:
        """Do nothing."""

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Answer, once the gate is open."""
        while not self.gate.is_set():
            await asyncio.sleep(0.002)
        self.batches.append([event.id for event in batch])
        return [self.answer(event) for event in batch]

    async def stop(self, *, timeout_s: float) -> None:
        """Note it."""
        self.is_stopped = True

    async def status(self) -> Mapping[str, Any]:
        """Tell how many batches came."""
        return {"batches": len(self.batches)}

    @property
    def ids(self) -> list[str]:
        """All that came, in its order."""
        return [id for batch in self.batches for id in batch]


def number(value: int, name: str = "n") -> MeasurementEvent:
    """Return a measurement of now."""
    return MeasurementEvent(
        id=f"{name}{value}",
        name=name,
        value=value,
        timestamp=time.time(),
        timestamp_ns=time.time_ns(),
    )


def alert(id: str, severity: str = "warning") -> AlertEvent:
    """Return an alert of now."""
    return AlertEvent(
        id=id,
        alert_type=id,
        severity=severity,
        message="",
        timestamp=time.time(),
        timestamp_ns=time.time_ns(),
    )


def pipe_of(folder: Path, receiver: Receiver, **options: Any) -> Pipe:
    """Return a pipe, not started, with short pauses."""
    fast = {"retry_base_s": 0.01, "retry_max_s": 0.02, "breaker_recovery_s": 0.05}
    kind = DriverType(
        name="receiver", about="", options=Options, make=lambda options, context: receiver
    )
    chosen = read_options(PipeOptions, {**fast, **options}, where="pipe")
    plan = PipePlan(name="r", kind=kind, options=Options(), pipe=chosen)
    return Pipe(plan, folder, DriverContext(name="r"))


@contextmanager
def running(folder: Path, receiver: Receiver, **options: Any) -> Iterator[Pipe]:
    """Run a pipe to its end, in which it may drain."""
    pipe = pipe_of(folder, receiver, **options)
    pipe.start()
    try:
        yield pipe
    finally:
        receiver.gate.set()
        pipe.stop(10)
        pipe.join()


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.002)


def stopped(pipe: Pipe, timeout_s: float) -> Leftover:
    """Stop a pipe and return what was left."""
    pipe.stop(timeout_s)
    return pipe.join()


def test_what_is_offered_arrives_once_and_in_order(tmp_path: Path) -> None:
    """And a stop waits for it, then stops the driver."""
    receiver = Receiver()
    with running(tmp_path, receiver) as pipe:
        for start in range(0, 1000, 10):
            pipe.offer([number(value) for value in range(start, start + 10)])
    assert receiver.ids == [f"n{value}" for value in range(1000)]
    assert receiver.is_stopped


def test_a_driver_that_hangs_gets_alerts_first_when_it_is_back(tmp_path: Path) -> None:
    """Measurements that came before wait behind."""
    receiver = Receiver()
    receiver.gate.clear()
    with running(tmp_path, receiver, batch_size=1) as pipe:
        pipe.offer([number(1)])
        until(lambda: pipe.snapshot()["in_flight"])
        pipe.offer([number(2), number(3), alert("fire")])
    assert receiver.ids == ["n1", "fire", "n2", "n3"]


def test_what_fails_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    """The dead letter tells the reason and the attempts; others went through."""
    receiver = Receiver(lambda event: retry("too busy") if event.id == "bad1" else DELIVERED)
    with running(tmp_path, receiver, max_attempts=3, redrive=False) as pipe:
        pipe.offer([number(1, "bad"), number(1), number(2)])
        until(lambda: pipe.snapshot()["dead_letters"])
    (letter,) = DeadLetters(spool_path(tmp_path, "r")).newest()
    assert (letter.id, letter.attempts, letter.is_final) == ("bad1", 3, False)
    assert "too busy" in letter.reason
    assert receiver.ids.count("bad1") == 3
    assert {"n1", "n2"} <= set(receiver.ids)


def test_what_is_refused_is_not_tried_again_and_can_be_replayed(tmp_path: Path) -> None:
    """A replay asked for by another process reaches the running pipe."""
    refusing = True
    receiver = Receiver(lambda event: rejected("no such field") if refusing else DELIVERED)
    with running(tmp_path, receiver) as pipe:
        pipe.offer([number(1)])
        until(lambda: pipe.snapshot()["dead_letters"])
        letters = DeadLetters(spool_path(tmp_path, "r"))
        assert receiver.ids == ["n1"]
        refusing = False
        assert letters.replay(letters.newest()[0].number) == 1
        until(lambda: pipe.snapshot()["delivered"])
        assert letters.count() == 0


def test_the_oldest_dead_letters_go_beyond_the_limit(tmp_path: Path) -> None:
    """So many are kept."""
    receiver = Receiver(lambda event: rejected("no"))
    with running(tmp_path, receiver, dead_letters=2, batch_size=1) as pipe:
        pipe.offer([number(value) for value in range(5)])
        until(lambda: pipe.snapshot()["rejected"] == 5)
    assert {each.id for each in DeadLetters(spool_path(tmp_path, "r")).newest()} == {"n3", "n4"}


@pytest.mark.parametrize(("redrive", "after"), [(True, ["n2", "n1", "n3"]), (False, ["n2", "n3"])])
def test_dead_letters_are_sent_again_when_the_breaker_closes(
    tmp_path: Path, redrive: bool, after: list[str]
) -> None:
    """A receiver that comes back gets what was given up, once; where that is wanted."""
    is_up = False
    receiver = Receiver(lambda event: DELIVERED if is_up else retry("away"))
    options = {"max_attempts": 2, "breaker_failures": 2, "redrive": redrive}
    with running(tmp_path, receiver, **options) as pipe:
        pipe.offer([number(1)])
        until(lambda: pipe.snapshot()["dead_letters"])
        until(lambda: pipe.snapshot()["breaker"] == "open")
        is_up = True
        pipe.offer([number(2)])
        until(lambda: pipe.snapshot()["delivered"] == len(after) - 1)
        pipe.offer([number(3)])
        until(lambda: pipe.snapshot()["delivered"] == len(after))
        assert pipe.snapshot()["redriven"] == redrive
    assert receiver.ids[2:] == after


def test_no_call_is_made_while_the_breaker_is_open(tmp_path: Path) -> None:
    """The receiver is left alone, and the queue takes what comes."""
    receiver = Receiver(lambda event: retry("away"))
    pipe = pipe_of(tmp_path, receiver, breaker_failures=1, breaker_recovery_s=1000)
    pipe.start()
    pipe.offer([number(1)])
    until(lambda: pipe.snapshot()["breaker"] == "open")
    pipe.offer([number(2)])
    until(lambda: pipe.snapshot()["queued"] == 2)
    assert stopped(pipe, 5).spooled == 2
    assert len(receiver.batches) == 1


def test_what_could_not_be_delivered_waits_for_the_next_start(tmp_path: Path) -> None:
    """Also without a spool: a stop in order loses nothing."""
    receiver = Receiver()
    receiver.gate.clear()
    pipe = pipe_of(tmp_path, receiver, batch_size=1)
    pipe.start()
    pipe.offer([number(value) for value in range(5)])
    until(lambda: pipe.snapshot()["in_flight"])
    assert stopped(pipe, 0.05) == Leftover(name="r", spooled=5, dead=0)
    again = Receiver()
    with running(tmp_path, again):
        until(lambda: len(again.ids) == 5)
    assert sorted(again.ids) == [f"n{value}" for value in range(5)]


def test_spooled_events_are_on_disk_when_the_ticket_says_so(tmp_path: Path) -> None:
    """Another connection sees them though the driver hangs."""
    receiver = Receiver()
    receiver.gate.clear()
    with running(tmp_path, receiver, spool=True, queue_size=4) as pipe:
        ticket = Ticket(1)
        pipe.offer([number(value) for value in range(20)], ticket=ticket)
        assert ticket.wait(30)
        assert DeadLetters(spool_path(tmp_path, "r")).depth() == 20
        receiver.gate.set()
        until(lambda: pipe.snapshot()["delivered"] == 20)
        until(lambda: DeadLetters(spool_path(tmp_path, "r")).depth() == 0)
    assert receiver.ids == [f"n{value}" for value in range(20)]


def test_a_driver_that_is_slow_to_start_holds_no_source_up(tmp_path: Path) -> None:
    """What comes meanwhile is on disk at once, and delivered when it is up."""

    class Slow(Receiver):
        async def start(self) -> None:
            while not self.gate.is_set():
                await asyncio.sleep(0.002)

    receiver = Slow()
    receiver.gate.clear()
    with running(tmp_path, receiver, spool=True) as pipe:
        ticket = Ticket(1)
        pipe.offer([number(1)], ticket=ticket)
        assert ticket.wait(30)
        assert pipe.snapshot()["state"] == "starting"
    assert receiver.ids == ["n1"]


def test_a_driver_that_fails_to_start_is_tried_until_the_end(tmp_path: Path) -> None:
    """A stop that comes before it is up still delivers, within its limit."""

    class Late(Receiver):
        tries = 0

        async def start(self) -> None:
            self.tries += 1
            if self.tries < 4:
                raise OSError("not yet")

    receiver = Late()
    pipe = pipe_of(tmp_path, receiver)
    pipe.start()
    pipe.offer([number(1)])
    assert stopped(pipe, 30).spooled == 0
    assert receiver.ids == ["n1"]


def test_what_does_not_fit_is_spilled_and_comes_in_order(tmp_path: Path) -> None:
    """Nothing is lost with the policy `spill`."""
    receiver = Receiver()
    receiver.gate.clear()
    with running(tmp_path, receiver, policy="spill", queue_size=3) as pipe:
        for value in range(30):
            pipe.offer([number(value)])
        until(lambda: pipe.snapshot()["spooled"] >= 20)
        receiver.gate.set()
        until(lambda: pipe.snapshot()["delivered"] == 30)
    assert receiver.ids == [f"n{value}" for value in range(30)]


def test_a_full_spool_refuses_and_says_so(tmp_path: Path) -> None:
    """The ticket is not given, and what is lost is counted with the reason."""
    receiver = Receiver()
    receiver.gate.clear()
    options = {"spool": True, "spool_limit": 5, "policy": "drop_newest"}
    with running(tmp_path, receiver, **options) as pipe:
        ticket = Ticket(1)
        pipe.offer([number(value) for value in range(8)], ticket=ticket)
        assert not ticket.wait(30)
        assert pipe.snapshot()["lost"] == {"spool full": 3}


def test_old_events_are_not_sent(tmp_path: Path) -> None:
    """They are counted as expired."""
    receiver = Receiver()
    with running(tmp_path, receiver, ttl_s=60) as pipe:
        old = MeasurementEvent(id="old", name="n", value=1, timestamp=1.0, timestamp_ns=10**9)
        pipe.offer([old, number(1)])
    assert receiver.ids == ["n1"]
    assert pipe.snapshot()["expired"] == 1


def test_a_driver_without_an_answer_is_given_up_and_tried_again(tmp_path: Path) -> None:
    """After the pipe's own limit, whatever the driver does."""
    receiver = Receiver()
    receiver.gate.clear()
    with running(tmp_path, receiver, timeout_s=0.05) as pipe:
        pipe.offer([number(1)])
        until(lambda: "no answer within" in pipe.snapshot()["last_error"])
        receiver.gate.set()
        until(lambda: pipe.snapshot()["delivered"] == 1)


@pytest.mark.parametrize("answer", [ValueError("what?"), []])
def test_what_a_driver_returns_is_checked(tmp_path: Path, answer: Any) -> None:
    """An exception or the wrong number of answers costs a try, not the pipe."""

    class Odd(Receiver):
        async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
            if not self.batches:
                self.batches.append([])
                if isinstance(answer, Exception):
                    raise answer
                return answer
            return await super().send(batch)

    receiver = Odd()
    with running(tmp_path, receiver) as pipe:
        pipe.offer([number(1)])
        until(lambda: pipe.snapshot()["delivered"] == 1)
    assert receiver.ids == ["n1"]


def test_batches_shrink_when_they_fail_and_grow_again(tmp_path: Path) -> None:
    """Half after a failure, twice after a success."""
    is_up = False
    receiver = Receiver(lambda event: DELIVERED if is_up else retry("away"))
    with running(tmp_path, receiver, batch_size=64, breaker_failures=50, max_attempts=0) as pipe:
        pipe.offer([number(value) for value in range(64)])
        until(lambda: pipe.snapshot()["batch_limit"] <= 16)
        is_up = True
        until(lambda: pipe.snapshot()["delivered"] == 64)
        until(lambda: pipe.snapshot()["batch_limit"] == 64)


def test_a_batch_waits_for_more_where_it_may(tmp_path: Path) -> None:
    """`linger_s` makes one batch of what comes soon after."""
    receiver = Receiver()
    with running(tmp_path, receiver, linger_s=1000, batch_size=3) as pipe:
        for value in range(3):
            pipe.offer([number(value)])
            until(lambda seen=value + 1: pipe.snapshot()["accepted"] == seen)
        until(lambda: receiver.batches)
    assert receiver.batches == [["n0", "n1", "n2"]]


def test_history_tells_every_try_the_newest_last(tmp_path: Path) -> None:
    """Bounded, with what came of each."""
    receiver = Receiver(lambda event: rejected("no") if event.id == "n8" else DELIVERED)
    with running(tmp_path, receiver, history=5) as pipe:
        for value in range(10):
            pipe.offer([number(value)])
    told = [(past.event.id, past.fate) for past in pipe.history()]
    assert len(told) == 5
    assert told[-2:] == [("n8", "rejected"), ("n9", "delivered")]
    assert [past.event.id for past in pipe.history(1)] == ["n9"]


def test_the_driver_is_asked_for_its_status(tmp_path: Path) -> None:
    """On its own loop, while it works."""
    receiver = Receiver()
    with running(tmp_path, receiver) as pipe:
        pipe.offer([number(1)])
        until(lambda: pipe.snapshot()["delivered"] == 1)
        assert pipe.driver_status() == {"batches": 1}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"events": ["alert"]}, ["w", "c"]),
        ({"names": ["other*"]}, ["w", "c"]),
        ({"min_severity": "critical"}, ["n1", "c"]),
    ],
)
def test_a_driver_gets_what_its_options_name(options: dict[str, Any], wanted: list[str]) -> None:
    """By kind, by name, by severity."""
    chosen = read_options(PipeOptions, options, where="pipe")
    events = [number(1), alert("w"), alert("c", "critical")]
    assert [event.id for event in events if chosen.wants(event)] == wanted
    assert not chosen.wants_all
