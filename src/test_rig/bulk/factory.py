"""Rows for a test that are gone afterwards, and only those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from test_rig.errors import TargetError, UsageError
from test_rig.targets import Session, delete_statement, insert_statement

__all__ = ["MadeRow", "TestDataFactory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRow:
    """A row that a factory made."""

    table: str
    key: str
    value: Any


class TestDataFactory:
    """Makes rows, keeps track of them by their keys, and deletes just these. A base class.

    >>> class Users(TestDataFactory):
    ...     def create_test_user(self, name: str) -> int:
    ...         return self.insert("users", {"name": name})

    Leaving its block, or `cleanup`, deletes what was made, the last first, whatever it is called.

    Args:
        connection: The session that makes and deletes.
    """

    __test__ = False  # pytest would take it for a test

    def __init__(self, connection: Session) -> None:
        self.connection = connection
        self._made: list[MadeRow] = []

    @property
    def created(self) -> tuple[MadeRow, ...]:
        """What was made and not yet deleted, in order."""
        return tuple(self._made)

    def insert(self, table: str, values: Mapping[str, Any], *, key: str = "id") -> Any:
        """Insert a row with bound values, and return its key.

        Args:
            table: The table's name, unquoted.
            values: By column name, unquoted.
            key: The column of the primary key, which the database makes if `values` has none.

        Raises:
            UsageError: The key that the database made cannot be learned.
        """
        session = self.connection
        dialect = session.dialect
        must_ask = key not in values and dialect.family in ("postgresql", "duckdb")
        sql = insert_statement(
            (table,),
            list(values),
            quote=dialect.quote,
            mark=dialect.placeholder,
            returning=key if must_ask else None,
        )
        result = session.execute(sql, list(values.values()))
        value = values.get(key)
        if value is None:
            value = result.rows[0][0] if must_ask else session.last_insert_id
        if value is None:
            raise UsageError(
                f"the key of a new row of {table} is not known",
                where=f"{type(self).__name__}.insert",
                todo=f"give {key} among the values",
            )
        self.track(table, value, key=key)
        return value

    def track(self, table: str, value: Any, *, key: str = "id") -> None:
        """Have a row deleted that was made otherwise.

        Args:
            table: Its table, unquoted.
            value: Its key.
            key: The key's column.
        """
        self._made.append(MadeRow(table=table, key=key, value=value))

    def cleanup(self) -> int:
        """Delete what was made, the last first, and return how many rows there still were.

        An open transaction is rolled back first; where the connection was lost, another one
        deletes.

        Raises:
            StatementFailed: A row could not be deleted: it and those before it are still tracked.
        """
        if not self._made:
            return 0
        try:
            self.connection.rollback()
            return self._delete(self.connection)
        except TargetError:
            if self.connection.is_usable:
                raise
        with self.connection.sibling() as other:
            return self._delete(other)

    def _delete(self, session: Session) -> int:
        dialect, count = session.dialect, 0
        while self._made:
            row = self._made[-1]
            sql = delete_statement(
                (row.table,), row.key, quote=dialect.quote, mark=dialect.placeholder
            )
            session.execute(sql, [row.value])
            count += session.affected_row_count
            self._made.pop()
        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.cleanup()
        except TargetError as second:
            if error is None:
                raise
            error.add_note(f"rows of {type(self).__name__} are left: {second}")
