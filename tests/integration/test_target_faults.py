"""Links and servers that fail in the middle: bounded time, the truth about the effect, no leaks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from servers.lossy_link import LossyLink
from servers.private import PrivateServer
from test_rig.errors import (
    ConnectFailed,
    DeadlineExceeded,
    FailureKind,
    Outcome,
    SessionUnusable,
    StatementFailed,
)
from test_rig.targets import Scratch, Session, Target, TargetUrl

DEADLINE_S = 0.3
#: A deadline, the time for cancelling on the server, the grace after it, and a busy machine.
BOUND_S = DEADLINE_S + 2.0 + 1.0 + 12.0
INSERT = "INSERT INTO t VALUES (1)"


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Each of the running servers."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def direct(server_url: str) -> Iterator[Scratch]:
    """A namespace with a table, reached without the bad link."""
    with Target.open(server_url) as target, target.scratch() as scratch:
        with scratch.connect("setup") as session:
            session.execute("CREATE TABLE t (n INT)")
        yield scratch


@pytest.fixture
def link(server_url: str) -> Iterator[LossyLink]:
    """A link to the server, good until a test breaks it."""
    url = TargetUrl.parse(server_url)
    with LossyLink(url.host or "", url.port or 0) as link:
        yield link


@pytest.fixture
def session(server_url: str, direct: Scratch, link: LossyLink) -> Iterator[Session]:
    """A session in the namespace, through the link."""
    url = replace(TargetUrl.parse(server_url), port=link.port)
    if url.scheme == "postgresql":
        url = url.with_options(search_path=direct.name)
    else:
        url = replace(url, database=direct.name)
    with Target.open(url) as target, target.connect("linked") as session:
        yield session


def _count(direct: Scratch) -> int:
    with direct.connect("count") as session:
        return int(session.execute("SELECT count(*) FROM t").rows[0][0])


def _deadline_exceeded(session: Session, sql: str) -> DeadlineExceeded:
    """Send a statement whose answer will not come; check all that must hold afterwards."""
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        session.execute(sql, deadline_s=DEADLINE_S)
    assert DEADLINE_S <= time.monotonic() - started < BOUND_S
    assert not session.is_usable
    with pytest.raises(SessionUnusable):
        session.ping()
    assert not [t for t in threading.enumerate() if t.name == "test-rig-deadline-action"]
    return caught.value


@pytest.mark.parametrize("fault", ["lose_replies", "black_hole"])
def test_a_lost_answer_to_a_lone_statement_is_in_doubt(
    session: Session, link: LossyLink, fault: str
) -> None:
    """In autocommit nobody knows whether it took effect."""
    getattr(link, fault)()
    assert _deadline_exceeded(session, INSERT).outcome is Outcome.INFO


def test_a_lost_answer_in_a_transaction_is_a_failure(
    session: Session, link: LossyLink, direct: Scratch
) -> None:
    """A transaction that never got its COMMIT has no effect."""
    session.start_transaction()
    link.lose_replies()
    assert _deadline_exceeded(session, INSERT).outcome is Outcome.FAIL
    link.reset()
    assert _count(direct) == 0


@pytest.mark.parametrize(("fault", "count"), [("lose_replies", 1), ("black_hole", 0)])
def test_a_lost_answer_to_a_commit_is_in_doubt(
    session: Session, link: LossyLink, direct: Scratch, fault: str, count: int
) -> None:
    """It may have committed (only the answer was lost) or not (the question was): both happen."""
    session.start_transaction()
    session.execute(INSERT)
    getattr(link, fault)()
    assert _deadline_exceeded(session, "COMMIT").outcome is Outcome.INFO
    link.reset()
    assert _count(direct) == count


def test_a_link_that_is_reset_ends_the_session(session: Session, link: LossyLink) -> None:
    """The error says that the connection is lost, and the session is never used again."""
    session.start_transaction()
    link.reset()
    with pytest.raises(StatementFailed) as caught:
        session.execute(INSERT)
    assert caught.value.failure.kind is FailureKind.CONNECTION_LOST
    assert caught.value.outcome is Outcome.FAIL
    assert not session.is_usable


def test_connecting_into_a_black_hole_ends_in_time(server_url: str, link: LossyLink) -> None:
    """The link takes the connection and never passes a byte."""
    link.black_hole()
    url = replace(TargetUrl.parse(server_url), port=link.port)
    started = time.monotonic()
    with pytest.raises(ConnectFailed), Target.open(url, connect_timeout_s=2.0) as target:
        target.connect()
    assert 1.5 < time.monotonic() - started < 15


def test_nothing_is_leaked(server_url: str, direct: Scratch, link: LossyLink) -> None:
    """After lost answers and refused connections no descriptor stays open."""
    url = replace(TargetUrl.parse(server_url), port=link.port)

    def go_wrong() -> None:
        with Target.open(url, connect_timeout_s=0.2) as target:
            session = target.connect()
            link.black_hole()
            _deadline_exceeded(session, "SELECT 1")
            link.heal()
            target.connect().close()
        link.reset()

    go_wrong()
    before = _descriptors()
    go_wrong()
    # The link's own sockets are not the rig's.
    assert _descriptors() <= before


def _descriptors() -> int:
    """Count this process's open descriptors, without those that are closing."""
    return sum(1 for fd in Path("/proc/self/fd").iterdir() if os.path.lexists(fd))


@pytest.mark.parametrize("kind", ["private_postgres", "private_mariadb"])
class TestServersThatFail:
    """A server of the test's own, frozen and killed."""

    @pytest.fixture
    def server(self, request: pytest.FixtureRequest, kind: str) -> PrivateServer:
        """Start the server."""
        server = request.getfixturevalue(kind)
        assert isinstance(server, PrivateServer)
        return server

    def test_a_frozen_server_does_not_hold_the_rig(self, server: PrivateServer) -> None:
        """Statements, observers and connections all end in time, and it works again afterwards."""
        with Target.open(server.url, connect_timeout_s=2.0) as target:
            observer, session = target.observer(), target.connect()
            server.freeze()
            _deadline_exceeded(session, "SELECT 1")
            with pytest.raises(ConnectFailed):
                target.connect()
            started = time.monotonic()
            assert observer.blocked([session]) == {}
            assert time.monotonic() - started < 25
            assert (observer.can_tell, bool(observer.why_not)) == (False, True)
            server.thaw()
            observer.close()
            with target.connect() as fresh:
                assert fresh.execute("SELECT 7").rows == ((7,),)

    def test_a_server_killed_in_the_middle_is_told(self, server: PrivateServer) -> None:
        """A lone statement is in doubt, one of a transaction has failed; both sessions are over."""
        slow = "SELECT pg_sleep(60)" if "postgres" in server.url else "SELECT SLEEP(60)"
        with Target.open(server.url, connect_timeout_s=2.0) as target:
            alone, inside = target.connect("alone"), target.connect("inside")
            inside.start_transaction()
            errors: dict[str, StatementFailed] = {}

            def run(session: Session) -> None:
                try:
                    session.execute(slow)
                except StatementFailed as error:
                    errors[session.name] = error

            threads = [threading.Thread(target=run, args=(one,)) for one in (alone, inside)]
            for thread in threads:
                thread.start()
            while not (alone.is_busy and inside.is_busy):
                pass
            server.kill()
            for thread in threads:
                thread.join(10)
            assert {name: error.outcome for name, error in errors.items()} == {
                "alone": Outcome.INFO,
                "inside": Outcome.FAIL,
            }
            assert not alone.is_usable
            assert not inside.is_usable
            with pytest.raises(ConnectFailed):
                target.connect()
