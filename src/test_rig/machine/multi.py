"""A handler with several connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from test_rig.clock import SYSTEM_CLOCK
from test_rig.errors import MachineError, UsageError
from test_rig.machine.context import StateContext
from test_rig.machine.handler import Answer, StateHandler
from test_rig.machine.lanes import Lane, ReplayPolicy, run_lanes
from test_rig.machine.operations import Operation, OperationResult, read_operations
from test_rig.machine.states import State
from test_rig.targets import Session
from test_rig.telemetry import Measurement

__all__ = ["MultiConnectionTestHandler"]

#: A handler opens so many connections at most.
_MOST_CONNECTIONS = 1_000


class MultiConnectionTestHandler(StateHandler):
    """A handler that works with several connections to the target of its machine.

    `enter` opens them as `conn_0`, `conn_1`, ...; they are in `self.connections` and
    `context.connections`. `exit` closes them, and so does the end of the run, whatever a subclass
    overrides. A subclass that has an `enter` of its own need not call this one: `get_connections`
    opens what is missing.

    >>> class Counting(MultiConnectionTestHandler):
    ...     def execute(self, context):
    ...         one, two = self.get_connections(context, 2)
    ...         results = self.execute_concurrent_operations([
    ...             {"connection_id": 0, "operation": "query", "query": "SELECT 1 AS n"},
    ...             {"connection_id": 1, "operation": "query", "query": "SELECT 2 AS n"},
    ...         ])
    ...         return State.completed() if results[1]["result"] == [{"n": 2}] else State.error()
    """

    __test__ = False  # pytest would take it for a test

    connection_count: int
    #: The connections, by their position.
    connections: list[Session]
    #: How many transactions were run again after a deadlock.
    replay_count: int

    # Not in __init__: a subclass may have one that does not call this one's.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make it with no connection open."""
        del args, kwargs
        made = super().__new__(cls)
        made.connection_count, made.replay_count = 3, 0
        made.connections, made._lanes, made._context = [], {}, None
        return made

    _lanes: dict[Session, Lane]
    _context: StateContext | None

    def __init__(self, connection_count: int = 3) -> None:
        self.connection_count = _checked_count(connection_count)

    def enter(self, context: StateContext) -> Answer:
        """Open the connections."""
        self.get_connections(context, self.connection_count)
        return State.Connecting

    def exit(self, context: StateContext) -> None:
        """Close the connections; what they left open is rolled back by the server."""
        for session in self.connections:
            if not context.close_now(session):
                session.close()
        own = {id(session) for session in self.connections}
        context.connections = [each for each in context.connections if id(each) not in own]
        self.connections, self._lanes, self._context = [], {}, None

    def get_connections(self, context: StateContext, n: int | None = None) -> list[Session]:
        """Return the first `n` connections; those that are missing or dead are opened.

        Args:
            context: Where they lead.
            n: How many; `connection_count` if None.

        Raises:
            ConnectFailed: One could not be opened.
        """
        count = self.connection_count if n is None else _checked_count(n)
        self._context = context
        for position in range(count):
            if position == len(self.connections):
                self.connections.append(self._open(context, position))
            elif not self.connections[position].is_usable:
                context.close_now(self.connections[position])
                self.connections[position] = self._open(context, position)
        context.connections = list(self.connections)
        return self.connections[:count]

    def _open(self, context: StateContext, position: int) -> Session:
        target = context.target or context.open_target()
        return context.close_at_end(target.connect(f"conn_{position}"))

    def execute_concurrent_operations(
        self,
        operations: Sequence[Mapping[str, Any]],
        *,
        on_deadlock: Literal["replay", "report"] = "replay",
        max_replays: int = 5,
    ) -> list[OperationResult]:
        """Run operations: in order on each connection, at the same time on different ones.

        What a server refuses is a result, and so is an operation that cannot be read. A statement
        is limited by its session's deadline. Of a deadlock's victim the whole transaction is run
        again, back to operations of earlier calls; the results are those of the last time, and say
        how often it was.

        Args:
            operations: Dicts of `connection_id`, `operation` (`query`, `start_transaction`,
                `commit`, `rollback`), `query` and perhaps `params`, or `isolation`.
            on_deadlock: "report" leaves the victim's transaction lost.
            max_replays: How often one transaction is run again at most.

        Returns:
            A result for each operation, in the order of the operations.

        Raises:
            UsageError: The operations are no list of dicts, or an option is wrong.
        """
        policy = self._policy(on_deadlock, max_replays)
        found, results = read_operations(operations, len(self.connections))
        before = {id(lane): lane.replay_count for lane in self._lanes.values()}
        work: dict[Lane, list[tuple[Operation, OperationResult]]] = {}
        for operation in found:
            lane = self._lane(self.connections[operation.connection])
            work.setdefault(lane, []).append((operation, results[operation.index]))
        run_lanes(work, policy)
        self._count(sum(lane.replay_count - before.get(id(lane), 0) for lane in work))
        return results

    def _policy(self, on_deadlock: str, max_replays: int) -> ReplayPolicy:
        where = "execute_concurrent_operations"
        if on_deadlock not in ("replay", "report"):
            raise UsageError(
                f"on_deadlock is {on_deadlock!r}", where=where, todo="give 'replay' or 'report'"
            )
        if isinstance(max_replays, bool) or not isinstance(max_replays, int) or max_replays < 0:
            raise UsageError(f"max_replays is {max_replays!r}", where=where, todo="give 0 or more")
        deadline = None if self._context is None else self._context.deadline
        return ReplayPolicy(
            most_replays=max_replays if on_deadlock == "replay" else 0, deadline=deadline
        )

    def _lane(self, session: Session) -> Lane:
        if not hasattr(session, "statement_count"):
            raise MachineError(f"{session!r} is no session", where="self.connections")
        return self._lanes.setdefault(session, Lane(session))

    def _count(self, replays: int) -> None:
        self.replay_count += replays
        if replays and self._context is not None:
            self._context.emit(
                Measurement(
                    name="deadlock_replays",
                    value=float(replays),
                    unit="1",
                    time_ns=SYSTEM_CLOCK.now_ns(),
                    labels=(("handler", type(self).__name__),),
                    source="machine",
                )
            )


def _checked_count(count: object) -> int:
    is_count = isinstance(count, int) and not isinstance(count, bool)
    if not is_count or not 1 <= int(str(count)) <= _MOST_CONNECTIONS:
        raise UsageError(
            f"{count!r} is no number of connections", todo=f"give 1 to {_MOST_CONNECTIONS}"
        )
    return int(str(count))
