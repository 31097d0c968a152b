"""`test-rig run --watch`: run again what was edited."""

from __future__ import annotations

import ast
import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from test_rig.errors import RigError
from test_rig.plugins import Source, watch_files

if TYPE_CHECKING:
    from rich.console import Console

    from test_rig.suite import FileTask

__all__ = ["run_again"]


def run_again(
    tasks: Sequence[FileTask], run: Callable[[Sequence[FileTask]], None], console: Console
) -> None:
    """Wait for edits, and run the files that they concern, until Ctrl-C.

    A file that is not Python is told, and what it said before stands; it is run when it is good.
    """
    folders = {task: task.folder or Source.of(task.source).folder for task in tasks}
    changes: queue.SimpleQueue[frozenset[Path]] = queue.SimpleQueue()
    places = sorted({folder for folder in folders.values() if folder is not None})
    with watch_files(places, changes.put):
        _say(console, "watching for edits; Ctrl-C ends it")
        while True:
            edited = _next(changes)
            broken = [problem for file in sorted(edited) if (problem := _problem(file))]
            for problem in broken:
                _say(console, f"{problem}; the results of the last good version stand")
            concerned = _concerned(tasks, edited)
            if broken or not concerned:
                continue
            _say(console, f"edited: {', '.join(sorted(file.name for file in edited))}")
            try:
                run(concerned)
            except RigError as error:
                _say(console, str(error))


def _next(changes: queue.SimpleQueue[frozenset[Path]]) -> frozenset[Path]:
    """Wait for a change; Ctrl-C comes through within a second."""
    while True:
        try:
            return changes.get(timeout=1.0)
        except queue.Empty:
            continue


def _problem(file: Path) -> str | None:
    if not file.exists():
        return None
    try:
        ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        return f"{file}:{error.lineno}: not Python: {error.msg}"
    except (OSError, ValueError) as error:
        return f"{file}: {error}"
    return None


def _concerned(tasks: Sequence[FileTask], edited: frozenset[Path]) -> list[FileTask]:
    """Return the files that were edited; all, where it was another one, which they may import."""
    own = [task for task in tasks if Path(task.source) in edited]
    files = {Path(task.source) for task in tasks}
    others = {file for file in edited if file not in files}
    return list(tasks) if others else own


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
