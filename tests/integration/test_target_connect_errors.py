"""Why no session was made: told by code, with what to do, within the time limit."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from servers.lossy_link import AnsweringServer
from servers.private import NotHereError, PrivatePostgres, PrivateServer, free_port
from test_rig.errors import ConnectFailed, ErrorCategory, FailureKind
from test_rig.targets import Target, TargetUrl

SECRET = "s3cret-value"
PERMANENT, TRANSIENT = ErrorCategory.PERMANENT, ErrorCategory.TRANSIENT


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivateServer]:
    """A PostgreSQL that asks everybody but `postgres` for a password, and has few places."""
    try:
        server = PrivatePostgres(max_connections="5", superuser_reserved_connections="2")
    except NotHereError as missing:
        pytest.skip(str(missing))
    with server, Target.open(server.url) as target, target.connect() as session:
        session.execute(f"CREATE ROLE ann LOGIN PASSWORD '{SECRET}'")
        yield server


def _refused(url: TargetUrl | str, connect_timeout_s: float = 5.0) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught, Target.open(
        url, connect_timeout_s=connect_timeout_s
    ) as target:  # fmt: skip
        target.connect()
    error = caught.value
    assert SECRET not in f"{error} {error!r} {error.failure}"
    assert error.address
    return error


@pytest.mark.parametrize(
    ("parts", "sqlstate", "kind", "advice"),
    [
        ({"user": "ann", "password": "wrong"}, "28P01", FailureKind.AUTHENTICATION, "password"),
        ({"user": "nobody", "password": "x"}, "28P01", FailureKind.AUTHENTICATION, "password"),
        ({"user": "ann", "password": None}, None, FailureKind.AUTHENTICATION, "password"),
        (
            {"user": "ann", "password": SECRET, "database": "missing"},
            "3D000",
            FailureKind.UNKNOWN_DATABASE,
            "create the database",
        ),
        ({"database": "missing"}, "3D000", FailureKind.UNKNOWN_DATABASE, "create the database"),
    ],
)
def test_postgresql_says_by_code_why_it_refuses(
    postgres: PrivateServer,
    parts: dict[str, str | None],
    sqlstate: str | None,
    kind: FailureKind,
    advice: str,
) -> None:
    """A wrong password and an unknown database are permanent, and each has its advice."""
    error = _refused(replace(TargetUrl.parse(postgres.url), **parts))  # type: ignore[arg-type]  # names of its fields
    failure = error.failure
    assert (failure.sqlstate, failure.kind, failure.category) == (sqlstate, kind, PERMANENT)
    assert advice in (error.todo or "")


def test_postgresql_without_a_free_place_is_a_passing_failure(postgres: PrivateServer) -> None:
    """Too many connections are told as such, also to a user who has a right password."""
    url = TargetUrl.parse(postgres.url)
    ann = replace(url, user="ann", password=SECRET)
    with ExitStack() as stack:
        # One place is the fixture's, two are kept for superusers.
        for number in range(2):
            target = stack.enter_context(Target.open(ann))
            stack.enter_context(target.connect(f"full_{number}"))
        failure = _refused(ann).failure
    assert failure.sqlstate == "53300"
    assert (failure.kind, failure.category) == (FailureKind.TOO_MANY_CONNECTIONS, TRANSIENT)


def test_mariadb_says_by_code_why_it_refuses(mariadb_url: str) -> None:
    """A wrong password and an unknown database, by the server's own numbers."""
    url = TargetUrl.parse(mariadb_url)
    wrong = _refused(replace(url, user="test_rig_nobody", password=SECRET)).failure
    assert (wrong.code, wrong.kind) == ("1045", FailureKind.AUTHENTICATION)
    unknown = _refused(replace(url, database="test_rig_missing")).failure
    assert (unknown.code, unknown.kind) == ("1049", FailureKind.UNKNOWN_DATABASE)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "tidb"])
def test_a_port_where_nobody_listens_is_a_passing_failure(scheme: str) -> None:
    """Refused by the operating system, told by its number, at once."""
    started = time.monotonic()
    error = _refused(f"{scheme}://u:{SECRET}@127.0.0.1:{free_port()}/d")
    assert time.monotonic() - started < 15
    failure = error.failure
    assert (failure.code, failure.kind) == ("ECONNREFUSED", FailureKind.CONNECT)
    assert failure.category is TRANSIENT
    assert "that the server runs" in (error.todo or "")


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_host_that_is_not_there_is_told(scheme: str) -> None:
    """A name that resolves to nothing is a failure to connect."""
    failure = _refused(f"{scheme}://u:{SECRET}@no-such-host.invalid/d").failure
    assert failure.kind is FailureKind.CONNECT


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_never_answers_is_given_up_in_time(scheme: str) -> None:
    """It takes the connection and says nothing: the time limit holds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/d"
        started = time.monotonic()
        failure = _refused(url, connect_timeout_s=2.0).failure
        assert 1.5 < time.monotonic() - started < 15
    assert (failure.kind, failure.category) == (FailureKind.CONNECT, TRANSIENT)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_hangs_up_is_a_failure_to_connect(scheme: str) -> None:
    """A port of something else, which closes at once, is no session."""
    with AnsweringServer(b"") as rude:
        assert _refused(f"{scheme}://u@127.0.0.1:{rude.port}/d").failure.kind is FailureKind.CONNECT


def test_a_postgresql_that_starts_up_is_a_passing_failure() -> None:
    """Whatever the server says while it is not ready yet, it is worth another try."""
    answer = (
        b"SFATAL\0VFATAL\0C57P03\0Mle syst\xc3\xa8me de bases de donn\xc3\xa9es d\xc3\xa9marre\0\0"
    )
    with AnsweringServer(b"E" + (len(answer) + 4).to_bytes(4, "big") + answer) as server:
        failure = _refused(f"postgresql://u@127.0.0.1:{server.port}/d").failure
    assert failure.sqlstate == "57P03"
    assert (failure.kind, failure.category) == (FailureKind.SERVER_STARTING, TRANSIENT)


def test_mysql_takes_a_password_by_its_default_authentication(mysql_url: str) -> None:
    """caching_sha2_password works without TLS, at the first connection and from the cache."""
    with Target.open(mysql_url) as target, target.connect() as root:
        root.execute(f"CREATE USER ann IDENTIFIED BY '{SECRET}'")
        ann = replace(TargetUrl.parse(mysql_url), user="ann", password=SECRET, database=None)
        try:
            for _ in range(2):
                with Target.open(ann) as own, own.connect() as session:
                    session.ping()
            wrong = _refused(replace(ann, password=f"{SECRET}x")).failure
        finally:
            root.execute("DROP USER ann")
    assert (wrong.code, wrong.kind) == ("1045", FailureKind.AUTHENTICATION)


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_a_file_that_cannot_be_is_told(scheme: str, tmp_path: Path) -> None:
    """A missing folder, and a file that is no database."""
    assert _refused(f"{scheme}:///{tmp_path}/missing/x.db").failure.kind is FailureKind.CONNECT
    (tmp_path / "text").write_text("this is no database, and long enough to be looked at " * 50)
    assert _refused(f"{scheme}:///{tmp_path}/text").failure.category is not TRANSIENT


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_a_file_whose_folder_is_missing_is_told_with_the_folder(
    scheme: str, tmp_path: Path
) -> None:
    """An embedded database has neither host nor port: what to make is named."""
    error = _refused(f"{scheme}:///{tmp_path / 'gone' / 'a.db'}")
    assert "the folder of the database file does not exist" in str(error)
    assert f"make the folder {tmp_path / 'gone'}" in str(error)
    assert "host" not in str(error)
