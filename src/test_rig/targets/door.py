"""The door of a session: calls on its wire, with a deadline, and errors made the rig's.

Theory of operation. Every call on the wire passes here. It is watched: past its deadline the
server is asked, through a second connection, to stop the statement, and shortly after the socket
is cut, so that a call ends in bounded time whatever the server does. A door closes for good when
its connection is lost, a deadline was missed, or a call was broken off: an answer that may still
come would be taken for the next statement's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

from test_rig.errors import (
    DeadlineExceeded,
    ErrorCategory,
    Failure,
    FailureKind,
    Outcome,
    SessionUnusable,
    StatementFailed,
)
from test_rig.resilience import classify
from test_rig.targets.deadline import WATCHDOG
from test_rig.targets.dialect import Result, Wire
from test_rig.targets.statements import outcome_after

__all__ = ["CANCEL_S", "Door", "SqlEvent", "SqlListener", "given_up", "read_failure"]

T = TypeVar("T")

#: After the server was asked to cancel, how long the statement may take to end by itself.
CANCEL_S = 2.0
_GRACE_S = 1.0
_CUT_AGAIN_S = 0.05


class SqlEvent(NamedTuple):
    """One statement that was sent: for `--show-sql` and for evidence.

    A tuple, since one is made for every statement that somebody listens to.
    """

    session: str
    sql: str
    duration_s: float
    outcome: Outcome
    #: The failure's label, where there was one.
    error: str | None = None
    row_count: int | None = None
    #: What the failure's codes say, where there was one.
    failure: Failure | None = None
    #: Warnings and notices that came with the answer.
    notices: tuple[str, ...] = ()


SqlListener = Callable[[SqlEvent], None]


class Door:
    """Guards one wire, which it owns.

    Args:
        name: The session's name, for errors and events.
        wire: The open connection.
        family: Whose error codes it speaks.
        address: Where it leads, without user or password.
        timeout_s: The default deadline of a call.
        listener: Told of every call once it has ended.
    """

    def __init__(
        self,
        name: str,
        wire: Wire,
        *,
        family: str,
        address: str,
        timeout_s: float,
        listener: SqlListener | None,
    ) -> None:
        self._name, self._wire, self._family, self._address = name, wire, family, address
        self._timeout_s = timeout_s
        self._listeners = () if listener is None else (listener,)
        # Guards the two below: a session may be closed while another thread's statement runs.
        self._lock = threading.Lock()
        self._why_closed: str | None = None
        self._busy_thread: int | None = None
        #: How many calls have passed.
        self.call_count = 0
        #: Held as long as the last call is under way.
        self._turn = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls can pass."""
        return self._why_closed is None

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way."""
        return self._busy_thread is not None

    def call(
        self, sql: str, deadline_s: float | None, function: Callable[..., T], *args: object
    ) -> T:
        """Make a call on the wire for the text `sql`.

        Args:
            sql: The text, for errors and events.
            deadline_s: Seconds until it is cancelled; the session's default if None.
            function: What is called.
            *args: With what.

        Raises:
            StatementFailed: The wire's error, or the operating system's, as the rig's.
            DeadlineExceeded: It took too long.
            SessionUnusable: The door is closed.
        """
        turn = self._turn
        if not turn.acquire(blocking=False):  # two at once: the driver refuses the second
            turn = threading.Lock()
            turn.acquire()
        with self._lock:
            if self._why_closed is not None:
                turn.release()
                raise self._closed(sql)
            self._busy_thread = threading.get_ident()
            self.call_count += 1
            self._turn = turn
        had_transaction = self._wire.in_transaction()
        limit_s = self._timeout_s if deadline_s is None else deadline_s
        watch = WATCHDOG.arm(limit_s, partial(_stop, self._wire, turn))
        error: Exception | None = None
        started = time.perf_counter()
        try:
            result = function(*args)
        except Exception as caught:  # noqa: BLE001 - the door: becomes the rig's error below
            error = caught
        except BaseException:
            self._why_closed = "a statement was broken off"  # its answer may still come
            raise
        finally:
            seconds = time.perf_counter() - started
            turn.release()
            fired = WATCHDOG.disarm(watch)
            with self._lock:
                self._busy_thread = None
                if fired and self._why_closed is None:
                    self._why_closed = "a statement outlived its deadline"
            if self._why_closed is not None:  # also where another thread closed it meanwhile
                self._wire.close()
        if not fired and error is None and not self._listeners:
            return result
        sent = _Sent(sql=sql, seconds=seconds, had_transaction=had_transaction)
        if fired:
            raise self._too_late(sent, limit_s, error) from error
        if error is not None:
            raise self._failed(sent, error) from error
        self._tell(sent, Outcome.OK, result=result)
        return result

    def listen(self, listener: SqlListener) -> None:
        """Tell somebody else, too, of every call from now on."""
        self._listeners = (*self._listeners, listener)

    def close(self, reason: str) -> None:
        """Close for good, for a reason that later errors will tell. From any thread."""
        with self._lock:
            if self._why_closed is None:
                self._why_closed = reason
            is_busy = self._busy_thread not in (None, threading.get_ident())
        if is_busy:
            WATCHDOG.arm(0.0, partial(_cut, self._wire, self._turn))
        else:
            self._wire.close()

    def _closed(self, sql: str) -> SessionUnusable:
        return SessionUnusable(
            f"session {self._name} cannot be used: {self._why_closed}",
            failure=given_up(FailureKind.CONNECTION_LOST, Outcome.FAIL),
            sql=sql,
            address=self._address,
            todo="connect afresh",
        )

    def _failed(self, sent: _Sent, error: Exception) -> StatementFailed:
        failure = read_failure(error, family=self._family)
        outcome = self._outcome(sent, failure)
        if failure.ends_session:
            self.close(f"its connection was lost ({failure.label()})")
        self._tell(sent, outcome, failure=failure)
        return StatementFailed(
            failure.message or failure.label(),
            failure=failure,
            outcome=outcome,
            sql=sent.sql,
            address=self._address,
        )

    def _too_late(self, sent: _Sent, limit_s: float, error: Exception | None) -> DeadlineExceeded:
        failure = given_up(FailureKind.TIMEOUT, Outcome.INFO)
        answer = None if error is None else read_failure(error, family=self._family)
        if answer is not None and answer.kind in (FailureKind.CANCELLED, FailureKind.TIMEOUT):
            failure = replace(failure, outcome=answer.outcome)  # the server's own word of the end
        outcome = self._outcome(sent, failure)
        self._tell(sent, outcome, failure=failure)
        return DeadlineExceeded(
            f"no answer within {limit_s:g} s: the statement was cancelled and the session closed",
            failure=failure,
            outcome=outcome,
            sql=sent.sql,
            address=self._address,
            todo="raise the deadline, or look at what the server was waiting for",
        )

    def _outcome(self, sent: _Sent, failure: Failure) -> Outcome:
        return outcome_after(
            failure, sent.sql, family=self._family, in_transaction=sent.had_transaction
        )

    def _tell(
        self,
        sent: _Sent,
        outcome: Outcome,
        *,
        result: object = None,
        failure: Failure | None = None,
    ) -> None:
        answer = result if isinstance(result, Result) else None
        event = SqlEvent(
            session=self._name,
            sql=sent.sql,
            duration_s=sent.seconds,
            outcome=outcome,
            error=None if failure is None else failure.label(),
            row_count=None if answer is None else answer.row_count,
            failure=failure,
            notices=() if answer is None else answer.notices,
        )
        for listener in self._listeners:
            listener(event)


class _Sent(NamedTuple):
    """A statement that has ended, one way or another."""

    sql: str
    seconds: float
    #: A transaction was open when it was sent.
    had_transaction: bool


def _stop(wire: Wire, turn: threading.Lock) -> None:
    """End a statement that is too late: ask the server first, then cut the connection."""
    # The cut comes in time also where asking hangs.
    cut = WATCHDOG.arm(CANCEL_S + _GRACE_S, wire.sever)
    if not wire.cancel(CANCEL_S) or not _ends_within(turn, _GRACE_S):
        _cut(wire, turn)
    WATCHDOG.disarm(cut)


def _cut(wire: Wire, turn: threading.Lock) -> None:
    """Cut a connection until its call has ended.

    More than once, since an embedded database forgets a cut that comes before its statement.
    """
    wire.sever()
    while not _ends_within(turn, _CUT_AGAIN_S):
        wire.sever()


def _ends_within(turn: threading.Lock, seconds: float) -> bool:
    """Wait for the end of a call; return whether it came."""
    if not turn.acquire(timeout=seconds):
        return False
    turn.release()
    return True


def read_failure(error: Exception, *, family: str, connecting: bool = False) -> Failure:
    """Return what an error says that a wire raised: the driver's, or the operating system's."""
    of_system = isinstance(error, OSError)
    return classify(error, family=None if of_system else family, connecting=connecting)


def given_up(kind: FailureKind, outcome: Outcome) -> Failure:
    """Return the failure of a session that the rig itself gave up."""
    return Failure(
        category=ErrorCategory.TRANSIENT,
        kind=kind,
        outcome=outcome,
        ends_transaction=True,
        ends_session=True,
    )
