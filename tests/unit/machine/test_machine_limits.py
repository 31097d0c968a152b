"""Time limits and interruptions: a run always ends, and cleans up as far as it can."""

import asyncio
import os
import signal
import threading

import pytest

from test_rig.clock import SystemClock
from test_rig.errors import MachineError, UsageError
from test_rig.machine import DynamicStateMachine, Limits, StateHandler
from test_rig.verdict import ResultStatus

SHORT = Limits(state_s=0.05, exit_s=2.0, grace_s=0.1)
#: A statement that goes on until it is cancelled.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class _Waiting(StateHandler):
    """Does not come back before it is freed, or a minute is over."""

    def __init__(self):
        self.free, self.began, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.exits = 0

    def execute(self, context):
        self.began.set()
        self.free.wait(60)
        self.ended.set()
        return "Completed"

    def exit(self, context):
        self.exits += 1


class _Start(StateHandler):
    def execute(self, context):
        return "a"


def _machine_of(handler, limits, target=None, **options):
    machine = DynamicStateMachine(target, limits=limits)
    if target is None:
        machine.register_handler("Initial", _Start)
    machine.register_handler("a", handler, **options)
    return machine


def test_a_call_that_does_not_come_back_is_left_behind():
    """The run ends, says which call it was, where it hangs, and that exit did not run."""
    handler = _Waiting()
    result = _machine_of(handler, SHORT).run()
    assert result.status is ResultStatus.TIMED_OUT
    assert "_Waiting.execute reached the state's limit of 0.05 s" in result.error.message
    assert "left behind" in result.error.message
    assert "self.free.wait(60)" in result.error.traceback
    assert result.notes == ("_Waiting.exit did not run in state a",)
    handler.free.set()
    assert handler.ended.wait(30)
    assert handler.exits == 0


def test_a_machine_whose_call_was_left_behind_is_busy_until_it_ends():
    """Two runs never share a context."""
    handler = _Waiting()
    machine = _machine_of(handler, SHORT)
    machine.run()
    with pytest.raises(MachineError, match=r"left behind"):
        machine.run()
    handler.free.set()
    handler.ended.wait(30)
    threads = [each for each in threading.enumerate() if each.name == "test-rig-machine"]
    for each in threads:
        each.join(30)
    machine.run()
    assert handler.exits == 1


def test_a_call_that_comes_back_too_late_is_too_late():
    """Its answer does not count, and exit runs."""

    class Late(_Waiting):
        def execute(self, context):
            while not context.deadline.expired:
                self.free.wait(0.01)
            return "Completed"

    late = Late()
    result = _machine_of(late, Limits(state_s=0.05, grace_s=5.0)).run()
    assert (result.status, late.exits, result.notes) == (ResultStatus.TIMED_OUT, 1, ())


def test_a_limit_holds_by_the_clock_that_was_given():
    """An answer that comes after the deadline is late, whether or not anybody woke to see it."""

    class Jumping(SystemClock):
        ahead_ns = 0

        def now_ns(self):
            return super().now_ns() + self.ahead_ns

    class Leaping(StateHandler):
        def execute(self, context):
            clock.ahead_ns = 60 * 10**9
            return "Completed"

    clock = Jumping()
    machine = DynamicStateMachine(limits=Limits(state_s=50.0), clock=clock)
    machine.register_handler("Initial", Leaping)
    assert machine.run().status is ResultStatus.TIMED_OUT


def test_a_running_statement_is_cancelled_and_exit_can_still_use_the_session():
    """The transaction is rolled back before exit; the session works."""
    seen = []

    class Endless(StateHandler):
        def execute(self, context):
            context.connection.execute_query("CREATE TABLE t (i INTEGER)")
            context.connection.start_transaction()
            context.connection.execute_query("INSERT INTO t VALUES (1)")
            context.connection.execute_query(ENDLESS)

        def exit(self, context):
            seen.append(context.connection.in_transaction)
            seen.extend(context.connection.execute_query("SELECT count(*) FROM t"))

    limits = Limits(state_s=0.2, exit_s=5.0, grace_s=2.0)
    result = _machine_of(Endless, limits, "sqlite://").run()
    assert result.status is ResultStatus.TIMED_OUT
    assert "context.connection.execute_query(ENDLESS)" in result.error.traceback
    assert seen == [False, {"count(*)": 0}]


def test_an_async_call_is_cancelled_at_its_limit():
    """It sees the cancellation, and its exit runs on the same loop."""
    seen = []

    class Slow(StateHandler):
        async def execute(self, context):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append(asyncio.get_running_loop())
                raise

        async def exit(self, context):
            seen.append(asyncio.get_running_loop())

    result = _machine_of(Slow, Limits(state_s=0.3)).run()
    assert result.status is ResultStatus.TIMED_OUT
    assert len(seen) == 2
    assert seen[0] is seen[1]


