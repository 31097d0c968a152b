"""The pool: bounded, checked, and never confused by what comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from test_rig.errors import ConnectFailed, PoolExhausted, TargetError
from test_rig.targets import ConnectionPool, PoolConfig, Session, Target

PATIENT_S = 5.0


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """Return a target whose file the sessions share."""
    return Target.open(f"sqlite:///{tmp_path}/pool.db")


@pytest.fixture
def pool(target: Target) -> Iterator[ConnectionPool]:
    """Lend an impatient pool of two, which checks at every loan."""
    with ConnectionPool(PoolConfig(size=2, wait_s=0.05, check_after_s=0.0), target) as pool:
        yield pool


def test_a_session_comes_back_and_is_lent_again(pool: ConnectionPool) -> None:
    """The pool opens no second session while the first is free."""
    first = pool.get_connection()
    pool.return_connection(first)
    assert pool.get_connection() is first
    assert pool.open_count == 1


def test_the_pool_is_bounded(pool: ConnectionPool) -> None:
    """Beyond its size a loan fails after the wait limit, and says what to do."""
    lent = [pool.get_connection(), pool.get_connection()]
    with pytest.raises(PoolExhausted) as caught:
        pool.get_connection()
    assert caught.value.todo
    pool.return_connection(lent[0])
    assert pool.get_connection() is lent[0]


def test_a_waiting_loan_is_served_by_a_return(target: Target) -> None:
    """Whoever waits gets the session that comes back in time."""
    with ConnectionPool(PoolConfig(size=1, wait_s=PATIENT_S), target) as pool:
        first = pool.get_connection()
        threading.Timer(0.05, pool.return_connection, [first]).start()
        assert pool.get_connection() is first


def test_a_session_returned_twice_is_refused(pool: ConnectionPool) -> None:
    """The second return is an error, and does not put the session in twice."""
    session = pool.get_connection()
    pool.return_connection(session)
    with pytest.raises(ValueError, match="not on loan"):
        pool.return_connection(session)
    assert pool.get_connection() is not pool.get_connection()


def test_of_two_threads_that_return_a_session_one_is_refused(pool: ConnectionPool) -> None:
    """A double return is noticed also when both come at once."""
    session = pool.get_connection()
    gate = threading.Barrier(2)
    refused: list[ValueError] = []

    def give_back() -> None:
        gate.wait(PATIENT_S)
        try:
            pool.return_connection(session)
        except ValueError as error:
            refused.append(error)

    threads = [threading.Thread(target=give_back) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT_S)
    assert len(refused) == 1
    assert pool.open_count == 1


def test_a_foreign_session_is_refused(pool: ConnectionPool, target: Target) -> None:
    """A pool takes back only what it lent."""
    with target.connect() as foreign, pytest.raises(ValueError, match="not on loan"):
        pool.return_connection(foreign)


def test_an_open_transaction_is_rolled_back_at_return(pool: ConnectionPool) -> None:
    """The next borrower gets a session without the last one's transaction."""
    session = pool.get_connection()
    session.execute("CREATE TABLE t (a)")
    session.start_transaction()
    session.execute("INSERT INTO t VALUES (1)")
    pool.return_connection(session)
    again = pool.get_connection()
    assert not again.in_transaction
    assert again.execute_query("SELECT * FROM t") == []


@pytest.mark.parametrize("is_lent", [True, False])
def test_a_dead_session_is_replaced(pool: ConnectionPool, is_lent: bool) -> None:
    """A session that died, on loan or in the pool, is never lent again."""
    session = pool.get_connection()
    if is_lent:
        session.close()
        pool.return_connection(session)
    else:
        pool.return_connection(session)
        session.close()
    fresh = pool.get_connection()
    assert fresh is not session
    fresh.ping()
    assert pool.open_count == 1


def test_a_session_that_cannot_be_opened_leaves_its_place(tmp_path: Path) -> None:
    """A failed opening does not use the pool up."""
    target = Target.open(f"sqlite:///{tmp_path}/later/pool.db")
    with ConnectionPool(PoolConfig(size=1, wait_s=0.05), target) as pool:
        with pytest.raises(ConnectFailed):
            pool.get_connection()
        (tmp_path / "later").mkdir()
        pool.get_connection().ping()


def test_a_closed_pool_lends_nothing_and_closes_what_returns(target: Target) -> None:
    """Free sessions are closed at once, lent ones when they come back."""
    pool = ConnectionPool(PoolConfig(size=2), target)
    lent, free = pool.get_connection(), pool.get_connection()
    pool.return_connection(free)
    pool.close()
    assert (lent.is_usable, free.is_usable) == (True, False)
    with pytest.raises(PoolExhausted, match="closed"):
        pool.get_connection()
    pool.return_connection(lent)
    assert not lent.is_usable
    assert pool.open_count == 0


def test_a_block_returns_its_session_whatever_happens(pool: ConnectionPool) -> None:
    """Also a block that raises gives its session back."""
    with pytest.raises(TargetError), pool.connection() as session:
        session.execute("SELECT nonsense")
    with ExitStack() as stack:
        sessions = {stack.enter_context(pool.connection()) for _ in range(2)}
    assert session in sessions


def test_a_pool_for_nobody_is_refused(target: Target) -> None:
    """A size below one is an error where the pool is made."""
    with pytest.raises(ValueError, match="0 sessions"):
        ConnectionPool(PoolConfig(size=0), target)


def test_many_threads_share_a_small_pool(target: Target) -> None:
    """No two threads ever hold one session, and none is lost."""
    held: set[Session] = set()
    twice: list[Session] = []
    with ConnectionPool(PoolConfig(size=3, wait_s=PATIENT_S), target) as pool:

        def work() -> None:
            for _ in range(20):
                with pool.connection() as session:
                    if session in held:
                        twice.append(session)
                    held.add(session)
                    session.ping()
                    held.discard(session)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENT_S)
        assert not twice
        assert 1 <= pool.open_count <= 3
