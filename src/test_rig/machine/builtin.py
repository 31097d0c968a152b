"""The standard path: handlers that really find, reach, try and identify the database.

They enter the machine by the same door as everybody's handlers and use nothing but the context.
Each goes to `context.next_state`, so that they fit any machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from test_rig.errors import MachineError
from test_rig.machine.context import StateContext
from test_rig.machine.handler import Answer, StateHandler
from test_rig.machine.states import STANDARD_PATH, State
from test_rig.resilience import RetryConfig
from test_rig.targets import Session, Target, TargetUrl

__all__ = [
    "ConnectingHandler",
    "GettingVersionHandler",
    "InitialHandler",
    "ParsingConfigHandler",
    "TestingConnectionHandler",
    "VerifyingDatabaseHandler",
    "builtin_handlers",
]

OpenTarget = Callable[[TargetUrl], Target]

#: A server that is starting, or full for a moment, is tried again; a mistake is told at once.
CONNECT_RETRY = RetryConfig(max_attempts=3, base_delay=0.1, max_delay=0.5)
#: No attempt begins after so long: somebody waits for the answer.
CONNECT_PATIENCE_S = 5.0


class InitialHandler(StateHandler):
    """Begins: goes to the next state."""

    def enter(self, context: StateContext) -> Answer:
        """Announce where it will go."""
        return context.next_state

    def execute(self, context: StateContext) -> Answer:
        """Go on."""
        return context.next_state


class ParsingConfigHandler(InitialHandler):
    """Makes the target's address of what the context says, and checks that it can be one.

    Host, port, user and database are in the context afterwards as they were understood.

    Args:
        open_target: Makes a target of an address; None: as the machine does.
    """

    def __init__(self, open_target: OpenTarget | None = None) -> None:
        self._open_target = open_target

    def execute(self, context: StateContext) -> Answer:
        """Read the address and find the driver for it.

        Raises:
            TargetUrlError: The context names no target.
            MissingExtra: The driver is not installed.
        """
        target = context.open_target(self._open_target)
        context.logger.debug("target", url=target.url.safe())
        return context.next_state


class ConnectingHandler(InitialHandler):
    """Opens a session: a fresh one at every visit; the one it opened before is closed.

    Args:
        open_target: Used where no `ParsingConfig` came before; None: as the machine does.
        retry: For transient failures; patience ends after a few seconds, or at the deadline.
    """

    def __init__(
        self, open_target: OpenTarget | None = None, *, retry: RetryConfig = CONNECT_RETRY
    ) -> None:
        self._open_target, self._retry = open_target, retry

    def execute(self, context: StateContext) -> Answer:
        """Connect.

        Raises:
            ConnectFailed: No session could be made; its notes tell of every attempt.
        """
        target = context.open_target(self._open_target)
        before, context.connection = context.connection, None
        if before is not None:
            context.close_now(before)
        context.connection = context.close_at_end(self._connect(context, target))
        return context.next_state

    def _connect(self, context: StateContext, target: Target) -> Session:
        until = time.monotonic() + CONNECT_PATIENCE_S
        if context.deadline is not None:
            until = min(until, time.monotonic() + context.deadline.remaining_s)
        last: list[Exception] = []

        def connect() -> Session:
            try:
                return target.connect("conn_0")
            except Exception as error:
                last.append(error)
                raise

        def wait(delay_s: float) -> None:
            if time.monotonic() + delay_s >= until:
                raise last[-1]
            time.sleep(delay_s)

        # A session that was not made has had no effect, whatever became of the attempt.
        return self._retry.execute("connect", connect, idempotent=True, sleep=wait)


class TestingConnectionHandler(InitialHandler):
    """Asks the server for 1, and wants to get 1."""

    __test__ = False  # pytest would take it for a test

    def execute(self, context: StateContext) -> Answer:
        """Try the connection.

        Raises:
            StatementFailed: The server refused, or did not answer.
        """
        rows = _session(context).execute("SELECT 1").rows
        if rows != ((1,),):
            return State.error(f"SELECT 1 gave {rows!r}")
        return context.next_state


class VerifyingDatabaseHandler(InitialHandler):
    """Asks the server which database the session is in, and compares it with the one asked for.

    Where none was asked for, the context gets the server's answer.
    """

    def execute(self, context: StateContext) -> Answer:
        """Verify the database."""
        session = _session(context)
        rows = session.execute(session.dialect.which_database).rows
        found = None if not rows or rows[0][0] in (None, "") else str(rows[0][0])
        wanted = context.url
        if wanted.is_embedded:
            return self._verify_file(context, wanted, found)
        if context.database is None:
            context.database = found
        elif found is None or found.casefold() != context.database.casefold():
            return State.error(f"the session is in database {found!r}, not in {context.database!r}")
        return context.next_state

    @staticmethod
    def _verify_file(context: StateContext, wanted: TargetUrl, found: str | None) -> Answer:
        # A private one has a name that only the target knows; one in memory has no file.
        if wanted.path is None or wanted.scheme == "memory":
            return context.next_state
        if found is None or Path(found).resolve() != Path(wanted.path).resolve():
            return State.error(f"the session is in the file {found!r}, not in {wanted.path!r}")
        return context.next_state


class GettingVersionHandler(InitialHandler):
    """Asks the server for its version; product and version are in the context afterwards."""

    def execute(self, context: StateContext) -> Answer:
        """Get the version."""
        session = _session(context)
        dialect, context.server_version = session.dialect.recognise(session.execute)
        context.product = dialect.product
        return context.next_state


def _session(context: StateContext) -> Session:
    if context.connection is None:
        raise MachineError(
            "there is no connection",
            where=f"state {context.current_state}",
            todo="go through Connecting first",
        )
    return context.connection


def builtin_handlers() -> dict[State, StateHandler]:
    """Return the handlers of the standard path."""
    handlers = (
        InitialHandler(),
        ParsingConfigHandler(),
        ConnectingHandler(),
        TestingConnectionHandler(),
        VerifyingDatabaseHandler(),
        GettingVersionHandler(),
    )
    return dict(zip(STANDARD_PATH, handlers, strict=True))
