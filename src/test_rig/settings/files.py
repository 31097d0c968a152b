"""Reading settings files: TOML or JSON in, a layer of entries out, each with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from test_rig.errors import Problem
from test_rig.settings.names import Vocabulary
from test_rig.settings.origin import Entry, Layer, Source
from test_rig.settings.positions import Positions, json_positions, toml_positions

__all__ = ["DEFAULT_FILES", "read_files"]

#: What is looked for in the working folder, the strongest first.
DEFAULT_FILES = ("tidb_config.toml", "tidb_config.json", "test-rig.toml")

_TOML_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|.*)\)$")


def read_files(
    paths: Sequence[str | Path], *, vocabulary: Vocabulary, required: bool = False
) -> tuple[Layer, ...]:
    """Return a layer for each file that exists.

    Args:
        paths: The files, the strongest first.
        vocabulary: The keys there are.
        required: Whether a missing file is a problem.
    """
    layers = (_read(Path(path), vocabulary=vocabulary, required=required) for path in paths)
    return tuple(layer for layer in layers if layer is not None)


def _read(path: Path, *, vocabulary: Vocabulary, required: bool) -> Layer | None:
    try:
        # A byte order mark is what some editors leave at the beginning.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return _broken(path, "there is no such file") if required else None
    except UnicodeDecodeError as exc:
        return _broken(path, f"not UTF-8 at byte {exc.start}")
    except OSError as exc:
        return _broken(path, f"cannot be read: {exc.strerror}")
    return _parse(path, text, vocabulary)


def _parse(path: Path, text: str, vocabulary: Vocabulary) -> Layer:
    if path.suffix.lower() not in (".toml", ".json"):
        return _broken(path, "neither .toml nor .json", todo="rename it to what it is")
    content: Any
    try:
        if path.suffix.lower() == ".toml":
            content, positions = tomllib.loads(text), toml_positions(text)
        else:
            content, positions = json.loads(text, object_pairs_hook=_once), json_positions(text)
    except tomllib.TOMLDecodeError as exc:
        return _broken_toml(path, text, str(exc))
    except json.JSONDecodeError as exc:
        return _broken(f"{path}:{exc.lineno}:{exc.colno}", f"not JSON: {exc.msg}")
    except (ValueError, RecursionError) as exc:
        return _broken(path, str(exc))
    if not isinstance(content, dict):
        return _broken(path, "not an object", todo='it begins with {"database": {...}}')
    return _layer(path, content, positions, vocabulary)


def _broken(where: str | Path, what: str, *, todo: str | None = None) -> Layer:
    return Layer(problems=(Problem(where=str(where), what=what, todo=todo),))


def _broken_toml(path: Path, text: str, message: str) -> Layer:
    place = _TOML_PLACE.match(message)
    what = message if place is None else place["what"]
    line, column = (place["line"], place["column"]) if place else (None, None)
    if line is None:  # "at end of document"
        lines = text.splitlines() or [""]
        line, column = str(len(lines)), str(len(lines[-1]) + 1)
    return _broken(f"{path}:{line}:{column}", f"not TOML: {what}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"not JSON that can be used: {', '.join(twice)} stands there twice")
    return content


def _layer(
    path: Path, content: Mapping[str, Any], positions: Positions, vocabulary: Vocabulary
) -> Layer:
    entries: list[Entry] = []
    problems: list[Problem] = []
    for keys, value in _leaves(content):
        where = f"{path}:{_line(positions, keys)}"
        problem = vocabulary.problem(keys, where=where)
        if problem is not None:
            problems.append(problem)
        elif len(keys) == 2 and value is not None:  # JSON's null leaves a key unset
            table, key = keys
            entries.append(
                Entry(table=table, key=key, value=value, source=Source.FILE, where=where)
            )
    return Layer(entries=tuple(entries), problems=tuple(problems))


def _leaves(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for table, keys in content.items():
        if not isinstance(keys, dict):
            yield (table,), keys
            continue
        if not keys:
            yield (table, ""), None
        for key, value in keys.items():
            yield (table, key), value


def _line(positions: Positions, keys: tuple[str, ...]) -> int:
    for length in range(len(keys), 0, -1):
        if keys[:length] in positions:
            return positions[keys[:length]]
    return 1
