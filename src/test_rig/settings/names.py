"""Which keys there are, and what was probably meant by one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from test_rig.errors import Problem

__all__ = ["Vocabulary"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tables with their keys: the rig's own and those of the extensions."""

    tables: Mapping[str, frozenset[str]]
    #: Tables that have any key.
    free: frozenset[str] = frozenset()

    def has(self, table: str, key: str) -> bool:
        """Return whether there is such a key."""
        return table in self.free or key in self.tables.get(table, ())

    def variables(self) -> dict[str, tuple[str, str]]:
        """Return the environment variable of every key."""
        return {
            f"TEST_RIG_{table}_{key}".upper(): (table, key)
            for table, keys in self.tables.items()
            for key in keys
        }

    def problem(self, path: tuple[str, ...], *, where: str) -> Problem | None:
        """Return what is wrong with a key of a file; None where it is known.

        Args:
            path: The table and the key; the table alone where its place holds no table; an
                empty key stands for an empty table.
            where: File and line, for the message.
        """
        table, key = path[0], path[1] if len(path) == 2 else None
        shown = f"{where}: {'.'.join(part for part in path if part)}"
        if table not in self.tables:
            what = "unknown key outside of any table" if key is None else f"no table {table!r}"
            return Problem(where=shown, what=what, todo=self._meant(table, key))
        if key is None:
            return Problem(where=shown, what="a table, not a value", todo=f"write [{table}]")
        if key and not self.has(table, key):
            return Problem(where=shown, what="unknown key", todo=self._meant(table, key))
        return None

    def _meant(self, table: str, key: str | None) -> str:
        if key and table in self.tables:
            known = sorted(self.tables[table])
            near = get_close_matches(key, known, n=1, cutoff=0.6)
            if near:
                return f"did you mean {near[0]!r}?"
            homes = [name for name, keys in self.tables.items() if key in keys]
            if homes:
                return f"did you mean {homes[0]}.{key}?"
            return f"known: {', '.join(known)}"
        near = get_close_matches(table, list(self.tables), n=1, cutoff=0.6)
        homes = [name for name, keys in self.tables.items() if table in keys]
        if key is None and homes:
            return f"did you mean {homes[0]}.{table}?"
        if near:
            return f"did you mean {near[0]!r}?"
        return f"known tables: {', '.join(self.tables)}"
