"""Connections that meet: barriers, messages and values come, or it is told who waits for whom."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from test_rig.errors import CoordinationTimeout, MachineError, UsageError
from test_rig.machine import (
    ConnectionCoordinator,
    ConnectionState,
    CoordinatedResult,
    GlobalConfig,
    Limits,
    MultiConnectionStateMachine,
    SharedState,
    StateContext,
    StateHandler,
    Waiting,
)
from test_rig.machine.waiting import report_of

Step = Callable[[ConnectionCoordinator, StateContext], Any]


class _Does(StateHandler):
    """Does one thing and keeps what it gave."""

    def __init__(self, step: Step) -> None:
        self.step, self.gave = step, None

    def execute(self, context: StateContext) -> str:
        self.gave = self.step(context.coordinator, context)
        return "Completed"


def _run(
    config: GlobalConfig | None = None, **steps: Step
) -> tuple[CoordinatedResult, dict[str, _Does], MultiConnectionStateMachine]:
    """Run one connection for each step, to a database in memory."""
    coordinator = ConnectionCoordinator(SharedState(config))
    machine = MultiConnectionStateMachine(coordinator, target="memory://")
    handlers = {name: _Does(step) for name, step in steps.items()}
    for name, handler in handlers.items():
        machine.add_connection(name, handler)
    return machine.run_with_coordination(), handlers, machine


def _when_waiting(coordinator: ConnectionCoordinator, count: int) -> None:
    """Wait until so many others wait."""
    until = time.monotonic() + 30
    while len(coordinator.waits()) < count and time.monotonic() < until:
        time.sleep(0.005)


def _errors(result: CoordinatedResult) -> dict[str, str]:
    return {name: str(each.error.exception) for name, each in result.items() if each.error}


def test_nobody_passes_a_barrier_before_all_have_come() -> None:
    """Each sees what the others did before, twice at the same barrier."""

    def step(coordinator: ConnectionCoordinator, context: StateContext) -> list[float]:
        seen = []
        for _ in range(2):
            coordinator.shared_state.add("came")
            coordinator.barrier("met")
            seen.append(coordinator.get_value("came"))
            coordinator.barrier("looked")
        return seen

    result, handlers, _ = _run(a=step, b=step, c=step)
    assert result.passed, _errors(result)
    assert [handler.gave for handler in handlers.values()] == [[3, 6]] * 3


def test_a_barrier_may_be_for_some_only() -> None:
    """Those it does not name pass it by; those that name others are told."""
    result, _, _ = _run(
        a=lambda coordinator, _: coordinator.barrier("two", parties=["a", "b"]),
        b=lambda coordinator, _: coordinator.barrier("two", parties=["b", "a"]),
        c=lambda coordinator, _: coordinator.barrier("two", parties=["a", "b"]),
    )
    assert "c is not among the parties" in _errors(result)["c"]
    assert set(_errors(result)) == {"c"}


def test_messages_come_in_order_and_from_whom_they_were_asked() -> None:
    """To one connection, and to all others."""

    def sends(coordinator: ConnectionCoordinator, context: StateContext) -> None:
        coordinator.send_message("b", 1)
        coordinator.send_message("b", 2)
        coordinator.broadcast("all")

    def receives(coordinator: ConnectionCoordinator, context: StateContext) -> list[Any]:
        return [coordinator.receive_message("a") for _ in range(3)]

    result, handlers, _ = _run(a=sends, b=receives, c=lambda c, _: c.receive_message())
    assert result.passed, _errors(result)
    assert handlers["b"].gave is not None
    assert [each.body for each in handlers["b"].gave] == [1, 2, "all"]
    assert (handlers["c"].gave.sender, handlers["c"].gave.body) == ("a", "all")


def test_a_full_mailbox_is_waited_for() -> None:
    """The sender goes on when the receiver has read."""
    config = GlobalConfig(message_capacity=1)

    def sends(coordinator: ConnectionCoordinator, context: StateContext) -> None:
        for number in range(50):
            coordinator.send_message("b", number)

    def receives(coordinator: ConnectionCoordinator, context: StateContext) -> list[int]:
        return [coordinator.receive_message().body for _ in range(50)]

    result, handlers, _ = _run(config, a=sends, b=receives)
    assert result.passed, _errors(result)
    assert handlers["b"].gave == list(range(50))


def test_a_value_can_be_waited_for() -> None:
    """Any at all, and a certain one."""

    def shares(coordinator: ConnectionCoordinator, context: StateContext) -> None:
        coordinator.set_value("phase", "loading")
        coordinator.wait_for_value("seen")
        coordinator.set_value("phase", "loaded")

    def waits(coordinator: ConnectionCoordinator, context: StateContext) -> list[Any]:
        first = coordinator.wait_for_value("phase")
        coordinator.set_value("seen", True)
        return [first, coordinator.wait_for_value("phase", "loaded")]

    result, handlers, _ = _run(a=shares, b=waits)
    assert result.passed, _errors(result)
    assert handlers["b"].gave == ["loading", "loaded"]


def test_a_limit_tells_who_waits_for_whom() -> None:
    """All that wait get the report; a circle is named as one."""

    def gives_up(coordinator: ConnectionCoordinator, context: StateContext) -> None:
        _when_waiting(coordinator, 2)
        coordinator.receive_message("b", timeout_s=0.2)

    result, _, _ = _run(
        a=gives_up,
        b=lambda coordinator, _: coordinator.receive_message("a", timeout_s=30),
        c=lambda coordinator, _: coordinator.wait_for_value("never", timeout_s=30),
    )
    told = _errors(result)["a"]
    assert isinstance(result["a"].error.exception, CoordinationTimeout)  # type: ignore[union-attr]
    assert "a waits for b: a message from b" in told
    assert "b waits for a: a message from a" in told
    assert "a > b > a" in told or "b > a > b" in told
    assert "c waits for a, b: value 'never'" in told


def test_who_waits_for_an_ended_connection_is_told_at_once() -> None:
    """With its error, and long before the limit: the limit here is longer than the test may be."""

    def fails(coordinator: ConnectionCoordinator, context: StateContext) -> None:
        raise RuntimeError("no table")

    result, _, _ = _run(
        GlobalConfig(coordination_timeout=3_000),
        a=fails,
        b=lambda coordinator, _: coordinator.barrier("met"),
        c=lambda coordinator, _: coordinator.receive_message("a"),
        d=lambda coordinator, _: coordinator.wait_for_value("never"),
    )
    errors = _errors(result)
    assert set(errors) == {"a", "b", "c", "d"}
    for name in "bc":
        assert "cannot come any more: a has ended (RuntimeError: no table)" in errors[name]
    assert "cannot come any more" in errors["d"]


def test_a_wait_ends_before_the_handlers_time_does() -> None:
    """So the report is not lost in the handler's own end."""
    result, _, _ = _run(
        GlobalConfig(test_duration=5.0, coordination_timeout=3_000),
        a=lambda coordinator, _: coordinator.receive_message("b"),
        b=lambda coordinator, _: coordinator.receive_message("a"),
    )
    assert any("who waits for whom" in told for told in _errors(result).values())


