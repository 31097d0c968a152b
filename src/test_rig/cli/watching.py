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

#: A system that is slow to watch so many folders gets so long.
_READY_S = 30.0


def run_again(
    choose: Callable[[], Sequence[FileTask]],
    run: Callable[[Sequence[FileTask]], None],
    console: Console,
) -> None:
    """Wait for edits, and run the files that they concern, until Ctrl-C.

    A file that is not Python is told, and what it said before stands; it is run when it is good.

    Args:
        choose: Names the files that there are to run, new ones included.
        run: Runs some of them.
        console: Where it is told.
    """
    folders = {task.folder or Source.of(task.source).folder for task in choose()}
    changes: queue.SimpleQueue[frozenset[Path]] = queue.SimpleQueue()
    places = sorted(folder for folder in folders if folder is not None)
    with watch_files(places, changes.put) as watch:
        watch.wait_ready(_READY_S)
        _say(console, "watching for edits; Ctrl-C ends it")
        while True:
            edited = frozenset(file for file in _next(changes) if file.exists())
            broken = [problem for file in sorted(edited) if (problem := _problem(file))]
            for problem in broken:
                _say(console, f"{problem}; the results of the last good version stand")
            if broken:
                continue
            try:
                _run_concerned(choose(), edited, run, console)
            except RigError as error:
                _say(console, str(error))


def _run_concerned(
    tasks: Sequence[FileTask],
    edited: frozenset[Path],
    run: Callable[[Sequence[FileTask]], None],
    console: Console,
) -> None:
    concerned = _concerned(tasks, edited)
    if concerned:
        _say(console, f"edited: {', '.join(sorted(file.name for file in edited))}")
        run(concerned)


def _next(changes: queue.SimpleQueue[frozenset[Path]]) -> frozenset[Path]:
    """Wait for a change; Ctrl-C comes through within a second."""
    while True:
        try:
            return changes.get(timeout=1.0)
        except queue.Empty:
            continue


def _problem(file: Path) -> str | None:
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
