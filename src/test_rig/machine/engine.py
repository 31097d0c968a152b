"""The machine that people use: register handlers, run, look at the result.

There is one machine. `StateMachine` has a closed vocabulary, the known states, and
`DynamicStateMachine` an open one, every state that has a handler; nothing else differs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import cast

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import UsageError, text_of
from test_rig.machine.builtin import builtin_handlers
from test_rig.machine.context import StateContext, open_with
from test_rig.machine.handler import StateHandler
from test_rig.machine.imports import import_handlers
from test_rig.machine.limits import Limits, checked_seconds
from test_rig.machine.machine import Chart
from test_rig.machine.result import RunResult
from test_rig.machine.run import is_in_event_loop, run_pending, run_to_end
from test_rig.machine.runner import Roster, RunOrder
from test_rig.machine.states import State
from test_rig.targets import Target, TargetUrl
from test_rig.telemetry import Emit, emit_nothing

__all__ = ["DynamicStateMachine", "StateMachine"]

Handler = StateHandler | type[StateHandler]


class StateMachine:
    """A machine of the known states; `State.custom(name)` makes it know another.

    The states of the standard path, from `Initial` to `GettingVersion`, have built-in handlers that
    really connect; a registered handler takes the place of a built-in one.

    >>> result = StateMachine("sqlite://").run()
    >>> result.final_state, result.passed
    (Completed, True)

    Args:
        target: The database: a URL, `host:port`, or a `Target`, which stays the caller's to close.
            None: what the context says, and without a context a private SQLite file.
        context: What handlers get; instead of `target`.
        limits: When a run is ended.
        open_target: Makes a target of an address: where its time limits and listener come from.
        clock: Tells the time of the trace and of the limits.
        emit: Gets the measurements and alerts as they come.
    """

    _is_open = False

    def __init__(
        self,
        target: str | TargetUrl | Target | None = None,
        *,
        context: StateContext | None = None,
        limits: Limits | None = None,
        open_target: Callable[[TargetUrl], Target] = Target.open,
        clock: Clock = SYSTEM_CLOCK,
        emit: Emit = emit_nothing,
    ) -> None:
        if context is not None and target is not None:
            raise UsageError(
                "the target is given twice: by itself and in the context", where=type(self).__name__
            )
        self._context = StateContext(target=target) if context is None else context
        self._open_target = open_target
        open_with(self._context, open_target)
        self._limits = limits or Limits()
        self._clock, self._emit = clock, emit
        self._chart = Chart(is_open=self._is_open)
        self._builtin = builtin_handlers() | import_handlers()
        self._roster = Roster(self._builtin)
        self._state_limits: dict[State, float] = {}
        self._busy = threading.Lock()

    # Making it

    def register_handler(
        self, state: str, handler: Handler, *, timeout_s: float | None = None
    ) -> None:
        """Let a handler serve a state, instead of the one that did.

        During a run it serves from the next visit on.

        Args:
            state: The state, in any spelling of its name.
            handler: A handler, or a class of handlers that can be made without arguments.
            timeout_s: The limit of one visit, instead of `Limits.state_s`.

        Raises:
            UnknownName: A closed machine does not know the state.
            UsageError: It is no handler, or the state is one in which runs end.
        """
        where = f"register_handler({str(state)!r})"
        made = _made(handler, where)
        known = self._chart.register(state)
        if timeout_s is not None:
            self._state_limits[known] = checked_seconds(timeout_s, where=where)
        else:
            self._state_limits.pop(known, None)
        self._roster.put(known, made)

    def register_test(
        self, handler: Handler, *, name: str | None = None, timeout_s: float | None = None
    ) -> State:
        """Add a handler that is a whole test, bound to no state, and return its own state.

        When the machine has gone its path, each such handler is entered once, executed until it
        answers `Completed` or an error, and exited once. A state that another handler serves is a
        detour: it is visited, then `execute` is called again; so it is for a state that nobody
        serves. An error ends the run.

        Args:
            handler: A handler, or a class of handlers that can be made without arguments.
            name: How traces call it; the class's name if None.
            timeout_s: The limit of its visit, detours included, instead of `Limits.state_s`.

        Raises:
            UsageError: It is no handler.
        """
        made = _made(handler, "register_test")
        limit_s = None if timeout_s is None else checked_seconds(timeout_s, where="register_test")
        state = self._chart.register_test(name or type(made).__name__)
        if limit_s is not None:
            self._state_limits[state] = limit_s
        self._roster.put(state, made)
        return state

    def replace_test(self, state: State, handler: StateHandler) -> None:
        """Let another handler be the test of that state, from its next visit on."""
        if state not in self._roster:
            raise UsageError(f"there is no test {state}", where="replace_test")
        self._roster.put(state, handler)

    def withdraw(self, state: str) -> None:
        """Take away the handler of a state, or a whole test; a built-in handler is there again.

        A visit that has begun goes on.
        """
        known = state if isinstance(state, State) and state.is_test else self._chart.find(state)
        self._chart.withdraw(known)
        self._state_limits.pop(known, None)
        if known in self._builtin:
            self._roster.put(known, self._builtin[known])
        self._roster.changed()

    def register_transitions(self, from_state: str, to_states: Sequence[str]) -> None:
        """Rule where a state may lead; another answer than these then ends the run.

        A built-in handler goes to the first. Errors, and staying, need no rule. What was ruled for
        the state before is gone.

        Raises:
            UnknownName: A closed machine does not know one of the states.
            UsageError: There is no state to lead to.
        """
        self._chart.rule(from_state, to_states)
        self._roster.changed()

    def is_valid_transition(self, from_state: str, to_state: str) -> bool:
        """Return whether a run in one state could go on to the other."""
        return self._chart.is_valid_transition(from_state, to_state)

    # Its context

    def set_context(self, context: StateContext) -> None:
        """Give the next runs another context."""
        self._context = context
        open_with(context, self._open_target)

    def get_context(self) -> StateContext:
        """Return the context."""
        return self._context

    def get_current_state(self) -> State:
        """Return where the machine is: `Initial` before it runs, the final state afterwards."""
        return self._context.current_state

    # Running it

    def run(self) -> RunResult:
        """Run from `Initial` to the end and return the result, which may be awaited as well.

        Within an event loop it does not block: it must be awaited there, and runs then.

        Raises:
            MachineError: The machine is running already.
        """
        if is_in_event_loop():
            # Awaiting it gives a RunResult; what a script does too early with it says so clearly.
            return cast("RunResult", run_pending(self._order()))
        return self.run_sync()

    def run_sync(self) -> RunResult:
        """Run and return the result, also within an event loop, which it blocks meanwhile.

        Raises:
            MachineError: The machine is running already.
        """
        return run_to_end(self._order())

    def _order(self) -> RunOrder:
        return RunOrder(
            chart=self._chart,
            roster=self._roster,
            context=self._context,
            limits=self._limits,
            state_limits=self._state_limits,
            clock=self._clock,
            emit=self._emit,
            busy=self._busy,
        )


class DynamicStateMachine(StateMachine):
    """A machine of any states that have a handler, the known ones included."""

    _is_open = True


def _made(handler: object, where: str) -> StateHandler:
    if isinstance(handler, StateHandler):
        return handler
    if not (isinstance(handler, type) and issubclass(handler, StateHandler)):
        raise UsageError(
            f"{handler!r} is no handler", where=where, todo="give a StateHandler or its class"
        )
    try:
        return handler()
    except Exception as error:
        raise UsageError(
            f"{handler.__name__} cannot be made without arguments: {text_of(error)}",
            where=where,
            todo="give an instance",
        ) from error
