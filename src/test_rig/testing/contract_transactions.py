"""Contract: transactions and levels."""

from __future__ import annotations

from test_rig.errors import FailureKind, Outcome, StatementFailed, TargetError, UnknownName
from test_rig.targets import LevelSpec, Session
from test_rig.testing.contract_base import ContractBase, Running

__all__ = ["TransactionContract"]

INSERT = "INSERT INTO t VALUES (1, 'a')"


class TransactionContract(ContractBase):
    """Transactions, by method and by text, and the levels that the database has."""

    def test_a_statement_commits_by_itself_until_a_transaction_begins(self) -> None:
        """Autocommit: another session sees the row at once."""
        session = self.open()
        session.execute(INSERT)
        assert not self.is_in_transaction(session)
        assert self.rows() == ((1, "a"),)

    def test_a_transaction_is_seen_by_others_only_once_it_commits(self) -> None:
        """Before COMMIT others see the old state, where they may read at all."""
        session = self.open()
        session.start_transaction()
        session.execute(INSERT)
        assert self.is_in_transaction(session)
        if self.reads_during_writes:
            assert self.rows() == ()
        session.commit()
        assert not self.is_in_transaction(session)
        assert self.rows() == ((1, "a"),)

    def test_a_rollback_undoes(self) -> None:
        """Nothing is left, and rolling back without a transaction does nothing."""
        session = self.open()
        session.start_transaction()
        session.execute(INSERT)
        session.rollback()
        session.rollback()
        assert not self.is_in_transaction(session)
        assert self.rows() == ()

    def test_transactions_sent_as_text_are_tracked(self) -> None:
        """BEGIN, SAVEPOINT, ROLLBACK TO, COMMIT as statements work like the methods."""
        session = self.open()
        seen = []
        has_savepoints = self.target.dialect.family != "duckdb"
        save = ("SAVEPOINT s", "INSERT INTO t VALUES (2, 'b')", "ROLLBACK TO SAVEPOINT s")
        for sql in ("BEGIN", INSERT, *(save if has_savepoints else ()), "/* c */ COMMIT"):
            session.execute(sql)
            seen.append(session.in_transaction)
        assert seen == [True] * (len(seen) - 1) + [False]
        assert self.rows() == ((1, "a"),)
        for sql in ("BEGIN", "DELETE FROM t", "ROLLBACK"):
            session.execute(sql)
        assert not self.is_in_transaction(session)
        assert self.rows() == ((1, "a"),)

    def test_a_block_commits_at_its_end(self) -> None:
        """`with session.transaction()` commits."""
        with self.open().transaction() as session:
            session.execute(INSERT)
        assert self.rows() == ((1, "a"),)

    def test_a_block_that_raises_is_rolled_back(self) -> None:
        """The block's own error comes out, and nothing stays."""
        session = self.open()
        with self.fails(ZeroDivisionError), session.transaction():
            session.execute(INSERT)
            raise ZeroDivisionError
        assert not self.is_in_transaction(session)
        assert self.rows() == ()

    def test_a_failed_transaction_never_commits_silently(self) -> None:
        """Where an error makes a transaction useless, its COMMIT is an error too."""
        session = self.open()
        session.start_transaction()
        session.execute(INSERT)
        with self.fails(StatementFailed):
            session.execute("SELECT * FROM missing_table")
        if not self.error_aborts:
            session.commit()
            assert self.rows() == ((1, "a"),)
            return
        with self.fails(StatementFailed) as caught:
            session.commit()
        assert caught.error.failure.kind is FailureKind.TRANSACTION_ABORTED
        assert caught.error.outcome is Outcome.FAIL
        assert not self.is_in_transaction(session)
        assert self.rows() == ()

    def test_every_level_works_and_is_what_it_says(self) -> None:
        """A session of each level begins, reads its level back, writes and commits."""
        for number, level in enumerate(self.target.levels):
            session = self.open(f"at-{level.key}", level)
            # Journal modes have a file for each of them.
            session.execute("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, v VARCHAR(200))")
            for statement in level.begin:
                session.execute(statement)
            self._check_level(session, level)
            session.execute(f"INSERT INTO t VALUES ({number}, 'x')")
            session.commit()
            session.close()

    def _check_level(self, session: Session, level: LevelSpec) -> None:
        assert self.is_in_transaction(session)
        if level.read_back is not None:
            answer = str(session.execute(level.read_back).rows[0][0])
            assert answer.lower().replace("-", " ") == level.read_back_value

    def test_a_level_is_found_by_key_and_name_in_any_spelling(self) -> None:
        """`REPEATABLE READ`, `repeatable-read` and `Repeatable_Read` are one."""
        for level in self.target.levels:
            for name in (level.key, level.name, level.key.upper(), level.key.replace("-", "_")):
                assert self.target.level(name) == level

    def test_a_transaction_can_be_started_at_a_level(self) -> None:
        """By name, for one transaction, in a session of no particular level."""
        levels = [level for level in self.target.levels if not level.options]
        session = self.open()
        for level in levels:
            session.start_transaction(level.key)
            assert self.is_in_transaction(session)
            session.rollback()

    def test_an_unknown_level_is_told_with_the_known_ones(self) -> None:
        """The error lists what there is."""
        session = self.open()
        with self.fails(UnknownName) as caught:
            session.start_transaction("perfect")
        assert self.target.levels[0].key in str(caught.error)
        assert not self.is_in_transaction(session)

    def test_a_waiting_session_is_seen_and_its_blocker_named(self) -> None:
        """The server is asked, not the clock; when the wait is over nobody waits."""
        observer = self.scratch.observer()
        self._stack.callback(observer.close)
        assert observer.can_block is self.blocks
        first, second = self.open("first"), self.open("second")
        first.execute(INSERT)
        first.start_transaction()
        first.execute("UPDATE t SET v = 'b' WHERE id = 1")
        change = "UPDATE t SET v = 'c' WHERE id = 1"
        if not self.blocks:
            with self.fails(TargetError) as caught:
                second.start_transaction()
                second.execute(change)
            kind = caught.error.failure.kind
            assert kind in (FailureKind.BUSY, FailureKind.SERIALIZATION)
            assert observer.blocked([first, second]) == {}
            return
        waiting = Running(lambda: second.execute(change, deadline_s=15))
        both = [first, second]
        assert self.until(lambda: "second" in observer.blocked(both), within_s=5)
        assert self.until(lambda: observer.blocked(both) == {"second": ("first",)}, within_s=5), (
            observer.blocked(both)
        )
        first.commit()
        assert waiting.has_ended()
        assert waiting.error is None
        assert observer.blocked(both) == {}
        assert observer.can_tell
