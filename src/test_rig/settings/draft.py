"""The settings while extensions may still write into them.

How to think of it: a draft has the tables as attributes, a table has the keys as attributes, and
both take new ones. It is thrown away once every extension has spoken.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

__all__ = ["Draft"]


class Draft:
    """The tables, open for writing: `draft.test.concurrent_users = 10`."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        for table, keys in tables.items():
            setattr(self, table, SimpleNamespace(**keys))

    def __getattr__(self, name: str) -> Any:
        # A table that nobody has yet comes into being when it is written to.
        if name.startswith("_"):
            raise AttributeError(name)
        table = SimpleNamespace()
        setattr(self, name, table)
        return table

    def table(self, name: str) -> Any:
        """Return a table by name."""
        return getattr(self, name)

    def snapshot(self) -> dict[tuple[str, str], Any]:
        """Return every value by (table, key)."""
        return {
            (table, key): value for table, keys in vars(self).items() for key, value in _items(keys)
        }

    def changes_since(self, before: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
        """Return what is new or different since a snapshot."""
        return {
            slot: value
            for slot, value in self.snapshot().items()
            if slot not in before or before[slot] is not value
        }


def _items(keys: Any) -> list[tuple[str, Any]]:
    # An extension may have put a dict in the place of a table.
    return list(keys.items() if isinstance(keys, dict) else vars(keys).items())
