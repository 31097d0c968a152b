"""Scripts as people wrote them for the earlier rig: folders of handlers, and the wider API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from test_rig import (
    ConnectError,
    ConnectionPool,
    DynamicStateMachine,
    JoinSet,
    PoolConfig,
    RunResult,
    StateHandler,
    StateMachine,
    dynamic_state,
    load_python_handlers,
    python_bindings,
    unique_name,
)
from test_rig.common_states import (
    ConnectingHandlerAdapter,
    GettingVersionHandlerAdapter,
    NextStateVersionHandler,
    ParsingConfigHandlerAdapter,
    completed,
    connecting,
    getting_version,
    parsing_config,
)
from test_rig.targets import Target, TargetUrl
from test_rig_python import PyState, PyStateContext, RealPyConnection

_MULTI = '''
from src.common.test_rig_python import (
    MultiConnectionTestHandler, PyState, PyStateContext, PyStateHandler,
)

TABLE = "@table@"


class CountingHandler(MultiConnectionTestHandler):
    """Opens its connections by the base class."""

    def __init__(self):
        super().__init__(connection_count=3)

    def enter(self, context: PyStateContext) -> str:
        super().enter(context)
        self.connections[0].execute_query(f"DROP TABLE IF EXISTS {TABLE}")
        self.connections[0].execute_query(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY)")
        return PyState.connecting()

    def execute(self, context: PyStateContext) -> str:
        def each(**operation):
            return [{"connection_id": number, **operation} for number in range(3)]

        started = self.execute_concurrent_operations(each(operation="start_transaction"))
        assert all(result["status"] == "transaction_started" for result in started)
        inserts = [
            {"connection_id": n, "operation": "query", "query": f"INSERT INTO {TABLE} VALUES ({n})"}
            for n in range(3)
        ]
        inserted = self.execute_concurrent_operations(inserts)
        assert all(result["status"] == "success" for result in inserted), inserted
        ends = ["commit", "rollback", "commit"]
        ended = self.execute_concurrent_operations(
            [{"connection_id": n, "operation": end} for n, end in enumerate(ends)]
        )
        assert [result["status"] for result in ended] == ["committed", "rolled_back", "committed"]
        results = self.connections[0].execute_query(f"SELECT COUNT(*) FROM {TABLE}")
        return PyState.completed() if results[0]["col_0"] == 2 else PyState.error(str(results))

    def exit(self, context: PyStateContext) -> None:
        self.connections[0].execute_query(f"DROP TABLE IF EXISTS {TABLE}")
        super().exit(context)


class LazyHandler(MultiConnectionTestHandler):
    """Has an `enter` and an `__init__` of its own, and asks for connections when it needs them."""

    def __init__(self):
        pass

    def enter(self, context):
        return PyState.connecting()

    def execute(self, context):
        conn1, conn2 = self.get_connections(context, 2)
        conn1.start_transaction()
        assert conn1.execute_query("SELECT 1 AS test_value")[0].get("test_value") == 1
        conn1.commit()
        assert (conn1.connection_id, conn2.connection_id) == ("conn_0", "conn_1")
        return PyState.completed()


class ReconnectingHandler(PyStateHandler):
    """Asks to be connected afresh until it has had enough."""

    rounds = 0

    def execute(self, context):
        self.rounds += 1
        return "Connecting to TiDB" if self.rounds < 3 else PyState.completed()
'''


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Each server in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of handlers."""
    text = _MULTI.replace("@table@", unique_name("earlier"))
    (tmp_path / "test_multi.py").write_text(text)
    return tmp_path


def _passed(result: RunResult) -> RunResult:
    assert result.passed, str(result.error)
    return result


def test_a_folder_of_handlers_with_several_connections_runs(url: str, folder: Path) -> None:
    """Every one, the base class that they import not; detours lead back."""
    machine = StateMachine(url)
    handlers = load_python_handlers(machine, folder)
    assert handlers.names == ("CountingHandler", "LazyHandler", "ReconnectingHandler")
    states = [str(visit.state) for visit in _passed(machine.run()).visits()]
    tests = [name for name in states if name.endswith("Handler")]
    assert tuple(dict.fromkeys(tests)) == handlers.names
    assert states.count("Connecting") == 3


def test_adapters_take_their_arguments_or_the_contexts(url: str) -> None:
    """Classes do where handlers are wanted."""
    parts = TargetUrl.parse(url)
    machine = DynamicStateMachine(context=PyStateContext())
    adapter = ParsingConfigHandlerAdapter(
        f"{parts.host}:{parts.port}", parts.user, parts.password, parts.database
    )
    machine.register_handler(parsing_config(), adapter)
    machine.register_handler(connecting(), ConnectingHandlerAdapter)
    machine.register_handler(getting_version(), GettingVersionHandlerAdapter)
    _passed(machine.run())
    assert machine.get_context().port == parts.port
    machine = DynamicStateMachine(url)
    machine.register_handler(parsing_config(), ParsingConfigHandlerAdapter)
    machine.register_handler(getting_version(), NextStateVersionHandler(completed()))
    machine.register_handler("never", StateHandler)
    assert "never" not in [str(visit.state) for visit in _passed(machine.run()).visits()]


