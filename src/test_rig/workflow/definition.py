"""A workflow: named tasks, checked as a whole, with a version that tells its code."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any

from test_rig.errors import Problem, WorkflowInvalid
from test_rig.workflow import catalog
from test_rig.workflow.describe import graph_facts
from test_rig.workflow.graph import Graph
from test_rig.workflow.merging import MERGES, MergeRule
from test_rig.workflow.retry import RetryPolicy
from test_rig.workflow.rules import Rule, read_rule
from test_rig.workflow.task import Task

__all__ = ["Workflow"]


class Workflow:
    """A graph of tasks.

    Args:
        name: What it is called in the store.
        tasks: Its tasks: marked functions or ids. Those that were marked through the same module,
            and that no other workflow has claimed, where None.
        version: Names this code; made of the tasks' source where None. A run goes on only with
            the version that it began with.
        merge: How values that parallel tasks wrote to the same key become one: first, last, sum,
            append, union, min, max, or a function of the list; by key, `*` for all others.
        timeout_s: How long a run may take.
        max_concurrent: How many tasks of this workflow run at the same time in one process.
        priority: Of its runs, where a run has none of its own; higher ones come first.
        description: For people.
    """

    #: Through which module its tasks were marked.
    spelling = "test_rig"

    def __init__(
        self,
        name: str,
        tasks: Iterable[str | Callable[..., Any] | Task] | None = None,
        version: str | None = None,
        *,
        merge: Mapping[str, MergeRule] | None = None,
        timeout_s: float | None = None,
        max_concurrent: int | None = None,
        priority: int = 0,
        description: str = "",
    ) -> None:
        # Where it was made, as a class or function says it: what loads a file looks for its own.
        self.__module__ = sys._getframe(1).f_globals.get("__name__", type(self).__module__)
        self.name, self.description = name, description
        self.merge = dict(merge or {})
        self.timeout_s, self.max_concurrent, self.priority = timeout_s, max_concurrent, priority
        self._version = version
        self._named = None if tasks is None else list(tasks)
        self._tasks = catalog.claim(name, self.spelling, self._named)

    @property
    def tasks(self) -> list[Task]:
        """Its tasks, in the order in which they were marked or named."""
        if not self._tasks:  # made before its tasks were
            self._tasks = catalog.claim(self.name, self.spelling, self._named)
        return self._tasks

    @cached_property
    def graph(self) -> Graph:
        """The graph of its tasks.

        Raises:
            WorkflowInvalid: With everything that is wrong.
        """
        problems = self._problems()
        if problems:
            try:
                Graph(self.name, self.tasks)
            except WorkflowInvalid as error:
                problems += error.problems
            raise WorkflowInvalid(problems)
        return Graph(self.name, self.tasks)

    def as_task(
        self,
        task_id: str | None = None,
        *,
        dependencies: Iterable[str | Callable[..., Any]] = (),
        trigger: str | Rule | Callable[..., object] = "all_success",
        retries: int = 0,
    ) -> Task:
        """Return a task that runs this workflow as a child, with the context that it gets.

        What the child leaves in its final context stands under the task's id.
        """
        return Task(
            task_id=task_id if task_id is not None else self.name,
            function=_nothing,
            dependencies=tuple(catalog.id_of(each) for each in dependencies),
            rule=read_rule(trigger),
            retry=RetryPolicy(retries=retries),
            child=self,
        )

    def check(self) -> None:
        """Check the whole workflow before anything runs.

        Raises:
            WorkflowInvalid: With everything that is wrong.
        """
        assert self.graph is not None  # noqa: S101 -- making the graph is the check

    def facts(self) -> dict[str, Any]:
        """Return its tasks as JSON values, as they are recorded."""
        return graph_facts(self.name, self.graph, self.merge)

    def _problems(self) -> list[Problem]:
        found = []
        if not isinstance(self.name, str) or not self.name.strip():
            found.append(Problem(where="workflow", what=f"{self.name!r} is no name"))
        for key, rule in self.merge.items():
            if isinstance(rule, str) and rule not in MERGES:
                what = f"there is no merge rule {rule!r} (for {key!r}); known: {', '.join(MERGES)}"
                found.append(Problem(where=str(self.name), what=what))
        for name in ("timeout_s", "max_concurrent"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                what = f"{name}={value!r} is no number above 0"
                found.append(Problem(where=str(self.name), what=what))
        return found

    @cached_property
    def version(self) -> str:
        """What tells this code from another one of the same name."""
        return self._version if self._version is not None else version_of(self.tasks, self.merge)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def _nothing(context: Any) -> None:
    """Stand in for the function of a task that is a workflow."""


def version_of(tasks: Iterable[Task], merge: Mapping[str, MergeRule]) -> str:
    """Return a hash of what tasks do: their graph, their options, and their source as it parses.

    Comments and blanks do not count. Code that a task calls does not either: give a version of your
    own where that matters.
    """
    parts = [repr(sorted((key, _told(rule)) for key, rule in merge.items()))]
    for task in sorted(tasks, key=lambda each: each.task_id):
        options = [task.task_id, task.dependencies, str(task.rule), task.retry, task.map_over]
        options += [task.wait_for, task.timeout_s, task.isolated]
        if task.batch_size is not None:
            options.append(task.batch_size)
        if task.child is not None:
            options.append(task.child.version)
        parts.append(repr(options) + _source(task.function))
    return blake2b("\n".join(parts).encode(errors="replace"), digest_size=8).hexdigest()


def _told(rule: MergeRule) -> str:
    return rule if isinstance(rule, str) else _source(rule)


def _source(function: Callable[..., Any]) -> str:
    plain = inspect.unwrap(function)
    try:
        return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(plain))))
    except (OSError, TypeError, SyntaxError, IndentationError):
        code = getattr(plain, "__code__", None)
        return repr(code.co_code) + repr(code.co_names) if code else repr(plain)
