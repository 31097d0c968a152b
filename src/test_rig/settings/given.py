"""Layers of what is handed over in Python: the options of a command, the tables of a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from test_rig.errors import Problem, UnknownName
from test_rig.settings.names import Vocabulary
from test_rig.settings.origin import Entry, Layer, Source

__all__ = ["OptionValue", "code_layer", "command_line_layer"]

_CODE = "AppConfig(...)"


@dataclass(frozen=True, slots=True)
class OptionValue:
    """A value given on the command line, with the option's name for messages."""

    value: Any = field(repr=False)
    option: str


def command_line_layer(cli: Mapping[str, OptionValue], vocabulary: Vocabulary) -> Layer:
    """Return the layer of a command's options; None is an option that was not given.

    Raises:
        UnknownName: A command binds its option to a key that there is not.
    """
    entries = []
    for name, given in cli.items():
        table, _, key = name.partition(".")
        if not vocabulary.has(table, key):
            known = [f"{home}.{each}" for home, keys in vocabulary.tables.items() for each in keys]
            raise UnknownName("setting", name, sorted(known), where=given.option)
        if given.value is not None:
            entries.append(
                Entry(
                    table=table,
                    key=key,
                    value=given.value,
                    source=Source.COMMAND_LINE,
                    where=given.option,
                )
            )
    return Layer(entries=tuple(entries))


def code_layer(tables: Mapping[str, Any], vocabulary: Vocabulary) -> Layer:
    """Return the layer of the tables that a script hands to `AppConfig(...)`."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for table, given in tables.items():
        if not isinstance(given, BaseModel | Mapping):
            problems.append(Problem(where=f"{_CODE}: {table}", what="a table is wanted here"))
            continue
        for key, value in _keys(given):
            problem = vocabulary.problem((table, key), where=_CODE)
            if problem is not None:
                problems.append(problem)
            elif value is not None:
                entries.append(
                    Entry(table=table, key=key, value=value, source=Source.CODE, where=_CODE)
                )
    return Layer(entries=tuple(entries), problems=tuple(problems))


def _keys(given: BaseModel | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(given, BaseModel):
        yield from ((key, getattr(given, key)) for key in sorted(given.model_fields_set))
    else:
        yield from given.items()
