"""Workloads by name: the rig's own, those of installed packages, and those of a person's files.

How to think of it: a workload of a file is a class with a workload's parts; nothing registers it.
What a person's code raises while it runs is told with its file and line, as wrong use and never as
a crash of the rig.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from test_rig.errors import PluginError, Problem, RigError, UnknownName, UsageError
from test_rig.plugins import load, make
from test_rig.workload import (
    BUILT_IN,
    Done,
    Generator,
    Judge,
    Plan,
    Request,
    Shown,
    Speech,
    Workload,
    find_workload,
)

if TYPE_CHECKING:
    from random import Random

__all__ = ["ENTRY_POINTS", "installed_workloads", "workload_named"]

#: The group in which packages name classes of workloads.
ENTRY_POINTS = "test_rig.workloads"
_PARTS = ("setup", "generator", "perform", "judge")
T = TypeVar("T")


def installed_workloads() -> tuple[str, ...]:
    """Return the names of the workloads that installed packages bring."""
    return tuple(entry.name for entry in entry_points(group=ENTRY_POINTS))


def workload_named(name: str) -> Workload:
    """Return the workload of a name: a built-in or installed one, or one of a file or module.

    Args:
        name: Its name; or a file (`stock.py`) or a module (`shop.workloads`), and behind a colon
            which of its workloads where it has several.

    Raises:
        UnknownName: There is none of that name.
        PluginError: The file cannot be loaded, or a workload in it has not all its parts.
        UsageError: There is no such file or module, or it has none or several workloads.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return _made(_loaded(entry.load, entry.value), where=entry.value)
    source, _, wanted = name.partition(":")
    if not _names_a_place(source):
        try:
            return find_workload(name)
        except UnknownName as error:
            known = [*BUILT_IN, *installed_workloads()]
            raise UnknownName("workload", name, sorted(known)) from error
    return _from_source(source, wanted)


def _names_a_place(text: str) -> bool:
    return text.endswith(".py") or "." in text or "/" in text or Path(text).is_dir()


def _loaded(read: Callable[[], Any], where: str) -> type:
    try:
        found = read()
    except Exception as error:  # the door: an installed package's code
        what = f"cannot be imported: {type(error).__name__}: {error}"
        raise PluginError([Problem(where=where, what=what)]) from error
    if not inspect.isclass(found):
        raise PluginError([Problem(where=where, what="this is no class of workloads")])
    return found


def _from_source(source: str, wanted: str) -> Workload:
    generation = load(source, _looks_like_one)
    if generation.problems:
        raise PluginError(generation.problems)
    found = {each.name: each for each in generation.found}
    chosen = {
        name: each
        for name, each in found.items()
        if not wanted or wanted in (name, getattr(each.value, "name", None))
    }
    if len(chosen) == 1:
        (only,) = chosen.values()
        return _made(_loaded(lambda: only.value, only.where), where=only.where)
    if not found:
        what = f"there is no workload: no class with {', '.join(_PARTS)}"
        raise UsageError(what, where=source, todo="see docs/workloads.md")
    if not chosen:
        raise UnknownName("workload", wanted, sorted(found), where=source)
    todo = f"name one, as {source}:{sorted(chosen)[0]}"
    raise UsageError(f"there are several: {', '.join(sorted(chosen))}", where=source, todo=todo)


def _looks_like_one(name: str, value: object) -> bool:
    del name
    # Half of one is taken too, and refused with what it lacks.
    return inspect.isclass(value) and hasattr(value, "perform") and hasattr(value, "setup")


def _made(kind: type, *, where: str) -> Workload:
    lacks = [part for part in _PARTS if not callable(getattr(kind, part, None))]
    made = None if lacks else make(kind, where=where)
    lacks += [f"{part} (a text)" for part in ("name", "about") if not _has_text(made or kind, part)]
    if lacks:
        what = f"the workload {kind.__name__} lacks {', '.join(lacks)}"
        raise PluginError([Problem(where=where, what=what)])
    return _Guarded(made, where)


def _has_text(value: object, part: str) -> bool:
    text = getattr(value, part, None)
    return isinstance(text, str) and bool(text.strip())


def _guarded(where: str, what: str, call: Callable[[], T]) -> T:
    """Call a person's code; what it raises becomes a problem with file and line."""
    try:
        return call()
    except RigError:
        raise
    except Exception as error:  # the door: users' code
        file = where.rpartition(":")[0] or where
        own = [e for e in traceback.extract_tb(error.__traceback__) if e.filename == file]
        place = f"{file}:{own[-1].lineno}" if own else where
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PluginError([Problem(where=place, what=f"{what} failed: {told}")]) from error


class _Guarded:
    """A person's workload."""

    def __init__(self, inner: Any, where: str) -> None:
        self._inner, self._where = inner, where
        self.name: str = inner.name
        self.about: str = inner.about

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        return _guarded(self._where, "setup", lambda: list(self._inner.setup(plan)))

    def generator(self, plan: Plan, random: Random) -> Generator:
        made = _guarded(self._where, "generator", lambda: self._inner.generator(plan, random))
        return _GuardedGenerator(made, self._where)

    def perform(self, speech: Speech, request: Request) -> Any:
        return _guarded(self._where, "perform", lambda: self._inner.perform(speech, request))

    def judge(self, plan: Plan) -> Judge:
        made = _guarded(self._where, "judge", lambda: self._inner.judge(plan))
        return _GuardedJudge(made, self._where)


class _GuardedGenerator:
    def __init__(self, inner: Any, where: str) -> None:
        self._inner, self._where = inner, where

    def request(self) -> Request:
        made = _guarded(self._where, "request", lambda: self._inner.request())
        if not isinstance(made, Request):
            what = f"request answered {type(made).__name__}, not a Request"
            raise PluginError([Problem(where=self._where, what=what)])
        return made

    def final(self) -> Sequence[Request]:
        return _guarded(self._where, "final", lambda: list(self._inner.final()))


class _GuardedJudge:
    def __init__(self, inner: Any, where: str) -> None:
        self._inner, self._where = inner, where

    def feed(self, done: Done) -> None:
        _guarded(self._where, "feed", lambda: self._inner.feed(done))

    def shown(self) -> tuple[Shown, ...]:
        return _guarded(self._where, "shown", lambda: tuple(self._inner.shown()))

    def coverage(self) -> tuple[tuple[str, int], ...]:
        return _guarded(self._where, "coverage", lambda: tuple(self._inner.coverage()))
