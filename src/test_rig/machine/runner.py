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
from typing import Any

from test_rig.clock import Clock
from test_rig.errors import MachineError
from test_rig.machine import context as contexts
from test_rig.machine.context import StateContext
from test_rig.machine.handler import StateHandler
from test_rig.machine.ledger import Call, Ledger, OverTimeError
from test_rig.machine.limits import Limits
from test_rig.machine.loop import RunLoop
from test_rig.machine.machine import Chart, Journey
from test_rig.machine.result import Phase, TraceEntry
from test_rig.machine.states import State
from test_rig.machine.watch import Cut, Span, Watch
from test_rig.telemetry import Emit, Measurement, emit_nothing

__all__ = ["RunOrder", "Runner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What a run needs to know."""

    chart: Chart
    #: Asked at every visit, so that a handler that was replaced serves from the next visit on.
    handler_of: Callable[[State], StateHandler]
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
    """A handler at its state, with what every call of it needs."""

    __slots__ = (
        "enter",
        "execute",
        "exit",
        "handler",
        "limit_ns",
        "on_enter",
        "on_execute",
        "on_exit",
    )

    def __init__(self, state: State, handler: StateHandler, limit_s: float | None) -> None:
        name = type(handler).__name__
        self.handler = handler
        self.limit_ns = None if limit_s is None else round(limit_s * 1e9)
        self.enter, self.on_enter = handler.enter, Call(state, name, Phase.ENTER)
        self.execute, self.on_execute = handler.execute, Call(state, name, Phase.EXECUTE)
        self.exit, self.on_exit = handler.exit, Call(state, name, Phase.EXIT)


class Runner:
    """Goes the way of one run.

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
            None if limits.run_s is None else self._last_ns + round(limits.run_s * 1e9)
        )
        self._serving: dict[State, _Serving] = {}
        #: By when the whole test that makes a detour must be over.
        self._test_deadline_ns: int | None = None

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
            context, self._order.emit, lambda: self._journey.next_state, self._order.clock
        )
        state = self._journey.here
        try:
            while not state.is_final:
                state = self._visit(state)
            for test in self._journey.tests_left():
                self._ledger.note(f"{test} did not run")
        except Exception as error:  # noqa: BLE001 - thread top: a defect of ours is a failed run
            self._ledger.fail(error, Call(state, "machine", Phase.EXECUTE))

    def _visit(self, state: State) -> State:
        """Enter, execute and exit; return the state to visit next."""
        self._context.current_state = state
        serving: _Serving | None = None
        start_ns = self._last_ns
        try:
            serving = self._serve(state)
            deadline_ns = self._deadline_ns(serving, start_ns)
            self._refuse_late(serving.on_enter, deadline_ns, start_ns)
        except Exception as error:  # noqa: BLE001 - the door: whatever it is ends the run
            self._ledger.fail(error, Call(state, "machine", Phase.ENTER))
            return State.error()
        call = serving.on_enter
        try:
            to = self._journey.announce(self._call(call, serving.enter, deadline_ns), call.name)
            if not to.is_error:
                call = serving.on_execute
                to = self._execute(state, serving, deadline_ns)
            if to.is_error:
                self._ledger.fail_with(to, call)
        except _AbandonedError:
            raise
        except _DetourFailedError:
            to = State.error()
        except BaseException as error:  # noqa: BLE001 - the door: even sys.exit ends only the run
            self._ledger.fail(error, call)
            to = State.error()
        if to.is_error or state.is_test:
            self._roll_back(is_expected=to.is_error)
        if not self._exit(serving):
            to = State.error()
        if self._order.emit is not emit_nothing:
            self._measure(state, serving, start_ns)
        return to

    def _execute(self, state: State, serving: _Serving, deadline_ns: int | None) -> State:
        call, by = serving.on_execute, serving.on_execute.name
        while True:
            self._refuse_late(call, deadline_ns, self._last_ns)
            to = self._journey.follow(self._call(call, serving.execute, deadline_ns), by)
            if self._journey.detour_from is state:
                to = self._detour(state, to, deadline_ns)
            if to is not state:
                return to

    def _detour(self, test: State, to: State, deadline_ns: int | None) -> State:
        """Visit what a whole test asked for, within its time, and come back to it."""
        before, self._test_deadline_ns = self._test_deadline_ns, deadline_ns
        try:
            to = self._visit(to)
        finally:
            self._test_deadline_ns = before
        if to is not test:
            raise _DetourFailedError
        self._context.current_state = test
        return to

    def _exit(self, serving: _Serving) -> bool:
        call = serving.on_exit
        try:
            self._call(call, serving.exit, self._last_ns + self._exit_ns)
        except _AbandonedError:
            raise
        except BaseException as error:  # noqa: BLE001 - the door: even sys.exit ends only the run
            self._ledger.fail(error, call)
            return False
        return True

    def _serve(self, state: State) -> _Serving:
        handler = self._order.handler_of(state)
        serving = self._serving.get(state)
        if serving is None or serving.handler is not handler:
            limit_s = self._order.state_limits.get(state, self._order.limits.state_s)
            serving = self._serving[state] = _Serving(state, handler, limit_s)
        return serving

    def _deadline_ns(self, serving: _Serving, start_ns: int) -> int | None:
        run_ns = self._run_deadline_ns if self._test_deadline_ns is None else self._test_deadline_ns
        if serving.limit_ns is None:
            return run_ns
        own_ns = start_ns + serving.limit_ns
        return own_ns if run_ns is None else min(own_ns, run_ns)

    def _refuse_late(self, call: Call, deadline_ns: int | None, now_ns: int) -> None:
        if self._watch.is_interrupted:
            raise MachineError("the run was interrupted", where=f"state {call.state}")
        if deadline_ns is not None and now_ns > deadline_ns:
            raise self._over_time(call)

    def _call(
        self, call: Call, function: Callable[[StateContext], Any], deadline_ns: int | None
    ) -> object:
        """Call a handler's function under watch and return its answer, awaited."""
        context = self._context
        contexts.limit(context, deadline_ns)
        span = self._watch.span = Span(call, deadline_ns)
        error: BaseException | None = None
        answer: object = None
        start_ns = self._now_ns()
        try:
            answer = function(context)
            if not (answer is None or isinstance(answer, str)) and inspect.isawaitable(answer):
                answer = self._loop.finish(answer)
        except BaseException as caught:  # noqa: BLE001 - the door: raised again below
            error = caught
        end_ns = self._last_ns = self._now_ns()
        is_in_time = span.claim.acquire(blocking=False)
        cut = None if is_in_time else self._watch.returned_late(span)
        if cut is Cut.ABANDONED:
            raise _AbandonedError
        self._ledger.trace.append(
            TraceEntry(
                call.state,
                call.handler,
                call.phase,
                start_ns,
                end_ns - start_ns,
                answer if isinstance(answer, str) else None,
            )
        )
        if cut is Cut.INTERRUPTED:
            raise MachineError("the run was interrupted", where=f"state {call.state}") from error
        if cut is Cut.TIME or (deadline_ns is not None and end_ns > deadline_ns):
            raise self._over_time(call) from error
        if error is not None:
            raise error
        return answer

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
        if self._run_deadline_ns is not None and self._now_ns() >= self._run_deadline_ns:
            return f"the run's limit of {limits.run_s:g} s (run_s)"
        state_s = self._order.state_limits.get(call.state, limits.state_s)
        return f"the state's limit of {state_s:g} s (state_s)"

    def _roll_back(self, *, is_expected: bool) -> None:
        """Roll back what a visit left open, so that `exit` can work; tell it if nothing failed."""

        def work() -> None:
            for session in self._context.sessions():
                if not getattr(session, "is_usable", True):
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
        span = self._watch.span = Span(None, self._now_ns() + self._exit_ns)
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the door: clean-up hides no first error
            self._ledger.note(f"{what}: {type(error).__name__}: {error}")
        if span.claim.acquire(blocking=False):
            return
        if self._watch.returned_late(span) is Cut.ABANDONED:
            raise _AbandonedError
        self._ledger.note(f"{what} took longer than its limit")

    def _measure(self, state: State, serving: _Serving, start_ns: int) -> None:
        self._order.emit(
            Measurement(
                name="machine.visit",
                value=(self._now_ns() - start_ns) / 1e9,
                unit="s",
                time_ns=start_ns,
                labels=(("state", state.name), ("handler", serving.on_enter.handler)),
                source="machine",
            )
        )
