"""Tables and rows for a test: names that nobody else has, tables that are gone afterwards."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from test_rig.errors import TargetError, UsageError
from test_rig.targets.dialect import Table
from test_rig.targets.statements import insert_statement

if TYPE_CHECKING:
    from test_rig.targets.session import Session

__all__ = ["batch_insert", "temp_table", "unique_name"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: MySQL's and PostgreSQL's names have at most 64 and 63 characters.
_PREFIX_CHARS = 40


def unique_name(prefix: str = "test") -> str:
    """Return a name for a table, a user, ... that nobody else uses, and that needs no quotes.

    >>> unique_name("orders").startswith("orders_"), unique_name() == unique_name()
    (True, False)

    Args:
        prefix: What it begins with: letters, digits and underscores.

    Raises:
        UsageError: The prefix is no plain name, or too long.
    """
    if not _NAME.fullmatch(prefix) or len(prefix) > _PREFIX_CHARS:
        raise UsageError(
            f"{prefix!r} cannot begin a name",
            where="unique_name",
            todo=f"give at most {_PREFIX_CHARS} letters, digits and underscores",
        )
    return f"{prefix}_{secrets.token_hex(8)}"


@contextmanager
def temp_table(
    connection: Session, definition: str, *, prefix: str = "test", name: str | None = None
) -> Iterator[str]:
    """Make a table for the time of a block, and give its name; it is gone afterwards, surely.

    Also after an error, in an open transaction, and where the connection was lost: then another
    connection drops it. Other sessions see the table, as they do not see `CREATE TEMPORARY TABLE`.

    Args:
        connection: The session that makes and drops it, with no transaction open.
        definition: What follows the name: "(id INT PRIMARY KEY, note TEXT)".
        prefix: What its name begins with.
        name: The whole name instead, which nobody else may use.

    Raises:
        UsageError: A transaction is open: at the beginning, since making a table would commit it
            on some databases; at the end, where it is rolled back first.
    """
    where = "temp_table"
    if connection.in_transaction:
        raise UsageError(
            "a transaction is open", where=where, todo="make the table before it begins"
        )
    own = unique_name(prefix) if name is None else name
    quoted = connection.dialect.quote(own)
    connection.query_drop(f"CREATE TABLE {quoted} {definition}")
    try:
        yield own
    except BaseException as error:
        try:
            _drop(connection, quoted)
        except TargetError as second:
            error.add_note(f"the table {own} could not be dropped: {second}")
        raise
    was_open = connection.in_transaction
    _drop(connection, quoted)
    if was_open:
        raise UsageError(
            "a transaction was left open: it was rolled back",
            where=where,
            todo="commit, or roll back, before the block ends",
        )


def _drop(connection: Session, quoted: str) -> None:
    statement = f"DROP TABLE IF EXISTS {quoted}"
    if connection.is_usable:
        try:
            connection.rollback()
            connection.query_drop(statement)
        except TargetError:
            if connection.is_usable:
                raise
        else:
            return
    with connection.sibling() as other:
        other.query_drop(statement)


def batch_insert(
    connection: Session,
    table: str | Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    batch_size: int = 1000,
) -> int:
    """Insert rows in batches, with parameters, all or none; return how many.

    Outside a transaction they are one of their own. `Session.bulk_load` is faster; this one works
    the same everywhere, and rows need not be in memory at once.

    Args:
        connection: The session.
        table: The table's name as it is, unquoted; with a schema or database, a tuple of both.
        columns: Their names, unquoted, in the order of the values.
        rows: The values.
        batch_size: How many rows are sent at a time.

    Raises:
        UsageError: There is no column, or a batch has no row.
    """
    if batch_size < 1 or not columns:
        raise UsageError("a batch needs a column and a row at least", where="batch_insert")
    dialect = connection.dialect
    place = (table,) if isinstance(table, str) else table
    sql = insert_statement(place, columns, quote=dialect.quote, mark=dialect.placeholder)
    if connection.in_transaction:
        return _send(connection, sql, iter(rows), batch_size)
    with connection.transaction():
        return _send(connection, sql, iter(rows), batch_size)


def _send(connection: Session, sql: str, rows: Iterator[Sequence[Any]], batch_size: int) -> int:
    count = 0
    while batch := list(islice(rows, batch_size)):
        connection.execute_batch(sql, batch)
        count += len(batch)
    return count
