"""Decides what happens next in one run of a script: a core without I/O, clock or thread.

Theory of operation. The shell tells what it learned (`Ended`, `Noticed`, `Observed`, `RolledBack`,
or `Tick` for nothing but time) together with the time, and gets commands back (`Send`, `Observe`,
`Rollback`, `Cancel`). Inside, a program for the whole run is written as a generator that pauses
whenever it must learn more before it can go on; every event resumes it. Same events at the same
times, same commands.

*Blocked* is the server's word, given twice: two observations in a row, both asked for after the
last thing that changed (a step sent, a step ended), say that the session waits. Silence is never
taken for waiting: a step that neither ends nor is said to wait within the limit ends the run as
`LIMIT`, whose result is unknown.

There are two programs. `CONTINUE` is the isolation tester's: steps are sent strictly in order, a
step whose session is still busy waits for it, blocked steps that end are reported after the step
that let them, markers hold reports back, and errors change nothing. `ABORT` is for scenarios that
are judged: after an error the session's transaction is rolled back and its remaining steps are
skipped (where a server has ended the transaction itself, they would run outside it and falsify
the outcome), and the steps of a blocked session are put off while other sessions go on, as a
person at several terminals would do.

An *impossible* script is seen in who waits for whom: a session that is needed now waits, directly
or through others, for sessions that are idle, and nothing will be sent to them before it is free.
That picture must stand for `Limits.stuck_ns`. Waiting in a circle is no such case: it is a
deadlock, which the server resolves. A script that sets time limits of its own on the server
(`is_patient`) may rely on them, so there only the rig's limit counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from test_rig.scenario.board import Board
from test_rig.scenario.moves import (
    Cancel,
    Command,
    Ended,
    Ending,
    Event,
    Limits,
    Observe,
    Observed,
    OnError,
    PlannedStep,
    Rollback,
    Send,
    Track,
)
from test_rig.verdict import StepPhase, StepReport

__all__ = ["Schedule"]

_Program = Generator[None, None, None]


class _StopError(Exception):
    """Ends the program early."""

    def __init__(self, ending: Ending, problem: str) -> None:
        super().__init__(problem)
        self.ending, self.problem = ending, problem


class Schedule:
    """One run of a script. Feed it events; do what it commands.

    Args:
        steps: The script, in order.
        on_error: Which of the two programs runs.
        limits: Times.
        can_block: Whether the server's sessions ever wait for each other.
        is_patient: Whether the script may end a wait by a time limit that it set on the server.
    """

    def __init__(
        self,
        steps: Sequence[PlannedStep],
        *,
        on_error: OnError,
        limits: Limits | None = None,
        can_block: bool = True,
        is_patient: bool = False,
    ) -> None:
        self.ending: Ending | None = None
        #: Why it ended otherwise than complete.
        self.problem: str | None = None
        self._limits = limits or Limits()
        self._board = Board(steps, self._limits)
        self._can_block, self._is_patient = can_block, is_patient
        self._poll_ns: int | None = None
        self._since_ns = 0
        self._stuck_since_ns: int | None = None
        self._commands: list[Command] = []
        is_tester = on_error is OnError.CONTINUE
        self._program = self._as_the_tester() if is_tester else self._as_a_person()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What is known of each step."""
        return self._board.tracks

    @property
    def reports(self) -> tuple[StepReport, ...]:
        """The story so far."""
        return tuple(self._board.reports)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be sent; steps may still run, see `running`."""
        return self.ending is not None

    @property
    def running(self) -> tuple[int, ...]:
        """The steps that were sent and have not been answered."""
        return self._board.running

    @property
    def wake_at_ns(self) -> int:
        """When a `Tick` is wanted if nothing happens before."""
        limit_ns = self._since_ns + self._limits.step_ns
        return limit_ns if self._poll_ns is None else min(limit_ns, self._poll_ns)

    def start(self, now_ns: int) -> tuple[Command, ...]:
        """Return the first commands."""
        self._board.now_ns = self._since_ns = now_ns
        return self._advance()

    def on(self, event: Event, now_ns: int) -> tuple[Command, ...]:
        """Take in what happened, and return what to do now."""
        self._board.now_ns = now_ns
        self._board.learn(event)
        if isinstance(event, Observed):
            self._poll_ns = None
        if self.is_over and isinstance(event, Ended):
            self._board.report(event.index, StepPhase.COMPLETED)
        return self._advance()

    def _advance(self) -> tuple[Command, ...]:
        if not self.is_over:
            try:
                next(self._program)
            except StopIteration:
                self.ending = Ending.COMPLETE
            except _StopError as stop:
                self.ending, self.problem = stop.ending, stop.problem
                self._give_up_the_rest()
        self._want_observation()
        commands, self._commands = tuple(self._commands), []
        return commands

    def _want_observation(self) -> None:
        """Ask the server now, or later, or not at all."""
        now_ns, limits = self._board.now_ns, self._limits
        if not self._can_block or self.is_over or not self.running:
            self._poll_ns = None
        elif self._poll_ns is None or self._board.changed_ns == now_ns:
            self._poll_ns = now_ns + self._pause_ns()
        elif now_ns >= self._poll_ns:
            self._commands.append(Observe())
            self._poll_ns = now_ns + limits.slow_poll_ns  # the answer comes before that

    def _pause_ns(self) -> int:
        is_fresh = self._board.now_ns - self._board.changed_ns < self._limits.fast_for_ns
        return self._limits.fast_poll_ns if is_fresh else self._limits.slow_poll_ns

    def _give_up_the_rest(self) -> None:
        board = self._board
        for index in board.running:
            board.tracks[index].is_cancelled = True
            self._commands.append(Cancel(index=index))
        for index in sorted(board.active.values()):
            if board.tracks[index].is_ended:  # a marker held its report back
                board.report(index, StepPhase.COMPLETED)
        board.skip_rest()

    # What both programs use

    def _send(self, index: int) -> None:
        self._board.send(index)
        self._commands.append(Send(index=index))

    def _begin_waiting(self) -> int:
        self._since_ns, self._stuck_since_ns = self._board.now_ns, None
        return self._since_ns

    def _check_limit(self, since_ns: int, index: int) -> None:
        self._since_ns = since_ns
        if self._board.now_ns - since_ns < self._limits.step_ns:
            return
        step, seconds = self._board.steps[index], self._limits.step_ns / 1e9
        state = "has neither ended nor been said to wait"
        if self._board.is_blocked(index):
            state = "still waits"
        raise _StopError(
            Ending.LIMIT, f"after {seconds:g} s step {step.name} of session {step.session} {state}"
        )

    def _check_stuck(self, index: int, why: str) -> None:
        """Stop where the step waits for idle sessions only, and that picture has stood."""
        board = self._board
        idle = () if self._is_patient else board.idle_sessions_behind(index)
        if not idle:
            self._stuck_since_ns = None
            return
        if self._stuck_since_ns is None:
            self._stuck_since_ns = board.now_ns
        if board.now_ns - self._stuck_since_ns >= self._limits.stuck_ns:
            step = board.steps[index]
            held = f"step {step.name} of session {step.session} waits for {' and '.join(idle)}"
            raise _StopError(Ending.IMPOSSIBLE, f"{held}: {why}")

    # The isolation tester's program

    def _as_the_tester(self) -> _Program:
        waiting: list[int] = []
        for index, step in enumerate(self._board.steps):
            yield from self._await_session(step, waiting)
            self._send(index)
            is_done = yield from self._examine(index, is_first=True)
            yield from self._sweep(waiting)
            if not is_done:
                waiting.append(index)
        yield from self._sweep(waiting, may_wait=False)
        if waiting:
            names = ", ".join(self._board.steps[index].name for index in waiting)
            raise _StopError(Ending.IMPOSSIBLE, f"markers hold these steps back for ever: {names}")

    def _await_session(self, step: PlannedStep, waiting: list[int]) -> _Program:
        """Pause until the session that the step needs is free."""
        since_ns = self._begin_waiting()
        while (busy := self._board.active.get(step.session)) is not None:
            why = f"nothing that could let it go on comes before step {step.name}"
            if (yield from self._examine(busy, may_wait=False, why=why)):
                waiting.remove(busy)
            yield from self._sweep(waiting)
            if step.session not in self._board.active:
                return
            held = self._board.steps[busy].name
            if not self.running:
                problem = f"a marker holds step {held} back, so that {step.name} can never be sent"
                raise _StopError(Ending.IMPOSSIBLE, problem)
            self._check_limit(since_ns, busy)
            yield

    def _sweep(self, waiting: list[int], *, may_wait: bool = True) -> _Program:
        """Look at each waiting step in order; again while one that is held back may be freed."""
        why = "no step is left that could let it go on"
        is_worth_another = True
        while is_worth_another:
            before = len(waiting), self._board.notice_count
            for index in tuple(waiting):
                if (yield from self._examine(index, may_wait=may_wait, why=why)):
                    waiting.remove(index)
            has_marked = any(self._board.steps[index].blockers for index in waiting)
            is_worth_another = has_marked and before != (len(waiting), self._board.notice_count)

    def _examine(
        self, index: int, *, is_first: bool = False, may_wait: bool = True, why: str = ""
    ) -> Generator[None, None, bool]:
        """Return True once the step is reported as ended, False where it has to wait on."""
        board, since_ns = self._board, self._begin_waiting()
        track, blockers = board.tracks[index], board.steps[index].blockers
        is_asterisk = is_first and any(blocker.step is None for blocker in blockers)
        while not is_asterisk and not track.is_ended:
            board.hear(index)
            if may_wait and board.is_blocked(index):
                break
            if not may_wait:
                self._check_stuck(index, why)
            self._check_limit(since_ns, index)
            yield
        if not is_asterisk:
            board.hear(index)
        if is_asterisk or not track.is_ended or board.is_held(index):
            if is_first:
                board.report(index, StepPhase.WAITING)
            return False
        board.report(index, StepPhase.ENDED if is_first else StepPhase.COMPLETED)
        return True

    # The program for scenarios that are judged

    def _as_a_person(self) -> _Program:
        board = self._board
        while True:
            pending = [i for i, track in enumerate(board.tracks) if track.is_pending]
            ready = [i for i in pending if board.steps[i].session not in board.active]
            if ready:
                self._send(ready[0])
            elif not board.active:
                return
            yield from self._settle(may_wait=bool(ready))

    def _settle(self, *, may_wait: bool) -> _Program:
        """Pause until every step has ended or waits; where none can be sent, until one ends."""
        board, since_ns = self._board, self._begin_waiting()
        while True:
            if self._take_in_ended():
                may_wait, since_ns = True, self._begin_waiting()
            active = tuple(board.active.values())
            if may_wait and not board.rolling and all(map(self._is_settled, active)):
                return
            for index in active:
                if not may_wait:
                    self._check_stuck(index, "no step is left that could let it go on")
                self._check_limit(since_ns, index)
            if board.rolling and board.now_ns - since_ns >= self._limits.step_ns:
                names = ", ".join(sorted(board.rolling))
                raise _StopError(Ending.LIMIT, f"the rollback of {names} does not end")
            yield

    def _is_settled(self, index: int) -> bool:
        return self._board.is_blocked(index) and not self._board.is_in_a_circle(index)

    def _take_in_ended(self) -> bool:
        board = self._board
        ended = sorted(i for i in board.active.values() if board.tracks[i].is_ended)
        for index in ended:
            track, session = board.tracks[index], board.steps[index].session
            was_blocked = track.blocked_ns is not None
            board.report(index, StepPhase.COMPLETED if was_blocked else StepPhase.ENDED)
            if track.is_failed:
                board.rolling.add(session)
                board.skip_rest(session)
                self._commands.append(Rollback(session=session))
        return bool(ended)
