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


def test_the_trace_is_a_sequence_of_entries():
    """Length, order, slices and comparison are those of a tuple."""
    trace = DynamicStateMachine("sqlite://").run().trace
    entries = tuple(trace)
    assert (len(trace), trace[-1], trace[1:3]) == (len(entries), entries[-1], entries[1:3])
    assert trace == entries
    assert repr(entries[0]) in repr(trace)
