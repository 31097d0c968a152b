"""Whether a run can go on with another version of its workflow, and what that takes.

How to think of it: what is completed stays completed, so each of its tasks has to be in the new
version too, under its name or under a new one, and everything that it depends on there has to have
a result already. What failed or was skipped may be gone: it leaves no values behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from test_rig.errors import Problem, WorkflowInvalid
from test_rig.workflow.graph import Graph
from test_rig.workflow.records import Saved, StepRow
from test_rig.workflow.states import TaskStatus

__all__ = ["Move", "planned_move"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What changes in the rows of a run."""

    #: Keys of tasks and instances, before and after.
    renamed: tuple[tuple[str, str], ...]
    #: Results without values, whose tasks the new version does not have.
    dropped: tuple[str, ...]


def planned_move(saved: Saved, graph: Graph, renamed: Mapping[str, str]) -> Move:
    """Return what moving a run to a graph takes.

    Args:
        saved: The run.
        graph: The tasks of the new version.
        renamed: New ids of tasks by their old ones.

    Raises:
        WorkflowInvalid: With every task that stands in the way.
    """
    has_result = {renamed.get(base, base) for base in map(_base, (s.key for s in saved.steps))}
    problems = [*_renames(saved, graph, renamed), *_steps(saved, graph, renamed, has_result)]
    if problems:
        raise WorkflowInvalid(list(dict.fromkeys(problems)))
    keys = {step.key for step in saved.steps} | {row.key for row in saved.attempts}
    kept = {key: _renamed(key, renamed) for key in sorted(keys)}
    return Move(
        renamed=tuple((old, new) for old, new in kept.items() if old != new),
        dropped=tuple(old for old, new in kept.items() if _base(new) not in graph.tasks),
    )


def _renames(saved: Saved, graph: Graph, renamed: Mapping[str, str]) -> Iterator[Problem]:
    known = {_base(step.key) for step in saved.steps}
    for old, new in renamed.items():
        if new not in graph.tasks:
            what = f"the new version has no task {new!r}"
            todo = f"known: {', '.join(graph.tasks)}"
            yield Problem(where=f"{old} -> {new}", what=what, todo=todo)
        if old not in known:
            yield Problem(where=f"{old} -> {new}", what=f"the run has no result of {old!r}")
        if new in known and new not in renamed:
            yield Problem(where=f"{old} -> {new}", what=f"the run has a result of {new!r} already")


def _steps(
    saved: Saved, graph: Graph, renamed: Mapping[str, str], has_result: set[str]
) -> Iterator[Problem]:
    for step in saved.steps:
        if step.status is not TaskStatus.COMPLETED:
            continue
        name = renamed.get(_base(step.key), _base(step.key))
        where = f"{saved.run.workflow}.{_base(step.key)}"
        task = graph.tasks.get(name)
        if task is None:
            what = "it is completed, and the new version does not have it"
            yield Problem(where=where, what=what, todo="say what it is called there")
            continue
        if (task.map_over is not None) != _is_mapped(step, saved):
            what = "it is mapped over a list in one of the versions only"
            yield Problem(where=where, what=what, todo="give the new task another id")
        for each in task.dependencies:
            if each not in has_result:
                what = f"it is completed, and depends there on {each!r}, which has no result"
                yield Problem(where=where, what=what, todo="let the new task come after it")


def _is_mapped(step: StepRow, saved: Saved) -> bool:
    base = _base(step.key)
    return any(each.key.startswith(f"{base}[") for each in saved.steps)


def _base(key: str) -> str:
    # The ids of tasks have no brackets.
    return key.partition("[")[0]


def _renamed(key: str, renamed: Mapping[str, str]) -> str:
    base, bracket, rest = key.partition("[")
    return renamed.get(base, base) + bracket + rest
