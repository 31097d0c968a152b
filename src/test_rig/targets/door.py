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
import weakref
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
#: Whether a call that is being ended has returned is looked at so often.
_LOOK_S = 0.002


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
        self._why_closed: str | None = None
        self._busy_thread: int | None = None
        #: How many calls have been made, and which was the last to return.
        self.call_count = self._returned = 0
        # Only weakly: a session that nobody closed is the collector's to close.
        self._watch = WATCHDOG.watch(partial(_stop, weakref.ref(self)))
        weakref.finalize(self, WATCHDOG.let_go, self._watch).atexit = False
        self._shutting = threading.Lock()

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
        # First busy, then a look whether it is closed; who closes does both the other way round.
        self._busy_thread = threading.get_ident()
        if self._why_closed is not None:
            self._leave()
            raise self._closed(sql)
        self.call_count = number = self.call_count + 1
        had_transaction = self._wire.in_transaction()
        limit_s = self._timeout_s if deadline_s is None else deadline_s
        error: Exception | None = None
        started = time.monotonic()
        self._watch.arm(started + limit_s)
        try:
            result = function(*args)
        except Exception as caught:  # noqa: BLE001 - the door: becomes the rig's error below
            error = caught
        except BaseException:
            self._why_closed = "a statement was broken off"  # its answer may still come
            raise
        finally:
            seconds = time.monotonic() - started
            self._returned = number
            fired = not self._watch.is_over()
            if fired and self._why_closed is None:
                self._why_closed = "a statement outlived its deadline"
            self._busy_thread = None
            if self._why_closed is not None:  # also where another thread closed it meanwhile
                self._leave()
        if not fired and error is None:
            if self._listeners:
                rows, notices = _answered(result)
                self._hear(
                    SqlEvent(self._name, sql, seconds, Outcome.OK, None, rows, None, notices)
                )
            return result
        sent = _Sent(sql=sql, seconds=seconds, had_transaction=had_transaction)
        if fired:
            raise self._too_late(sent, limit_s, error) from error
        assert error is not None  # noqa: S101 - it did not succeed, and it was not late
        raise self._failed(sent, error) from error

    def listen(self, listener: SqlListener) -> None:
        """Tell somebody else, too, of every call from now on."""
        self._listeners = (*self._listeners, listener)

    def close(self, reason: str) -> None:
        """Close for good, for a reason that later errors will tell. From any thread."""
        if self._why_closed is None:
            self._why_closed = reason
        if self._busy_thread in (None, threading.get_ident()):
            self._leave()
        else:
            WATCHDOG.arm(0.0, partial(self._cut, self.call_count))

    def _leave(self) -> None:
        """Close the wire of a door that is closed."""
        self._busy_thread = None
        with self._shutting:
            self._wire.close()
        WATCHDOG.let_go(self._watch)

    def stop(self) -> None:
        """End a call that is too late: ask the server first, then cut the connection."""
        number = self.call_count
        # The cut comes in time also where asking hangs.
        cut = WATCHDOG.arm(CANCEL_S + _GRACE_S, self._wire.sever)
        if not self._wire.cancel(CANCEL_S) or not self._ends_within(number, _GRACE_S):
            self._cut(number)
        WATCHDOG.disarm(cut)

    def _cut(self, number: int) -> None:
        """Cut the connection until a call has ended.

        More than once, since an embedded database forgets a cut that comes before its statement.
        """
        self._wire.sever()
        while not self._ends_within(number, _CUT_AGAIN_S):
            self._wire.sever()

    def _ends_within(self, number: int, seconds: float) -> bool:
        """Wait for the end of a call; return whether it came."""
        until = time.monotonic() + seconds
        while self._returned < number:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
        return True

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
        self._tell(sent, outcome, failure)
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
        self._tell(sent, outcome, failure)
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

    def _tell(self, sent: _Sent, outcome: Outcome, failure: Failure) -> None:
        event = SqlEvent(
            session=self._name,
            sql=sent.sql,
            duration_s=sent.seconds,
            outcome=outcome,
            error=failure.label(),
            failure=failure,
        )
        self._hear(event)

    def _hear(self, event: SqlEvent) -> None:
        for listener in self._listeners:
            listener(event)


class _Sent(NamedTuple):
    """A statement that has ended, one way or another."""

    sql: str
    seconds: float
    #: A transaction was open when it was sent.
    had_transaction: bool


def _answered(result: object) -> tuple[int | None, tuple[str, ...]]:
    """Return how many rows a call gave, and its notices, where it was a statement."""
    return (result.row_count, result.notices) if isinstance(result, Result) else (None, ())


def _stop(reference: weakref.ref[Door]) -> None:
    door = reference()
    if door is not None:
        door.stop()


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
