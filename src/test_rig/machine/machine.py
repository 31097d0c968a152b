"""The rules of a machine: which states it has, and where an answer leads.

Theory of operation. A `Chart` holds what a person registered: the vocabulary, the states that have
a handler, in the order of their registration, and the transitions that were ruled. A `Journey` is
one run through it. It starts in `Initial`, is told what each `execute` answered, and says where to
go; the answer is refused where the rules forbid it. Neither calls a handler, looks at a clock or
starts anything: `run` does.

An answer is looked at in this order:

1. It must be a state of the vocabulary. Closed: the known states and those that were brought in
   with `State.custom`. Open: also every state that has a handler or stands in a ruled transition.
2. The own state: stay, `execute` is called again. It counts as a transition, so that a loop ends.
3. An error state: the run has failed. `Completed`: it is over, where the rules allow to go there.
4. During a detour any other state leads back to the one that made it.
5. The state must have a handler: the standard path has built-in ones.
6. Where transitions from here were ruled, it must be one of them.
7. `Connecting`, answered from beyond the standard path, is a detour, as existing scripts expect:
   connect afresh and come back. Ruled transitions from `Connecting` take its place.

By itself, a machine goes along the standard path, then to the other states that have a handler in
the order of their registration, then to `Completed`: `next_state`. This is where the built-in
handlers go. A ruled transition overrides it: then they go to the first state ruled. The states of
bulk loads have built-in handlers, too, and lie off this path until they get one of the user's.

An unbound handler is a whole test. The machine has a state for it that nobody can answer, and goes
there where the path would reach `Completed`: to one test after the other, then to `Completed`. Of a
test's answers a final state ends it; a state that has a handler is a detour, from which every
answer but an error leads back; any other state of the vocabulary means that it goes on.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence

from test_rig.errors import MachineError, UnknownName, UsageError
from test_rig.machine.states import KNOWN_STATES, OFF_PATH, STANDARD_PATH, State, key_of

__all__ = ["Chart", "Journey"]

#: A chart remembers so many spellings; a script uses a few.
_REMEMBERED_SPELLINGS = 1_000


class Chart:
    """Which states there are, which have a handler, and where each may lead.

    Args:
        is_open: Whether any state that has a handler belongs to the vocabulary.
    """

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._states: dict[str, State] = {state.key: state for state in KNOWN_STATES}
        self._ways: dict[State, tuple[State, ...]] = {}
        #: What names were found to mean, as they were spelled.
        self.spellings: dict[str, State] = {}
        self._served: set[State] = {*STANDARD_PATH, *OFF_PATH}
        #: Those served beyond the standard path, in the order of their registration.
        self._beyond: list[State] = []
        #: Those of whole tests, in the order of their registration.
        self._tests: list[State] = []

    def register(self, name: str) -> State:
        """Note that a state has a handler, and return it as the chart knows it.

        Raises:
            UnknownName: A closed machine does not know it.
            UsageError: The run ends in this state, so a handler would never be called.
        """
        state = self._admit(name)
        if state.is_final:
            raise UsageError(
                f"{state.name} ends a run: a handler for it would never be called",
                where="register_handler",
                todo="register it for the state before",
            )
        self._served.add(state)
        if state not in (*STANDARD_PATH, *self._beyond):
            self._beyond.append(state)
        return state

    def register_test(self, name: str) -> State:
        """Make a state for a whole test, of which nobody knows the spelling, and return it."""
        taken = {str(state) for state in (*self._states.values(), *self._tests)}
        number, own = 1, name
        while own in taken:
            number += 1
            own = f"{name} ({number})"
        state = State.of_test(own)
        self._tests.append(state)
        return state

    def withdraw(self, state: State) -> None:
        """Let nothing serve a state any more; nothing happens where nothing did.

        The states that have built-in handlers have handlers always.
        """
        if state in self._tests:
            self._tests.remove(state)
        elif state in self._beyond:
            self._beyond.remove(state)
            if state not in OFF_PATH:
                self._served.discard(state)

    def next_test(self, done: Collection[State]) -> State | None:
        """Return the first whole test that is not among those done; None after the last one."""
        return next((state for state in tuple(self._tests) if state not in done), None)

    def rule(self, source: str, targets: Sequence[str]) -> None:
        """Let `source` lead to the targets only; rules made before for it are gone.

        Errors, and staying, need no rule.

        Raises:
            UnknownName: A closed machine does not know one of the states.
            UsageError: No target was given.
        """
        if isinstance(targets, str) or not targets:
            raise UsageError(
                f"transitions from {source} need a list of states, not {targets!r}",
                where="register_transitions",
            )
        start = self._admit(source)
        self._ways[start] = tuple(self._admit(target) for target in targets)

    def _admit(self, name: str) -> State:
        """Return the chart's own state of that name, taking it into an open vocabulary."""
        state = State(name)
        if state.is_error:
            return _ANY_ERROR
        known = self._states.get(state.key)
        if known is not None:
            return known
        if not (self.is_open or state.extends):
            raise UnknownName(
                "state",
                str(name),
                self.names(),
                where="a machine of the known states (DynamicStateMachine takes any, and "
                "StateMachine takes State.custom(name))",
            )
        self._states[state.key] = state
        return state

    def names(self) -> list[str]:
        """Return the names of all states of the vocabulary, for messages."""
        return [*map(str, self._states.values()), "Error: message"]

    def find(self, name: str, *, where: str | None = None) -> State:
        """Return the state of that name, in any spelling.

        Raises:
            UnknownName: There is none; the message lists those there are.
        """
        found = self.spellings.get(name)
        if found is not None:
            return found
        state = State(name) if key_of(name) else None
        if state is not None and state.is_error:
            return state
        known = None if state is None else self._states.get(state.key)
        if known is None:
            raise UnknownName("state", str(name), self.names(), where=where)
        if len(self.spellings) < _REMEMBERED_SPELLINGS:
            self.spellings[str(name)] = known
        return known

    def read(self, answer: object, by: str) -> State:
        """Return the state that a handler answered.

        Args:
            answer: What the handler's function returned, awaited if it was to be.
            by: The function, for messages: "Reporting.execute".

        Raises:
            MachineError: It is no state's name.
            UnknownName: There is no such state.
        """
        if isinstance(answer, State) and answer.is_test:
            return answer  # of `context.next_state`, during a detour
        if isinstance(answer, str):
            return self.find(answer, where=f"the answer of {by}")
        if inspect.iscoroutine(answer):
            answer.close()  # else Python warns once more, of a coroutine that nobody awaited
        raise MachineError(
            f"{by} answered {_described(answer)} instead of a state",
            todo=f"return a state's name, such as State.completed(); known: "
            f"{', '.join(self.names())}",
        )

    def next_state(self, here: State) -> State:
        """Return where the machine goes from here by itself."""
        ruled = self._ways.get(here)
        if ruled is not None:
            return ruled[0]
        order = [*STANDARD_PATH, *self._beyond, State.Completed]
        return order[order.index(here) + 1] if here in order[:-1] else State.Completed

    def has_handler(self, state: State) -> bool:
        """Return whether a built-in handler or one of the user's serves this very state."""
        return state in self._served

    def is_ruled(self, source: State) -> bool:
        """Return whether transitions from this state were ruled."""
        return source in self._ways

    def allows(self, here: State, to: State) -> bool:
        """Return whether the rules let one state lead to another."""
        ruled = self._ways.get(here)
        return ruled is None or to in ruled or to.is_error or to == here

    def ways_from(self, here: State) -> str:
        """Return the names of the states that can be gone to from here, for messages."""
        names = [str(to) for to in self._states.values() if self.is_valid_transition(here, to)]
        return ", ".join([*names, "Error: message"])

    def is_valid_transition(self, source: str, to: str) -> bool:
        """Return whether a run in one state could go on to the other."""
        try:
            start, end = self.find(source), self.find(to)
        except UnknownName:
            return False
        if start.is_final:
            return False
        return self.allows(start, end) and (end.is_final or self.has_handler(end))


