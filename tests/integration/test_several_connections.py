"""Several databases at the same time: each result is true, and told."""

from __future__ import annotations

import asyncio

import pytest

from test_rig.errors import UsageError
from test_rig.machine import (
    ConnectionCoordinator,
    MultiConnectionStateMachine,
    SharedState,
    SimpleMultiConnectionCoordinator,
    StateContext,
    StateHandler,
)
from test_rig.targets import ConnectionConfig, ConnectionPool, PoolConfig, TargetUrl


def _config(name: str, url: str) -> ConnectionConfig:
    """Return a configuration in parts, as scripts write them; the port stands twice."""
    parts = TargetUrl.parse(url)
    return ConnectionConfig(
        name, parts.address(), parts.port, parts.user, parts.password, parts.database
    )


def test_each_connection_has_its_own_result(
    postgres_url: str, mariadb_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions of those that answered, the error of the one that did not."""
    coordinator = SimpleMultiConnectionCoordinator()
    coordinator.add_connection(_config("postgres", postgres_url))
    coordinator.add_connection(_config("maria", mariadb_url))
    coordinator.add_connection(ConnectionConfig("nobody", "127.0.0.1", 1, "root", "s3cret"))
    results = coordinator.run_all_connections()
    assert not results.passed
    assert [each.status.value for each in results.values()] == ["Completed", "Completed", "Failed"]
    assert (results["maria"].product, results["postgres"].product) == ("MariaDB", "PostgreSQL")
    assert results is coordinator.results
    coordinator.print_results()
    shown = capsys.readouterr().out
    assert "Global Status: 1 of 3 connections failed" in shown
    assert f"    Version: MariaDB {results['maria'].version}" in shown
    assert "nobody: Failed - 127.0.0.1:1" in shown
    assert "s3cret" not in shown + repr(coordinator.get_shared_state())


def test_all_completed_is_said_when_all_are(mariadb_url: str) -> None:
    """And it can be awaited within an event loop."""

    async def inside() -> str:
        coordinator = SimpleMultiConnectionCoordinator()
        coordinator.add_connection(_config("one", mariadb_url))
        coordinator.add_connection(_config("two", mariadb_url))
        assert coordinator.get_shared_state().global_status == "Initialized"
        assert (await coordinator.run_all_connections()).passed
        return coordinator.get_shared_state().global_status

    assert asyncio.run(inside()) == "All connections completed"


def test_an_id_is_taken_once() -> None:
    """The second one would hide the first."""
    coordinator = SimpleMultiConnectionCoordinator()
    coordinator.add_connection(ConnectionConfig("one"))
    with pytest.raises(UsageError, match="'one' already"):
        coordinator.add_connection(ConnectionConfig("one", "elsewhere"))


def test_handlers_on_different_databases_meet(postgres_url: str, mariadb_url: str) -> None:
    """Each with a session of its own, and one hands the other what it read."""

    class Reader(StateHandler):
        def execute(self, context: StateContext) -> str:
            assert context.connection is not None
            rows = context.connection.execute_query("SELECT 42 AS answer")
            context.coordinator.send_message("checker", rows[0]["answer"])
            return "Completed"

    class Checker(StateHandler):
        def execute(self, context: StateContext) -> str:
            return "Completed" if context.coordinator.receive_message("reader").body == 42 else ""

    machine = MultiConnectionStateMachine(ConnectionCoordinator(SharedState()))
    machine.add_connection("reader", Reader, _config("p", postgres_url))
    machine.add_connection("checker", Checker, mariadb_url)
    machine.add_connection("idle", postgres_url)
    result = machine.run_with_coordination()
    assert result.passed, {name: str(each.error) for name, each in result.items()}
    assert machine.state_machine_count() == 3
    status = machine.coordinator.get_connection("reader")
    assert (status.port, status.status.value) == (TargetUrl.parse(postgres_url).port, "Completed")


def test_a_pool_takes_a_configuration_in_parts(postgres_url: str) -> None:
    """As `ConnectionPool(pool_config, connection_config)` is written."""
    pool = ConnectionPool(PoolConfig(size=1), _config("pooled", postgres_url))
    session = pool.get_connection()
    assert session.execute_query("SELECT 1 AS one") == [{"one": 1}]
    pool.return_connection(session)
    pool.close()
