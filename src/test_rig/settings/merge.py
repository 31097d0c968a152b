"""Layers in, values with their origins out; every problem of every layer at once.

Theory of operation: layers are ordered, the strongest first. For each key the first entry wins
and remembers the others. *Every* entry is checked, also one that is hidden: a broken file is
broken, whatever the command line says today. Pure: the sources were read before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from test_rig.errors import Problem, SettingsError
from test_rig.resilience import MASK, is_secret_name, without_passwords
from test_rig.settings.address import split_hosts
from test_rig.settings.origin import Entry, Layer, Origin

__all__ = ["SECRET_KEYS", "Check", "merge", "shown"]

#: Checks and converts a value; raises `ValueError` with a sentence that does not quote it.
Check = Callable[[Any], Any]

#: Keys whose values are never printed.
SECRET_KEYS = frozenset({"password", "url"})


@dataclass(frozen=True, slots=True)
class Merged:
    """The values in force, by (table, key)."""

    values: Mapping[tuple[str, str], Any]
    origins: Mapping[tuple[str, str], Origin]


def merge(layers: Sequence[Layer], checks: Mapping[tuple[str, str], Check]) -> Merged:
    """Return the values in force.

    Args:
        layers: What the sources give, the strongest first.
        checks: One check per key there is.

    Raises:
        SettingsError: With every problem of every layer.
    """
    split = [split_hosts(layer) for layer in layers]
    problems = [problem for layer in split for problem in layer.problems]
    by_key: dict[tuple[str, str], list[tuple[Entry, Any]]] = {}
    for entry in (entry for layer in split for entry in layer.entries):
        slot = (entry.table, entry.key)
        try:
            # A table with any keys has no checks.
            checked = checks[slot](entry.value) if slot in checks else entry.value
        except ValueError as exc:
            problems.append(_problem(entry, str(exc)))
        else:
            by_key.setdefault(slot, []).append((entry, checked))
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return Merged(
        values={slot: found[0][1] for slot, found in by_key.items()},
        origins={slot: _origin(found) for slot, found in by_key.items()},
    )


def _problem(entry: Entry, what: str) -> Problem:
    value = "" if entry.key in SECRET_KEYS else f", not {entry.value!r}"
    return Problem(where=f"{entry.where}: {entry.name}", what=f"{what}{value}")


def _origin(found: Sequence[tuple[Entry, Any]]) -> Origin:
    winner = found[0][0]
    return Origin(source=winner.source, where=winner.where, hid=tuple(_hidden(found)))


def _hidden(found: Sequence[tuple[Entry, Any]]) -> Iterator[tuple[str, str]]:
    for entry, value in found[1:]:
        yield f"{entry.source.value} {entry.where}", str(shown(entry.key, value))


def shown(key: str, value: Any) -> Any:
    """Return a value as it may be printed: plain, without its secrets."""
    if value is None:
        return None
    plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if key == "url" and isinstance(plain, str):
        return without_passwords(plain)
    is_secret = isinstance(plain, str) and is_secret_name(key)
    if key in SECRET_KEYS or plain is not value or is_secret:
        return MASK
    return list(plain) if isinstance(plain, tuple) else _without_secrets(plain)


def _without_secrets(value: Any) -> Any:
    """Return a value of a table with any keys as it may be printed."""
    if isinstance(value, dict):
        return {
            key: MASK if is_secret_name(str(key)) else _without_secrets(inner)
            for key, inner in value.items()
        }
    return without_passwords(value) if isinstance(value, str) else value
