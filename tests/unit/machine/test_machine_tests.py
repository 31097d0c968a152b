"""Handlers as whole tests: entered once after the path, executed to the end, exited always."""

from __future__ import annotations

import threading

import pytest

from test_rig.machine import (
    STANDARD_PATH,
    DynamicStateMachine,
    Limits,
    State,
    StateHandler,
    StateMachine,
    register_python_handler,
)
from test_rig.testing import InMemoryTarget
from test_rig.verdict import ResultStatus


class _Told(StateHandler):
    """A handler that answers what it is told, and notes its calls."""

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def enter(self, context):
        self.calls.append("enter")

    def execute(self, context):
        self.calls.append("execute")
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def exit(self, context):
        self.calls.append("exit")


def run(*tests, machine=StateMachine, limits=None, **handlers):
    """Run tests, and handlers bound to states, on the stand-in."""
    with InMemoryTarget() as target:
        made = machine(target, limits=limits)
        for state, handler in handlers.items():
            made.register_handler(state, handler)
        for test in tests:
            made.register_test(test)
        return made.run_sync()


def states(result):
    """Return the states that were visited, by name."""
    return [str(visit.state) for visit in result.visits()]


def test_a_test_runs_after_the_path_and_each_phase_once():
    """The standard path first; enter may answer nothing."""
    test = _Told("Completed")
    result = run(test)
    assert result.passed, result.error
    assert states(result) == [*map(str, STANDARD_PATH), "_Told"]
    assert test.calls == ["enter", "execute", "exit"]


def test_tests_run_one_after_the_other_behind_the_bound_handlers():
    """In the order of their registration, also where a bound handler says Completed itself."""
    result = run(_Told("Completed"), _Told("Completed"), reporting=_Told("Completed"))
    assert states(result)[6:] == ["Reporting", "_Told", "_Told (2)"]
    assert result.passed


def test_a_state_of_another_handler_is_a_detour():
    """The test is not left: it is entered and exited once, and asked again afterwards."""
    test = _Told("showing_import_job_details", "Showing Import Job Details", "Completed")
    details = _Told("Completed", "Completed", "Initial")
    result = run(test, showing_import_job_details=details)
    assert result.passed, result.error
    assert test.calls == ["enter", "execute", "execute", "execute", "exit"]
    # Once as a part of the machine's own way; then as detours, whatever they answer.
    assert states(result)[6:] == ["ShowingImportJobDetails", "_Told"] * 3


def test_connecting_gives_a_fresh_connection():
    """As existing scripts expect: connect afresh and run me again."""

    class Reconnecting(StateHandler):
        seen: list[object]

        def enter(self, context):
            self.seen = []

        def execute(self, context):
            self.seen.append(context.connection)
            return State.connecting() if len(self.seen) == 1 else State.completed()

    test = Reconnecting()
    result = run(test)
    assert result.passed, result.error
    first, second = test.seen
    assert first is not second


def test_the_way_shows_that_a_test_went_on_between_its_detours():
    """Two reconnects in turn would look like one that was tried twice."""
    result = run(_Told("Connecting", "Connecting", "Completed"))
    states = [str(visit.state) for visit in result.visits()][6:]
    assert states == ["_Told", "Connecting", "_Told", "Connecting", "_Told"]
    assert sum(visit.duration_ns for visit in result.visits()) <= result.duration_ns


def test_a_state_that_nobody_serves_means_once_more():
    """Neither left nor entered again; duration loops end."""
    test = _Told("ShowingImportJobDetails", "checking_import_jobs", "Completed")
    assert run(test).passed
    assert test.calls == ["enter", "execute", "execute", "execute", "exit"]


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ("Error: no rows", ResultStatus.FAILED, "no rows"),
        ("error:no rows", ResultStatus.FAILED, "no rows"),
        (None, ResultStatus.ERROR, "answered nothing (None) instead of a state"),
        ("", ResultStatus.ERROR, "there is no state ''"),
        ("Conecting", ResultStatus.ERROR, "did you mean 'Connecting'?"),
        (42, ResultStatus.ERROR, "a value of type int"),
        (ValueError("boom"), ResultStatus.ERROR, "ValueError: boom"),
        (SystemExit(0), ResultStatus.ERROR, "SystemExit: 0"),
        (AssertionError("3 != 4"), ResultStatus.FAILED, "3 != 4"),
    ],
)
def test_what_is_no_success_ends_the_run_after_exit(answer, status, told):
    """Unknown names, nothing, and errors in any spelling are never taken for success."""
    test = _Told(answer)
    result = run(test)
    assert result.status is status
    assert told in result.error.message
    assert test.calls[-1] == "exit"


