"""Running: every visit is entered, executed and exited, and every end is told."""

import asyncio

import pytest

from test_rig.errors import MachineError, UsageError
from test_rig.machine import (
    DynamicStateMachine,
    Limits,
    Phase,
    State,
    StateContext,
    StateHandler,
    StateMachine,
)
from test_rig.telemetry import Alert, Measurement, Severity
from test_rig.verdict import ResultStatus


class _Told(StateHandler):
    """Answers what it was told to, call by call, and writes down that it was called."""

    def __init__(self, log, *answers, enter="Connecting", at_exit=None):
        self.log, self.answers = log, list(answers)
        self.on_enter, self.at_exit = enter, at_exit

    def give(self, answer):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def enter(self, context):
        self.log.append("enter")
        return self.give(self.on_enter)

    def execute(self, context):
        self.log.append("execute")
        return self.give(self.answers.pop(0))

    def exit(self, context):
        self.log.append("exit")
        self.give(self.at_exit)


def _machine_of(*, limits=None, emit=None, **handlers):
    """Return a machine whose Initial leads to the first of the handlers' states."""
    more = {} if emit is None else {"emit": emit}
    machine = DynamicStateMachine(limits=limits, **more)
    machine.register_handler("Initial", _Told([], next(iter(handlers))))
    for state, handler in handlers.items():
        machine.register_handler(state, handler)
    return machine


def test_a_visit_enters_executes_and_exits():
    """Once each, in this order, at every visit."""
    log = []
    machine = _machine_of(a=_Told(log, "b", "Completed"), b=_Told([], "a"))
    assert machine.run().final_state is State.Completed
    assert log == ["enter", "execute", "exit"] * 2


def test_staying_executes_again_without_entering():
    """A handler that answers its own state is called again, neither exited nor entered."""
    log = []
    _machine_of(a=_Told(log, "a", "A", "Completed")).run()
    assert log == ["enter", "execute", "execute", "execute", "exit"]


def test_what_enter_announces_does_not_divert():
    """Only `execute` says where to go."""
    log = []
    machine = _machine_of(a=_Told(log, "b", enter="Completed"), b=_Told(log, "Completed"))
    assert machine.run().passed
    assert log == ["enter", "execute", "exit"] * 2


def test_an_error_announced_by_enter_ends_the_run():
    """`execute` is not called, `exit` is, and the message is the run's."""
    log = []
    result = _machine_of(a=_Told(log, "b", enter="Error: no table")).run()
    assert (result.final_state, result.status) == ("Error: no table", ResultStatus.FAILED)
    assert log == ["enter", "exit"]


def test_an_error_answered_by_execute_is_a_failure():
    """Ending in an error is never a success, and the context knows why."""
    machine = _machine_of(a=_Told([], State.error("3 rows, not 4")))
    result = machine.run()
    assert result.status is ResultStatus.FAILED
    assert result.error.message == "3 rows, not 4" == machine.get_context().error_message
    assert "_Told.execute in state a (attempt 1)" in str(result.error)


@pytest.mark.parametrize("where", ["enter", "execute", "exit"])
def test_an_exception_ends_the_run_and_never_the_rig(where):
    """The result has the traceback from the handler on, and exit was called."""
    log = []
    boom = ZeroDivisionError("no luck")
    handler = {
        "enter": _Told(log, "Completed", enter=boom),
        "execute": _Told(log, boom),
        "exit": _Told(log, "Completed", at_exit=boom),
    }[where]
    result = _machine_of(a=handler).run()
    assert result.status is ResultStatus.ERROR
    assert result.final_state == "Error: ZeroDivisionError: no luck"
    assert log[-1] == "exit"
    assert f"_Told.{where} in state a" in str(result.error)
    assert "raise answer" in result.error.traceback
    assert "machine/run" not in result.error.traceback
    assert result.error.exception is boom


