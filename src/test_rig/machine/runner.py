"""The thread of a run: visits state after state, calls the handlers, and cleans up.

Every call of a handler is under `watch`, and has a limit. What a handler raises becomes the run's
failure here, whatever it is; what goes wrong while cleaning up becomes a note beside it.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from test_rig.clock import Clock
from test_rig.errors import MachineError, one_line
from test_rig.machine import context as contexts
from test_rig.machine.context import StateContext
from test_rig.machine.handler import StateHandler
from test_rig.machine.ledger import Ledger, OverTimeError
from test_rig.machine.limits import NEVER_NS, Limits
from test_rig.machine.loop import RunLoop
from test_rig.machine.machine import Chart, Journey
from test_rig.machine.states import State
from test_rig.machine.trace import Call, Phase
from test_rig.machine.watch import CLEANING_UP, Cut, Watch
from test_rig.telemetry import Emit, Measurement, emit_nothing

__all__ = ["Roster", "RunOrder", "Runner"]

_Function = Callable[[StateContext], Any]
#: What a function that raised has answered.
_NOTHING = object()


class Roster:
    """Which handler serves which state, and how often a machine was changed."""

    __slots__ = ("_handlers", "revision")

    def __init__(self, handlers: Mapping[State, StateHandler]) -> None:
        self._handlers = dict(handlers)
        #: Another number after every change: a run notices it at one look.
        self.revision = 0

    def __getitem__(self, state: State) -> StateHandler:
        return self._handlers[state]

    def __contains__(self, state: State) -> bool:
        return state in self._handlers

    def put(self, state: State, handler: StateHandler) -> None:
        """Let a handler serve a state: in a run that goes on, from its next visit on."""
        self._handlers[state] = handler
        self.changed()

    def changed(self) -> None:
        """Say that handlers, limits or rules were changed: afterwards, so that who looks sees."""
        self.revision += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What a run needs to know."""

    chart: Chart
    roster: Roster
    context: StateContext
    limits: Limits
    #: Limits of single states, in seconds, instead of `limits.state_s`.
    state_limits: Mapping[State, float]
    clock: Clock
    emit: Emit
    #: Held while anything of the run goes on: a call that was left behind holds it until it ends.
    busy: threading.Lock


class _AbandonedError(BaseException):
    """Ends the thread of a run that has ended without it."""


class _DetourFailedError(Exception):
    """A detour of a whole test failed, which is accounted for already."""


class _Serving:
    """A handler at its state, with what every visit of it needs."""

    __slots__ = (
        "enter",
        "execute",
        "exit",
        "limit_ns",
        "on_enter",
        "on_execute",
        "on_exit",
        "state",
        "ways",
    )

    def __init__(self, state: State, handler: StateHandler, *, limit_s: float | None) -> None:
        name = type(handler).__name__
        self.state = state
        self.limit_ns = None if limit_s is None else round(limit_s * 1e9)
        self.enter: _Function = handler.enter
        self.execute: _Function = handler.execute
        self.exit: _Function = handler.exit
        self.on_enter = Call(state, name, Phase.ENTER)
        self.on_execute = Call(state, name, Phase.EXECUTE)
        self.on_exit = Call(state, name, Phase.EXIT)
        #: Answers of `execute` that led straight to another state, and who serves there: as long
        #: as nothing is changed about the machine.
        self.ways: dict[Any, _Serving] = {}

    def function_of(self, call: Call) -> _Function:
        """Return what a call calls."""
        if call is self.on_enter:
            return self.enter
        return self.execute if call is self.on_execute else self.exit


class _Outcome(NamedTuple):
    """What a function gave that is still under watch."""

    start_ns: int
    answer: object
    error: BaseException | None


