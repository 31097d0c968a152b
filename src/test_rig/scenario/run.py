"""Plays a script against a database: the shell around `schedule`.

How to think of it: this module opens the sessions, hands each of them to a player with a thread
of its own, and then only carries messages: answers of players become events for the schedule, its
commands become statements, observations and cancellations. What remains is a transcript. Whatever
happens, an interrupt included, no thread, no transaction and no session is left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import StatementFailed, TargetError
from test_rig.scenario.client_text import result_set
from test_rig.scenario.moves import (
    Cancel,
    Command,
    Ended,
    Event,
    Limits,
    Observe,
    Observed,
    PlannedStep,
    Rollback,
    RolledBack,
    Send,
    Tick,
)
from test_rig.scenario.player import Answer, Player
from test_rig.scenario.recorder import Recorder
from test_rig.scenario.schedule import Schedule
from test_rig.scenario.script import CHECK, Script, ScriptSession
from test_rig.targets import LevelSpec, Observer, Scratch, Session
from test_rig.verdict import ResultSet, StepRecord, Transcript

__all__ = ["Listener", "play"]

#: Told of every step once it has ended.
Listener = Callable[[StepRecord], None]
#: How long a cancelled step is awaited at the end of a run.
_LAST_WAIT_NS = 5_000_000_000


def play(
    script: Script,
    scratch: Scratch,
    *,
    level: LevelSpec | None = None,
    opening: tuple[str, ...] = (),
    limits: Limits | None = None,
    clock: Clock = SYSTEM_CLOCK,
    listener: Listener | None = None,
) -> Transcript:
    """Play a script and return its transcript.

    Args:
        script: What to send.
        scratch: The private namespace to play in.
        level: Sessions of this level; the server's default if None.
        opening: Statements that each session sends first where the server allows them; they are
            not part of the transcript.
        limits: Times.
        clock: For the transcript's times and the schedule's decisions.
        listener: Told of every step once it has ended.

    Raises:
        TargetError: A session could not be opened, or a setup statement failed.
    """
    with ExitStack() as stack:
        control = _open(stack, scratch, CHECK, level)
        before = _run_all(control, script.setup)
        observer = scratch.observer()
        stack.callback(observer.close)
        performance = _Performance(script, observer, limits or Limits(), clock, listener)
        stack.callback(performance.close)
        for session in script.sessions:
            before += performance.admit(session, scratch, level, opening)
        performance.run()
        after = performance.end_sessions()
        performance.read_final(control)
        with suppress(TargetError):  # a failed teardown is no failed scenario; scratch drops all
            after += _run_all(control, script.teardown)
        return performance.recorder.transcript(level=level, before=before, after=after)


def _open(stack: ExitStack, scratch: Scratch, name: str, level: LevelSpec | None) -> Session:
    session = scratch.connect(name, level=level)
    stack.callback(session.close)
    return session


def _run_all(session: Session, statements: tuple[str, ...]) -> tuple[ResultSet, ...]:
    """Run statements and return the rows that each gave last."""
    tables = []
    for sql in statements:
        result = session.execute(sql)
        last = result.more[-1] if result.more else result
        if last.columns:
            tables.append(result_set(last.columns, last.rows, family=session.dialect.family))
    return tuple(tables)


class _Performance:
    """One run in progress."""

    def __init__(
        self,
        script: Script,
        observer: Observer,
        limits: Limits,
        clock: Clock,
        listener: Listener | None,
    ) -> None:
        self._script, self._observer, self._limits, self._clock = script, observer, limits, clock
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._players: dict[str, Player] = {}
        self._schedule = Schedule(
            [
                PlannedStep(session=step.session, name=step.name, blockers=step.blockers)
                for step in script.steps
            ],
            on_error=script.on_error,
            limits=limits,
            can_block=observer.can_block,
            is_patient=script.sets_time_limits,
        )
        self.recorder = Recorder(script, self._schedule, listener)

    def admit(
        self,
        spec: ScriptSession,
        scratch: Scratch,
        level: LevelSpec | None,
        opening: tuple[str, ...],
    ) -> tuple[ResultSet, ...]:
        """Open a session, send what it sends first, and give it a thread."""
        session = scratch.connect(spec.name, level=level)
        try:
            for sql in opening:
                with suppress(StatementFailed):
                    session.execute(sql)
            tables = _run_all(session, spec.setup)
        except BaseException:
            session.close()
            raise
        # Every step may use the schedule's limit to the full before one is cancelled.
        deadline_s = self._limits.step_ns / 1e9 * (len(self._script.steps) + 2)
        self._players[spec.name] = Player(
            session, self._answers, clock=self._clock, deadline_s=deadline_s
        )
        return tables

    def run(self) -> None:
        """Carry messages until the schedule is over and nothing runs."""
        now_ns = self._clock.now_ns()
        self.recorder.begin(now_ns)
        self._obey(self._schedule.start(now_ns))
        while not self._schedule.is_over:
            self._feed(self._next_event())
        last_ns = self._clock.now_ns() + _LAST_WAIT_NS
        while self._schedule.running and (now_ns := self._clock.now_ns()) < last_ns:
            with suppress(Empty):
                self._feed(self._take(self._answers.get(timeout=(last_ns - now_ns) / 1e9)))
        self.recorder.why_not = self._observer.why_not

    def _next_event(self) -> Event:
        pause_s = (self._schedule.wake_at_ns - self._clock.now_ns()) / 1e9
        try:
            return self._take(self._answers.get(timeout=max(pause_s, 0.0)))
        except Empty:
            return Tick()

    def _take(self, answer: Answer) -> Event:
        if isinstance(answer.event, Ended | RolledBack):
            family = self._any_session().dialect.family
            self.recorder.note(answer, family)
        return answer.event

    def _any_session(self) -> Session:
        return next(iter(self._players.values())).session

    def _feed(self, event: Event) -> None:
        self._obey(self._schedule.on(event, self._clock.now_ns()))
        if isinstance(event, Ended):
            self.recorder.tell(event.index)

    def _obey(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if isinstance(command, Send):
                step = self._script.steps[command.index]
                self._players[step.session].send(command.index, step.sql)
            elif isinstance(command, Rollback):
                self._players[command.session].rollback()
            elif isinstance(command, Cancel):
                self._players[self._script.steps[command.index].session].session.cancel()
            elif isinstance(command, Observe):
                self._observe()

    def _observe(self) -> None:
        asked_ns = self._clock.now_ns()
        sessions = [player.session for player in self._players.values()]
        waits = self._observer.blocked(sessions)
        self._feed(Observed(asked_ns=asked_ns, waits=waits))

    def end_sessions(self) -> tuple[ResultSet, ...]:
        """End the threads, send what each session sends last, and close the sessions."""
        tables: tuple[ResultSet, ...] = ()
        for spec in self._script.sessions:
            player = self._players[spec.name]
            if player.stop():
                with suppress(TargetError):
                    tables += _run_all(player.session, spec.teardown)
        self.close()
        return tables

    def read_final(self, control: Session) -> None:
        """Read the state that is left when all transactions are over."""
        if self._script.final is None or self._schedule.problem is not None:
            return
        start_ns = self._clock.now_ns()
        result = control.execute(self._script.final)
        self.recorder.note_final(result, start_ns, self._clock.now_ns(), control.dialect.family)

    def close(self) -> None:
        """Close every session; nothing runs afterwards."""
        for player in self._players.values():
            player.close()