@pytest.mark.parametrize("stop", [SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_handler_cannot_end_the_process(stop):
    """What usually ends a program ends that run only."""
    assert _machine_of(a=_Told([], stop)).run().status is ResultStatus.ERROR


def test_a_failed_assertion_is_a_failed_test():
    """An assertion that does not hold is a failure, any other exception an error."""
    result = _machine_of(a=_Told([], AssertionError("2 != 3"))).run()
    assert result.status is ResultStatus.FAILED


def test_the_first_error_is_the_one_that_counts():
    """What goes wrong in exit afterwards is told beside it."""
    handler = _Told([], ValueError("first"), at_exit=ValueError("second"))
    result = _machine_of(a=handler).run()
    assert result.error.message == "ValueError: first"
    assert "ValueError: second" in result.notes[0]


def test_a_failed_exit_ends_the_run_where_it_is():
    """The state that `execute` answered is not visited."""
    log = []
    handler = _Told([], "b", at_exit=ValueError("not cleaned up"))
    result = _machine_of(a=handler, b=_Told(log, "Completed")).run()
    assert result.error.message == "ValueError: not cleaned up"
    assert log == []


def test_the_attempt_counts_calls_of_this_run():
    """The failure says the how manieth call of that function in that state it was."""
    result = _machine_of(a=_Told([], "a", "a", ValueError())).run()
    assert result.error.context.attempt == 3


def test_a_failure_names_the_address_and_never_the_password():
    """Not in the message, not in the traceback, not in the context's own text."""
    context = StateContext(
        target="postgresql://ann:s3cret-word@db.example:5433/shop",
    )
    machine = DynamicStateMachine(context=context)
    machine.register_handler("Initial", _Told([], ValueError("bad password s3cret-word")))
    result = machine.run()
    text = f"{result} {result.error} {context!r} {result.final_state} {result.notes}"
    assert "ann@db.example:5433/shop" in text
    assert "s3cret-word" not in text


def test_a_failure_that_a_handler_tells_itself_has_no_password_either():
    """Its own message is text like any other: in the result, the trace and the context."""
    context = StateContext(target="mysql://ann:s3cret-word@db.example/shop")
    machine = DynamicStateMachine(context=context)
    machine.register_handler("Initial", _Told([], State.error("s3cret-word is wrong")))
    result = machine.run()
    assert result.error.message == "******** is wrong"
    assert "s3cret-word" not in f"{result} {context.error_message} {machine.get_current_state()}"


def test_nothing_answered_is_a_clear_error():
    """A forgotten `return` says what is expected."""
    result = _machine_of(a=_Told([], None)).run()
    assert "_Told.execute answered nothing (None) instead of a state" in result.error.message
    assert "a, b" not in result.error.message
    assert "Completed" in result.error.message


def test_the_trace_has_every_call_with_its_time():
    """State, handler, phase, start, duration and answer, in order, none overlapping."""
    trace = _machine_of(a=_Told([], "a", "Completed", enter="testing connection")).run().trace
    phases = [(entry.state, entry.phase, entry.answer) for entry in trace if entry.state == "a"]
    assert phases == [
        ("a", Phase.ENTER, "testing connection"),
        ("a", Phase.EXECUTE, "a"),
        ("a", Phase.EXECUTE, "Completed"),
        ("a", Phase.EXIT, None),
    ]
    assert all(entry.handler == "_Told" for entry in trace)
    ends = [entry.start_ns + entry.duration_ns for entry in trace]
    assert all(end <= after.start_ns for end, after in zip(ends, trace[1:], strict=False))


def test_a_loop_ends_at_the_limit_of_transitions():
    """The error names the limit, the state and where it could have gone."""

    class Ping(StateHandler):
        def execute(self, context):
            return "b" if context.current_state == "a" else "a"

    result = _machine_of(a=Ping, b=Ping, limits=Limits(transitions=20)).run()
    assert result.status is ResultStatus.ERROR
    assert "limit of 20 transitions" in result.error.message
    assert len(result.trace) == 3 * 21


def test_run_starts_anew_each_time():
    """A second run begins in Initial, and a failure of the first is forgotten."""
    machine = _machine_of(a=_Told([], State.error("once"), "Completed"))
    machine.register_handler("Initial", _Told([], "a", "a"))
    assert machine.get_current_state() is State.Initial
    assert not machine.run().passed
    assert machine.get_current_state() == "Error: once"
    assert machine.run().passed
    assert machine.get_context().error_message is None
    assert machine.get_current_state() is State.Completed


def test_a_replaced_handler_serves_from_the_next_visit_on():
    """The visit that goes on is finished by the handler that began it."""
    log = []

    class Replacing(_Told):
        def execute(self, context):
            machine.register_handler("a", _Told(log, "Completed"))
            return "b"

    machine = _machine_of(a=Replacing([]), b=_Told([], "a"))
    assert machine.run().passed
    assert log == ["enter", "execute", "exit"]


def test_a_handler_may_be_a_class_or_an_instance():
    """A class is made without arguments; what cannot be made so is refused at once."""
    machine = DynamicStateMachine()
    machine.register_handler("a", StateHandler)
    machine.register_handler("b", StateHandler())
    with pytest.raises(
        UsageError, match=r"_Told cannot be made without arguments.*give an instance"
    ):
        machine.register_handler("c", _Told)
    with pytest.raises(UsageError, match=r"is no handler"):
        machine.register_handler("c", dict)


def test_a_closed_machine_runs_known_and_custom_states():
    """`State.custom` extends it; a name that was not brought in is no state."""
    machine = StateMachine()
    machine.register_handler("Initial", _Told([], "loading", "unloading"))
    machine.register_handler(State.custom("loading"), _Told([], "Completed"))
    assert machine.run().passed
    assert "there is no state 'unloading'" in machine.run().error.message


def test_the_defaults_announce_connecting_and_complete():
    """A handler without functions of its own ends the run well."""
    result = _machine_of(a=StateHandler()).run()
    assert result.passed
    assert [entry.answer for entry in result.trace[-3:]] == ["Connecting", "Completed", None]


def test_measurements_and_alerts_reach_listener_and_result():
    """What a handler emits is kept, and passed on at once."""
    heard = []
    rows = Measurement(name="rows", value=3.0, unit="1", time_ns=1)
    alarm = Alert(alert_type="slow", severity=Severity.INFO, message="slow", time_ns=2)

    class Emitting(StateHandler):
        def execute(self, context):
            context.emit(rows)
            context.emit(alarm)
            return "Completed"

    result = _machine_of(a=Emitting, emit=heard.append).run()
    assert (result.measurements, result.alerts) == ((rows,), (alarm,))
    assert heard.index(rows) < heard.index(alarm)
    visits = [each for each in heard if getattr(each, "name", "") == "machine.visit"]
    assert [dict(each.labels)["state"] for each in visits] == ["Initial", "a"]


def test_only_measurements_and_alerts_can_be_emitted():
    """Anything else is the handler's error, told as such."""

    class Emitting(StateHandler):
        def execute(self, context):
            context.emit({"rows": 3})

    assert "a Measurement or an Alert, not dict" in _machine_of(a=Emitting).run().error.message


def test_a_machine_runs_once_at_a_time():
    """Running it from one of its own handlers is refused."""
    caught = []

    class Again(StateHandler):
        def execute(self, context):
            with pytest.raises(MachineError, match=r"running already") as error:
                machine.run()
            caught.append(error)
            return "Completed"

    machine = _machine_of(a=Again)
    assert machine.run().passed
    assert caught


def test_what_was_opened_is_closed_in_reverse_order_after_exit():
    """Also after a failure; one that cannot be closed does not keep the others open."""
    log = []

    class Thing:
        def __init__(self, name):
            self.name = name

        def close(self):
            log.append(self.name)
            if self.name == "second":
                raise OSError("stuck")

    class Opening(_Told):
        def execute(self, context):
            for name in ("first", "second", "third"):
                context.close_at_end(Thing(name))
            raise ValueError

    result = _machine_of(a=Opening(log)).run()
    assert log == ["enter", "exit", "third", "second", "first"]
    assert "stuck" in result.notes[0]


def test_next_state_is_told_during_a_run_only():
    """A handler that does not care goes on; outside of a run there is no next state."""
    told = []

    class Next(StateHandler):
        def execute(self, context):
            told.append(context.next_state)
            return context.next_state

    machine = _machine_of(a=Next, b=Next)
    assert machine.run().passed
    assert told == ["b", "Completed"]
    with pytest.raises(MachineError, match=r"no machine runs"):
        _ = machine.get_context().next_state
