"""Runs operations on several connections: in order on each, at the same time across them.

Theory of operation. A *lane* is one connection with what is known of its open transaction. It sends
its operations one after the other; whatever a server refuses becomes a result. Lanes run in threads
of their own.

A deadlock's victim has lost its whole transaction, so trying the one statement again would be
wrong: the lane sends all of the transaction again, from its beginning. For that it keeps a journal:
the operations since the transaction began, those of earlier calls included. It does not replay

- what it has not seen whole: the session was used directly meanwhile (`Session.statement_count`
  tells), or one text began and ended transactions of its own;
- what would change an answer that was given out by an earlier call: the script may have acted on
  it. The replay is then rolled back.

Operations that follow a lost transaction in the same call are not sent, up to its end: outside of
the transaction they would take effect by themselves.
"""

from __future__ import annotations

import contextvars
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from test_rig.errors import Failure, FailureKind, Outcome, RigError, TargetError
from test_rig.machine.operations import STATUS, Operation, OperationKind, OperationResult
from test_rig.resilience import Deadline
from test_rig.targets import Row, Session, first_words

__all__ = ["Lane", "ReplayPolicy", "run_lanes"]

_LOG = logging.getLogger(__name__)
#: A transaction of more operations is not remembered.
_MOST_ENTRIES = 1_000
#: The longest pause before a replay, so that two victims do not meet again and again.
_PAUSE_S = 0.1
_STARTS = frozenset({"BEGIN", "START"})
_ENDS = frozenset({"COMMIT", "END", "ABORT", "ROLLBACK"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPolicy:
    """Whether a deadlock's victim is run again, and how often at most."""

    #: 0: never.
    most_replays: int
    #: Past it nothing is sent any more.
    deadline: Deadline | None = None


@dataclass(slots=True)
class _Entry:
    """An operation that was sent, with its last answer."""

    operation: Operation
    result: OperationResult
    rows: list[Row] | None = None
    error: str | None = None
    failure: Failure | None = None
    outcome: Outcome = Outcome.OK
    #: The answer was given out by an earlier call.
    is_told: bool = False

    @property
    def is_victim(self) -> bool:
        """Whether it lost its transaction to a deadlock, for certain."""
        failure = self.failure
        is_deadlock = failure is not None and failure.kind is FailureKind.DEADLOCK
        return is_deadlock and self.outcome is Outcome.FAIL

    def tell(self, *, duration_s: float | None = None) -> None:
        """Write the answer into the result."""
        result, failure = self.result, self.failure
        result["status"] = STATUS[self.operation.kind] if self.error is None else "error"
        result["result"], result["error"] = self.rows, self.error
        result["code"] = None if failure is None else failure.code
        result["sqlstate"] = None if failure is None else failure.sqlstate
        if duration_s is not None:
            result["duration_s"] = duration_s


class Lane:
    """One connection, and the journal of its open transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        #: How many times transactions were run again.
        self.replay_count = 0
        self._journal: list[_Entry] = []
        #: Why the open transaction cannot be replayed.
        self._gap: str | None = None
        #: How the last transaction was lost that nobody has ended yet.
        self._lost: str | None = None
        self._seen_count = session.statement_count

    def run(self, work: Sequence[tuple[Operation, OperationResult]], policy: ReplayPolicy) -> None:
        """Send operations in order, and write what came of them into their results."""
        self._look_around()
        must_skip = False
        for operation, result in work:
            entry = _Entry(operation, result)
            if policy.deadline is not None and policy.deadline.expired:
                entry.error = "it was not sent: the handler's time is over"
            elif operation.kind is OperationKind.COMMIT and self._lost is not None:
                entry.error = f"there is nothing to commit: {self._lost}"
                self._roll_back()
                self._lost, must_skip = None, False
            elif operation.kind is OperationKind.QUERY and must_skip:
                entry.error = f"it was not sent: {self._lost}"
            else:
                self._step(entry, policy)
                must_skip = self._lost is not None
                continue
            entry.tell()
        for entry in self._journal:
            entry.is_told = True
        self._seen_count = self.session.statement_count

    def _look_around(self) -> None:
        """Notice what was done with the session directly."""
        if self.session.statement_count == self._seen_count:
            return
        self._lost = None
        if self.session.in_transaction:
            self._gap = "a part of its transaction was sent directly, not as an operation"
        else:
            self._journal, self._gap = [], None

    def _step(self, entry: _Entry, policy: ReplayPolicy) -> None:
        started_ns = time.monotonic_ns()
        had_transaction = self.session.in_transaction
        self._send(entry)
        if entry.is_victim:
            replays = self._replay(entry, policy)
            for each in (*self._journal, entry):
                if not each.is_told:
                    each.result["replays"] += replays
        self._account(entry, had_transaction)
        entry.tell(duration_s=(time.monotonic_ns() - started_ns) / 1e9)

    def _send(self, entry: _Entry) -> None:
        """Try an operation once."""
        entry.rows, entry.error, entry.failure, entry.outcome = None, None, None, Outcome.OK
        try:
            entry.rows = _call(self.session, entry.operation)
        except TargetError as error:
            entry.failure, entry.outcome, entry.error = error.failure, error.outcome, str(error)
        except RigError as error:
            entry.error = str(error)

    def _replay(self, victim: _Entry, policy: ReplayPolicy) -> int:
        """Run the victim's transaction again until it is no victim; return how many times."""
        count = 0
        while victim.is_victim:
            why_not = self._why_not(count, policy)
            if why_not is not None:
                victim.error = f"{victim.error}; not run again: {why_not}"
                return count
            count += 1
            self.replay_count += 1
            _LOG.warning("deadlock on %s: transaction run again", self.session.name)
            time.sleep(random.uniform(0.0, _PAUSE_S))  # noqa: S311 - a pause is no secret
            self._again(victim)
        return count

    def _why_not(self, count: int, policy: ReplayPolicy) -> str | None:
        if policy.most_replays == 0:
            return "on_deadlock is 'report'"
        if count >= policy.most_replays:
            return f"it was run again {count} times already (max_replays)"
        if policy.deadline is not None and policy.deadline.expired:
            return "the handler's time is over"
        return self._gap

    def _again(self, victim: _Entry) -> None:
        """Send the journal again, and the victim behind it."""
        if (problem := self._roll_back()) is not None:
            victim.error = f"{victim.error}; rolling back failed: {problem}"
            victim.outcome = Outcome.INFO
            return
        for entry in self._journal:
            before = (entry.rows, entry.error)
            started_ns = time.monotonic_ns()
            self._send(entry)
            if entry.is_victim:
                victim.failure, victim.outcome, victim.error = (
                    entry.failure,
                    entry.outcome,
                    entry.error,
                )
                entry.rows, entry.error = before
                entry.failure, entry.outcome = None, Outcome.OK
                return
            if not entry.is_told:
                entry.tell(duration_s=(time.monotonic_ns() - started_ns) / 1e9)
            elif (entry.rows, entry.error) != before:
                self._undo(victim, entry)
                return
        self._send(victim)

    def _undo(self, victim: _Entry, entry: _Entry) -> None:
        self._roll_back()
        victim.error = (
            f"{victim.error}; it was run again and rolled back, since {entry.operation.sql!r} "
            "of an earlier call was answered otherwise now"
        )
        # Known for certain, and no reason to try once more.
        victim.outcome = Outcome.INFO

    def _roll_back(self) -> TargetError | None:
        try:
            self.session.rollback()
        except TargetError as error:
            return error
        return None

    def _account(self, entry: _Entry, had_transaction: bool) -> None:
        """Keep the journal true to what the session's transaction is now."""
        operation, failure = entry.operation, entry.failure
        if failure is not None and failure.ends_transaction:
            if had_transaction and operation.kind is not OperationKind.ROLLBACK:
                self._lost = f"its transaction was lost at operation {operation.index}"
            self._journal, self._gap = [], None
            if operation.kind is OperationKind.COMMIT:
                self._lost = None
            return
        if not self.session.in_transaction:
            self._journal, self._gap = [], None
            if operation.kind is OperationKind.ROLLBACK:
                self._lost = None
            return
        self._lost = None
        control = self._control(operation)
        if not had_transaction or (control & _STARTS and self._family == "mysql"):
            self._journal, self._gap = [entry], None
        elif control & _ENDS and not _is_partial(operation):
            self._gap = "one text ended a transaction and began another"
        elif len(self._journal) >= _MOST_ENTRIES:
            self._gap = f"its transaction has more than {_MOST_ENTRIES} operations"
        else:
            self._journal.append(entry)

    @property
    def _family(self) -> str:
        return self.session.dialect.family

    def _control(self, operation: Operation) -> set[str]:
        if operation.kind is OperationKind.START_TRANSACTION:
            return {"START"}
        return set(first_words(operation.sql, family=self._family)) & (_STARTS | _ENDS)


def _is_partial(operation: Operation) -> bool:
    """Return whether a text only goes back to a savepoint."""
    words = operation.sql.upper().split()
    return ";" not in operation.sql and words[:1] == ["ROLLBACK"] and "TO" in words[1:3]


def _call(session: Session, operation: Operation) -> list[Row] | None:
    if operation.kind is OperationKind.QUERY:
        return session.execute_query(operation.sql, operation.params)
    if operation.kind is OperationKind.START_TRANSACTION:
        session.start_transaction(operation.isolation)
    elif operation.kind is OperationKind.COMMIT:
        session.commit()
    else:
        session.rollback()
    return None


def run_lanes(
    work: Mapping[Lane, Sequence[tuple[Operation, OperationResult]]], policy: ReplayPolicy
) -> None:
    """Let each lane do its work in a thread of its own, and wait for all of them.

    Raises:
        BaseException: What the rig itself did wrong, or an interruption: then the statements that
            run are cancelled first.
    """
    broken: list[BaseException] = []
    threads = [
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(_guarded, broken, lane, operations, policy),
            name=f"test-rig-{lane.session.name}",
            daemon=True,
        )
        for lane, operations in work.items()
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        for lane in work:
            lane.session.cancel()
            lane.session.give_up("its operations were interrupted")
        raise
    if broken:
        raise broken[0]


def _guarded(
    broken: list[BaseException],
    lane: Lane,
    operations: Sequence[tuple[Operation, OperationResult]],
    policy: ReplayPolicy,
) -> None:
    try:
        lane.run(operations, policy)
    except BaseException as error:  # noqa: BLE001 - thread top: raised where the lanes are awaited
        broken.append(error)
