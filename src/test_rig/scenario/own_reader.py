"""Reads a person's own scenario from a TOML file, and tells all that is wrong with it at once.

    title = "Two tills sell the last seat"
    setup = ["CREATE TABLE seat (id INTEGER PRIMARY KEY, owner VARCHAR(9))", ...]
    steps = '''
    A BEGIN
    B BEGIN
    A SELECT owner FROM seat WHERE id = 1
    '''
    final = "SELECT owner FROM seat"
    teardown = ["DROP TABLE seat"]

    [[expect]]
    levels = ["serializable"]
    commits = [["A"], ["B"]]

A line of `steps` is a session and its SQL; lines that begin with # are comments.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from test_rig.errors import FailureKind, SpecSyntaxError
from test_rig.scenario.hermitage import steps_of
from test_rig.scenario.own import Expect, OwnScenario, TextRows

__all__ = ["read_scenario"]

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_KEYS = ("title", "setup", "steps", "final", "teardown", "expect")
_EXPECT_KEYS = ("levels", "commits", "waits", "errors", "rows", "final")
_KINDS = tuple(kind.value for kind in FailureKind)


def read_scenario(path: str | Path) -> OwnScenario:
    """Return the scenario in a TOML file.

    Raises:
        SpecSyntaxError: The file cannot be read, is no TOML, or says what makes no sense; then
            everything that does not is told in one message.
    """
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise SpecSyntaxError(what, file=file, line=1, column=1) from error
    except UnicodeDecodeError as error:
        raise SpecSyntaxError("is no UTF-8 text", file=file, line=1, column=1) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place else (len(text.splitlines()), 1)
        what = _PLACE.sub("", str(error)).strip()
        raise SpecSyntaxError(what, file=file, line=max(line, 1), column=column) from error
    return _Reader(data, text, file).scenario()


class _Reader:
    """Takes the file's values apart; remembers what is wrong with them."""

    def __init__(self, data: Mapping[str, Any], text: str, file: str) -> None:
        self._data, self._text, self._file = data, text, file
        self._problems: list[tuple[int, str]] = []

    def scenario(self) -> OwnScenario:
        """Return the scenario, or raise with all problems."""
        data = self._data
        self._refuse_unknown(data, _KEYS, "the file")
        steps = self._steps(self._value(data, "steps", str, ""))
        if not steps:
            self._problem("steps", "there are no steps")
        names = {step.name for step in steps_of(steps, ("BEGIN",))}
        sessions = {session for session, _ in steps}
        tables = self._value(data, "expect", list, [])
        scenario = OwnScenario(
            name=Path(self._file).stem,
            title=self._value(data, "title", str, ""),
            setup=self._texts(data, "setup"),
            steps=steps,
            final=self._value(data, "final", str, None),
            teardown=self._texts(data, "teardown"),
            expect=tuple(self._expect(table, names, sessions) for table in tables),
        )
        self._tell()
        return scenario

    def _problem(self, near: str, what: str) -> None:
        """Remember a problem, at the first line that has the word in it."""
        word = re.compile(rf"(?<![\w-]){re.escape(near)}(?![\w-])")
        lines = self._text.splitlines()
        found = (number for number, line in enumerate(lines, start=1) if word.search(line))
        self._problems.append((next(found, 1), what))

    def _tell(self) -> None:
        if not self._problems:
            return
        (line, first), *others = sorted(dict.fromkeys(self._problems))
        more = "".join(f"\n{self._file}:{number}: {what}" for number, what in others)
        raise SpecSyntaxError(f"{first}{more}", file=self._file, line=line, column=1)

    def _refuse_unknown(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key not in known:
                self._problem(key, f"{where} has no key {key!r} (known: {', '.join(known)})")

    def _value(self, table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
        value = table.get(key, default)
        if value is not default and not isinstance(value, kind):
            words: dict[type, str] = {str: "a text", list: "a list", dict: "a table"}
            self._problem(key, f"{key} must be {words[kind]}")
            return default
        return value

    def _texts(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        values = self._value(table, key, list, [])
        if not all(isinstance(value, str) for value in values):
            self._problem(key, f"{key} must be a list of texts")
            return ()
        return tuple(values)

    def _steps(self, text: str) -> tuple[tuple[str, str], ...]:
        steps = []
        for line in map(str.strip, text.splitlines()):
            if line and not line.startswith("#"):
                session, _, sql = line.partition(" ")
                if not sql.strip():
                    self._problem(line, f"step {line!r} is no session followed by SQL")
                steps.append((session, sql.strip()))
        return tuple(steps)

    def _expect(self, table: Any, names: set[str], sessions: set[str]) -> Expect:
        if not isinstance(table, dict):
            self._problem("expect", "expect must be tables: [[expect]]")
            return Expect(levels=(), errors={}, rows={})
        self._refuse_unknown(table, _EXPECT_KEYS, "expect")
        levels = self._texts(table, "levels")
        if not levels:
            self._problem("[[expect]]", 'an expect needs levels = [...], or ["*"] for all others')
        waits = self._texts(table, "waits")
        errors = self._value(table, "errors", dict, {})
        rows = self._value(table, "rows", dict, {})
        self._refuse_strangers("step", [*waits, *errors, *rows], names)
        for kind in errors.values():
            if kind not in _KINDS:
                self._problem(str(kind), f"there is no failure {kind!r} ({', '.join(_KINDS)})")
        final = table.get("final")
        return Expect(
            levels=levels,
            commits=self._commits(table, sessions),
            waits=waits,
            errors={name: str(kind) for name, kind in errors.items()},
            rows={name: self._rows(name, value) for name, value in rows.items()},
            final=None if final is None else self._rows("final", final),
        )

    def _commits(self, table: Mapping[str, Any], sessions: set[str]) -> tuple[frozenset[str], ...]:
        value = self._value(table, "commits", list, [])
        if not all(isinstance(names, list) for names in value):
            self._problem("commits", 'commits must be a list of lists: [["A"], ["B"]] is A or B')
            return ()
        self._refuse_strangers("session", [name for names in value for name in names], sessions)
        return tuple(frozenset(map(str, names)) for names in value)

    def _refuse_strangers(self, kind: str, names: list[str], known: set[str]) -> None:
        for name in names:
            if name not in known:
                what = f"there is no {kind} {name!r} (known: {', '.join(sorted(known))})"
                self._problem(str(name), what)

    def _rows(self, name: str, value: Any) -> TextRows:
        is_table = isinstance(value, list) and all(isinstance(row, list) for row in value)
        if not is_table:
            self._problem(name, f'the rows of {name} must be a list of lists: [["1", "10"]]')
            return ()
        return tuple(tuple(_text(cell) for cell in row) for row in value)


#: TOML has no null; this word in angle brackets stands for it.
_NULL = "<NULL>"


def _text(cell: Any) -> str | None:
    convert: Callable[[Any], str] = str
    return None if cell == _NULL else convert(cell)
