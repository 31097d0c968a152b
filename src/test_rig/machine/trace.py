"""What was called when: the account of every call of every handler in a run.

A run may make a hundred thousand calls a second, so a trace is kept as it is written, four values
to a call in one flat list, and each entry is made when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple, overload

from test_rig.machine.states import State

__all__ = ["Call", "Phase", "Trace", "TraceEntry", "Visit"]

#: Call, start, end, answer.
_WIDTH = 4


class Phase(Enum):
    """Which of a handler's functions."""

    ENTER = "enter"
    EXECUTE = "execute"
    EXIT = "exit"


class Call:
    """Which function of which handler, in which state."""

    __slots__ = ("handler", "name", "phase", "state")

    def __init__(self, state: State, handler: str, phase: Phase) -> None:
        self.state, self.handler, self.phase = state, handler, phase
        #: As messages tell it: "Reporting.execute".
        self.name = f"{handler}.{phase.value}"

    def __str__(self) -> str:
        return self.name


class TraceEntry(NamedTuple):
    """One call of one function of one handler."""

    state: State
    #: The handler's class.
    handler: str
    phase: Phase
    #: Monotonic nanoseconds (`Clock.now_ns`).
    start_ns: int
    duration_ns: int
    #: The state that it answered, as it was spelled; None where it answered none.
    answer: str | None


class Visit(NamedTuple):
    """One visit to a state, from enter to exit."""

    state: State
    #: The handler's class.
    handler: str
    duration_ns: int


class Trace(Sequence[TraceEntry]):
    """The calls of a run, in order. It compares equal to any sequence of the same entries.

    Args:
        values: Call, start, end and answer of each call, one after the other; not copied.
    """

    __slots__ = ("_values",)

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values) // _WIDTH

    @overload
    def __getitem__(self, index: int) -> TraceEntry: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[TraceEntry, ...]: ...

    def __getitem__(self, index: int | slice) -> TraceEntry | tuple[TraceEntry, ...]:
        places = range(len(self))[index]
        return self._entry(places) if isinstance(places, int) else tuple(map(self._entry, places))

    def __iter__(self) -> Iterator[TraceEntry]:
        return map(self._entry, range(len(self)))

    def _entry(self, place: int) -> TraceEntry:
        call, start_ns, end_ns, answer = self._values[place * _WIDTH : (place + 1) * _WIDTH]
        return TraceEntry(call.state, call.handler, call.phase, start_ns, end_ns - start_ns, answer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as with every sequence that compares by content

    def __repr__(self) -> str:
        return f"Trace({list(self)!r})"