def test_a_failed_detour_fails_the_test_once():
    """What failed is told once; the test is exited."""
    test = _Told("reporting")

    class Broken(StateHandler):
        visits = 0

        def execute(self, context):
            Broken.visits += 1
            return State.completed() if Broken.visits == 1 else State.error("no report")

    result = run(test, reporting=Broken)
    assert (result.status, result.error.message) == (ResultStatus.FAILED, "no report")
    assert not [note for note in result.notes if note.startswith("then")]
    assert test.calls == ["enter", "execute", "exit"]


def test_after_a_failure_the_other_tests_are_told_as_not_run():
    """A machine's run ends with its first error."""
    result = run(_Told("Error: no"), _Told("Completed"))
    assert "_Told (2) did not run" in result.notes


def test_an_open_transaction_is_rolled_back_before_exit_and_told():
    """Also where the test said Completed."""

    class Leaving(StateHandler):
        def execute(self, context):
            context.connection.start_transaction()
            return State.completed()

        def exit(self, context):
            self.was_open = context.connection.in_transaction

    test = Leaving()
    result = run(test)
    assert result.passed
    assert test.was_open is False
    assert any("a transaction was left open" in note for note in result.notes)


def test_endless_answers_end_at_the_limit():
    """Staying and detours count as transitions."""

    class Endless(StateHandler):
        def execute(self, context):
            return "connecting"

    result = run(Endless, limits=Limits(transitions=50))
    assert "limit of 50 transitions" in result.error.message


def test_a_detour_has_no_more_time_than_its_test():
    """The limit of a test holds while another handler works for it."""

    class Slow(StateHandler):
        is_detour = False

        def execute(self, context):
            if Slow.is_detour:
                threading.Event().wait(context.deadline.remaining_s + 0.3)
            return State.completed()

    class Asking(StateHandler):
        def execute(self, context):
            Slow.is_detour = True
            return "reporting"

    limits = Limits(state_s=0.3, grace_s=10)
    result = run(Asking, limits=limits, reporting=Slow)
    assert result.status is ResultStatus.TIMED_OUT


def test_a_test_can_be_async():
    """One loop from enter to exit."""

    class Async(StateHandler):
        async def enter(self, context):
            import asyncio

            self.loop = asyncio.get_running_loop()

        async def execute(self, context):
            import asyncio

            assert asyncio.get_running_loop() is self.loop
            return State.completed()

    assert run(Async).passed


def test_an_answer_can_never_lead_to_a_test():
    """Not even by its name."""
    result = run(_Told("_Told"), machine=DynamicStateMachine)
    assert "there is no state '_Told'" in result.error.message


def test_registering_by_the_earlier_name():
    """A state, a class that names its state, or none: then it is a whole test."""

    class Bound(StateHandler):
        state = "reporting"

    with InMemoryTarget() as target:
        machine = StateMachine(target)
        register_python_handler(machine, State.CheckingImportJobs, _Told(State.Reporting))
        register_python_handler(machine, None, Bound)
        register_python_handler(machine, None, _Told("Completed"))
        result = machine.run_sync()
    assert states(result)[6:] == ["CheckingImportJobs", "Reporting", "_Told"]


def test_what_is_withdrawn_serves_no_more():
    """A built-in handler comes back, a test and a bound handler are gone."""
    with InMemoryTarget() as target:
        machine = StateMachine(target)
        machine.register_handler("TestingConnection", _Told("Error: mine"))
        machine.register_handler("Reporting", _Told("Completed"))
        test = machine.register_test(_Told("Completed"))
        for state in ("testing_connection", "reporting", test):
            machine.withdraw(state)
        result = machine.run_sync()
    assert states(result) == [*map(str, STANDARD_PATH)]
    assert result.passed
