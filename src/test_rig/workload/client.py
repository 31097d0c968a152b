"""One client: a thread with a session of its own, doing one transaction after the other.

Theory of operation. A client is a *process* of the history until an answer to a COMMIT is lost:
then that process has ended, in a state nobody knows, and the client goes on as another one with a
new session. Whatever fails before its COMMIT has had no effect and is followed by a ROLLBACK; where
that cannot be sent the session is replaced, which rolls back as well. A client without a session
takes no request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from test_rig.errors import FailureKind, Outcome, RigError, TargetError
from test_rig.history import OpType
from test_rig.targets import LevelSpec, Session
from test_rig.workload.admission import Admission
from test_rig.workload.pace import Pace
from test_rig.workload.speech import Speech
from test_rig.workload.tape import Sent, Writable
from test_rig.workload.workload import Generator, Plan, Request, Workload

__all__ = ["Client", "Source", "read_level"]

#: After failures in a row a client pauses, longer each time: so many seconds at most.
_LONGEST_PAUSE_S = 0.05
#: Errors that the next request will meet again: the workload cannot work here.
_HOPELESS = frozenset(
    {
        FailureKind.SYNTAX,
        FailureKind.UNKNOWN_OBJECT,
        FailureKind.UNSUPPORTED,
        FailureKind.PERMISSION,
        FailureKind.AUTHENTICATION,
        FailureKind.CONFIGURATION,
        FailureKind.DATA,
        FailureKind.READ_ONLY,
    }
)


class Source:
    """Hands the generator's requests to the clients, and tells them to stop."""

    def __init__(self, generator: Generator, pace: Pace) -> None:
        self._generator, self._pace = generator, pace
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        #: The first error that no client can live with.
        self.broken: Exception | None = None

    def next(self) -> tuple[Request, int | None] | None:
        """Return a request and when it was due; None where there is no more to do."""
        if self.stopped.is_set():
            return None
        with self._lock:
            slot = self._pace.slot_ns()
            request = self._generator.request()
        return None if self._pace.wait(slot, self.stopped) else (request, slot)

    def break_off(self, error: Exception) -> None:
        """Stop everybody, for a reason."""
        if self.broken is None:
            self.broken = error
        self.stopped.set()


class Client:
    """One thread's work.

    Args:
        number: Its first process; the next ones follow in steps of the number of clients.
        connect: Opens a session of the level.
        on_session: Told of every session, with its process, before it is used.
        admission: Told who gets in and who is turned away.
    """

    def __init__(
        self,
        number: int,
        *,
        workload: Workload,
        plan: Plan,
        level: LevelSpec,
        tape: Writable,
        connect: Callable[[str], Session],
        on_session: Callable[[int, Session], None],
        admission: Admission,
    ) -> None:
        self._workload, self._plan, self._level, self._tape = workload, plan, level, tape
        self._connect, self._on_session = connect, on_session
        self._number, self._admission = number, admission
        self.process = number
        self._random = Random(f"{plan.seed}/{number}")  # noqa: S311 - a workload, no secret
        self._speech: Speech | None = None
        self._failures = self._refusals = 0
        self._is_out = False

    def work(self, source: Source) -> None:
        """Do what the source hands out until it has no more."""
        try:
            while not source.stopped.is_set() and not self._admission.should_leave():
                # A request is taken by who can send it: the others wait outside.
                if self._open() is None:
                    if self._is_out:
                        return
                    source.stopped.wait(self._pause_s())
                elif (ticket := source.next()) is None:
                    return
                elif not self.do(ticket[0], due_ns=ticket[1]):
                    source.stopped.wait(self._pause_s())
        except Exception as error:  # noqa: BLE001 - the top of a thread: the run raises it
            source.break_off(error)
        finally:
            self.close()

    def do(self, request: Request, *, due_ns: int | None = None) -> bool:
        """Perform one request and record it; return whether it was committed.

        Raises:
            TargetError: What no repetition will mend.
        """
        speech = self._open()
        if speech is None:
            return False
        sent = Sent(self.process, request, self._tape.sent(self.process, request))
        try:
            speech.begin(self._level.begin)
            value = self._workload.perform(speech, request)
            speech.session.commit()
        except TargetError as error:
            self._failed(sent, error, due_ns, speech.said)
            return False
        except RigError:
            raise
        except Exception as error:
            # The workload's own code failed: nothing was committed.
            self._tape.ended(sent, OpType.FAIL, request.value, error=type(error).__name__)
            raise
        self._failures = 0
        self._tape.ended(sent, OpType.OK, value, due_ns=due_ns, sql=speech.said)
        return True

    def _failed(self, sent: Sent, error: TargetError, due_ns: int | None, sql: str) -> None:
        kind = OpType.INFO if error.outcome is Outcome.INFO else OpType.FAIL
        self._roll_back(is_known=kind is OpType.FAIL)
        failure = error.failure
        self._tape.ended(
            sent,
            kind,
            sent.request.value,
            due_ns=due_ns,
            error=failure.kind.value,
            code=failure.sqlstate or failure.code,
            sql=sql,
        )
        self._failures += 1
        if kind is OpType.INFO:
            self.process += self._plan.clients
        if error.failure.kind in _HOPELESS:
            raise error

    def _roll_back(self, *, is_known: bool) -> None:
        if self._speech is None:
            return
        try:
            if is_known:
                self._speech.session.rollback()
        except TargetError:
            is_known = False
        if not is_known or not self._speech.session.is_usable:
            self.close()

    def _open(self) -> Speech | None:
        if self._speech is None:
            try:
                session = self._connect(f"client-{self.process}")
            except TargetError as error:
                self._refusals += 1
                if error.failure.kind in _HOPELESS:
                    raise
                self._is_out = not self._admission.refused(self._number, error, self._refusals)
                return None
            self._refusals = 0
            self._admission.let_in(self._number)
            self._on_session(self.process, session)
            self._speech = Speech(
                session, pause_s=self._plan.pause_s, statement_s=self._plan.statement_s
            )
        return self._speech

    def _pause_s(self) -> float:
        if self._refusals:
            return (1 + self._random.random()) / 2 * self._admission.pause_s(self._refusals)
        longest: float = min(_LONGEST_PAUSE_S, 0.0005 * 2 ** min(self._failures, 10))
        return self._random.random() * longest

    def cut(self) -> None:
        """Stop what runs now. From another thread."""
        speech = self._speech
        if speech is not None and speech.session.is_busy:
            speech.session.cancel()
            speech.session.give_up("the workload is over")

    def close(self) -> None:
        """Close the session."""
        speech, self._speech = self._speech, None
        if speech is not None:
            with suppress(TargetError):
                speech.session.close()


def read_level(session: Session, level: LevelSpec) -> Any:
    """Ask, inside a transaction, for the level; None where the database cannot be asked."""
    if level.read_back is None:
        return None
    for statement in level.begin:
        session.execute(statement)
    rows = session.execute(level.read_back).rows
    session.rollback()
    return rows[0][0] if rows else None
