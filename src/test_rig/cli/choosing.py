"""What `test-rig run` is to run, from what was named."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from test_rig.errors import UnknownName, UsageError
from test_rig.suite import FileTask, file_tasks

__all__ = ["chosen_files", "read_values"]

#: Suites of the earlier rig, and where its projects have them.
_EARLIER = {
    "ddl": "src/ddl",
    "import": "src/load_data",
    "load_data": "src/load_data",
    "scale": "src/scale",
    "txn": "src/txn",
}


def chosen_files(
    given: Sequence[str],
    suites_asked: Sequence[str],
    only: Sequence[str],
    *,
    suites: Mapping[str, Any],
) -> list[FileTask]:
    """Return the files and modules to run, each once, in order.

    Args:
        given: Paths and modules.
        suites_asked: Names of suites.
        only: Names of files; other files are left out.
        suites: The suites that the settings name.

    Raises:
        UsageError: Nothing was named, or something that is not there.
    """
    named = [*given, *(path for name in suites_asked for path in _of_suite(name, suites))]
    wanted: Sequence[str] = only
    if not named and only:
        named, wanted = list(only), ()
    if not named:
        raise UsageError(
            "nothing was named to run", todo="name files, folders or modules: test-rig run PATH"
        )
    tasks = [task for name in named for task in file_tasks(name)]
    once: dict[str, FileTask] = {}
    for task in tasks:
        once.setdefault(_identity(task), task)
    kept = [task for task in once.values() if not wanted or _is_one_of(task, wanted)]
    if not kept:
        where = ", ".join(map(str, wanted or named))
        raise UsageError(
            "there is no file to run", where=where, todo="of a folder test_*.py is run"
        )
    return kept


def _identity(task: FileTask) -> str:
    """Return what two ways to name one file have in common."""
    return task.source if task.folder is None else str(Path(task.source).resolve())


def _is_one_of(task: FileTask, names: Sequence[str]) -> bool:
    path = Path(task.source)
    return any(
        path.match(name) or path.match(f"{name}.py") or task.source == name for name in names
    )


def _of_suite(name: str, suites: Mapping[str, Any]) -> list[str]:
    by_name = {key.casefold(): value for key, value in suites.items()}
    found = by_name.get(name.casefold())
    if isinstance(found, str):
        return [found]
    if isinstance(found, list | tuple):
        return [str(each) for each in found]
    earlier = _EARLIER.get(name.casefold())
    for place in (name, f"src/{name}", f"tests/{name}", *([earlier] if earlier else [])):
        if Path(place).is_dir():
            return [place]
    raise UnknownName("suite", name, sorted(suites), where="--suite")


def read_values(given: Sequence[str]) -> dict[str, Any]:
    """Return the values of `--set NAME=VALUE` and `--set CLASS.NAME=VALUE`.

    >>> read_values(["rows=3", "name=ann", "MonitorHandler.duration=0.5"])
    {'rows': 3, 'name': 'ann', 'MonitorHandler': {'duration': 0.5}}

    Raises:
        UsageError: One has no name.
    """
    values: dict[str, Any] = {}
    for each in given:
        name, is_given, text = each.partition("=")
        table, _, key = name.strip().rpartition(".")
        if not is_given or not key:
            raise UsageError("it says no NAME=VALUE", where=f"--set {each}")
        home = values.setdefault(table, {}) if table else values
        home[key] = _read(text)
    return values


def _read(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
