"""Workloads by name: the rig's own, those of installed packages, and those of a person's files.

How to think of it: a workload of a file is a class with a workload's parts; nothing registers it.
What it lacks is told when it is loaded, all of it at once. What a person's code raises while it
runs, and a statement of it that no database would take, is told with its file and line, as wrong
use and never as a crash of the rig.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from test_rig.errors import (
    ErrorCategory,
    Failure,
    FailureKind,
    PluginError,
    Problem,
    RigError,
    TargetError,
    UnknownName,
    UsageError,
)
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

__all__ = ["ENTRY_POINTS", "installed_workloads", "mistakes_of_setup", "workload_named"]

#: The group in which packages name classes of workloads.
ENTRY_POINTS = "test_rig.workloads"
#: What a workload, its generator and its judge can do, with how much each wants.
_PARTS = {"setup": 1, "generator": 2, "perform": 2, "judge": 1}
_GENERATOR = {"request": 0, "final": 0}
_JUDGE = {"feed": 1, "shown": 0, "coverage": 0}
#: Failures of a statement that whoever wrote it has to mend.
_MISTAKES = frozenset({FailureKind.SYNTAX, FailureKind.UNKNOWN_OBJECT, FailureKind.DATA})
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
    is_whole = all(callable(getattr(kind, part, None)) for part in _PARTS)
    made = make(kind, where=where) if is_whole else None
    known = kind if made is None else made
    texts = [f"{part} (a text)" for part in ("name", "about") if not _has_text(known, part)]
    wrong = _wrong(f"the workload {kind.__name__}", known, _PARTS, texts)
    if made is not None and not wrong:
        workload, plan = _Guarded(made, where), Plan()
        seeded = Random(0)  # noqa: S311 - a workload, no secret
        generator = _guarded(where, "generator", lambda: made.generator(plan, seeded))
        wrong += _wrong(
            f"what generator answers, {type(generator).__name__},", generator, _GENERATOR
        )
        judge = _guarded(where, "judge", lambda: made.judge(plan))
        wrong += _wrong(f"what judge answers, {type(judge).__name__},", judge, _JUDGE)
        if not wrong:
            return workload
    raise PluginError([Problem(where=where, what=what) for what in wrong])


def _wrong(who: str, value: object, parts: dict[str, int], texts: Sequence[str] = ()) -> list[str]:
    """Return what cannot be called as it will be, and that `texts` are missing."""
    lacks = [part for part in parts if not callable(getattr(value, part, None))] + [*texts]
    wrong = [f"{who} lacks {', '.join(lacks)}"] if lacks else []
    for part, wanted in parts.items():
        if part in lacks or inspect.isclass(value):
            continue
        try:
            inspect.signature(getattr(value, part)).bind(*range(wanted))
        except TypeError:
            wrong.append(f"{who} has {part}, which cannot be called with {wanted} arguments")
        except ValueError:
            continue  # written in C: it does not tell
    return wrong


def _has_text(value: object, part: str) -> bool:
    text = getattr(value, part, None)
    return isinstance(text, str) and bool(text.strip())


def _guarded(where: str, what: str, call: Callable[[], T]) -> T:
    """Call a person's code; what it raises becomes a problem with file and line."""
    try:
        return call()
    except TargetError as error:
        if not _is_mistake(error.failure):
            raise
        raise _mistake(error, where, f"{what} failed") from error
    except RigError:
        raise
    except Exception as error:  # the door: users' code
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        place = _place(error, where)
        raise PluginError([Problem(where=place, what=f"{what} failed: {told}")]) from error


@contextmanager
def mistakes_of_setup(workload: Workload) -> Iterator[None]:
    """Tell a statement of a person's `setup` that no database would take as the person's."""
    try:
        yield
    except TargetError as error:
        if not isinstance(workload, _Guarded) or not _is_mistake(error.failure):
            raise
        raise _mistake(error, workload.where, "a statement of setup failed") from error


def _is_mistake(failure: Failure) -> bool:
    # A refusal for good without any code is the driver's: values that do not fit the marks.
    is_drivers = failure.category is ErrorCategory.PERMANENT and failure.kind is FailureKind.OTHER
    has_code = failure.sqlstate is not None or failure.code is not None
    return failure.kind in _MISTAKES or (is_drivers and not has_code)


def _mistake(error: TargetError, where: str, what: str) -> PluginError:
    statement = f", in: {' '.join(error.sql.split())}" if error.sql else ""
    told = f"{what}: {error.what}{statement}"
    return PluginError([Problem(where=_place(error, where), what=told)])


def _place(error: Exception, where: str) -> str:
    """Return the file and the last line of it that the error came through; else `where`."""
    file = where.rpartition(":")[0] or where
    own = [e for e in traceback.extract_tb(error.__traceback__) if e.filename == file]
    return f"{file}:{own[-1].lineno}" if own else where


class _Guarded:
    """A person's workload."""

    def __init__(self, inner: Any, where: str) -> None:
        self._inner, self.where = inner, where
        self.name: str = inner.name
        self.about: str = inner.about

    def setup(self, plan: Plan) -> Sequence[tuple[str, tuple[Any, ...]]]:
        made = _guarded(self.where, "setup", lambda: list(self._inner.setup(plan)))
        for each in made:
            if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)):
                what = f"setup answered {each!r:.60}, not a statement and the tuple of its values"
                raise PluginError([Problem(where=self.where, what=what)])
        return made

    def generator(self, plan: Plan, random: Random) -> Generator:
        made = _guarded(self.where, "generator", lambda: self._inner.generator(plan, random))
        return _GuardedGenerator(made, self.where)

    def perform(self, speech: Speech, request: Request) -> Any:
        return _guarded(self.where, "perform", lambda: self._inner.perform(speech, request))

    def judge(self, plan: Plan) -> Judge:
        made = _guarded(self.where, "judge", lambda: self._inner.judge(plan))
        return _GuardedJudge(made, self.where)


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
