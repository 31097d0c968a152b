"""Machines on real databases: the path, the failures a person meets, time limits, reconnecting."""

from __future__ import annotations

import time

import pytest

from servers.private import PrivateServer
from test_rig.errors import ConnectFailed, FailureKind, StatementFailed, TargetError
from test_rig.machine import (
    STANDARD_PATH,
    DynamicStateMachine,
    Limits,
    Phase,
    RunResult,
    State,
    StateContext,
    StateHandler,
    StateMachine,
)
from test_rig.targets import Session, Target, TargetUrl
from test_rig.verdict import ResultStatus

_SLEEP = {"postgresql": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}


@pytest.fixture(params=["sqlite", "duckdb", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    if request.param in ("sqlite", "duckdb"):
        return f"{request.param}://"
    name = "postgres_url" if request.param == "postgresql" else "mariadb_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Each server in turn."""
    return str(request.getfixturevalue(request.param))


def _visited(result: RunResult) -> list[State]:
    return [entry.state for entry in result.trace if entry.phase is Phase.ENTER]


def _family(session: Session) -> str:
    return session.dialect.family


def test_the_standard_path_identifies_every_database(url: str) -> None:
    """All states in order; product, version and database as the server tells them."""
    machine = StateMachine(url)
    result = machine.run()
    assert result.passed, str(result.error)
    assert _visited(result) == list(STANDARD_PATH)
    with Target.open(url) as target:
        info = target.info
    context = machine.get_context()
    assert (context.product, context.version) == (info.product, info.version)


def test_the_parts_of_an_address_do_as_well(server_url: str) -> None:
    """Host with port, user and database, as existing scripts give them."""
    url = TargetUrl.parse(server_url)
    context = StateContext(url.address(), None, url.user, url.password, database=url.database)
    result = StateMachine(context=context).run()
    assert result.passed, str(result.error)
    assert context.host == url.host


def test_the_database_is_the_servers_word_where_none_was_named(postgres_url: str) -> None:
    """PostgreSQL takes the user's name for one."""
    url = TargetUrl.parse(postgres_url)
    machine = StateMachine(f"postgresql://{url.user}@{url.address()}/")
    result = machine.run()
    assert result.passed, str(result.error)
    assert machine.get_context().database == url.user


def test_a_session_in_another_database_is_a_failure(mariadb_url: str) -> None:
    """The server is asked where the session is; the URL is not believed."""

    class Elsewhere(StateHandler):
        def execute(self, context: StateContext) -> str:
            session = context.close_at_end(Target.open(context.url).connect())
            session.query_drop("USE information_schema")
            context.connection = session
            return State.verifying_database()

    machine = StateMachine(mariadb_url)
    machine.register_handler("Connecting", Elsewhere)
    result = machine.run()
    assert result.status is ResultStatus.FAILED
    wanted = TargetUrl.parse(mariadb_url).database
    assert f"in database 'information_schema', not in {wanted!r}" in str(result.error)


def test_an_unknown_database_is_told_by_connecting(server_url: str) -> None:
    """Permanent: one attempt, with the server's own words."""
    url = TargetUrl.parse(server_url)
    scheme = url.scheme
    result = StateMachine(f"{scheme}://{url.user}@{url.address()}/test_rig_no_such_db").run()
    assert result.status is ResultStatus.ERROR
    assert _visited(result)[-1] is State.Connecting
    error = result.error.exception if result.error else None
    assert isinstance(error, ConnectFailed)
    assert error.failure.kind is FailureKind.UNKNOWN_DATABASE
    assert "test_rig_no_such_db" in str(error)


def test_a_wrong_password_is_refused_and_not_shown(mariadb_url: str) -> None:
    """Neither in the message nor in the traceback nor in the trace."""
    url = TargetUrl.parse(mariadb_url)
    result = StateMachine(f"mysql://{url.user}:wr0ng-secret@{url.address()}/test").run()
    error = result.error.exception if result.error else None
    assert isinstance(error, ConnectFailed)
    assert error.failure.kind is FailureKind.AUTHENTICATION
    assert "wr0ng-secret" not in f"{result} {result.error} {error}"
    assert f"{url.user}@{url.host}" in str(result.error)


def test_a_statement_beyond_the_limit_is_cancelled_on_the_server(server_url: str) -> None:
    """The transaction is rolled back, exit can use the session, and it takes no longer."""
    left: list[object] = []

    class Slow(StateHandler):
        def execute(self, context: StateContext) -> str:
            session = context.connection
            assert session is not None
            session.query_drop("CREATE TEMPORARY TABLE slow_t (i INTEGER)")
            session.start_transaction()
            session.query_drop("INSERT INTO slow_t VALUES (1)")
            session.execute_query(_SLEEP[_family(session)])
            return State.completed()

        def exit(self, context: StateContext) -> None:
            session = context.connection
            assert session is not None
            left.append(session.in_transaction)
            left.append(session.execute_query("SELECT count(*) AS n FROM slow_t")[0]["n"])

    machine = DynamicStateMachine(server_url, limits=Limits(grace_s=5.0))
    machine.register_handler("slow", Slow, timeout_s=0.5)
    started = time.monotonic()
    result = machine.run()
    assert time.monotonic() - started < 25
    assert result.status is ResultStatus.TIMED_OUT, str(result.error)
    assert left == [False, 0]


def test_a_killed_session_is_replaced_by_answering_connecting(server_url: str) -> None:
    """The handler sees the loss, asks for a fresh connection, and is visited again with it."""
    ids: list[int] = []

    class Killed(StateHandler):
        def execute(self, context: StateContext) -> str:
            session = context.connection
            assert session is not None
            ids.append(session.backend_id)
            if len(ids) == 1:
                session.kill()
            try:
                session.execute_query("SELECT 1")
            except TargetError:
                return State.connecting()
            return State.completed()

    machine = DynamicStateMachine(server_url)
    machine.register_handler("killed", Killed)
    result = machine.run()
    assert result.passed, str(result.error)
    assert _visited(result)[-3:] == ["killed", State.Connecting, "killed"]
    assert ids[0] != ids[1]


def test_no_session_is_left_on_the_server(server_url: str) -> None:
    """Whether the run passed or failed, what it opened is closed."""
    marks: list[int] = []

    class Failing(StateHandler):
        def execute(self, context: StateContext) -> str:
            assert context.connection is not None
            marks.append(context.connection.backend_id)
            raise ValueError("on purpose")

    machine = DynamicStateMachine(server_url)
    machine.register_handler("failing", Failing)
    assert not machine.run().passed
    sql = {
        "postgresql": "SELECT count(*) AS n FROM pg_stat_activity WHERE pid = %s",
        "mysql": "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE ID = %s",
    }
    with Target.open(server_url) as target, target.connect("look") as session:
        until = time.monotonic() + 5
        while session.execute_query(sql[_family(session)], (marks[0],))[0]["n"]:
            assert time.monotonic() < until, "the session is still there"


def test_a_server_that_dies_in_the_middle_is_told(private_postgres: PrivateServer) -> None:
    """The run ends with the lost connection, exit runs, and nothing hangs."""
    log: list[str] = []

    class Dying(StateHandler):
        def execute(self, context: StateContext) -> str:
            assert context.connection is not None
            private_postgres.kill()
            context.connection.execute_query("SELECT 1")
            return State.completed()

        def exit(self, context: StateContext) -> None:
            log.append("exit")

    machine = DynamicStateMachine(private_postgres.url)
    machine.register_handler("dying", Dying)
    result = machine.run()
    error = result.error.exception if result.error else None
    assert isinstance(error, StatementFailed)
    assert error.failure.kind is FailureKind.CONNECTION_LOST
    assert log == ["exit"]
