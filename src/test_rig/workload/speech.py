"""What the clients of workloads say to a session: one spelling for every database.

How to think of it: workloads write SQL that all products understand, with `?` for values; what
differs (a placeholder's mark, an upsert) the session's dialect says.
"""

from __future__ import annotations

import time
from typing import Any

from test_rig.targets import Result, Session

__all__ = ["Speech"]


class Speech:
    """Speaks through one session.

    Args:
        session: Where statements go.
        pause_s: A pause before every statement but the first of a transaction.
        statement_s: The deadline of a statement.
    """

    def __init__(self, session: Session, *, pause_s: float = 0.0, statement_s: float = 5.0) -> None:
        self.session = session
        self._pause_s, self._statement_s = pause_s, statement_s
        self._mark = session.dialect.placeholder
        self._spelt: dict[str, str] = {}
        self._upserts: dict[tuple[str, bool], str] = {}
        self._is_first = True
        self._said: list[str] = []

    def begin(self, statements: tuple[str, ...]) -> None:
        """Start a transaction."""
        for statement in statements:
            self.session.execute(statement, deadline_s=self._statement_s)
        self._is_first = True
        self._said.clear()

    @property
    def said(self) -> str:
        """The statements of the transaction so far, without those that began it."""
        return "; ".join(self._said)

    def rows(self, sql: str, *values: Any) -> tuple[tuple[Any, ...], ...]:
        """Send a statement and return its rows."""
        return self._say(self._text(sql), values).rows

    def run(self, sql: str, *values: Any) -> int:
        """Send a statement and return how many rows it changed."""
        return self._say(self._text(sql), values).row_count or 0

    def one(self, sql: str, *values: Any) -> Any:
        """Send a statement and return the first column of its first row; None without a row."""
        rows = self.rows(sql, *values)
        return rows[0][0] if rows else None

    def set(self, table: str, key: int, value: Any, *, appends: bool = False) -> None:
        """Set column `v` of the row with that `k`, or append a text to it; make it if need be."""
        text = self._upserts.get((table, appends))
        if text is None:
            text = self.session.dialect.upsert(table, "k", "v", appends=appends)
            self._upserts[table, appends] = text
        self._say(text, (key, value))

    def _text(self, sql: str) -> str:
        text = self._spelt.get(sql)
        if text is None:
            text = self._spelt[sql] = sql.replace("?", self._mark)
        return text

    def _say(self, text: str, values: tuple[Any, ...]) -> Result:
        if self._pause_s and not self._is_first:
            time.sleep(self._pause_s)
        self._is_first = False
        self._said.append(text)
        return self.session.execute(text, values or None, deadline_s=self._statement_s)
