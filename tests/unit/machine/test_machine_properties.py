"""Whatever handlers and transitions there are: a run ends, exits are paired, the trace is true."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from test_rig.machine import DynamicStateMachine, Limits, Phase, State, StateHandler
from test_rig.verdict import ResultStatus

NAMES = ("a", "b", "c", "d")
BOOM = "boom"
ANSWERS = st.sampled_from([*NAMES, "A ", "Completed", "Error: x", "nowhere", None, 7, BOOM])
LIMIT = 12


class _Scripted(StateHandler):
    """Answers from a script, again and again, and counts its calls."""

    def __init__(self, calls, answers, announced, at_exit):
        self.calls, self.answers, self.announced = calls, answers, announced
        self.at_exit = at_exit

    def give(self, phase, answer):
        self.calls[phase] += 1
        if answer == BOOM:
            raise ValueError(BOOM)
        return answer

    def enter(self, context):
        return self.give("enter", self.announced)

    def execute(self, context):
        return self.give("execute", self.answers[self.calls["execute"] % len(self.answers)])

    def exit(self, context):
        self.give("exit", self.at_exit)


class _AsyncScripted(_Scripted):
    """The same, async."""

    async def enter(self, context):
        return super().enter(context)

    async def execute(self, context):
        return super().execute(context)

    async def exit(self, context):
        super().exit(context)


HANDLERS = st.tuples(
    st.sampled_from([_Scripted, _Scripted, _AsyncScripted]),
    st.lists(ANSWERS, min_size=1, max_size=4),
    st.sampled_from(["a", "Connecting", "Connecting", "Connecting", "Error: x", BOOM, None]),
    st.sampled_from([None, None, None, BOOM]),
)
RULES = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from([*NAMES, "Completed"]), min_size=1)
)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(NAMES, HANDLERS)), RULES)
def test_every_run_ends_and_is_accounted_for(scripts, rules):
    """Completed or an error, every enter with its exit, every call in the trace, rules kept."""
    calls = Counter()
    machine = DynamicStateMachine(limits=Limits(transitions=LIMIT))
    machine.register_handler("Initial", _Scripted(Counter(), ["a"], "a", None))
    for name, (kind, answers, announced, at_exit) in scripts.items():
        machine.register_handler(name, kind(calls, answers, announced, at_exit))
    for source, targets in rules.items():
        machine.register_transitions(source, targets)

    result = machine.run()

    assert result.final_state.is_final
    assert (result.error is None) == result.passed == (result.final_state is State.Completed)
    assert result.status in (ResultStatus.PASSED, ResultStatus.FAILED, ResultStatus.ERROR)
    assert calls["enter"] == calls["exit"]
    assert calls["execute"] <= LIMIT + 1
    traced = Counter(entry.phase.value for entry in result.trace if entry.state != "Initial")
    assert traced == +calls
    _check_trace(result, machine)


def _check_trace(result, machine):
    """Visits follow each other, each begins with enter and ends with exit, along valid ways."""
    visit, before = [], None
    for entry in result.trace:
        if entry.phase is Phase.ENTER:
            assert not visit, "entered before the visit before was exited"
            assert before is None or machine.is_valid_transition(before, entry.state)
        visit.append(entry)
        assert entry.state == visit[0].state
        if entry.phase is Phase.EXIT:
            assert [each.phase for each in visit[1:-1]] == [Phase.EXECUTE] * (len(visit) - 2)
            visit, before = [], entry.state
    assert not visit
