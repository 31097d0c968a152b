"""Several databases tried at the same time: can each be reached, and what is it?"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from test_rig.errors import RigError, UsageError
from test_rig.machine.awaiting import Finished
from test_rig.machine.engine import StateMachine
from test_rig.machine.result import RunResult
from test_rig.machine.together import run_machines, wait_or_pend
from test_rig.targets import ConnectionConfig

__all__ = [
    "ConnectionPhase",
    "ConnectionResult",
    "ConnectionResults",
    "SharedTestState",
    "SimpleMultiConnectionCoordinator",
]


class ConnectionPhase(Enum):
    """How far the trial of a connection is."""

    NOT_STARTED = "NotStarted"
    CONNECTING = "Connecting"
    COMPLETED = "Completed"
    FAILED = "Failed"


@dataclass(slots=True, kw_only=True)
class ConnectionResult:
    """What came of one connection."""

    connection_id: str
    #: `host:port`, or the file.
    host: str
    status: ConnectionPhase = ConnectionPhase.NOT_STARTED
    error: str | None = None
    #: As the server tells it: product and version.
    product: str | None = None
    version: str | None = None
    #: The whole run; None before it has ended.
    run: RunResult | None = field(default=None, repr=False)


class ConnectionResults(dict[str, ConnectionResult], Finished):
    """The result of each connection, by its id. Awaiting it gives itself."""

    @property
    def passed(self) -> bool:
        """Whether every connection was reached."""
        return all(each.status is ConnectionPhase.COMPLETED for each in self.values())


@dataclass(slots=True, kw_only=True)
class SharedTestState:
    """What is known of all connections."""

    connection_results: ConnectionResults
    global_status: str


class SimpleMultiConnectionCoordinator:
    """Goes the standard path on several databases at the same time.

    >>> coordinator = SimpleMultiConnectionCoordinator()
    >>> coordinator.add_connection(ConnectionConfig("embedded", "sqlite://"))
    >>> coordinator.run_all_connections().passed
    True
    """

    def __init__(self) -> None:
        self._configs: dict[str, ConnectionConfig] = {}
        #: What is known of each connection.
        self.results = ConnectionResults()
        self._status = "Initialized"

    def add_connection(self, config: ConnectionConfig) -> None:
        """Add a connection.

        Raises:
            UsageError: There is one of that id.
            TargetUrlError: It is no address.
        """
        if config.id in self._configs:
            raise UsageError(f"there is a connection {config.id!r} already", where="add_connection")
        self.results[config.id] = ConnectionResult(
            connection_id=config.id, host=config.url.address()
        )
        self._configs[config.id] = config

    def run_all_connections(self) -> ConnectionResults:
        """Try all connections at the same time and return their results, which may be awaited.

        A connection that cannot be reached is a result. Within an event loop this does not block:
        it must be awaited there, and runs then.
        """
        return cast("ConnectionResults", wait_or_pend(self._run(), "run_all_connections()"))

    async def _run(self) -> ConnectionResults:
        self._status = "Running"
        await run_machines({name: self._one(name) for name in self._configs})
        failed = sum(each.status is ConnectionPhase.FAILED for each in self.results.values())
        self._status = (
            f"{failed} of {len(self.results)} connections failed"
            if failed
            else "All connections completed"
        )
        return self.results

    async def _one(self, name: str) -> None:
        result = self.results[name]
        result.status, result.error = ConnectionPhase.CONNECTING, None
        try:
            machine = StateMachine(self._configs[name].url)
            result.run = await machine.run()
        except RigError as error:  # no driver for it, for one
            result.status, result.error = ConnectionPhase.FAILED, str(error)
            return
        context = machine.get_context()
        result.product, result.version = context.product, context.server_version
        failure = result.run.error
        result.error = None if failure is None else failure.message
        result.status = ConnectionPhase.COMPLETED if failure is None else ConnectionPhase.FAILED

    def get_shared_state(self) -> SharedTestState:
        """Return what is known of all connections."""
        return SharedTestState(connection_results=self.results, global_status=self._status)

    def print_results(self) -> None:
        """Print what came of each connection."""
        lines = ["", "=== Final Results ===", f"Global Status: {self._status}", ""]
        lines.append("Connection Results:")
        for name, result in self.results.items():
            lines.append(f"  {name}: {result.status.value} - {result.host}")
            if result.error is not None:
                lines.append(f"    Error: {result.error}")
            if result.version is not None:
                lines.append(f"    Version: {result.product} {result.version}")
        sys.stdout.write("\n".join([*lines, ""]))
