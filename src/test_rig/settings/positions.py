"""On which line of a TOML or JSON file a key stands.

How to think of it: the standard library's parsers tell what a file says; this module tells, for
the messages, where. It is a scanner and not a parser: it runs on text that was parsed already,
and where it is at a loss (an inline table, a key within an array) it answers with the line of the
nearest key around.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["Positions", "json_positions", "toml_positions"]

#: From the path of a key to its line, counted from 1.
Positions = dict[tuple[str, ...], int]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*(?P<path>{_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*(?P<path>{_DOTTED})\s*=(?P<rest>.*)")
_ONE_PART = re.compile(_PART)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def toml_positions(text: str) -> Positions:
    """Return the line of every table and key of a TOML text."""
    found: Positions = {}
    table: tuple[str, ...] = ()
    for number, line in _outside_of_strings(text):
        if header := _HEADER.match(line):
            table = _parts(header["path"])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            path = table + _parts(key["path"])
            for length in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:length], number)
    return found


def json_positions(text: str) -> Positions:
    """Return the line of every key of a JSON text; the last one where a key is repeated."""
    found: Positions = {}
    path: list[str | None] = []
    last_string: str | None = None
    for token in _JSON_TOKEN.finditer(text):
        mark = token.group()
        if mark in "{[":
            path.append(None)
        elif mark in "}]":
            path.pop()
        elif mark == ":" and path and last_string is not None:
            path[-1] = last_string
            found[tuple(part for part in path if part is not None)] = _line(text, token.start())
        last_string = _unquoted(mark) if mark.startswith('"') else None
    return found


def _outside_of_strings(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that does not begin inside a string of several lines."""
    ending: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if ending is None:
            yield number, line
        for quote in ('"""', "'''"):
            if ending in (None, quote) and line.count(quote) % 2 == 1:
                ending = None if ending == quote else quote


def _parts(path: str) -> tuple[str, ...]:
    return tuple(_unquoted(part) for part in _ONE_PART.findall(path))


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        import json

        return str(json.loads(text))
    return text[1:-1] if text.startswith("'") else text


def _line(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1
