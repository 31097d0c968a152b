"""The stand-in for a database in unit tests of handlers."""

from __future__ import annotations

from test_rig.targets import SqlListener, Target, TargetUrl

__all__ = ["InMemoryTarget"]


class InMemoryTarget(Target):
    """A private database in memory, which all sessions of this target share; `memory://` as a URL.

    It is a real SQLite: what it says of transactions, constraints and errors is true of SQLite, and
    may differ on the database that the handler is meant for. It passes the target contract tests
    with the same claims as SQLite, save that a writer keeps readers out. Closing the target, or
    leaving its block, removes the database.

    >>> with InMemoryTarget() as target, target.connect() as session:
    ...     session.execute_query("SELECT 1 AS one")
    [{'one': 1}]
    """

    def __init__(
        self, *, listener: SqlListener | None = None, statement_timeout_s: float = 30.0
    ) -> None:
        super().__init__(
            TargetUrl.parse("memory://"),
            listener=listener,
            statement_timeout_s=statement_timeout_s,
        )
