"""Contract: errors, deadlines, sessions that end."""

from __future__ import annotations

import time

from test_rig.errors import (
    DeadlineExceeded,
    ErrorCategory,
    FailureKind,
    Outcome,
    SessionUnusable,
    StatementFailed,
    TargetError,
)
from test_rig.targets import Session, SqlEvent, Target
from test_rig.testing.contract_base import ContractBase, Running

__all__ = ["FailureContract"]


class FailureContract(ContractBase):
    """What goes wrong, and what is known of it."""

    def test_errors_are_told_apart_by_code(self) -> None:
        """Each kind of mistake is recognised, as permanent, with the statement that made it."""
        session = self.open()
        session.execute("INSERT INTO t VALUES (1, 'a')")
        for sql, kind in (
            ("SELEC 1", FailureKind.SYNTAX),
            ("INSERT INTO t VALUES (1, 'b')", FailureKind.CONSTRAINT),
            ("INSERT INTO t VALUES (NULL, 'b') , (1, 'c')", FailureKind.CONSTRAINT),
            ("SELECT * FROM missing_table", self.unknown_table),
        ):
            with self.fails(StatementFailed) as caught:
                session.execute(sql)
            failure = caught.error.failure
            assert (failure.kind, failure.category) == (kind, ErrorCategory.PERMANENT), sql
            assert failure.code or failure.sqlstate
            assert (caught.error.sql, caught.error.outcome) == (sql, Outcome.FAIL)
            assert caught.error.address
        assert session.is_usable

    def test_the_listener_hears_every_statement(self) -> None:
        """What was sent, by whom, for how long, and how it ended."""
        events: list[SqlEvent] = []
        with Target.open(self.url, listener=events.append) as target:
            session = target.connect("told")
            session.execute("SELECT 1")
            with self.fails(StatementFailed):
                session.execute("SELEC 1")
            session.close()
        told = [(e.sql, e.outcome) for e in events if e.session == "told"]
        assert told == [("SELECT 1", Outcome.OK), ("SELEC 1", Outcome.FAIL)]
        assert all(event.duration_s > 0 for event in events)

    def test_a_deadline_ends_the_statement_on_the_server(self) -> None:
        """Past it the rig raises soon, the session is over, and nothing runs any more."""
        session = self.open()
        session.start_transaction()
        session.execute("INSERT INTO t VALUES (1, 'a')")
        started = time.monotonic()
        with self.fails(DeadlineExceeded) as caught:
            session.execute(self.slow_sql, deadline_s=0.2)
        assert time.monotonic() - started < 3
        assert caught.error.outcome is Outcome.FAIL, "a transaction that is not committed is undone"
        assert not session.is_usable
        assert self.until(lambda: not self._runs(session), within_s=5)
        assert self.until(lambda: self.rows() == (), within_s=5)

    def _runs(self, session: Session) -> bool:
        if self.running_sql is None:
            return False
        with self.target.connect("watcher") as watcher:
            sql = self.running_sql.format(id=session.backend_id)
            return bool(watcher.execute(sql).rows[0][0])

    def test_a_running_statement_is_found_by_the_watcher(self) -> None:
        """The check of the deadline's effect can fail: before the end it does see the statement."""
        self.claim(self.running_sql, "a server that tells what runs")
        session = self.open()
        running = Running(lambda: session.execute(self.slow_sql))
        assert self.until(lambda: self._runs(session), within_s=5)
        session.close()
        assert running.has_ended()

    def test_cancel_stops_the_statement_and_keeps_the_session(self) -> None:
        """From another thread; the session goes on."""
        session = self.open()
        running = Running(lambda: session.execute(self.slow_sql))
        assert self.until(lambda: session.is_busy)
        assert self.ends(running, session.cancel)
        assert isinstance(running.error, StatementFailed)
        assert running.error.failure.kind is FailureKind.CANCELLED
        assert session.execute("SELECT 7").rows == ((7,),)

    def test_a_killed_session_is_over(self) -> None:
        """Its next statement fails, its transaction is undone, and it is never used again."""
        session = self.open()
        session.start_transaction()
        session.execute("INSERT INTO t VALUES (1, 'a')")
        session.kill()
        with self.fails(TargetError):
            session.ping()
        assert not session.is_usable
        with self.fails(SessionUnusable):
            session.ping()
        assert self.until(lambda: self.rows() == (), within_s=5)

    def test_kill_ends_a_statement_that_runs(self) -> None:
        """Also in the middle of one, from another thread."""
        session = self.open()
        running = Running(lambda: session.execute(self.slow_sql))
        assert self.until(lambda: session.is_busy)
        session.kill()
        assert running.has_ended()
        assert isinstance(running.error, TargetError)
        with self.fails(TargetError):
            session.ping()

    def test_close_ends_a_statement_that_runs(self) -> None:
        """Another thread's statement is cut off, not waited for."""
        session = self.open()
        running = Running(lambda: session.execute(self.slow_sql))
        assert self.until(lambda: session.is_busy)
        assert self.ends(running, session.close)
        assert isinstance(running.error, TargetError)
        assert not session.is_usable

    def test_a_closed_session_says_so(self) -> None:
        """Every use is refused, certainly without effect; closing again is no error."""
        session = self.open()
        session.ping()
        session.close()
        session.close()
        with self.fails(SessionUnusable) as caught:
            session.execute("INSERT INTO t VALUES (1, 'a')")
        assert caught.error.outcome is Outcome.FAIL
        assert (session.is_usable, session.in_transaction) == (False, False)

    def test_a_session_tells_what_it_is_and_no_password(self) -> None:
        """Version, number, address and parts, for handlers and reports."""
        with self.open("me") as session:
            assert session.connection_id == session.name == "me"
            assert session.server_version == self.target.info.version
            assert isinstance(session.backend_id, int)
            assert "password" not in session.connection_info
            assert set(session.connection_info) == {"host", "port", "user", "database"}
