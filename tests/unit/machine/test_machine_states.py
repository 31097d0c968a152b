"""States: one name in many spellings."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig import common_states
from test_rig.errors import UsageError
from test_rig.machine import KNOWN_STATES, STANDARD_PATH, State, dynamic_state


@pytest.mark.parametrize("known", KNOWN_STATES)
def test_every_spelling_of_a_known_state_is_that_state(known):
    """Name, snake case, display name, any case, and the calls all give the one known state."""
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in known).lstrip("_")
    for spelling in (known, name, known.display_name, name.upper(), f" {known} "):
        assert State(spelling) is known
    assert getattr(State, known) is known
    assert getattr(State, name)() is known


def test_spellings_of_older_scripts_are_known():
    """The display names of the earlier tool mean what they meant there."""
    spellings = ["Parsing Configuration", "Connecting to TiDB", "Getting Server Version"]
    assert [State(each) for each in spellings] == [
        State.ParsingConfig,
        State.Connecting,
        State.GettingVersion,
    ]


def test_a_state_is_a_plain_string_to_scripts():
    """`State.connecting()` compares, hashes and prints as its name does."""
    assert State.connecting() == "Connecting"
    assert {"Connecting": 1}[State.connecting()] == 1
    assert f"{State.connecting()}" == str(State.Connecting) == "Connecting"


@pytest.mark.parametrize("text", ["Error: no rows", "error:no rows", " ERROR : no rows "])
def test_an_error_state_keeps_its_message_in_any_spelling(text):
    """An error is recognised by its first word, and its message survives."""
    state = State(text)
    assert (state, state.message, state.name) == ("Error: no rows", "no rows", "Error")
    assert state.is_error
    assert state.is_final


def test_a_message_may_be_long_or_missing():
    """Line ends and colons belong to the message; no message is no message."""
    assert State.error("a: b\nc").message == "a: b\nc"
    assert State("Error: a: b\nc").message == "a: b\nc"
    assert State("error") == State.error() == State.Error("") == "Error"
    assert State("error").message == ""


def test_a_word_that_only_begins_like_error_is_no_error():
    """Only the word itself, alone or before a colon, makes an error state."""
    assert not State("error_handling").is_error
    assert not State("Errors").is_error


def test_a_state_of_ones_own_is_known_by_its_name_only():
    """Two states of one name are equal, whatever people read."""
    mine = dynamic_state("custom_test", "Custom Test")
    assert mine() is mine
    assert mine == dynamic_state("custom_test") == "custom_test"
    assert (mine.display_name, dynamic_state("my_custom_phase").display_name) == (
        "Custom Test",
        "My Custom Phase",
    )
    assert dynamic_state("completed") is State.Completed


def test_a_known_state_takes_another_display_name():
    """The display name does not change which state it is."""
    renamed = dynamic_state("completed", "All done")
    assert (renamed, renamed.display_name) == (State.Completed, "All done")
    assert renamed.is_final


@pytest.mark.parametrize("name", ["", "  ", "__"])
def test_a_state_needs_a_name(name):
    """Nothing but blanks and underscores is no name."""
    with pytest.raises(UsageError):
        State(name)


@given(st.text(min_size=1).filter(lambda text: text.replace("_", "").strip()))
def test_a_state_survives_reading_copying_and_pickling(name):
    """Whatever the name, the state made of it is the same after each."""
    state = State(name)
    assert State(str(state)) == state
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):  # noqa: S301 - our own
        assert (other, other.key, other.display_name) == (state, state.key, state.display_name)


def test_common_states_are_the_known_ones():
    """`common_states` exports every known state under its snake-case name, and nothing odd."""
    exported = {getattr(common_states, name) for name in common_states.__all__}
    assert exported >= set(KNOWN_STATES)
    assert common_states.parsing_config() is State.ParsingConfig
    assert common_states.error("why") == "Error: why"


def test_the_standard_path_is_known_and_begins_at_the_beginning():
    """It leads from Initial to GettingVersion."""
    assert (STANDARD_PATH[0], STANDARD_PATH[-1]) == (State.Initial, State.GettingVersion)
    assert set(STANDARD_PATH) < set(KNOWN_STATES)