def test_one_who_gives_up_breaks_the_barrier_for_all() -> None:
    """Nobody waits on for a barrier that will not be passed; it can be tried anew."""
    coordinator = ConnectionCoordinator()
    for name in "abc":
        coordinator.add_connection(name)
    errors: dict[str, MachineError] = {}

    def come(name: str, timeout_s: float) -> None:
        try:
            coordinator.barrier("met", connection=name, timeout_s=timeout_s)
        except MachineError as error:
            errors[name] = error

    waits = threading.Thread(target=come, args=("b", 3_000))
    waits.start()
    _when_waiting(coordinator, 1)
    come("a", 0.2)
    waits.join(30)
    assert "a waits for c" in str(errors["a"])
    assert "barrier 'met' is broken" in str(errors["b"])
    assert coordinator.waits() == []


def test_status_and_events_are_kept() -> None:
    """How each connection ended, and that a barrier was passed."""
    result, _, machine = _run(
        a=lambda coordinator, _: coordinator.barrier("met"),
        b=lambda coordinator, _: coordinator.barrier("met"),
    )
    assert result.passed
    shared = machine.get_coordinator().get_shared_state()
    states = [each.status for each in shared.connection_status.values()]
    assert states == [ConnectionState.COMPLETED] * 2
    names = [event.name for event in shared.coordination_events]
    assert names.count("ConnectionEstablished") == 2
    assert names.count("AllConnectionsReady") == 1
    assert names.count("BarrierPassed") == 1
    assert names[-1] == "TestCompleted"
    assert machine.get_coordinator().all_connections_ready()


