"""A row as scripts see it: a dict by column name that also answers by position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

__all__ = ["Row"]


class Row(dict[str, Any]):
    """Values by column name, in column order; `row["col_0"]` gives the first one by position.

    Iterating, `items()`, `str()` and equality show the real names only. Where two columns share a
    name the name gives the last one, as in any dict, and the positions still give each. A column
    that is really called `col_0` is found by that name first.
    """

    __slots__ = ("_values",)

    def __init__(self, columns: Sequence[str], values: Sequence[Any]) -> None:
        super().__init__(zip(columns, values, strict=True))
        self._values = tuple(values)

    @classmethod
    def all_of(cls, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[Row]:
        """Return a row for each tuple of values, as long as the columns.

        It is the constructor without its cost for each: of a point query's, most is this.
        """
        made = []
        for values in rows:
            row = cls.__new__(cls)
            for name, value in zip(columns, values):  # noqa: B905 - an answer is rectangular
                row[name] = value
            row._values = values
            made.append(row)
        return made

    @property
    def by_position(self) -> tuple[Any, ...]:
        """The values in column order, duplicates of a name included."""
        return self._values

    def _position(self, key: object) -> int | None:
        # No database has columns by the million; Python refuses to read very long numbers.
        if isinstance(key, str) and key.startswith("col_") and len(key) <= 10:
            number = key[4:]
            if number.isdecimal() and int(number) < len(self._values):
                return int(number)
        return None

    def __missing__(self, key: str) -> Any:
        index = self._position(key)
        if index is None:
            raise KeyError(key)
        return self._values[index]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._position(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a name or a position, or the default."""
        return self[key] if key in self else default  # noqa: SIM401 - this is `get` itself

    def copy(self) -> Row:
        """Return a row of the same values."""
        return copy(self)
