"""Event loops: a machine runs within one and without, and async handlers have one of their own."""

import asyncio
import threading
import warnings

import pytest

from test_rig.errors import MachineError
from test_rig.machine import DynamicStateMachine, RunResult, StateHandler


class _Async(StateHandler):
    """All three functions are async; a task begun in `enter` lives until `exit`."""

    def __init__(self):
        self.loops, self.box = [], []

    async def enter(self, context):
        self.loops.append(asyncio.get_running_loop())
        self.task = asyncio.create_task(self.fill())
        return "a"

    async def fill(self):
        self.box.append("filled")

    async def execute(self, context):
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return "Completed"

    async def exit(self, context):
        self.loops.append(asyncio.get_running_loop())
        await self.task


class _Start(StateHandler):
    def execute(self, context):
        return "a"


def _machine_of(handler):
    machine = DynamicStateMachine()
    machine.register_handler("Initial", _Start)
    machine.register_handler("a", handler)
    return machine


def test_async_functions_share_one_loop():
    """From enter to exit, so that tasks and locks go with the handler."""
    handler = _Async()
    assert _machine_of(handler).run().passed
    assert handler.box == ["filled"]
    assert len(set(handler.loops)) == 1


@pytest.mark.parametrize("handler", [_Async, StateHandler])
def test_all_three_ways_of_running_give_the_result(handler):
    """Plain, awaited, and handed to `asyncio.run`."""

    async def awaited():
        return await _machine_of(handler()).run()

    results = [
        _machine_of(handler()).run(),
        asyncio.run(awaited()),
        asyncio.run(_machine_of(handler()).run()),
        _machine_of(handler()).run_sync(),
    ]
    assert all(isinstance(each, RunResult) and each.passed for each in results)


def test_a_result_can_be_awaited_again():
    """Who awaits what is there already gets it."""
    result = _machine_of(StateHandler).run()

    async def awaited():
        return await result

    assert asyncio.run(awaited()) is result


def test_a_run_does_not_block_the_loop_it_is_awaited_in():
    """A sync handler waits for what only the loop can do."""
    go = threading.Event()

    class Waiting(StateHandler):
        def execute(self, context):
            return "Completed" if go.wait(10) else "Error: the loop stood still"

    async def main():
        asyncio.get_running_loop().call_soon(go.set)
        return await _machine_of(Waiting).run()

    assert asyncio.run(main()).passed


def test_machines_run_beside_each_other():
    """Two that need each other to go on both get to the end."""
    barrier = threading.Barrier(2)

    class Meeting(StateHandler):
        def execute(self, context):
            barrier.wait(10)
            return "Completed"

    async def main():
        return await asyncio.gather(_machine_of(Meeting).run(), _machine_of(Meeting).run())

    assert all(result.passed for result in asyncio.run(main()))


def test_a_run_can_be_a_task():
    """`create_task` takes it, as it takes a coroutine."""

    async def main():
        return await asyncio.create_task(_machine_of(StateHandler).run())

    assert asyncio.run(main()).passed


def test_looking_at_a_run_that_was_not_awaited_is_a_clear_error():
    """It says what to write; other missing names are missing as usual."""

    async def main():
        pending = _machine_of(StateHandler).run()
        with pytest.raises(MachineError, match=r"await machine.run"):
            _ = pending.final_state
        assert not hasattr(pending, "something_else")
        await pending

    asyncio.run(main())


def test_a_run_that_nobody_awaits_is_warned_of():
    """Like any coroutine; it has not run then."""

    async def main():
        _machine_of(StateHandler).run()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
    assert any("never awaited" in str(each.message) for each in caught)


def test_cancelling_the_await_ends_the_run_and_exits():
    """The cancellation arrives after the handler's exit has run."""
    log = []

    class Slow(StateHandler):
        async def execute(self, context):
            log.append("execute")
            started.set()
            await asyncio.sleep(60)

        async def exit(self, context):
            log.append("exit")

    started = threading.Event()

    async def main():
        task = asyncio.create_task(_machine_of(Slow).run())
        await asyncio.to_thread(started.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        log.append("cancelled")

    asyncio.run(main())
    assert log == ["execute", "exit", "cancelled"]


def test_a_machine_within_an_async_handler_is_awaited_there():
    """A handler may run another machine."""

    class Outer(StateHandler):
        async def execute(self, context):
            return (await _machine_of(_Async()).run()).final_state

    assert _machine_of(Outer).run().passed


def test_a_coroutine_answered_by_an_async_function_is_a_clear_error():
    """A forgotten `await` inside is told as such, and nothing else is warned of."""

    class Forgetful(StateHandler):
        async def other(self):
            return "Completed"

        async def execute(self, context):
            return self.other()

    assert "a coroutine that it did not await" in _machine_of(Forgetful).run().error.message


def test_a_sync_function_may_hand_over_a_coroutine():
    """Whatever can be awaited is awaited."""

    class Handing(StateHandler):
        async def other(self):
            return "Completed"

        def execute(self, context):
            return self.other()

    assert _machine_of(Handing).run().passed


def test_an_exception_in_an_async_function_is_traced_from_the_handler_on():
    """No frame of the event loop hides it."""

    class Failing(StateHandler):
        async def execute(self, context):
            raise ValueError("here")

    error = _machine_of(Failing).run().error
    assert 'raise ValueError("here")' in error.traceback
    assert "asyncio" not in error.traceback
