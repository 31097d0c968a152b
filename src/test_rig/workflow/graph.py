"""The graph of a workflow's tasks: checked as a whole, ordered, drawn as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from test_rig.errors import Problem, WorkflowInvalid
from test_rig.workflow.task import Task

__all__ = ["Graph", "graph_problems"]


class Graph:
    """Tasks in topological order, with what precedes and follows each.

    Args:
        name: The workflow's name, for errors.
        tasks: The tasks in the order in which they were given.

    Raises:
        WorkflowInvalid: With everything that is wrong.
    """

    def __init__(self, name: str, tasks: Sequence[Task]) -> None:
        problems = graph_problems(name, tasks)
        if problems:
            raise WorkflowInvalid(problems)
        by_id = {task.task_id: task for task in tasks}
        order = _ordered(tasks)
        #: In topological order; among equals in the order given.
        self.tasks: Mapping[str, Task] = {key: by_id[key] for key in order}
        self.bit = {key: 1 << place for place, key in enumerate(order)}
        self.dependents: dict[str, list[str]] = {key: [] for key in order}
        #: The bits of all tasks that precede each.
        self.ancestors: dict[str, int] = {}
        for key, task in self.tasks.items():
            bits = 0
            for dependency in task.dependencies:
                self.dependents[dependency].append(key)
                bits |= self.bit[dependency] | self.ancestors[dependency]
            self.ancestors[key] = bits

    @property
    def roots(self) -> list[str]:
        """The tasks that depend on nothing."""
        return [key for key, task in self.tasks.items() if not task.dependencies]

    @property
    def leaves(self) -> list[str]:
        """The tasks on which nothing depends."""
        return [key for key, after in self.dependents.items() if not after]

    def levels(self) -> list[list[str]]:
        """Return the tasks by the length of the longest way that leads to them."""
        depth: dict[str, int] = {}
        for key, task in self.tasks.items():
            depth[key] = max((depth[each] + 1 for each in task.dependencies), default=0)
        found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for key, level in depth.items():
            found[level].append(key)
        return found


def graph_problems(name: str, tasks: Sequence[Task]) -> list[Problem]:
    """Return everything that is wrong with tasks that shall be a workflow."""
    found: list[Problem] = []
    by_id: dict[str, Task] = {}
    for task in tasks:
        if task.task_id in by_id:
            first = by_id[task.task_id]
            what = f"the id {task.task_id!r} is given twice: {first.place} and {task.place}"
            found.append(Problem(where=name, what=what))
        by_id[task.task_id] = task
    if not tasks:
        found.append(
            Problem(where=name, what="the workflow has no tasks", todo="mark functions with @task")
        )
    for task in by_id.values():
        where = f"{name}.{task.task_id}"
        found += [Problem(where=where, what=what) for what in task.problems()]
        found += [_unknown(where, each, by_id) for each in task.dependencies if each not in by_id]
        for each in sorted(task.rule.tasks() - set(task.dependencies)):
            what = f"its trigger rule asks for {each!r}, which is none of its dependencies"
            found.append(Problem(where=where, what=what))
    try:
        _ordered(list(by_id.values()))
    except CycleError as cycle:
        way = " -> ".join(reversed(cycle.args[1]))
        found.append(Problem(where=name, what=f"the dependencies form a cycle: {way}"))
    return found


def _unknown(where: str, dependency: str, known: Mapping[str, Task]) -> Problem:
    near = get_close_matches(dependency, list(known), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    what = f"it depends on {dependency!r}, which is no task of this workflow"
    return Problem(where=where, what=what, todo=f"{hint}known: {', '.join(known)}")


def _ordered(tasks: Sequence[Task]) -> list[str]:
    ids = {task.task_id for task in tasks}
    sorter = TopologicalSorter(
        {task.task_id: [each for each in task.dependencies if each in ids] for task in tasks}
    )
    place = {task.task_id: number for number, task in enumerate(tasks)}
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda key: place[key])
        order += ready
        sorter.done(*ready)
    return order
