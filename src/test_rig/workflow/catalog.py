"""`@task`, and the process-wide list of what it marked.

How to think of it: a task is marked through a *spelling*: the module by which people import `task`
(`test_rig.workflow`, `cloacina`, `cloacina_sqlite`, `cloacina_postgres`). A workflow that does not
name its tasks takes those of its own spelling that no other workflow has claimed. The list is one
for all spellings; a lock guards it.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, TypeVar, overload

from test_rig.errors import Problem, WorkflowInvalid
from test_rig.workflow.retry import RetryPolicy
from test_rig.workflow.rules import Rule, read_rule
from test_rig.workflow.task import Task

__all__ = ["Marker", "all_tasks", "claim", "forget", "id_of", "is_task", "task", "task_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = "__test_rig_task__"
_OWN = "test_rig"
_LOCK = threading.RLock()
#: (spelling, task id) -> the task.
_TASKS: dict[tuple[str, str], Task] = {}
#: (spelling, task id) -> the workflow that claimed it.
_CLAIMS: dict[tuple[str, str], str] = {}


class Marker:
    """The decorator `@task` of one spelling."""

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    @overload
    def __call__(self, function: Function, /) -> Function: ...

    @overload
    def __call__(
        self,
        task_id: str | None = None,
        /,
        *,
        id: str | None = None,
        dependencies: Iterable[str | Callable[..., Any]] = (),
        retries: int = 0,
        retry_delay_s: float = 1.0,
        backoff: Literal["fixed", "linear", "exponential"] = "exponential",
        max_delay_s: float = 60.0,
        jitter: bool = True,
        retry_only: Iterable[str | type[BaseException]] = (),
        timeout_s: float | None = None,
        trigger: str | Rule | Callable[..., object] = "all_success",
        priority: int = 0,
        max_concurrent: int | None = None,
        map_over: str | None = None,
        batch_size: int | None = None,
        wait_for: str | None = None,
        wait_timeout_s: float | None = None,
        allow_failure: bool = False,
        isolated: bool = False,
        memory_limit_mb: int | None = None,
        **task_id_by_name: str | None,
    ) -> Callable[[Function], Function]: ...

    def __call__(self, given: Any = None, /, **options: Any) -> Any:
        """Mark a function as a task.

        Args:
            given: The function itself (`@task` without brackets), or the task's id.
            options: `task_id` or `id`: the task's id, the function's name if not given.
                `dependencies`: ids or tasks. `retries`, `retry_delay_s`, `backoff`,
                `max_delay_s`, `jitter`, `retry_only`: see `RetryPolicy`. `timeout_s`: how long
                an attempt may take. `trigger`: a rule's name, a rule, or a function of the
                context. The others are those of `Task`.
        """
        if callable(given):
            return self._mark(given, {})
        if given is not None:
            options["task_id"] = given
        return lambda function: self._mark(function, options)

    def _mark(self, function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
        made = _made(function, dict(options))
        with _LOCK:
            before = _TASKS.get((self.spelling, made.task_id))
            if before is not None and before.file != made.file:
                what = f"the task id {made.task_id!r} is marked twice, in different files"
                raise WorkflowInvalid(
                    [Problem(where=made.place, what=f"{what}; the other is {before.place}")]
                )
            _TASKS[self.spelling, made.task_id] = made
        setattr(function, _MARK, made)
        return function


task = Marker(_OWN)


def _made(function: Callable[..., Any], options: dict[str, Any]) -> Task:
    ids = [options.pop(name, None) for name in ("task_id", "id")]
    name = next((each for each in ids if each is not None), getattr(function, "__name__", ""))
    retry = RetryPolicy(
        retries=options.pop("retries", 0),
        delay_s=options.pop("retry_delay_s", 1.0),
        backoff=options.pop("backoff", "exponential"),
        max_delay_s=options.pop("max_delay_s", 60.0),
        jitter=options.pop("jitter", True),
        only=tuple(
            each if isinstance(each, str) else each.__name__
            for each in options.pop("retry_only", ())
        ),
    )
    dependencies = options.pop("dependencies", None) or ()
    if isinstance(dependencies, str) or callable(dependencies):
        dependencies = (dependencies,)
    rule = read_rule(options.pop("trigger", "all_success"))
    is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
    allowed = set(Task.__dataclass_fields__) - {"task_id", "function", "rule", "retry", "is_async"}
    unknown = sorted(set(options) - allowed)
    if unknown:
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], sorted(allowed | {"retries", "trigger"}), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"@task has no option {', '.join(map(repr, unknown))}{hint}")
    return Task(
        task_id=str(name),
        function=_taking_context(function),
        dependencies=tuple(dict.fromkeys(map(id_of, dependencies))),
        rule=rule,
        retry=retry,
        is_async=is_async,
        **options,
    )


def _taking_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes the context, where the user's takes nothing."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function
    if parameters:
        return function

    def without_context(context: Any) -> Any:
        del context
        return function()

    without_context.__wrapped__ = function  # type: ignore[attr-defined]  # as functools.wraps does
    return without_context


def id_of(given: object) -> str:
    """Return the id of a task that is given as its id, its function or itself."""
    marked = task_of(given)
    return given if isinstance(given, str) else marked.task_id if marked else repr(given)


def task_of(given: object) -> Task | None:
    """Return the task that a function was marked as."""
    if isinstance(given, Task):
        return given
    found = getattr(given, _MARK, None)
    return found if isinstance(found, Task) else None


def is_task(given: object) -> bool:
    """Return whether a function was marked as a task."""
    return callable(given) and not isinstance(given, type) and task_of(given) is not None


def all_tasks(spelling: str | None = None) -> dict[str, Task]:
    """Return the marked tasks by id: of all spellings, those of one before those of others."""
    with _LOCK:
        own = {key: each for (spelt, key), each in _TASKS.items() if spelt == spelling}
        rest = {key: each for (_, key), each in _TASKS.items()}
    return {**rest, **own}


def claim(workflow: str, spelling: str, named: Iterable[object] | None) -> list[Task]:
    """Return a workflow's tasks: those that it names, or those that no other one has claimed.

    Raises:
        WorkflowInvalid: It names something that is no task.
    """
    with _LOCK:
        if named is None:
            mine = [
                key
                for key in _TASKS
                if key[0] == spelling and _CLAIMS.get(key, workflow) == workflow
            ]
        else:
            mine, given, problems = [], [], []
            known = all_tasks(spelling)
            for each in named:
                found = known.get(each) if isinstance(each, str) else task_of(each)
                if found is None:
                    what = f"{each!r} is no task"
                    problems.append(
                        Problem(where=workflow, what=what, todo="mark the function with @task")
                    )
                else:
                    given.append(found)
            if problems:
                raise WorkflowInvalid(problems)
            mine = [key for key, each in _TASKS.items() if any(each is one for one in given)]
            _CLAIMS.update(dict.fromkeys(mine, workflow))
            return given
        _CLAIMS.update(dict.fromkeys(mine, workflow))
        return [replace(_TASKS[key]) for key in mine]


def forget(spelling: str | None = None) -> None:
    """Forget the marked tasks, of one spelling or of all: for tests."""
    with _LOCK:
        for key in [key for key in _TASKS if spelling in (None, key[0])]:
            del _TASKS[key]
            _CLAIMS.pop(key, None)