class Runner:
    """Goes the way of one run.

    Theory of operation. `_rush` goes from visit to visit as long as only the usual happens: the
    functions answer at once, with states that are known to follow, and in time. It does all by
    itself, since what the machine adds to a call is what its users pay. When a call gives anything
    else it hands over: `_visit` knows all cases and ends that visit, and the rush goes on.

    Args:
        order: What to run.
        ledger: Where it is accounted for.
        loop: Runs the async functions.
        watch: Told of every call.
    """

    def __init__(self, order: RunOrder, ledger: Ledger, loop: RunLoop, watch: Watch) -> None:
        self._order, self._ledger, self._loop, self._watch = order, ledger, loop, watch
        self._context, self._now_ns = order.context, order.clock.now_ns
        limits = order.limits
        self._journey = Journey(order.chart, most_transitions=limits.transitions)
        #: When the last call ended: as good as now for what follows it at once.
        self._last_ns = self._now_ns()
        self._exit_ns = round(limits.exit_s * 1e9)
        self._run_deadline_ns = (
            NEVER_NS if limits.run_s is None else self._last_ns + round(limits.run_s * 1e9)
        )
        self._serving: dict[State, _Serving] = {}
        self._revision = order.roster.revision

    def run(self) -> None:
        """Go from `Initial` to the end, then clean up. The top of the thread; never raises.

        It lets go of the machine only if it was left behind; otherwise who started it does.
        """
        try:
            self._travel()
            self._close()
        except _AbandonedError:
            with suppress(Exception):
                self._loop.close()
            self._order.busy.release()
        finally:
            self._watch.finish()

    def _travel(self) -> None:
        context = self._context
        contexts.begin(
            context,
            listener=self._order.emit,
            next_state=lambda: self._journey.next_state,
            clock=self._order.clock,
            due_ns=lambda: self._watch.deadline_ns,
        )
        state = self._journey.here
        try:
            while not state.is_final:
                state = self._rush(state)
            for test in self._journey.tests_left():
                self._ledger.note(f"{test} did not run")
        except _AbandonedError:
            raise
        except BaseException as error:  # noqa: BLE001 - thread top: a defect of ours is a failed run
            self._watch.running.clear()  # a listener may have raised, between two visits
            self._ledger.fail(error, Call(context.current_state, "machine", Phase.EXECUTE))

    def _rush(self, state: State) -> State:
        """Visit state after state; return where to go once a visit was not the usual one."""
        context, journey, watch, now_ns = self._context, self._journey, self._watch, self._now_ns
        running, note = watch.running, self._ledger.calls.extend
        spellings, roster = self._order.chart.spellings, self._order.roster
        is_heard, exit_ns = self._order.emit is not emit_nothing, self._exit_ns
        run_deadline_ns, last_ns = self._run_deadline_ns, self._last_ns
        moves, most_moves = 0, journey.plain_moves_left
        serving, revision = self._serving_of(state), self._revision
        error: BaseException | None = None
        watch.begin(serving.on_enter, run_deadline_ns)
        while True:
            answer: object = _NOTHING
            call, deadline_ns = serving.on_enter, run_deadline_ns
            if serving.limit_ns is not None:
                deadline_ns = min(last_ns + serving.limit_ns, run_deadline_ns)
            context.current_state, visit_ns = serving.state, last_ns
            if (
                last_ns > deadline_ns
                or moves == most_moves
                or watch.is_interrupted
                or roster.revision != revision
            ):
                break
            watch.deadline_ns = deadline_ns
            try:
                answer = serving.enter(context)
                if answer is not None:
                    spellings[answer]  # type: ignore[index]  # what is not in there is unusual
                end_ns = now_ns()
                if end_ns > deadline_ns:
                    break
                # The rush stays under watch: the watcher is told where it is. An IndexError
                # means that the watcher came first, here as below.
                running[0] = serving.on_execute
                note((call, last_ns, end_ns, answer))
                last_ns, call, answer = end_ns, serving.on_execute, _NOTHING
                answer = serving.execute(context)
                end_ns = now_ns()
                if end_ns > deadline_ns or roster.revision != revision:
                    break
                following = serving.ways[answer]
                watch.deadline_ns = deadline_ns = end_ns + exit_ns
                running[0] = serving.on_exit
                note((call, last_ns, end_ns, answer))
                moves += 1
                journey.here = following.state
                last_ns, call, answer = end_ns, serving.on_exit, _NOTHING
                answer = serving.exit(context)
                end_ns = now_ns()
                if answer is not None or end_ns > deadline_ns:
                    break
                running[0] = following.on_enter
            except BaseException as caught:  # noqa: BLE001 - the door: `_visit` deals with it
                # It is the function's error only if it did not answer.
                error = caught if answer is _NOTHING else None
                break
            note((call, last_ns, end_ns, None))
            last_ns = end_ns
            if is_heard:
                self._measure(serving, visit_ns)
                last_ns = now_ns()  # what the listener took is not the next visit's
            serving = following
        journey.count_moves(moves)
        self._last_ns = last_ns
        if error is not None or answer is not _NOTHING:
            outcome = _Outcome(last_ns, answer, error)
            return self._visit(serving, deadline_ns, call, outcome)
        # Nothing of this visit was called yet; a watcher that came first shows in what time it is.
        cut = watch.end()
        if cut is Cut.ABANDONED:
            raise _AbandonedError
        if cut is not None:
            self._last_ns = now_ns()
        serving = self._serving_of(serving.state)
        return self._visit(serving, self._deadline_of(serving), serving.on_enter, None)

    def _visit(
        self, serving: _Serving, deadline_ns: int, call: Call, outcome: _Outcome | None
    ) -> State:
        """Enter, execute and exit; return the state to visit next.

        Args:
            serving: The state's handler.
            deadline_ns: By when `enter` and `execute` must be over.
            call: Where the visit is.
            outcome: What this call gave; None: it has not begun.
        """
        visit_ns = self._last_ns if outcome is None else outcome.start_ns
        if outcome is None:
            try:
                self._refuse_late(call, deadline_ns)
            except MachineError as error:
                self._ledger.fail(error, Call(serving.state, "machine", Phase.ENTER))
                return State.error()
        to = self._journey.here
        if call is not serving.on_exit:
            to = self._work(serving, deadline_ns, call, outcome)
            outcome = None
        if not self._exit(serving, outcome):
            to = State.error()
        if self._order.emit is not emit_nothing:
            self._measure(serving, visit_ns)
        return to

    def _work(
        self, serving: _Serving, deadline_ns: int, call: Call, outcome: _Outcome | None
    ) -> State:
        """Enter, if need be, and execute until it leads away; after an error roll back."""
        journey = self._journey
        try:
            if call is serving.on_enter:
                to = journey.announce(self._call(serving, call, deadline_ns, outcome), call.name)
                outcome = None
            if call is serving.on_execute or not to.is_error:
                call = serving.on_execute
                to = self._execute(serving, deadline_ns, outcome)
            if to.is_error:
                self._ledger.fail_with(to, call)
        except _AbandonedError:
            raise
        except _DetourFailedError:
            to = State.error()
        except BaseException as error:  # noqa: BLE001 - the door: even sys.exit ends only the run
            self._ledger.fail(error, call)
            to = State.error()
        if to.is_error or serving.state.is_test:
            self._roll_back(is_expected=to.is_error)
        return to

    def _execute(self, serving: _Serving, deadline_ns: int, outcome: _Outcome | None) -> State:
        call = serving.on_execute
        while True:
            if outcome is None:
                self._refuse_late(call, deadline_ns)
            answer = self._call(serving, call, deadline_ns, outcome)
            to, outcome = self._journey.follow(answer, call.name), None
            if self._journey.has_moved_straight:
                serving.ways[answer] = self._serving_of(to)
            if self._journey.detour_from is serving.state:
                to = self._detour(serving.state, to, deadline_ns)
            if to is not serving.state:
                return to

    def _detour(self, test: State, to: State, deadline_ns: int) -> State:
        """Visit what a whole test asked for, within its time, and come back to it."""
        self._context.current_state = to
        serving = self._serving_of(to)
        deadline_ns = min(self._deadline_of(serving), deadline_ns)
        to = self._visit(serving, deadline_ns, serving.on_enter, None)
        if to is not test:
            raise _DetourFailedError
        self._context.current_state = test
        return to

    def _exit(self, serving: _Serving, outcome: _Outcome | None) -> bool:
        call = serving.on_exit
        start_ns = self._last_ns if outcome is None else outcome.start_ns
        try:
            self._call(serving, call, start_ns + self._exit_ns, outcome)
        except _AbandonedError:
            raise
        except BaseException as error:  # noqa: BLE001 - the door: even sys.exit ends only the run
            self._ledger.fail(error, call)
            return False
        return True

    def _serving_of(self, state: State) -> _Serving:
        """Return who serves a state now; what changes afterwards, `Roster.revision` tells."""
        order = self._order
        if self._revision != order.roster.revision:
            self._revision = order.roster.revision
            self._serving.clear()
        serving = self._serving.get(state)
        if serving is None:
            limit_s = order.state_limits.get(state, order.limits.state_s)
            serving = _Serving(state, order.roster[state], limit_s=limit_s)
            self._serving[state] = serving
        return serving

    def _deadline_of(self, serving: _Serving) -> int:
        """Return by when a visit that begins now must have left `execute`."""
        if serving.limit_ns is None:
            return self._run_deadline_ns
        return min(self._last_ns + serving.limit_ns, self._run_deadline_ns)

    def _refuse_late(self, call: Call, deadline_ns: int) -> None:
        if self._watch.is_interrupted:
            raise MachineError("the run was interrupted", where=f"state {call.state}")
        if self._last_ns > deadline_ns:
            raise self._over_time(call)

    def _call(
        self, serving: _Serving, call: Call, deadline_ns: int, outcome: _Outcome | None
    ) -> object:
        """Call a function under watch, or take what it gave; return its answer, awaited."""
        if outcome is None:
            outcome = self._begun(serving, call, deadline_ns)
        start_ns, answer, error = outcome
        if error is None and inspect.isawaitable(answer):
            try:
                answer = self._loop.finish(answer)
            except BaseException as caught:  # noqa: BLE001 - the door: raised again below
                answer, error = None, caught
        end_ns = self._last_ns = self._now_ns()
        cut = self._watch.end()
        if cut is Cut.ABANDONED:
            raise _AbandonedError
        state = answer if isinstance(answer, str) and call.phase is not Phase.EXIT else None
        self._ledger.calls.extend((call, start_ns, end_ns, state))
        if cut is Cut.INTERRUPTED:
            raise MachineError("the run was interrupted", where=f"state {call.state}") from error
        if cut is Cut.TIME or end_ns > deadline_ns:
            raise self._over_time(call) from error
        if error is not None:
            raise error
        return answer

    def _begun(self, serving: _Serving, call: Call, deadline_ns: int) -> _Outcome:
        """Call a function and return what it gave; it stays under watch."""
        function, context, start_ns = serving.function_of(call), self._context, self._now_ns()
        self._watch.begin(call, deadline_ns)
        try:
            return _Outcome(start_ns, function(context), None)
        except BaseException as caught:  # noqa: BLE001 - the door: raised again once accounted for
            return _Outcome(start_ns, None, caught)

    def _over_time(self, call: Call) -> OverTimeError:
        return OverTimeError(
            f"{call} reached {self.limit_of(call)}",
            where=f"state {call.state}",
            todo=f"raise the limit, or answer a state sooner, the own one to be called again; "
            f"valid from here: {self._order.chart.ways_from(call.state)}",
        )

    def limit_of(self, call: Call) -> str:
        """Return which limit a call that is too late has reached, in words."""
        limits = self._order.limits
        if call.phase is Phase.EXIT:
            return f"its limit of {limits.exit_s:g} s (exit_s)"
        if self._now_ns() >= self._run_deadline_ns:
            return f"the run's limit of {limits.run_s:g} s ({limits.run_name})"
        state_s = self._order.state_limits.get(call.state, limits.state_s)
        return f"the state's limit of {state_s:g} s (state_s)"

    def _roll_back(self, *, is_expected: bool) -> None:
        """Roll back what a visit left open, so that `exit` can work; tell it if nothing failed."""

        def work() -> None:
            for session in self._context.sessions():
                if not getattr(session, "is_usable", True):
                    if not is_expected and session is self._context.connection:
                        self._ledger.note("it ended with its connection closed, or lost")
                    continue
                if not is_expected and getattr(session, "in_transaction", False):
                    name = getattr(session, "name", "a session")
                    self._ledger.note(f"a transaction was left open on {name}: it was rolled back")
                session.rollback()

        self._clean("rolling back", work)

    def _close(self) -> None:
        def work() -> None:
            self._loop.close()
            self._ledger.note_problems(contexts.release(self._context))

        self._clean("closing what the run opened", work)

    def _clean(self, what: str, work: Callable[[], None]) -> None:
        """Do the machine's own clean-up under watch; what goes wrong becomes a note."""
        self._watch.begin(CLEANING_UP, self._now_ns() + self._exit_ns)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the door: clean-up hides no first error
            self._ledger.note(f"{what}: {one_line(error)}")
        cut = self._watch.end()
        if cut is Cut.ABANDONED:
            raise _AbandonedError
        if cut is not None:
            self._ledger.note(f"{what} took longer than its limit")

    def _measure(self, serving: _Serving, start_ns: int) -> None:
        self._order.emit(
            Measurement(
                name="machine.visit",
                value=(self._now_ns() - start_ns) / 1e9,
                unit="s",
                time_ns=start_ns,
                labels=(("state", serving.state.name), ("handler", serving.on_enter.handler)),
                source="machine",
            )
        )