def test_exit_has_a_limit_of_its_own():
    """An exit that does not come back does not hold the run; the first error stays the first."""

    class Stuck(_Waiting):
        def execute(self, context):
            raise ValueError("first")

        def exit(self, context):
            self.free.wait(60)

    handler = Stuck()
    result = _machine_of(handler, Limits(exit_s=0.05, grace_s=0.05)).run()
    handler.free.set()
    assert result.error.message == "ValueError: first"
    assert any("Stuck.exit reached its limit of 0.05 s" in note for note in result.notes)
    assert "Stuck.exit did not end in state a" in result.notes


def test_one_state_can_have_another_limit_than_the_others():
    """The limit given with the handler replaces the general one."""
    handler = _Waiting()
    result = _machine_of(handler, Limits(grace_s=0.05), timeout_s=0.05).run()
    handler.free.set()
    assert "the state's limit of 0.05 s" in result.error.message


def test_a_state_that_stays_for_ever_ends_with_the_run():
    """The run's limit holds across calls that each come back at once."""

    class Staying(_Waiting):
        def execute(self, context):
            self.free.wait(0.005)
            return "a"

    handler = Staying()
    result = _machine_of(handler, Limits(run_s=0.1)).run()
    assert result.status is ResultStatus.TIMED_OUT
    assert "the run's limit of 0.1 s" in result.error.message
    assert "valid from here" in result.error.message
    assert handler.exits == 1


def test_the_deadline_in_the_context_is_that_of_the_call():
    """Within a visit it is the state's, in exit that of exit, afterwards there is none."""
    left = []

    class Looking(StateHandler):
        def execute(self, context):
            left.append(context.deadline.remaining_s)
            return "Completed"

        def exit(self, context):
            left.append(context.deadline.remaining_s)

    machine = _machine_of(Looking, Limits(state_s=50.0, exit_s=20.0))
    machine.run()
    assert 40 < left[0] <= 50
    assert 10 < left[1] <= 20
    assert machine.get_context().deadline is None


def test_no_limit_means_no_deadline():
    """A run may go on for ever where somebody asks for that."""
    left = []

    class Looking(StateHandler):
        def execute(self, context):
            left.append(context.deadline)
            return "Completed"

    assert _machine_of(Looking, Limits(run_s=None)).run().passed
    assert left == [None]


def test_an_interruption_cleans_up_and_is_raised():
    """Ctrl-C while a statement runs: it is cancelled, exit runs, the session is closed."""
    seen = []

    class Interrupting(StateHandler):
        def execute(self, context):
            seen.append(context.connection)
            os.kill(os.getpid(), signal.SIGINT)
            context.connection.execute_query(ENDLESS)

        def exit(self, context):
            seen.append("exit")

    machine = _machine_of(Interrupting, Limits(), "sqlite://")
    with pytest.raises(KeyboardInterrupt):
        machine.run()
    session, exited = seen
    assert exited == "exit"
    assert not session.is_usable


def test_an_interruption_during_exit_lets_it_end_and_enters_nothing_more():
    """What is being cleaned up is cleaned up; the next state is not begun."""
    log = []

    class Leaving(_Waiting):
        def execute(self, context):
            return "b"

        def exit(self, context):
            os.kill(os.getpid(), signal.SIGINT)
            self.free.wait(0.5)
            log.append("left")

    class Next(StateHandler):
        def enter(self, context):
            log.append("entered")
            return "Completed"

    machine = _machine_of(Leaving(), Limits())
    machine.register_handler("b", Next)
    with pytest.raises(KeyboardInterrupt):
        machine.run()
    assert log == ["left"]


def test_an_interruption_does_not_wait_for_a_call_that_does_not_come_back():
    """After the grace period it is left behind."""
    handler = _Waiting()

    class Interrupting(_Waiting):
        def execute(self, context):
            os.kill(os.getpid(), signal.SIGINT)
            return handler.execute(context)

    machine = _machine_of(Interrupting(), Limits(grace_s=0.05))
    with pytest.raises(KeyboardInterrupt):
        machine.run()
    assert not handler.ended.is_set()
    handler.free.set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_s": 0},
        {"state_s": -1.0},
        {"exit_s": float("inf")},
        {"exit_s": None},
        {"transitions": 0},
        {"grace_s": "1"},
    ],
)
def test_limits_are_checked(wrong):
    """No length of time that is none, and at least one transition."""
    with pytest.raises(UsageError):
        Limits(**wrong)
