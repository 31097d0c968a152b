"""Has the checker's loops compiled, in two processes at once where none ever was.

How to think of it: Numba compiles one loop after the other, and keeps them for all processes to
come. The search for cycles takes nearly as long to compile as the rest together. So before the
first large history of an installation is judged, another process compiles that and some more, while
this one compiles everything else. Afterwards each finds in the cache what the other has made. Where
any of this cannot be done, the loops are compiled as they are needed.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from test_rig.checker import compiling
from test_rig.checker.compiling import compiling_now
from test_rig.checker.judge import check
from test_rig.checker.model import of_model
from test_rig.checker.search import search
from test_rig.checker.strong import doubled, pearce
from test_rig.checker.versions import compare
from test_rig.history import History, HistoryBuilder, Mop, OpType
from test_rig.processes import kill_group, start_own_code

__all__ = ["compile_half", "prepare"]

#: What the other process compiles: half of the work.
_OTHERS: frozenset[Any] = frozenset((search, doubled, pearce, compare))
_PATIENCE_S = 120.0


def prepare(history: History, *, model: str | None = None) -> None:
    """Have compiled what judging a history needs, where it is large and nothing ever was.

    Judging does it too, in twice the time.

    Args:
        history: The history.
        model: "list-append" or "rw-register"; the history tells where it is of one only.

    Raises:
        HistoryError: It is not well formed.
        UsageError: It is not of that model.
    """
    if history.mop_count + len(history.element) > compiling.SMALL and not _was_compiled():
        _compile_all(of_model(history, model)[0])


def compile_half() -> None:
    """Compile, and keep, the search for cycles and some more: the other process's work."""
    with compiling_now(lambda kernel: kernel in _OTHERS):
        check(_sample("list-append"))


def _compile_all(model: str) -> None:
    try:
        other = start_own_code(__name__, "compile_half", output=subprocess.DEVNULL)
    except OSError:
        return
    try:
        with compiling_now(lambda kernel: kernel not in _OTHERS):
            check(_sample(model), model=model)
        with suppress(subprocess.TimeoutExpired):
            other.communicate(timeout=_PATIENCE_S)
    finally:
        kill_group(other.pid)
        other.wait()


def _was_compiled() -> bool:
    """Return whether an installation's cache holds the search, or nothing can be kept there."""
    try:
        from numba.core import caching

        place = Path(caching.FunctionCache(search).cache_path)  # type: ignore[no-untyped-call]
    except (ImportError, RuntimeError):  # no Numba, no folder that can be written
        return True
    module = search.__module__.rpartition(".")[2]
    return any(place.glob(f"{module}.{search.__qualname__}-*.nbi"))


def _sample(model: str) -> History:
    """Return a small history with cycles among sessions and in time."""
    is_list = model == "list-append"

    def write(key: int, value: int) -> Mop:
        return ("append" if is_list else "w", key, value)

    def read(key: int, *values: int) -> Mop:
        return ("r", key, values if is_list else (values[-1] if values else None))

    planted = [
        ("a", 0, 9, [read(1), write(2, 1)]),
        ("b", 0, 9, [read(2), write(1, 1)]),
        ("a", 10, 19, [read(1, 1), read(2, 1), write(3, 1)]),
        ("b", 20, 29, [read(3), write(4, 1)]),
        ("c", 30, 39, [read(4), read(3, 1)]),
    ]
    builder = HistoryBuilder()
    for process, start, end, mops in planted:
        builder.record(process, OpType.OK, mops, start=start, end=end)
    return builder.history()