def test_states_of_ones_own_follow_each_other(url: str) -> None:
    """Async handlers, next states as plain texts, data in the context."""
    creating_table = dynamic_state("creating_table")
    populating_data = dynamic_state("populating_data", "Populating Test Data")
    table = unique_name("own")

    class Creating(StateHandler):
        async def execute(self, context: PyStateContext) -> str:
            if context.connection is None:
                raise ConnectError.Connection("No database connection")
            context.connection.query_drop(f"CREATE TABLE {table} (id INT)")
            context.set_data("rows", 1000)
            return "populating_data"

    class Populating(StateHandler):
        def execute(self, context: PyStateContext) -> str:
            assert context.connection is not None
            rows = [(number,) for number in range(context.get_custom_data("rows"))]
            assert context.connection.batch_insert(table, ["id"], rows) == 1000
            return PyState.completed()

        def exit(self, context: PyStateContext) -> None:
            assert context.connection is not None
            context.connection.query_drop(f"DROP TABLE {table}")

    machine = DynamicStateMachine(url)
    machine.register_handler(creating_table(), Creating())
    machine.register_handler(populating_data(), Populating())

    async def awaited() -> RunResult:
        return await machine.run()

    _passed(asyncio.run(awaited()))


def test_an_error_of_a_kind_fails_the_run(url: str) -> None:
    """With its message, and where the connection led."""

    class Failing(StateHandler):
        def execute(self, context: PyStateContext) -> str:
            raise ConnectError.Database("the table is gone")

    machine = DynamicStateMachine(url)
    machine.register_handler("failing", Failing)
    result = machine.run()
    assert "Database error: the table is gone" in str(result.error)
    assert TargetUrl.parse(url).address() in str(result.error)


def test_a_pool_serves_ten_tasks(url: str) -> None:
    """Each takes a connection, asks, and gives it back."""
    with Target.open(url) as target:
        pool = ConnectionPool(PoolConfig(size=3), target)

        def ask(number: int) -> int:
            session = pool.get_connection()
            try:
                return int(session.execute_query(f"SELECT {number} AS n")[0]["n"])
            finally:
                pool.return_connection(session)

        async def ten() -> list[int]:
            async with JoinSet() as tasks:
                for number in range(10):
                    tasks.spawn(lambda number=number: ask(number))
                return [outcome.result() for outcome in await tasks.join_all()]

        assert asyncio.run(ten()) == list(range(10))
        pool.close()


def test_a_context_takes_its_arguments_in_the_earlier_order() -> None:
    """By position, too; it shows no password."""
    context = PyStateContext("db", 4000, "root", "s3cret", "shop", None, [])
    assert (context.host, context.port, context.username) == ("db", 4000, "root")
    assert (context.password, context.database, context.connections) == ("s3cret", "shop", [])
    assert "s3cret" not in repr(context)


def test_a_script_by_itself_connects_as_it_always_did(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By arguments, by a dict of them, or by the environment; an empty text is nothing given."""
    monkeypatch.chdir(tmp_path)
    parts = TargetUrl.parse(url)
    place = {"host": parts.address(), "database": parts.database, "user": parts.user}
    monkeypatch.setenv("TIDB_PASSWORD", parts.password or "")
    with RealPyConnection(place, "test_conn", password="") as connection:
        assert connection.execute_query("SELECT 1 AS one") == [{"one": 1}]
        assert connection.connection_id == "test_conn"
    monkeypatch.setenv("TIDB_HOST", parts.address())
    monkeypatch.setenv("TIDB_USER", str(parts.user))
    with RealPyConnection(database=parts.database) as connection:
        assert connection.address == parts.address()
    monkeypatch.setenv("REAL_DB", "no")
    with RealPyConnection() as connection:
        assert "stand-in" in connection.dialect.product


def test_a_script_that_is_told_nothing_looks_where_it_always_did(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On this host at TiDB's port, unless settings say otherwise."""
    monkeypatch.chdir(tmp_path)
    for name in ("TIDB_HOST", "TIDB_PORT", "TEST_RIG_DATABASE_URL", "REAL_DB"):
        monkeypatch.delenv(name, raising=False)
    url = python_bindings._url({"username": "ann"})
    assert str(url) == "tidb://ann@localhost:4000/test"
