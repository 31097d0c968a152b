"""Operations on several connections: what a script asks for, and what it is told of each.

An operation is a dict: `connection_id` (a position among the connections, 0 where it is left out),
`operation` (`query`, `start_transaction`, `commit`, `rollback`), for a query its text as `query`
and perhaps `params`, for a transaction perhaps its `isolation`. What cannot be read becomes an
error in that operation's result, so that the others still run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypedDict

from test_rig.errors import UsageError

if TYPE_CHECKING:
    from test_rig.targets import Row

__all__ = ["Operation", "OperationKind", "OperationResult", "read_operations"]


class OperationKind(Enum):
    """What is done on a connection."""

    QUERY = "query"
    START_TRANSACTION = "start_transaction"
    COMMIT = "commit"
    ROLLBACK = "rollback"


class OperationResult(TypedDict):
    """What came of one operation."""

    #: As the operation gave it.
    connection_id: Any
    #: `success`, `transaction_started`, `committed`, `rolled_back`, or `error`.
    status: str
    #: A query's rows; None for all else.
    result: list[Row] | None
    #: Why it failed; None where it did not.
    error: str | None
    #: How long its last sending took, in seconds; of a deadlock's victim, all replays included.
    duration_s: float
    #: The server's own number of the error, and the SQLSTATE, where there are any.
    code: str | None
    sqlstate: str | None
    #: How often its transaction was run again after a deadlock.
    replays: int


#: How a success of each kind is told.
STATUS = {
    OperationKind.QUERY: "success",
    OperationKind.START_TRANSACTION: "transaction_started",
    OperationKind.COMMIT: "committed",
    OperationKind.ROLLBACK: "rolled_back",
}
_KEYS = {"connection_id", "operation", "query", "params", "isolation"}
_KINDS = ", ".join(kind.value for kind in OperationKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation that can be tried."""

    #: Its position among the operations.
    index: int
    #: As it was given.
    connection_id: Any
    #: The position of its connection.
    connection: int
    kind: OperationKind
    sql: str = ""
    params: Any = None
    isolation: str | None = None


def read_operations(
    operations: Sequence[Mapping[str, Any]], connection_count: int
) -> tuple[list[Operation], list[OperationResult]]:
    """Return the operations that can be tried, and a result for each operation, in order.

    The results of those that cannot be tried are complete; the others' are to be filled in.

    Raises:
        UsageError: They are no list of dicts.
    """
    if isinstance(operations, Mapping | str) or not all(
        isinstance(each, Mapping) for each in operations
    ):
        raise UsageError(
            "the operations are no list of dicts",
            where="execute_concurrent_operations",
            todo="give [{'connection_id': 0, 'operation': 'query', 'query': 'SELECT 1'}, ...]",
        )
    found: list[Operation] = []
    results: list[OperationResult] = []
    for index, given in enumerate(operations):
        result = _unfinished(given.get("connection_id", 0))
        results.append(result)
        try:
            found.append(_read(index, given, connection_count))
        except UsageError as error:
            result["error"] = str(error)
    return found, results


def _unfinished(connection_id: Any) -> OperationResult:
    return {
        "connection_id": connection_id,
        "status": "error",
        "result": None,
        "error": "it was not tried",
        "duration_s": 0.0,
        "code": None,
        "sqlstate": None,
        "replays": 0,
    }


def _read(index: int, given: Mapping[str, Any], connection_count: int) -> Operation:
    where = f"operation {index}"
    wrong = sorted(str(key) for key in given.keys() - _KEYS)
    if wrong:
        raise UsageError(
            f"unknown key {', '.join(wrong)}",
            where=where,
            todo=f"known: {', '.join(sorted(_KEYS))}",
        )
    connection_id = given.get("connection_id", 0)
    connection = _position(connection_id, connection_count)
    if connection is None:
        known = f"0 to {connection_count - 1}" if connection_count else "no connection is open"
        raise UsageError(f"Invalid connection ID: {connection_id!r}", where=where, todo=known)
    name = given.get("operation", "query")
    try:
        kind = OperationKind(name)
    except ValueError:
        raise UsageError(
            f"Unknown operation: {name!r}", where=where, todo=f"known: {_KINDS}"
        ) from None
    sql = given.get("query", "")
    if kind is OperationKind.QUERY and not (isinstance(sql, str) and sql.strip()):
        raise UsageError("a query needs its text as 'query'", where=where)
    return Operation(
        index=index,
        connection_id=connection_id,
        connection=connection,
        kind=kind,
        sql=sql if kind is OperationKind.QUERY else "",
        params=given.get("params"),
        isolation=given.get("isolation"),
    )


def _position(connection_id: object, count: int) -> int | None:
    """Return the position that an id means: a number, or a session's name such as `conn_1`."""
    if isinstance(connection_id, str):
        digits = connection_id.removeprefix("conn_")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
            return None
        connection_id = int(digits)
    if isinstance(connection_id, bool) or not isinstance(connection_id, int):
        return None
    return connection_id if 0 <= connection_id < count else None
