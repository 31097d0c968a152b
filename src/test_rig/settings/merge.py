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

__all__ = ["SECRET_KEYS", "Check", "merge", "secrets_in", "shown"]

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
    if isinstance(plain, Mapping):
        return {name: _shown_within(str(name), each) for name, each in plain.items()}
    return [_shown_within("", each) for each in plain] if isinstance(plain, tuple) else plain


def _shown_within(name: str, value: Any) -> Any:
    """Return a value of a table within a table as it may be printed."""
    if is_secret_name(name):
        return MASK
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, Mapping):
        # What a header is called does not always tell that it is secret.
        is_hidden = name == "headers"
        return {
            key: MASK if is_hidden else _shown_within(str(key), each) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_shown_within(name, each) for each in value]
    return value


def secrets_in(value: Any, name: str = "") -> list[str]:
    """Return the secrets in tables within tables: values of secret names, passwords of URLs."""
    if isinstance(value, Mapping):
        return [found for key, each in value.items() for found in secrets_in(each, str(key))]
    if isinstance(value, list | tuple):
        return [found for each in value for found in secrets_in(each, name)]
    if not isinstance(value, str):
        return []
    if is_secret_name(name):
        return [value]
    before, mask, after = without_passwords(value).partition(MASK)
    return [value[len(before) : len(value) - len(after)]] if mask else []