def test_it_can_be_awaited() -> None:
    """Within an event loop, and by `asyncio.run` from outside of one."""

    def machine() -> MultiConnectionStateMachine:
        made = MultiConnectionStateMachine(target="memory://")
        made.add_connection("a", _Does(lambda coordinator, _: coordinator.barrier("alone")))
        return made

    async def inside() -> CoordinatedResult:
        pending = machine().run_with_coordination()
        with pytest.raises(MachineError, match="no passed yet"):
            _ = pending.passed
        return await pending

    assert asyncio.run(inside()).passed
    assert asyncio.run(machine().run_with_coordination()).passed


def test_cancelling_ends_all_of_them() -> None:
    """Also those who wait for each other; each `exit` is called."""
    exits: list[str] = []
    both_there = threading.Barrier(3)

    class Waits(StateHandler):
        def execute(self, context: StateContext) -> str:
            both_there.wait(30)
            context.coordinator.receive_message()
            return "Completed"

        def exit(self, context: StateContext) -> None:
            exits.append("exit")

    async def cancelled() -> None:
        machine = MultiConnectionStateMachine(target="memory://", limits=Limits(grace_s=60))
        machine.add_connection("a", Waits)
        machine.add_connection("b", Waits)
        task = asyncio.ensure_future(machine.run_with_coordination())
        await asyncio.to_thread(both_there.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert exits == ["exit"] * 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda c: c.barrier("x"), "not known who waits"),
        (lambda c: c.send_message("b", 1), "no connection 'b'"),
        (lambda c: c.add_connection("a"), "a connection 'a' already"),
        (lambda c: c.add_connection("c"), "raise GlobalConfig.max_connections"),
        (lambda c: c.barrier("x", parties=["a", "z"], connection="a"), "no connection 'z'"),
        (lambda c: c.receive_message(connection="a", timeout_s=-1), "no length of time"),
    ],
)
def test_wrong_use_is_told(wrong: Callable[[ConnectionCoordinator], None], told: str) -> None:
    """What is wrong, and what to do."""
    coordinator = ConnectionCoordinator(SharedState(GlobalConfig(max_connections=1)))
    coordinator.add_connection("a")
    with pytest.raises(UsageError, match=told):
        wrong(coordinator)


def test_a_handler_by_itself_has_no_coordinator() -> None:
    """It is told where there would be one."""
    with pytest.raises(MachineError, match="MultiConnectionStateMachine"):
        _ = StateContext().coordinator


def test_the_report_names_no_circle_where_there_is_none() -> None:
    """A chain is not one."""
    waits = [
        Waiting(connection="a", what="x", waits_for=("b",), waited_s=2),
        Waiting(connection="b", what="y", waits_for=("c",), waited_s=1),
    ]
    assert report_of(waits, [("c", "Testing")]).splitlines() == [
        "a waits for b: x, for 2.0 s",
        "b waits for c: y, for 1.0 s",
        "c does not wait: Testing",
    ]
