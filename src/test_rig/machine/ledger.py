"""Keeps account of a run: what was called, what went wrong first, and what else is to be told.

The first failure is the one that counts; what fails afterwards, while cleaning up, becomes a note.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from test_rig.clock import Clock
from test_rig.errors import MachineError, RigError, one_line, text_of
from test_rig.machine.context import StateContext, emitted
from test_rig.machine.result import RunFailure, RunResult
from test_rig.machine.states import State
from test_rig.machine.trace import Call, Trace
from test_rig.resilience import MASK, ErrorContext, ErrorContextBuilder, without_passwords
from test_rig.verdict import ResultStatus

__all__ = ["Ledger", "OverTimeError"]

#: A shorter password would blacken every line, and protects nothing.
_SHORTEST_SECRET = 3
#: Of a longer message, or traceback, the beginning and the end are kept.
LONGEST_TEXT = 32_000
#: Frames of these modules are the rig's business, not the handler's.
_OUR_FRAMES = ("test_rig.machine.run", "test_rig.machine.loop", "asyncio")


class OverTimeError(MachineError):
    """A time limit was reached."""


class Ledger:
    """The account of one run."""

    def __init__(self, context: StateContext, clock: Clock) -> None:
        self._context, self._clock = context, clock
        self._started_at, self._started_ns = clock.utc(), clock.now_ns()
        #: What `Trace` is made of.
        self.calls: list[Any] = []
        self.failure: RunFailure | None = None
        self._status = ResultStatus.PASSED
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Tell something else."""
        self._notes.append(self._safe(text))

    def note_problems(self, problems: Sequence[BaseException]) -> None:
        """Tell what went wrong while closing what the run opened."""
        for problem in problems:
            self.note(f"closing: {one_line(problem)}")

    def fail_with(self, state: State, call: Call) -> None:
        """Note that a handler answered an error state."""
        message = state.message or f"{call} answered an error without a message"
        self._fail(message, call, ResultStatus.FAILED)

    def fail(self, error: BaseException, call: Call, *, stack: Sequence[str] = ()) -> None:
        """Note that a call failed.

        Args:
            error: What was raised.
            call: Which call it was.
            stack: Where the call is now, if it never returned.
        """
        status = ResultStatus.ERROR
        if isinstance(error, OverTimeError):
            status = ResultStatus.TIMED_OUT
        elif isinstance(error, AssertionError):
            status = ResultStatus.FAILED
        message = text_of(error) if isinstance(error, RigError) else one_line(error)
        self._fail(message, call, status, error=error, shown="".join(stack) or _shown(error))

    def _fail(
        self,
        message: str,
        call: Call,
        status: ResultStatus,
        *,
        error: BaseException | None = None,
        shown: str | None = None,
    ) -> None:
        failure = RunFailure(
            message=self._safe(message),
            context=self._circumstances(call),
            traceback=None if shown is None else self._safe(shown),
            exception=error,
        )
        if self.failure is not None:
            self._notes.append(f"then, {failure}")
            return
        self.failure, self._status = failure, status
        self._context.error_message = failure.message

    def _circumstances(self, call: Call) -> ErrorContext:
        calls = [
            entry
            for entry in Trace(self.calls)
            if entry.state is call.state and entry.phase is call.phase
        ]
        last_ns = calls[-1].start_ns if calls else self._clock.now_ns()
        where = self._context.connection_info()
        builder = ErrorContextBuilder(f"{call} in state {call.state}", started_at=self._at(last_ns))
        builder = builder.with_attempt(max(1, len(calls)))
        builder = builder.with_connection_info(
            where.host, where.database, where.user, port=where.port
        )
        return builder.build()

    def _at(self, moment_ns: int) -> datetime:
        return self._started_at + timedelta(microseconds=(moment_ns - self._started_ns) / 1_000)

    def _safe(self, text: str) -> str:
        secret = self._context.password
        if secret is not None and len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
        text = without_passwords(text)
        return text if len(text) <= LONGEST_TEXT else _shortened(text)

    def _mask_answers(self) -> None:
        # Only an error's message is text of the handler's, and an error ends the run: its answer is
        # among those of the last visit.
        for place in range(len(self.calls) - 1, max(len(self.calls) - 13, 0), -4):
            answer = self.calls[place]
            if answer is not None and ":" in answer:
                self.calls[place] = self._safe(answer)

    def result(self) -> RunResult:
        """Return what there is to tell."""
        measurements, alerts = emitted(self._context)
        failure = self.failure
        self._mask_answers()
        return RunResult(
            final_state=State.Completed if failure is None else State.error(failure.message),
            status=self._status,
            error=failure,
            trace=Trace(self.calls),
            measurements=measurements,
            alerts=alerts,
            notes=tuple(self._notes),
            started_at=self._started_at,
            duration_ns=self._clock.now_ns() - self._started_ns,
        )


def _shortened(text: str) -> str:
    half = LONGEST_TEXT // 2
    return f"{text[:half]} [...] {text[-half:]}"


def _shown(error: BaseException) -> str | None:
    """Return the traceback from the handler's own frames on; None where it has none in it."""
    if isinstance(error, OverTimeError) and error.__cause__ is not None:
        error = error.__cause__  # where the handler was when its statement was cancelled
    frames = _without_ours(error.__traceback__)
    if frames is None:
        return None
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except BaseException as why:  # noqa: BLE001 - it asks the exception, and what it is about
        return f"{one_line(error)} (no traceback: telling it raised {type(why).__name__})"


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None:
        module = str(frames.tb_frame.f_globals.get("__name__"))
        if not module.startswith(_OUR_FRAMES):
            return frames
        frames = frames.tb_next
    return None
