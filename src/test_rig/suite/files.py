"""Which files are run, of what a person named."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from test_rig.plugins import Source
from test_rig.suite.conduct import FileTask

__all__ = ["file_tasks"]


def file_tasks(name: str) -> Iterator[FileTask]:
    """Yield the files of a file, a folder or a module, in the order in which they are run.

    Raises:
        UsageError: It is none of these.
    """
    source = Source.of(name)
    if source.path is None:
        source.units()  # a module that cannot be found is wrong use
        yield FileTask(source=name, folder=None)
        return
    for unit in source.units():
        if source.path.is_file() or _may_have_handlers(unit.file):
            yield FileTask(source=str(unit.file), folder=unit.folder)


def _may_have_handlers(file: Path) -> bool:
    """Return whether a file of a folder is worth a process: not if it is fine and names none."""
    try:
        text = file.read_bytes()
        if b"Handler" not in text:
            ast.parse(text, str(file))
            return False
    except (OSError, SyntaxError, ValueError):
        return True  # what is wrong with it is told where it is loaded
    return True
