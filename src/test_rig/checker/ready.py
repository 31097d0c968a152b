"""Has the checker's loops compiled, in two processes at once where none ever was.

How to think of it: Numba compiles one loop after the other, and keeps them for all processes to
come. So before the first large history of a model is judged in an installation, another process
compiles half of the model's loops, while this one compiles the others. Both models need the search
for cycles; what only one of them needs is halved too, so that the model that comes second does not
take longer. Afterwards each process finds in the cache what the other has made. Where any of this
cannot be done, the loops are compiled as they are needed.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from test_rig.checker import compiling
from test_rig.checker.compiling import compiling_now
from test_rig.checker.judge import check
from test_rig.checker.model import of_model
from test_rig.checker.register_atomic import overlooked
from test_rig.checker.register_causal import count_preceding, unknown_orders
from test_rig.checker.register_views import shortest
from test_rig.checker.search import search
from test_rig.checker.strong import doubled, pearce
from test_rig.checker.versions import compare, sift
from test_rig.history import History, HistoryBuilder, Mop, OpType
from test_rig.processes import kill_group, start_own_code

__all__ = ["compile_half", "prepare"]

#: What the other process compiles, half of the work for each model; it has to start before.
_OTHERS: dict[str, frozenset[Any]] = {
    "list-append": frozenset((search, doubled, pearce, compare, sift)),
    "rw-register": frozenset((search, overlooked, count_preceding, unknown_orders, shortest)),
}
#: By what it is known that a model's loops were compiled: one of the other process's, the model's.
_MARKS: dict[str, Any] = {"list-append": compare, "rw-register": shortest}
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
    if history.mop_count + len(history.element) > compiling.SMALL:
        known = of_model(history, model)[0]
        if not _was_compiled(known):
            _compile_all(known)


def compile_half() -> None:
    """Compile, and keep, half of the loops of the model in `sys.argv`: the other process's work."""
    model = sys.argv[1]
    with _uncollected(), compiling_now(_OTHERS[model].__contains__):
        check(_sample(model), model=model)


def _compile_all(model: str) -> None:
    try:
        other = start_own_code(__name__, "compile_half", [model], output=subprocess.DEVNULL)
    except OSError:
        return
    try:
        with _uncollected(), compiling_now(lambda kernel: kernel not in _OTHERS[model]):
            check(_sample(model), model=model)
        with suppress(subprocess.TimeoutExpired):
            other.communicate(timeout=_PATIENCE_S)
    finally:
        kill_group(other.pid)
        other.wait()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage while the block runs: compiling makes little, of very many objects."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _was_compiled(model: str) -> bool:
    """Return whether a model's loops are in the installation's cache, or nothing can be kept."""
    mark = _MARKS[model]
    try:
        from numba.core import caching

        # Numba has no types.
        place = Path(caching.FunctionCache(mark).cache_path)  # type: ignore[no-untyped-call]
    except (ImportError, RuntimeError):  # no Numba, no folder that can be written
        return True
    module = mark.__module__.rpartition(".")[2]
    return any(place.glob(f"{module}.{mark.__qualname__}-*.nbi"))


def _sample(model: str) -> History:
    """Return a small history for which every loop of its model is needed.

    It has cycles among sessions and in time; of lists a read of what was rolled back, of registers
    a cycle that the views of transactions show, and a promise to a session that was broken.
    """
    is_list = model == "list-append"

    def write(key: int, value: int) -> Mop:
        return ("append" if is_list else "w", key, value)

    def read(key: int, *values: int) -> Mop:
        return ("r", key, values if is_list else (values[-1] if values else None))

    planted = [
        ("a", OpType.OK, 0, 9, [read(1), write(2, 1)]),
        ("b", OpType.OK, 0, 9, [read(2), write(1, 1)]),
        ("a", OpType.OK, 10, 19, [read(1, 1), read(2, 1), write(3, 1)]),
        ("b", OpType.OK, 20, 29, [read(3), write(4, 1)]),
        ("c", OpType.OK, 30, 39, [read(4), read(3, 1)]),
    ]
    if is_list:
        planted += [
            ("d", OpType.FAIL, 40, 49, [write(5, 1)]),
            ("e", OpType.OK, 40, 49, [read(5, 1)]),
        ]
    else:
        planted += [
            ("d", OpType.OK, 40, 49, [write(5, 1)]),
            ("e", OpType.OK, 40, 49, [write(5, 2)]),
            ("f", OpType.OK, 50, 59, [read(5, 1), read(5, 2)]),
        ]
    builder = HistoryBuilder()
    for process, kind, start, end, mops in planted:
        builder.record(process, kind, mops, start=start, end=end)
    return builder.history()
