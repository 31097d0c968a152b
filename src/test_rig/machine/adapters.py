"""The built-in handlers under the names that earlier scripts register.

They take where to connect as arguments, as those did, or take it from the context; a class will do
where a handler is wanted.
"""

from __future__ import annotations

from test_rig.machine.builtin import (
    ConnectingHandler,
    GettingVersionHandler,
    InitialHandler,
    ParsingConfigHandler,
    TestingConnectionHandler,
    VerifyingDatabaseHandler,
)
from test_rig.machine.context import StateContext
from test_rig.machine.handler import Answer
from test_rig.machine.imports import CheckingImportJobsHandler, ShowingImportJobDetailsHandler
from test_rig.machine.states import State

__all__ = [
    "CheckingImportJobsHandlerAdapter",
    "ConnectingHandlerAdapter",
    "GettingVersionHandlerAdapter",
    "InitialHandlerAdapter",
    "NextStateVersionHandler",
    "ParsingConfigHandlerAdapter",
    "ShowingImportJobDetailsHandlerAdapter",
    "TestingConnectionHandlerAdapter",
    "VerifyingDatabaseHandlerAdapter",
]

InitialHandlerAdapter = InitialHandler
ConnectingHandlerAdapter = ConnectingHandler
TestingConnectionHandlerAdapter = TestingConnectionHandler
VerifyingDatabaseHandlerAdapter = VerifyingDatabaseHandler
GettingVersionHandlerAdapter = GettingVersionHandler
CheckingImportJobsHandlerAdapter = CheckingImportJobsHandler
ShowingImportJobDetailsHandlerAdapter = ShowingImportJobDetailsHandler


class ParsingConfigHandlerAdapter(ParsingConfigHandler):
    """Puts where to connect into the context, as far as it was told, and parses it."""

    def __init__(
        self,
        host: str | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
    ) -> None:
        super().__init__()
        self.host, self.user, self.password, self.database = host, user, password, database

    def execute(self, context: StateContext) -> Answer:
        """Make the target's address of what the handler and the context say."""
        context.host = self.host or context.host
        context.username = self.user or context.username
        context.password = context.password if self.password is None else self.password
        context.database = self.database or context.database
        return super().execute(context)


class NextStateVersionHandler(GettingVersionHandler):
    """Gets the server's version, then goes to a state of one's choice."""

    def __init__(self, next_state: str) -> None:
        self.next_state = State(next_state)

    def execute(self, context: StateContext) -> Answer:
        """Get the version."""
        super().execute(context)
        return self.next_state
