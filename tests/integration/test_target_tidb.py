"""TiDB's dialect against a stand-in that speaks the real protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from test_rig.errors import (
    DeadlineExceeded,
    FailureKind,
    Outcome,
    StatementFailed,
    TargetError,
    UnknownName,
)
from test_rig.targets import Target, TargetUrl

pytest.importorskip("mysql_mimic", reason="the stand-in needs mysql-mimic")

from servers.tidb_standin import ID_BASE, VERSION, TidbStandin


@pytest.fixture
def tidb() -> Iterator[TidbStandin]:
    """A stand-in of the test's own."""
    with TidbStandin() as server:
        yield server


@pytest.fixture
def target(tidb: TidbStandin) -> Iterator[Target]:
    """The stand-in, through a URL that says MySQL."""
    url = TargetUrl.from_parts(host="127.0.0.1", port=tidb.port, scheme="mysql")
    with Target.open(url) as target:
        yield target


def test_the_server_says_that_it_is_tidb(target: Target) -> None:
    """A `mysql://` URL meets TiDB: product and version are the server's word."""
    assert (target.info.product, target.info.version) == ("TiDB", VERSION)


def test_only_the_levels_that_tidb_has_are_offered(target: Target) -> None:
    """Each works and reads back; the two others are unknown names."""
    assert [level.key for level in target.levels] == ["read-committed", "repeatable-read"]
    for level in target.levels:
        with target.connect(level=level) as session:
            for statement in level.begin:
                session.execute(statement)
            assert session.in_transaction
            answer = session.execute(level.read_back or "").rows[0][0]
            assert answer.lower().replace("-", " ") == level.read_back_value
    with pytest.raises(UnknownName):
        target.level("SERIALIZABLE")


def test_a_level_that_tidb_refuses_is_told_by_code(target: Target) -> None:
    """Error 8048 is a permanent one: not supported here."""
    with target.connect() as session, pytest.raises(StatementFailed) as caught:
        session.execute("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    assert (caught.value.failure.code, caught.value.failure.kind) == (
        "8048",
        FailureKind.UNSUPPORTED,
    )


def test_a_deadline_kills_by_the_whole_number(target: Target, tidb: TidbStandin) -> None:
    """KILL TIDB QUERY names the 64-bit number, from the first session on."""
    session = target.connect()
    assert session.backend_id > ID_BASE
    with pytest.raises(DeadlineExceeded) as caught:
        session.execute("SELECT SLEEP(60)", deadline_s=0.2)
    assert caught.value.outcome is Outcome.FAIL, "the server said that it stopped the statement"
    assert f"KILL TIDB QUERY {session.backend_id}" in tidb.statements


def test_kill_ends_the_session(target: Target, tidb: TidbStandin) -> None:
    """KILL TIDB ends the connection; its next statement fails."""
    with target.connect() as session:
        session.kill()
        with pytest.raises(TargetError):
            session.ping()
        assert not session.is_usable
    assert f"KILL TIDB {session.backend_id}" in tidb.statements


def test_cancel_stops_the_statement_alone(target: Target) -> None:
    """The session goes on afterwards."""
    with target.connect() as session:
        errors: list[TargetError] = []

        def sleep() -> None:
            try:
                session.execute("SELECT SLEEP(60)")
            except TargetError as error:
                errors.append(error)

        thread = threading.Thread(target=sleep)
        thread.start()
        while thread.is_alive():
            session.cancel()
            thread.join(0.05)
        assert errors[0].failure.kind is FailureKind.CANCELLED
        session.ping()


def test_the_lock_views_tell_who_waits_for_whom(target: Target, tidb: TidbStandin) -> None:
    """By the connections' numbers, of the sessions that are asked for."""
    observer = target.observer()
    with target.connect("a") as one, target.connect("b") as two, target.connect("c") as other:
        tidb.block(waiting=two.backend_id, holder=one.backend_id)
        tidb.block(waiting=other.backend_id, holder=ID_BASE + 999_999)
        assert observer.blocked([one, two, other]) == {"b": ("a",), "c": ()}
        assert observer.blocked([one]) == {}
    observer.close()


def test_a_transaction_about_to_lock_does_not_wait_yet(target: Target, tidb: TidbStandin) -> None:
    """TiDB calls it LockWaiting as soon as locking begins: only the lock view knows of a wait."""
    observer = target.observer()
    with target.connect("a") as session:
        tidb.views.execute(
            "INSERT INTO information_schema.CLUSTER_TIDB_TRX (ID, STATE, SESSION_ID) "
            "VALUES (5, 'LockWaiting', ?)",
            (session.backend_id,),
        )
        assert observer.blocked([session]) == {}
        assert observer.can_tell
    observer.close()
