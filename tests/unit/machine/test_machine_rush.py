"""A visit on a way that was gone before is the same visit: only faster."""

import time

import pytest

from test_rig.machine import DynamicStateMachine, Limits, Phase, StateHandler
from test_rig.verdict import ResultStatus


class _Lap(StateHandler):
    """Goes round between two states, and does something else in the last lap."""

    def __init__(self, other, laps, last):
        self.other, self.left, self.last, self.exits = other, laps, last, 0

    def give(self, phase, usual):
        if self.left == 0 and self.last[0] == phase:
            what = self.last[1]
            if isinstance(what, BaseException):
                raise what
            return what() if callable(what) else what
        return usual

    def enter(self, context):
        return self.give("enter", self.other)

    def execute(self, context):
        answer = self.give("execute", self.other if self.left > 0 else "Completed")
        if answer == "a":  # its own state: once more, but not for ever
            self.last = ("execute", "Completed")
        return answer

    def exit(self, context):
        self.exits += 1
        answer = self.give("exit", None)
        self.left -= 1
        return answer


async def _later():
    return "Completed"


class _Slow:
    """Answers too late."""

    def __call__(self):
        time.sleep(0.15)
        return "Completed"


UNUSUAL = [
    (phase, what)
    for phase in ("enter", "execute", "exit")
    for what in (
        KeyError("mine"),
        IndexError("mine"),
        SystemExit(3),
        ["unhashable"],
        5,
        "no such state",
        "Error: told",
        _later,
        None,
    )
] + [("execute", "a"), ("execute", "Connecting"), ("execute", _Slow()), ("enter", _Slow())]


def _outcome(laps, last):
    handler = _Lap("b", laps, last)
    machine = DynamicStateMachine("sqlite://", limits=Limits(state_s=0.1, transitions=50))
    machine.register_handler("Initial", _Lap("a", 1, ("", None)))
    machine.register_handler("a", handler)
    machine.register_handler("b", _Lap("a", 1_000, ("", None)))
    result = machine.run()
    ours = [entry for entry in result.trace if entry.state == "a"]
    first = max(n for n, entry in enumerate(ours) if entry.phase is Phase.ENTER)
    told = None if result.error is None else (result.error.message, result.error.context.operation)
    visit = [(entry.phase, entry.answer) for entry in ours[first:]]
    return result.status, told, result.notes, visit, handler.exits - laps


@pytest.mark.parametrize(("phase", "what"), UNUSUAL)
def test_the_unusual_is_the_same_after_many_usual_visits(phase, what):
    """Whatever a function does: status, message, notes, calls and exits, at first and later."""
    assert _outcome(5, (phase, what)) == _outcome(0, (phase, what))


def test_the_limit_of_transitions_holds_on_a_known_way():
    """Exactly so many answers are followed."""
    machine = DynamicStateMachine(limits=Limits(transitions=20))
    machine.register_handler("Initial", _Lap("a", 1, ("", None)))
    machine.register_handler("a", _Lap("b", 1_000, ("", None)))
    machine.register_handler("b", _Lap("a", 1_000, ("", None)))
    result = machine.run()
    assert result.status is ResultStatus.ERROR
    assert "the limit of 20 transitions" in result.error.message
    assert sum(entry.phase is Phase.EXECUTE for entry in result.trace) == 21


def test_a_rule_made_on_the_way_counts_at_once():
    """Also for an answer that was followed before, and that this very call gives."""
    machine = DynamicStateMachine()

    class Ruling(_Lap):
        def execute(self, context):
            if self.left == 3:
                machine.register_transitions("a", ["c"])
            return super().execute(context)

    machine.register_handler("Initial", _Lap("a", 1, ("", None)))
    ruling = Ruling("b", 6, ("", None))
    machine.register_handler("a", ruling)
    for name in "bc":
        machine.register_handler(name, _Lap("a", 1_000, ("", None)))
    result = machine.run()
    assert "a must not lead there" in result.error.message
    assert ruling.left == 2, "the visit that made the rule is the last one"


def _heard(listener, *, run_s=60.0):
    """Run round a and b with a listener, which is called between visits; return machine, result."""
    machine = DynamicStateMachine(limits=Limits(run_s=run_s), emit=lambda _: listener(machine))
    machine.register_handler("Initial", _Lap("a", 1, ("", None)))
    machine.register_handler("a", _Lap("b", 6, ("", None)))
    machine.register_handler("b", _Lap("a", 1_000, ("", None)))
    return machine.run()


def _at(visit, work):
    """Return a listener that does something after so many visits."""
    left = [visit]

    def listener(machine):
        left[0] -= 1
        if left[0] == 0:
            work(machine)

    return listener


def test_a_run_whose_limit_passes_between_two_visits_has_timed_out():
    """The state that was next is not entered, and what was done is on record."""
    result = _heard(_at(6, lambda _: time.sleep(0.6)), run_s=0.5)
    assert result.status is ResultStatus.TIMED_OUT
    assert "reached the run's limit of 0.5 s" in result.error.message
    assert [entry.phase for entry in result.trace] == [Phase.ENTER, Phase.EXECUTE, Phase.EXIT] * 6


def test_a_handler_registered_between_two_visits_serves_the_next():
    """Though the way there was gone before."""
    last = _Lap("Completed", 0, ("", None))
    result = _heard(_at(5, lambda machine: machine.register_handler("b", last)))
    assert (result.status, last.exits) == (ResultStatus.PASSED, 1)


def test_a_listener_that_raises_between_two_visits_fails_the_run():
    """It hangs nothing, and what was done is on record."""

    def raising(_):
        raise RuntimeError("nobody listens")

    result = _heard(_at(6, raising))
    assert result.status is ResultStatus.ERROR
    assert "nobody listens" in result.error.message
    assert len(result.trace) == 18


def test_the_trace_is_a_sequence_of_entries():
    """Length, order, slices and comparison are those of a tuple."""
    trace = DynamicStateMachine("sqlite://").run().trace
    entries = tuple(trace)
    assert (len(trace), trace[-1], trace[1:3]) == (len(entries), entries[-1], entries[1:3])
    assert trace == entries
    assert repr(entries[0]) in repr(trace)
