"""What a task is: a function, its id, what it depends on and how it is run."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, ItemsView, Iterator, ValuesView
from dataclasses import dataclass, field
from typing import Any

from test_rig.workflow.retry import RetryPolicy
from test_rig.workflow.rules import Rule, read_rule, rule_problems
from test_rig.workflow.values import copied

__all__ = ["Task", "TaskContext", "TaskInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task; made by `@task`.

    A dependency's id is a text; a function that is a task is replaced by its id when it is marked.
    """

    task_id: str
    function: Callable[..., Any]
    dependencies: tuple[str, ...] = ()
    rule: Rule = field(default_factory=lambda: read_rule("all_success"))
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float | None = None
    #: Whether it runs in a process of its own, which can be killed.
    isolated: bool = False
    memory_limit_mb: int | None = None
    #: Higher ones start first where places are scarce.
    priority: int = 0
    #: How many of it run at the same time in one process, over all runs.
    max_concurrent: int | None = None
    #: The context's key of the list over which it runs, once for each element.
    map_over: str | None = None
    #: How many elements an instance of a mapped task gets; one, by itself, if None.
    batch_size: int | None = None
    #: The event that it waits for.
    wait_for: str | None = None
    wait_timeout_s: float | None = None
    #: A failure of it does not make the run fail.
    allow_failure: bool = False
    #: The workflow that it runs in place of a function of its own.
    child: Any = None
    is_async: bool = False

    @property
    def place(self) -> str:
        """Where the function is written."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(self.function)

    @property
    def file(self) -> str:
        """The file in which the function is written."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return code.co_filename if code else getattr(self.function, "__module__", "?")

    def problems(self) -> list[str]:
        """Return what is wrong with the task by itself."""
        found = self.retry.problems() + rule_problems(self.rule)
        if not self.task_id or any(char in self.task_id for char in "[]\n\0"):
            found.append(f"{self.task_id!r} is no task id: no brackets, no line breaks")
        for name in ("timeout_s", "wait_timeout_s"):
            value = getattr(self, name)
            if value is not None and not _is_positive(value):
                found.append(f"{name}={value!r} is no time limit in seconds")
        for name in ("memory_limit_mb", "max_concurrent", "batch_size"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                found.append(f"{name}={value!r} is no whole number above 0")
        if self.isolated and "<locals>" in getattr(
            inspect.unwrap(self.function), "__qualname__", ""
        ):
            found.append(
                "isolated=True needs a function at the top of a module: its process has to find it"
            )
        if self.batch_size is not None and self.map_over is None:
            found.append("batch_size needs map_over: it says how many elements an instance gets")
        if self.memory_limit_mb and not self.isolated:
            found.append("memory_limit_mb needs isolated=True: threads share their memory")
        return found


def _is_positive(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value > 0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What a running task may want to know of itself."""

    run_id: str
    task_id: str
    #: Counted from 1.
    attempt: int
    #: The same for every attempt, before and after a crash: for effects that must happen once.
    idempotency_key: str
    #: Wall-clock seconds at which it must be over.
    deadline: float | None = None


class TaskContext(dict[str, Any]):
    """The context that a task gets: a dict of JSON values of its own.

    It may be changed in place; what the task returns is added to it. Taking a key away has no
    effect on other tasks.

    A list or dict in it is shared with the engine until somebody asks for it, and copied then: a
    task that reads one key of a large context pays for that one. Every way to a value leads by a
    method below; C code that takes a short cut round `__getitem__` for plain dicts does not for
    those that have an `__iter__` of their own (CPython's `dict_merge`).
    """

    __slots__ = ("_is_stopped", "_shared", "info")

    def __init__(
        self,
        values: dict[str, Any],
        info: TaskInfo,
        is_stopped: Callable[[], bool] = bool,
    ) -> None:
        super().__init__(values)
        self._shared = values
        self.info = info
        self._is_stopped = is_stopped

    def _own(self, key: str) -> None:
        """Put a copy of a value in the place of the one that is shared."""
        value = super().get(key)
        if type(value) in (list, dict) and value is self._shared.get(key):
            super().__setitem__(key, copied(value))

    def _own_all(self) -> None:
        for key in self:
            self._own(key)

    def __getitem__(self, key: str) -> Any:
        self._own(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        self._own(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Take a key away and return its value."""
        self._own(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Take the last key away and return it with its value."""
        self._own_all()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, which is the default where there was none."""
        self._own(key)
        return super().setdefault(key, default)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]  # typeshed has its own view
        """Return keys and values."""
        self._own_all()
        return super().items()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]  # typeshed has its own view
        """Return the values."""
        self._own_all()
        return super().values()

    def copy(self) -> dict[str, Any]:
        """Return a plain dict of the same values."""
        self._own_all()
        return super().copy()

    def __or__(self, other: Any) -> Any:
        self._own_all()
        return super().__or__(other)

    def __ror__(self, other: Any) -> Any:
        self._own_all()
        return super().__ror__(other)

    def changes(self) -> dict[str, Any]:
        """Return what was added or changed."""
        shared = self._shared
        return {
            key: value
            for key, value in super().items()
            if key not in shared or not _is_same(shared[key], value)
        }

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this task of this run."""
        return self.info.idempotency_key

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.info.attempt

    @property
    def run_id(self) -> str:
        """The run that the task belongs to."""
        return self.info.run_id

    @property
    def is_stopped(self) -> bool:
        """Whether the task should end: it was cancelled, or its time is over."""
        return self._is_stopped()


def _is_same(left: object, right: object) -> bool:
    # 1 == True in Python, not in JSON.
    return left is right or (type(left) is type(right) and left == right)
