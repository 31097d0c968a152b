"""States: names under which a machine knows where it is.

How to think of it: a `State` is a `str`, its name, with a name for people beside it. It is also
callable and answers itself, so that `State.connecting`, `State.connecting()` and
`State.Connecting` are one thing, as is a `creating_table` that somebody made with
`dynamic_state("creating_table")` and calls.

A machine compares names by `key`: case, blanks and underscores do not matter, so `ParsingConfig`,
`parsing_config` and `Parsing Config` are one state; an error state's key is the same whatever its
message. Equality of two `State`s is that of their names as strings, and every spelling of a known
state has the same name.
"""

from __future__ import annotations

import re
from typing import ClassVar

from test_rig.errors import UsageError

__all__ = ["KNOWN_STATES", "OFF_PATH", "STANDARD_PATH", "State", "dynamic_state", "key_of"]

_ERROR = re.compile(r"\s*error\s*(?::\s*(?P<message>.*?)\s*)?", re.IGNORECASE | re.DOTALL)
_IGNORED = re.compile(r"[\s_]+")


def key_of(name: str) -> str:
    """Return what two spellings of one name have in common.

    >>> key_of("Testing Connection") == key_of("testing_connection") == key_of("TestingConnection")
    True
    """
    return name.key if isinstance(name, State) else _IGNORED.sub("", name).casefold()


class State(str):
    """A state: its name, and how people read it.

    >>> State("connecting to tidb") is State.Connecting is State.connecting()
    True
    >>> State.error("no rows"), State.error("no rows").message
    (Error: no rows, 'no rows')

    Args:
        name: Any spelling of a known state, `Error: message`, or a name of one's own.
        display_name: For people; made from the name if left out.
    """

    __slots__ = ("display_name", "extends", "is_error", "is_final", "is_test", "key")

    display_name: str
    #: What machines compare: the name without case, blanks and underscores.
    key: str
    #: It brings itself into the vocabulary of a closed machine (`State.custom`).
    extends: bool
    #: Whether it is an error state, whatever its message.
    is_error: bool
    #: Whether a run ends here: `Completed`, or an error.
    is_final: bool
    #: Whether it is that of a whole test, which has a name for people but no spelling.
    is_test: bool

    Initial: ClassVar[State]
    ParsingConfig: ClassVar[State]
    Connecting: ClassVar[State]
    TestingConnection: ClassVar[State]
    VerifyingDatabase: ClassVar[State]
    GettingVersion: ClassVar[State]
    CheckingImportJobs: ClassVar[State]
    ShowingImportJobDetails: ClassVar[State]
    Reporting: ClassVar[State]
    Completed: ClassVar[State]

    initial: ClassVar[State]
    parsing_config: ClassVar[State]
    connecting: ClassVar[State]
    testing_connection: ClassVar[State]
    verifying_database: ClassVar[State]
    getting_version: ClassVar[State]
    checking_import_jobs: ClassVar[State]
    showing_import_job_details: ClassVar[State]
    reporting: ClassVar[State]
    completed: ClassVar[State]
    #: Older type stubs name it among the known ones; machines know it where it has a handler.
    testing_isolation: ClassVar[State]

    def __new__(cls, name: str, display_name: str | None = None) -> State:
        """Return the state of that name: the known one, where there is one."""
        if isinstance(name, State) and display_name is None:
            return name
        error = _ERROR.fullmatch(name)
        if error is not None:
            return _made(_error_name(error["message"] or ""), "error", display_name or "Error")
        key = key_of(name)
        if not key:
            raise UsageError("a state needs a name", where=f"state {name!r}")
        known = _KNOWN.get(key)
        if known is None:
            return _made(name.strip(), key, display_name or _readable(name))
        if display_name in (None, known.display_name):
            return known
        return _made(str(known), known.key, display_name)

    @classmethod
    def custom(cls, name: str, display_name: str | None = None) -> State:
        """Return a state that a closed machine (`StateMachine`) takes, too, once it is registered.

        A known name gives the known state.
        """
        state = cls(name, display_name)
        return state if state.is_known else _made(str(state), state.key, state.display_name, True)

    @classmethod
    def of_test(cls, name: str) -> State:
        """Return a state for a whole test. For the machine: no answer can lead there."""
        # A blank stands in no key, so this one is nobody's spelling.
        return _made(name, f" {name}", name)

    @classmethod
    def error(cls, message: str = "") -> State:
        """Return the error state with this message; a run that gets there ends and has failed."""
        return _made(_error_name(message), "error", "Error")

    Error = error

    def __call__(self) -> State:
        """Return the state itself, for those who write `creating_table()`."""
        return self

    @property
    def name(self) -> str:
        """The name without an error's message."""
        return "Error" if self.is_error else str(self)

    @property
    def message(self) -> str:
        """The message of an error state; empty for all others."""
        return self.partition(": ")[2] if self.is_error else ""

    @property
    def is_known(self) -> bool:
        """Whether every machine knows it."""
        return self.key in _KNOWN or self.is_error

    def __str__(self) -> str:
        return str.__str__(self)

    def __repr__(self) -> str:
        return str.__str__(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (str(self), self.key, self.display_name, self.extends)


def dynamic_state(name: str, display_name: str | None = None) -> State:
    """Return a state of that name, for a machine with an open vocabulary.

    >>> custom_test = dynamic_state("custom_test", "Custom Test")
    >>> custom_test() == custom_test == "custom_test"
    True
    """
    return State(name, display_name)


def _made(name: str, key: str, display_name: str, extends: bool = False) -> State:
    state = str.__new__(State, name)
    state.key, state.display_name, state.extends = key, display_name, extends
    state.is_error = key == "error"
    state.is_final = key in ("completed", "error")
    state.is_test = key.startswith(" ")
    return state


def _error_name(message: str) -> str:
    return f"Error: {message}" if message else "Error"


def _readable(name: str) -> str:
    words = name.replace("_", " ").split()
    return " ".join(word[:1].upper() + word[1:] for word in words)


#: Known states in order: name, name for people, and a further spelling of older scripts.
_TABLE = (
    ("Initial", "Initial", None),
    ("ParsingConfig", "Parsing Configuration", None),
    ("Connecting", "Connecting", "Connecting to TiDB"),
    ("TestingConnection", "Testing Connection", None),
    ("VerifyingDatabase", "Verifying Database", None),
    ("GettingVersion", "Getting Server Version", None),
    ("CheckingImportJobs", "Checking Import Jobs", None),
    ("ShowingImportJobDetails", "Showing Import Job Details", None),
    ("Reporting", "Reporting", None),
    ("Completed", "Completed", None),
)
_KNOWN: dict[str, State] = {}


def _define_known() -> tuple[State, ...]:
    states = []
    for name, display_name, alias in _TABLE:
        state = _made(name, key_of(name), display_name)
        for spelling in (name, display_name, alias or name):
            _KNOWN[key_of(spelling)] = state
        setattr(State, name, state)
        setattr(State, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), state)
        states.append(state)
    return tuple(states)


#: Every known state except the errors, which have messages.
KNOWN_STATES: tuple[State, ...] = _define_known()
State.testing_isolation = State("testing_isolation")
#: What a machine does by itself, in order.
STANDARD_PATH: tuple[State, ...] = KNOWN_STATES[:6]
#: What has a built-in handler, too, and is gone to only where an answer or a rule leads there.
OFF_PATH: tuple[State, ...] = (State.CheckingImportJobs, State.ShowingImportJobDetails)
