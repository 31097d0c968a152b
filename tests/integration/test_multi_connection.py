"""Handlers with several connections on real databases: order, errors as results, deadlocks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from test_rig.machine import (
    DynamicStateMachine,
    Limits,
    MultiConnectionTestHandler,
    OperationResult,
    RunResult,
    StateContext,
)
from test_rig.targets import Target
from test_rig.verdict import ResultStatus


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each database in turn."""
    if request.param == "sqlite":
        url = "sqlite://"
    else:
        name = "postgres_url" if request.param == "postgresql" else "mariadb_url"
        url = str(request.getfixturevalue(name))
    with Target.open(url) as opened:
        yield opened


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def server(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each server in turn: those that find deadlocks."""
    with Target.open(str(request.getfixturevalue(request.param))) as opened:
        yield opened


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[str]:
    """A table of two accounts with 100 each, of this test's own."""
    name = f"acct_{secrets.token_hex(5)}"
    fixture = "server" if "server" in request.fixturenames else "target"
    with request.getfixturevalue(fixture).connect("owner") as owner:
        owner.query_drop(f"CREATE TABLE {name} (id INT PRIMARY KEY, balance INT NOT NULL)")
        owner.query_drop(f"INSERT INTO {name} VALUES (1, 100), (2, 100)")
        yield name
        owner.query_drop(f"DROP TABLE {name}")


class _Scripted(MultiConnectionTestHandler):
    """Runs batches of operations and keeps their results."""

    def __init__(self, *batches: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(connection_count=2)
        self.batches, self.options = batches, options
        self.results: list[list[OperationResult]] = []

    def execute(self, context: StateContext) -> str:
        for batch in self.batches:
            self.results.append(self.execute_concurrent_operations(batch, **self.options))
        return "Completed"


def _run(target: Target, handler: MultiConnectionTestHandler) -> RunResult:
    machine = DynamicStateMachine(target, limits=Limits(state_s=60.0))
    machine.register_handler("together", handler)
    result = machine.run()
    assert result.passed, str(result.error)
    return result


def _op(connection: Any, operation: str, query: str = "") -> dict[str, Any]:
    op = {"connection_id": connection, "operation": operation}
    return {**op, "query": query} if query else op


def _crossing(table: str) -> tuple[list[dict[str, Any]], ...]:
    """Two transfers that take their two locks in opposite order."""
    update = "UPDATE {} SET balance = balance + {} WHERE id = {}"
    return (
        [_op(each, "start_transaction") for each in (0, 1)],
        [
            _op(0, "query", update.format(table, -10, 1)),
            _op(1, "query", update.format(table, -20, 2)),
        ],
        [
            _op(0, "query", update.format(table, 10, 2)),
            _op(1, "query", update.format(table, 20, 1)),
            _op(0, "commit"),
            _op(1, "commit"),
        ],
    )


def _balances(target: Target, table: str) -> list[int]:
    with target.connect("reader") as session:
        rows = session.execute_query(f"SELECT balance FROM {table} ORDER BY id")
    return [row["balance"] for row in rows]


def test_operations_keep_their_order_on_each_connection(target: Target, table: str) -> None:
    """A transaction reads its own write; results stand in the order of the operations."""
    handler = _Scripted(
        [
            _op(0, "start_transaction"),
            _op(1, "query", f"SELECT balance FROM {table} WHERE id = 2"),
            _op(0, "query", f"UPDATE {table} SET balance = 7 WHERE id = 1"),
            _op(0, "query", f"SELECT balance FROM {table} WHERE id = 1"),
            _op(0, "commit"),
        ]
    )
    _run(target, handler)
    (results,) = handler.results
    told = [(each["connection_id"], each["status"]) for each in results]
    assert told == [
        *[(0, "transaction_started"), (1, "success"), (0, "success")],
        *[(0, "success"), (0, "committed")],
    ]
    assert results[3]["result"] == [{"balance": 7}]
    assert results[1]["result"] == [{"balance": 100}]
    assert all(each["error"] is None and each["duration_s"] > 0 for each in results)


def test_connections_really_work_at_the_same_time(server: Target, table: str) -> None:
    """One waits for a lock that the other gives up later in the same call."""
    update = f"UPDATE {table} SET balance = balance + 1 WHERE id = 1"
    handler = _Scripted(
        [_op(0, "start_transaction"), _op(0, "query", update)],
        [
            _op(1, "query", update),
            _op(0, "query", f"SELECT balance FROM {table} WHERE id = 2"),
            _op(0, "commit"),
        ],
    )
    _run(server, handler)
    assert [each["status"] for each in handler.results[1]] == ["success", "success", "committed"]
    assert _balances(server, table) == [102, 100]


def test_what_a_server_refuses_is_a_result(target: Target, table: str) -> None:
    """A wrong statement, a wrong id, a wrong operation: the others still run."""
    handler = _Scripted(
        [
            _op(0, "query", f"INSERT INTO {table} VALUES (1, 1)"),
            _op(5, "query", "SELECT 1 AS one"),
            _op(0, "frobnicate"),
            _op(1, "query"),
            {"operation": "query", "query": "SELECT 1 AS one"},
            _op("conn_1", "query", "SELECT 2 AS two"),
        ]
    )
    _run(target, handler)
    (results,) = handler.results
    assert [each["status"] for each in results] == ["error"] * 4 + ["success"] * 2
    assert results[0]["code"] or results[0]["sqlstate"]
    assert "Invalid connection ID: 5" in str(results[1]["error"])
    assert "Unknown operation: 'frobnicate'" in str(results[2]["error"])
    assert (results[4]["connection_id"], results[5]["result"]) == (0, [{"two": 2}])


def test_a_victims_whole_transaction_is_run_again(server: Target, table: str) -> None:
    """Both transfers are there, none halfway; the count is in results, handler and measurements."""
    handler = _Scripted(*_crossing(table))
    result = _run(server, handler)
    assert [each["status"] for each in handler.results[2]] == [
        *["success", "success", "committed", "committed"]
    ]
    assert _balances(server, table) == [110, 90]
    assert handler.replay_count >= 1
    replays = sorted(each["replays"] for each in handler.results[2][:2])
    assert replays == [0, handler.replay_count]
    (measured,) = [each for each in result.measurements if each.name == "deadlock_replays"]
    assert measured.value == handler.replay_count


def test_no_transaction_is_run_again_where_that_is_not_wanted(server: Target, table: str) -> None:
    """The victim's error is told, and its commit is none: half a transfer would be worse."""
    handler = _Scripted(*_crossing(table), on_deadlock="report")
    _run(server, handler)
    last = handler.results[2]
    (victim,) = [each["connection_id"] for each in last[:2] if each["status"] == "error"]
    assert [each["status"] for each in last if each["connection_id"] == victim] == ["error"] * 2
    assert "not run again: on_deadlock is 'report'" in str(last[victim]["error"])
    assert "nothing to commit" in str(last[2 + victim]["error"])
    assert _balances(server, table) in ([90, 110], [120, 80])


def test_what_follows_a_lost_transaction_is_not_sent(server: Target, table: str) -> None:
    """By itself the statement would be committed at once, on MySQL and its kin."""
    start, first, second = _crossing(table)
    more = [_op(each, "query", f"INSERT INTO {table} VALUES ({each + 8}, 0)") for each in (0, 1)]
    handler = _Scripted(start, first, [*second[:2], *more, *second[2:]], on_deadlock="report")
    _run(server, handler)
    assert len(_balances(server, table)) == 3
    assert sum("it was not sent" in str(each["error"]) for each in handler.results[2]) == 1


def test_a_transaction_that_was_not_seen_whole_is_not_run_again(server: Target, table: str) -> None:
    """A statement that a script sent by itself would be missing in the replay."""
    start, first, second = _crossing(table)

    class Meddling(_Scripted):
        def execute(self, context: StateContext) -> str:
            self.execute_concurrent_operations(start)
            self.execute_concurrent_operations(first)
            for session in self.connections:
                session.execute_query("SELECT 1")
            self.results.append(self.execute_concurrent_operations(second))
            return "Completed"

    handler = Meddling()
    _run(server, handler)
    errors = [str(each["error"]) for each in handler.results[0] if each["status"] == "error"]
    assert "sent directly, not as an operation" in errors[0]
    assert handler.replay_count == 0


def test_a_replay_does_not_contradict_what_was_told(server: Target, table: str) -> None:
    """A read of an earlier call that would be answered otherwise now undoes the replay."""
    start, first, second = _crossing(table)
    reads = [_op(each, "query", f"SELECT balance FROM {table} WHERE id = 3") for each in (0, 1)]

    class Overtaken(_Scripted):
        def execute(self, context: StateContext) -> str:
            for batch in (start, [*reads, *first]):
                self.execute_concurrent_operations(batch)
            with server.connect("other") as other:
                other.query_drop(f"UPDATE {table} SET balance = 7 WHERE id = 3")
            self.results.append(self.execute_concurrent_operations(second))
            return "Completed"

    with server.connect("other") as other:
        other.query_drop(f"INSERT INTO {table} VALUES (3, 0)")
    handler = Overtaken()
    _run(server, handler)
    (lost,) = [each for each in handler.results[0][:2] if each["status"] == "error"]
    assert "was answered otherwise now" in str(lost["error"])
    assert _balances(server, table) in ([90, 110, 7], [120, 80, 7])


def test_every_connection_is_closed_in_the_end(server: Target) -> None:
    """Also where a subclass overrides `exit`, and after an error."""
    opened: list[Any] = []

    class Leaky(MultiConnectionTestHandler):
        def execute(self, context: StateContext) -> str:
            opened.extend(self.get_connections(context, 4))
            assert context.connections == opened
            opened[3].start_transaction()
            raise RuntimeError("on purpose")

        def exit(self, context: StateContext) -> None:
            """Forget to close."""

    machine = DynamicStateMachine(server)
    machine.register_handler("leaky", Leaky)
    assert not machine.run().passed
    assert [each.name for each in opened] == ["conn_0", "conn_1", "conn_2", "conn_3"]
    assert not any(each.is_usable for each in opened)


def test_operations_end_with_their_handlers_time(server: Target) -> None:
    """Those that run are cancelled on the server, later ones are not sent, `exit` is called."""
    sleep = "SELECT pg_sleep(60)" if server.url.scheme == "postgresql" else "SELECT SLEEP(60)"
    exits: list[int] = []

    class Sleeping(_Scripted):
        def exit(self, context: StateContext) -> None:
            exits.append(len(self.connections))
            super().exit(context)

    handler = Sleeping([_op(each, "query", sleep) for each in (0, 1, 0, 1)])
    machine = DynamicStateMachine(server, limits=Limits(grace_s=30.0))
    machine.register_handler("sleeping", handler, timeout_s=1.0)
    result = machine.run()
    assert result.status is ResultStatus.TIMED_OUT
    assert [each["status"] for each in handler.results[0]] == ["error"] * 4
    assert "the handler's time is over" in str(handler.results[0][3]["error"])
    assert exits == [2]


def test_a_connection_that_was_killed_is_told_and_replaced(server: Target) -> None:
    """Its operations are errors, those of others are not; asking for it again opens it anew."""

    class Killed(_Scripted):
        def execute(self, context: StateContext) -> str:
            self.connections[0].start_transaction()
            self.connections[0].kill()
            self.results.append(self.execute_concurrent_operations(self.batches[0]))
            self.get_connections(context, 2)
            self.results.append(self.execute_concurrent_operations(self.batches[0]))
            return "Completed"

    handler = Killed([_op(each, "query", f"SELECT {each} AS n") for each in (0, 1)])
    _run(server, handler)
    told = [[each["status"] for each in results] for results in handler.results]
    assert told == [["error", "success"], ["success", "success"]]
