"""The rules of a machine: vocabulary, transitions, and where it goes by itself."""

import pytest

from test_rig.errors import MachineError, UnknownName, UsageError
from test_rig.machine import STANDARD_PATH, State, dynamic_state
from test_rig.machine.machine import Chart, Journey

pytestmark = pytest.mark.filterwarnings("error")


def _chart_of(*states, is_open=True):
    chart = Chart(is_open=is_open)
    for state in states:
        chart.register(state)
    return chart


def _journey_at(chart, state):
    journey = Journey(chart, most_transitions=100)
    journey.here = chart.find(state)
    return journey


def test_a_closed_machine_knows_the_known_states_only():
    """Another name is refused, and the message lists those there are."""
    with pytest.raises(UnknownName, match=r"(?s)there is no state 'loading'.*Reporting"):
        _chart_of("loading", is_open=False)


def test_a_closed_machine_is_extended_by_a_custom_state():
    """`State.custom` brings a state in; a dynamic one of the same name does not."""
    chart = _chart_of(State.custom("loading"), is_open=False)
    assert chart.find("Loading") == "loading"
    with pytest.raises(UnknownName, match=r"State.custom"):
        _chart_of(dynamic_state("loading"), is_open=False)


def test_a_state_is_registered_once_in_any_spelling():
    """The spelling of the first registration stays."""
    chart = _chart_of("my_phase", "MyPhase", "MY PHASE")
    assert chart.find("myphase") == "my_phase"
    assert [name for name in chart.names() if "hase" in name] == ["my_phase"]


@pytest.mark.parametrize("final", ["Completed", "error", "Error: why"])
def test_no_handler_for_a_state_in_which_runs_end(final):
    """It would never be called, so it is refused."""
    with pytest.raises(UsageError, match=r"would never be called"):
        _chart_of(final)


def test_the_machine_goes_the_standard_path_then_the_others_in_order():
    """By itself: standard states, those registered in order, Completed."""
    chart = _chart_of("b", "a", "Reporting", "Connecting")
    seen, here = [], State.Initial
    while not here.is_final:
        seen.append(here)
        here = chart.next_state(here)
    assert seen == [*STANDARD_PATH, "b", "a", "Reporting"]


def test_ruled_transitions_override_the_way_by_itself():
    """A built-in handler goes to the first state ruled."""
    chart = _chart_of("a", "b")
    chart.rule("GettingVersion", ["b", "a"])
    assert chart.next_state(State.GettingVersion) == "b"


def test_ruled_transitions_are_enforced():
    """What is not in the list is refused; the message names what is."""
    chart = _chart_of("a", "b", "c")
    chart.rule("a", ["b"])
    with pytest.raises(MachineError, match=r"a must not lead there.*valid from here: a, b, Error"):
        _journey_at(chart, "a").follow("c", "A.execute")


def test_errors_and_staying_need_no_rule():
    """A failure can always be told, and staying is no transition."""
    chart = _chart_of("a", "b")
    chart.rule("a", ["b"])
    assert _journey_at(chart, "a").follow("a", "A.execute") == "a"
    assert _journey_at(chart, "a").follow("Error: x", "A.execute") == "Error: x"


def test_a_rule_is_replaced_by_the_next_one():
    """Ruling a state again forgets what was ruled before."""
    chart = _chart_of("a", "b", "c")
    chart.rule("a", ["b"])
    chart.rule("a", ["c"])
    assert not chart.is_valid_transition("a", "b")
    assert chart.is_valid_transition("a", "c")


@pytest.mark.parametrize("targets", [[], "b"])
def test_a_rule_needs_a_list_of_states(targets):
    """No state, or a string where a list was meant, is refused."""
    with pytest.raises(UsageError, match=r"need a list of states"):
        _chart_of("a", "b").rule("a", targets)


def test_a_rule_for_errors_holds_for_any_message():
    """`State.error("")` in a list stands for every error."""
    chart = _chart_of("a")
    chart.rule("a", [State.error("")])
    assert chart.is_valid_transition("a", "Error: anything")
    assert not chart.is_valid_transition("a", "Completed")


