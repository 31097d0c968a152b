"""Batches of elements and of runs, and runs that go on with another version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from test_rig.errors import ContextInvalid, WorkflowError, WorkflowInvalid
from test_rig.workflow import Executor, RunStatus, Workflow, task
from test_rig.workflow.catalog import forget


@pytest.fixture
def executor() -> Iterator[Executor]:
    """An executor in memory; what a test marks is forgotten after it."""
    forget("test_rig")
    with Executor("sqlite://:memory:") as made:
        yield made
    forget("test_rig")


def test_a_mapped_task_can_take_its_list_in_batches(executor: Executor) -> None:
    """So many elements at a time, the rest in the last one; each batch has its own result."""
    each = task("sum", map_over="numbers", batch_size=3)(lambda c: {"sum": sum(c["items"])})
    result = executor.run(Workflow("w", [each]), {"numbers": list(range(8))})
    assert [part["sum"] for part in result.final_context["sum"]] == [3, 12, 13]
    with pytest.raises(WorkflowInvalid, match="batch_size needs map_over"):
        executor.run(Workflow("v", [task("x", batch_size=3)(lambda c: None)]))


def test_many_runs_are_submitted_at_once(executor: Executor) -> None:
    """Each context has its run; where one is wrong none has begun."""
    workflow = Workflow("w", [task("double")(lambda c: {"n": c["n"] * 2})])
    handles = executor.submit_many(workflow, [{"n": number} for number in range(20)])
    assert [each.result(30).final_context["n"] for each in handles] == list(range(0, 40, 2))
    with pytest.raises(ContextInvalid, match=r"contexts\[1\]\['n'\]"):
        executor.submit_many(workflow, [{"n": 1}, {"n": {2}}])
    assert len(executor.list()) == 20


def version(number: int, *tasks: tuple[str, list[str], Any]) -> Workflow:
    """Return a version of a workflow with tasks of these ids, dependencies and bodies."""
    made = [task(name, dependencies=before)(body) for name, before, body in tasks]
    return Workflow("moving", made, version=str(number))


def failing() -> Any:
    """Return a body of a task that fails; each its own, since a function is one task."""
    return lambda context: context["missing"]


def test_a_run_is_moved_to_another_version_and_keeps_what_is_completed(
    executor: Executor,
) -> None:
    """A failed run goes on with corrected code; a completed task may have another name there."""
    ran: list[str] = []
    first = ("load", [], lambda c: {"rows": 3})
    old = version(1, first, ("count", ["load"], failing()))
    new = version(
        2,
        ("fetch", [], lambda c: ran.append("fetch")),
        ("count", ["fetch"], lambda c: {"counted": c["rows"]}),
    )
    run_id = executor.run(old).run_id
    with pytest.raises(WorkflowInvalid, match="the new version does not have it"):
        executor.move(run_id, new)
    executor.move(run_id, new, renamed={"load": "fetch"})
    result = executor.retry(run_id).result(30)
    assert result.status is RunStatus.COMPLETED
    assert result.final_context == {"rows": 3, "counted": 3}
    assert (result.version, ran) == ("2", [])
    with pytest.raises(WorkflowError, match="cannot be moved"):
        executor.move(run_id, old, renamed={"fetch": "load"})


def test_a_version_that_has_no_place_for_a_run_is_refused(executor: Executor) -> None:
    """All that stands in the way is told, and nothing is changed."""
    run_id = executor.run(
        version(1, ("a", [], lambda c: {"x": 1}), ("b", [], lambda c: {}), ("c", ["a"], failing()))
    ).run_id
    other = version(2, ("new", [], lambda c: {}), ("a", ["new"], lambda c: {}))
    with pytest.raises(WorkflowInvalid) as caught:
        executor.move(run_id, other, renamed={"nobody": "missing"})
    told = str(caught.value)
    assert "moving.a: it is completed, and depends there on 'new', which has no result" in told
    assert "moving.b: it is completed, and the new version does not have it" in told
    assert "the new version has no task 'missing'" in told
    assert executor.get(run_id).version == "1"


def test_two_tasks_may_change_their_names(executor: Executor) -> None:
    """Also with each other."""
    old = version(
        1, ("a", [], lambda c: {"x": 1}), ("b", [], lambda c: {"y": 2}), ("c", [], failing())
    )
    new = version(2, ("a", [], failing()), ("b", [], failing()), ("c", [], lambda c: {"z": 3}))
    run_id = executor.run(old).run_id
    executor.move(run_id, new, renamed={"a": "b", "b": "a"})
    result = executor.retry(run_id).result(30)
    assert result.final_context == {"x": 1, "y": 2, "z": 3}
    assert dict(result.task_results["b"].output) == {"x": 1}