class Journey:
    """One run's way through a chart.

    Args:
        chart: The rules; what is registered during the run counts at once.
        most_transitions: How many answers of `execute` there may be.
    """

    def __init__(self, chart: Chart, *, most_transitions: int) -> None:
        self._chart = chart
        self._most = most_transitions
        self._count = 0
        #: Where a detour leads back to.
        self._back: State | None = None
        #: The whole tests that were begun.
        self._begun: set[State] = set()
        #: Whether the last answer led to another state, as it will until the chart is changed.
        self.has_moved_straight = False
        self.here = State.Initial

    @property
    def next_state(self) -> State:
        """Where the machine goes from here by itself: back, during a detour."""
        return self._chart.next_state(self.here) if self._back is None else self._back

    @property
    def detour_from(self) -> State | None:
        """The whole test that waits for the end of a detour."""
        return self._back if self._back is not None and self._back.is_test else None

    def tests_left(self) -> list[State]:
        """Return the whole tests that were not begun."""
        begun, left = set(self._begun), list[State]()
        while (test := self._chart.next_test(begun)) is not None:
            begun.add(test)
            left.append(test)
        return left

    def announce(self, answer: object, by: str) -> State:
        """Check what `enter` answered and return it; only an error state has a consequence.

        Nothing at all announces nothing: scripts prepare themselves and say no word.
        """
        return self.here if answer is None else self._chart.read(answer, by)

    def follow(self, answer: object, by: str) -> State:
        """Go where `execute` answered, and return that state; the own one means to stay.

        Raises:
            MachineError: The answer is no state, or one that cannot be gone to from here, or the
                limit is reached.
            UnknownName: There is no such state.
        """
        here, self.has_moved_straight = self.here, False
        to = self._chart.read(answer, by)
        self._count += 1
        if self._count > self._most:
            raise self._refused(
                f"{by} answered {to} after the limit of {self._most} transitions was reached"
            )
        if here.is_test:
            return self._go(to) if to.is_final else self._go_on(to)
        if to is here:
            return here
        if self._is_over(to):
            back, self._back = self._back, None
            self.here = here if back is None else back
            return self.here
        if not to.is_error:
            self._check(to, by)
            self._note_detour(to)
            # From where a path is complete it depends: a whole test may come first.
            is_straight = self._back is None and not to.is_final
            self.has_moved_straight = is_straight and answer in self._chart.spellings
        return self._go(to)

    @property
    def plain_moves_left(self) -> int:
        """How many moves may follow that are made by setting `here`; none in a detour."""
        return max(self._most - self._count, 0) if self._back is None else 0

    def count_moves(self, number: int) -> None:
        """Count moves that were made by setting `here`."""
        self._count += number

    def _is_over(self, to: State) -> bool:
        """Return whether an answer ends a detour."""
        if self._back is None or to.is_error:
            return False
        return self._back.is_test or not to.is_final

    def _go(self, to: State) -> State:
        """Go there; where the path would be complete, to the next whole test."""
        if to is State.Completed:
            to = self._chart.next_test(self._begun) or to
            self._begun.add(to)
        self.here = to
        return to

    def _go_on(self, to: State) -> State:
        """Follow a whole test's answer: to a handler that has that state, or to itself."""
        if self._chart.has_handler(to):
            self._back, self.here = self.here, to
        return self.here

    def _check(self, to: State, by: str) -> None:
        if not to.is_final and not self._chart.has_handler(to):
            raise self._refused(f"{by} answered {to}, which has no handler")
        if not self._chart.allows(self.here, to):
            raise self._refused(f"{by} answered {to}, but {self.here} must not lead there")

    def _note_detour(self, to: State) -> None:
        is_reconnect = to is State.Connecting and self.here not in STANDARD_PATH
        if is_reconnect and not self._chart.is_ruled(to):
            self._back = self.here

    def _refused(self, what: str) -> MachineError:
        return MachineError(
            what,
            where=f"state {self.here}",
            todo=f"valid from here: {self._chart.ways_from(self.here)}",
        )


#: Stands for error states of any message in the rules.
_ANY_ERROR = State.error()


def _described(answer: object) -> str:
    if answer is None:
        return "nothing (None)"
    if inspect.iscoroutine(answer):
        return "a coroutine that it did not await"
    return f"a value of type {type(answer).__name__}"