def test_a_transition_is_valid_where_a_run_could_make_it():
    """Unknown states, states without a handler and ends of runs lead nowhere."""
    chart = _chart_of("a")
    assert chart.is_valid_transition("a", "connecting")
    assert chart.is_valid_transition("A", "completed")
    assert not chart.is_valid_transition("a", "nowhere")
    assert not chart.is_valid_transition("a", "Reporting")
    assert not chart.is_valid_transition("Completed", "a")


def test_a_state_without_a_handler_is_refused():
    """The message names the states that have one."""
    journey = _journey_at(_chart_of("a"), "Initial")
    with pytest.raises(
        MachineError, match=r"Reporting, which has no handler.*valid from here.* a,"
    ):
        journey.follow("Reporting", "InitialHandler.execute")


@pytest.mark.parametrize("answer", [None, 7, True, ["a"], b"a", object()])
def test_an_answer_that_is_no_state_is_refused(answer):
    """The message says what was expected, what came, from whom, and the known states."""
    with pytest.raises(MachineError, match=r"A\.execute answered .* instead of a state.*Completed"):
        _journey_at(_chart_of("a"), "a").follow(answer, "A.execute")


def test_a_coroutine_nobody_awaited_is_refused_by_name():
    """It is closed, too, so that Python has nothing to warn of."""

    async def forgotten():
        return "a"

    with pytest.raises(MachineError, match=r"a coroutine that it did not await"):
        _journey_at(_chart_of("a"), "a").follow(forgotten(), "A.execute")


@pytest.mark.parametrize("answer", ["nowhere", "", "Complete"])
def test_an_unknown_name_is_refused(answer):
    """It is never taken for success."""
    with pytest.raises(UnknownName, match=r"the answer of A\.execute: there is no state"):
        _journey_at(_chart_of("a"), "a").follow(answer, "A.execute")


def test_an_announcement_is_checked_and_does_not_divert():
    """`enter`'s answer must be a state of the vocabulary, with a handler or without."""
    journey = _journey_at(_chart_of("a"), "a")
    assert journey.announce("checking import jobs", "A.enter") == "CheckingImportJobs"
    assert journey.here == "a"
    with pytest.raises(UnknownName):
        journey.announce("nowhere", "A.enter")


def test_the_limit_of_transitions_counts_those_that_stay():
    """A state that stays for ever is ended like one that goes in circles."""
    journey = Journey(_chart_of("a"), most_transitions=3)
    journey.follow("a", "I.execute")
    journey.follow("a", "A.execute")
    journey.follow("a", "A.execute")
    with pytest.raises(MachineError, match=r"limit of 3 transitions"):
        journey.follow("a", "A.execute")


def test_connecting_from_beyond_the_standard_path_is_a_detour():
    """Connect afresh and come back, whatever Connecting answers, and then go on as usual."""
    journey = _journey_at(_chart_of("a", "b"), "a")
    assert journey.follow("Connecting", "A.execute") is State.Connecting
    assert journey.next_state == "a"
    assert journey.follow("TestingConnection", "ConnectingHandler.execute") == "a"
    assert journey.follow("b", "A.execute") == "b"


def test_a_detour_can_stay_and_can_fail():
    """Connecting may be called again; an error there ends the run."""
    journey = _journey_at(_chart_of("a"), "a")
    journey.follow("Connecting", "A.execute")
    assert journey.follow("Connecting", "C.execute") is State.Connecting
    assert journey.follow("Error: refused", "C.execute").is_error


def test_on_the_standard_path_connecting_is_a_state_like_others():
    """There the path itself leads back to whoever asked for a fresh connection."""
    journey = _journey_at(_chart_of(), "GettingVersion")
    assert journey.follow("Connecting", "V.execute") is State.Connecting
    assert journey.next_state is State.TestingConnection


def test_ruled_transitions_from_connecting_take_the_place_of_the_detour():
    """Who rules where Connecting leads has said what comes next."""
    chart = _chart_of("a")
    chart.rule("Connecting", ["TestingConnection"])
    journey = _journey_at(chart, "a")
    journey.follow("Connecting", "A.execute")
    assert journey.next_state is State.TestingConnection
