"""Reading the environment: the one place of the rig that does.

| variable | key |
|---|---|
| `TIDB_HOST` (host:port, too), `TIDB_PORT`, `TIDB_PASSWORD`, `TIDB_DATABASE` | `database.*` |
| `TIDB_USER`, or else `TIDB_USERNAME` | `database.username` |
| `TIDB_MONITOR_DURATION`, `TIDB_UPDATE_INTERVAL` | `imports.*_secs` |
| `TIDB_SHOW_DETAILS` | `imports.show_details` |
| `SHOW_SQL`, `REAL_DB` | `logging.show_sql`, `test.real_db` |
| `TEST_RIG_<TABLE>_<KEY>` | every key; stronger than the names above |

An empty variable is an unset one: shells and CI systems cannot always leave a variable away. An
empty password is therefore given on the command line or in a file.

`TEST_RIG_...` names that nothing has are a problem if they resemble one that something has. Other
ones are left alone: they may belong to a plugin that is not loaded now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from test_rig.errors import Problem
from test_rig.settings.names import Vocabulary
from test_rig.settings.origin import Entry, Layer, Source

__all__ = ["FAMILIAR", "PREFIX", "read_environment", "secret_of_variable"]

PREFIX = "TEST_RIG_"

#: The names that people's scripts and shells use, the stronger of two first.
FAMILIAR: dict[str, tuple[str, str]] = {
    "TIDB_HOST": ("database", "host"),
    "TIDB_PORT": ("database", "port"),
    "TIDB_USER": ("database", "username"),
    "TIDB_USERNAME": ("database", "username"),
    "TIDB_PASSWORD": ("database", "password"),
    "TIDB_DATABASE": ("database", "database"),
    "TIDB_MONITOR_DURATION": ("imports", "duration_secs"),
    "TIDB_UPDATE_INTERVAL": ("imports", "interval_secs"),
    "TIDB_SHOW_DETAILS": ("imports", "show_details"),
    "SHOW_SQL": ("logging", "show_sql"),
    "REAL_DB": ("test", "real_db"),
}


def read_environment(
    variables: Mapping[str, str] | None, *, vocabulary: Vocabulary
) -> tuple[Layer, Layer]:
    """Return the layer of the `TEST_RIG_` names and, below it, that of the familiar ones.

    Args:
        variables: The variables; None for those of this process.
        vocabulary: The keys there are.
    """
    given = os.environ if variables is None else variables
    own = vocabulary.variables()
    return (
        Layer(entries=tuple(_entries(given, own)), problems=tuple(_misspelt(given, own))),
        Layer(entries=tuple(_entries(given, FAMILIAR))),
    )


def _entries(given: Mapping[str, str], names: Mapping[str, tuple[str, str]]) -> Iterator[Entry]:
    for name, (table, key) in names.items():
        value = given.get(name, "")
        if value:
            yield Entry(table=table, key=key, value=value, source=Source.ENVIRONMENT, where=name)


def _misspelt(given: Mapping[str, str], names: Mapping[str, tuple[str, str]]) -> Iterator[Problem]:
    known = {name.removeprefix(PREFIX): name for name in names}
    for name in sorted(given):
        if not name.startswith(PREFIX) or name in names:
            continue
        rest = name.removeprefix(PREFIX)
        is_of_a_table = any(rest.startswith(f"{name.split('_')[2]}_") for name in names)
        near = get_close_matches(rest, list(known), n=1, cutoff=0.6 if is_of_a_table else 0.75)
        if near:
            todo = f"did you mean {known[near[0]]}?"
            yield Problem(where=name, what="no such setting", todo=todo)
        elif is_of_a_table:
            yield Problem(where=name, what="no such setting", todo="see: test-rig config show")


def secret_of_variable(name: str) -> str | None:
    """Return the secret in a variable that a person named as its place; None where it is unset."""
    return os.environ.get(name)
