"""Workflows run in memory: what people see of contexts, failures, limits and states."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from test_rig.errors import ContextInvalid, WorkflowError, WorkflowInvalid
from test_rig.workflow import Executor, RunStatus, TaskStatus, Workflow, task
from test_rig.workflow.catalog import forget
from test_rig.workflow.store import WorkerLost
from test_rig.workflow.waiting import ELSEWHERE, Waiter, Waiters


@pytest.fixture
def executor() -> Iterator[Executor]:
    """An executor in memory; what a test marks is forgotten after it."""
    forget("test_rig")  # what examples of the docs left
    with Executor("sqlite://:memory:") as made:
        yield made
    forget("test_rig")


def test_returned_values_and_changes_in_place_are_both_kept(executor: Executor) -> None:
    """Sync and async tasks see the input and what their ancestors wrote."""

    @task
    def first(context: dict[str, Any]) -> dict[str, Any]:
        return {"a": context["n"] + 1}

    @task(dependencies=[first])
    async def second(context: dict[str, Any]) -> None:
        context["b"] = context["a"] + 1

    result = executor.run(Workflow("w"), {"n": 1})
    assert result.status == "Completed"
    assert result.final_context == {"n": 1, "a": 2, "b": 3}
    assert result["task_results"]["second"]["output"] == {"b": 3}


def test_parallel_tasks_really_run_at_the_same_time(executor: Executor) -> None:
    """Each waits until the other one has begun."""
    barrier = threading.Barrier(2, timeout=30)

    @task("left")
    def left(context: dict[str, Any]) -> None:
        barrier.wait()

    @task("right")
    def right(context: dict[str, Any]) -> None:
        barrier.wait()

    assert executor.run(Workflow("w")).status is RunStatus.COMPLETED


def test_what_depends_on_a_failure_is_skipped_and_the_error_has_its_traceback(
    executor: Executor,
) -> None:
    """The run's error names the cause; a task with its own rule runs all the same."""

    @task("bad")
    def bad(context: dict[str, Any]) -> None:
        raise LookupError("nothing there")

    @task("after", dependencies=["bad"])
    def after(context: dict[str, Any]) -> None: ...

    @task("tidy", dependencies=["bad"], trigger="one_failed")
    def tidy(context: dict[str, Any]) -> dict[str, Any]:
        return {"tidied": True}

    result = executor.run(Workflow("w"))
    assert result.status is RunStatus.FAILED
    assert {key: each.status.value for key, each in result.task_results.items()} == {
        "bad": "Failed", "after": "Skipped", "tidy": "Completed"
    }  # fmt: skip
    assert "LookupError: nothing there" in (result.error_message or "")
    assert 'raise LookupError("nothing there")' in result.errors["bad"].traceback
    assert result.final_context == {"tidied": True}


def test_a_failed_attempt_is_tried_again_and_can_be_looked_up(executor: Executor) -> None:
    """Each attempt is recorded with its error."""
    seen: list[tuple[int, str]] = []

    @task("flaky", retries=3, retry_delay_s=0.01)
    def flaky(context: Any) -> None:
        seen.append((context.attempt, context.idempotency_key))
        if context.attempt < 3:
            raise OSError("not yet")

    result = executor.run(Workflow("w"))
    assert result.status is RunStatus.COMPLETED
    assert [number for number, _ in seen] == [1, 2, 3]
    assert {key for _, key in seen} == {f"{result.run_id}/flaky"}
    attempts = executor.saved(result.run_id).attempts
    assert [(row.attempt, row.status.value) for row in attempts] == [(1, "Failed"), (2, "Failed")]
    assert "not yet" in (attempts[0].error or "")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_task_that_takes_too_long_is_ended(executor: Executor, is_async: bool) -> None:
    """Its code does not go on after its time."""
    went_on = threading.Event()

    async def sleeping(context: dict[str, Any]) -> None:
        await asyncio.sleep(30)
        went_on.set()

    def spinning(context: dict[str, Any]) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            pass
        went_on.set()

    slow = task("slow", timeout_s=0.1)(sleeping if is_async else spinning)
    result = executor.run(Workflow("w", [slow]), timeout_s=25)
    assert result.task_results["slow"].status is TaskStatus.TIMED_OUT
    assert result.errors["slow"].type == "TaskTimeout"
    assert not went_on.is_set()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda context: {"a": {1, 2}}, "slow['a']"),
        (lambda context: 5, "returned a int"),
        (lambda context: exit(3), "SystemExit"),
        (lambda context: context.__setitem__("f", print), "slow['f']"),
    ],
)
def test_what_a_task_must_not_do_fails_it_and_nothing_else(
    executor: Executor, wrong: Any, text: str
) -> None:
    """The error says what; the next run is served."""
    slow = task("slow")(wrong)
    result = executor.run(Workflow("w", [slow]))
    assert text in str(result.errors["slow"])
    fine = Workflow("fine", [task("fine")(lambda context: {"ok": 1})])
    assert executor.run(fine).final_context == {"ok": 1}


def test_everything_is_checked_before_anything_runs(executor: Executor) -> None:
    """A workflow with a fault does not start; a context is checked by its keys."""
    ran = threading.Event()
    good = task("good")(lambda context: ran.set())
    wrong = task("wrong", dependencies=["nobody"])(lambda context: None)
    with pytest.raises(WorkflowInvalid, match="nobody"):
        executor.run(Workflow("w", [good, wrong]))
    with pytest.raises(ContextInvalid, match="context\\['x'\\]"):
        executor.run(Workflow("v", [good]), {"x": {1}})
    assert not ran.is_set()


def test_conflicting_branches_are_reported_and_a_rule_decides(executor: Executor) -> None:
    """The join fails with both writers' names; with a merge rule it gets the result."""
    one = task("one")(lambda context: {"k": 1})
    two = task("two")(lambda context: {"k": 2})
    join = task("join", dependencies=["one", "two"])(lambda context: {"seen": context["k"]})
    result = executor.run(Workflow("w", [one, two, join]))
    assert result.errors["join"].type == "MergeConflict"
    assert "one and two" in result.errors["join"].message
    merged = executor.run(Workflow("v", [one, two, join], merge={"k": "sum"}))
    assert merged.final_context == {"k": 3, "seen": 3}


def test_a_condition_on_the_context_can_skip_a_task(executor: Executor) -> None:
    """A function of the context is a rule; skipping goes on downstream."""
    maybe = task("maybe", trigger=lambda context: context["n"] > 5)(lambda context: {"big": True})
    after = task("after", dependencies=["maybe"])(lambda context: {"after": True})
    result = executor.run(Workflow("w", [maybe, after]), {"n": 1})
    assert result.status is RunStatus.COMPLETED
    assert {each.status for each in result.task_results.values()} == {TaskStatus.SKIPPED}
    assert executor.run(Workflow("w", [maybe, after]), {"n": 9}).final_context["after"] is True


def test_a_run_can_be_cancelled(executor: Executor) -> None:
    """What runs is ended, what waits never starts."""
    begun = threading.Event()

    async def waiting(context: dict[str, Any]) -> None:
        begun.set()
        await asyncio.sleep(30)

    waits = task("waits")(waiting)
    handle = executor.submit(Workflow("w", [waits]))
    assert begun.wait(30)
    assert handle.cancel()
    assert handle.result(30).status is RunStatus.CANCELLED
    assert not handle.cancel()


def test_a_failed_run_can_be_run_again_from_where_it_failed(executor: Executor) -> None:
    """What is completed is not repeated."""
    ran: list[str] = []
    broken = threading.Event()
    broken.set()

    def failing(context: dict[str, Any]) -> None:
        ran.append("b")
        if broken.is_set():
            raise ValueError("broken")

    first = task("a")(lambda context: ran.append("a"))
    second = task("b", dependencies=["a"])(failing)
    workflow = Workflow("w", [first, second])
    failed = executor.run(workflow)
    assert failed.status is RunStatus.FAILED
    broken.clear()
    assert executor.retry(failed.run_id).result(30).status is RunStatus.COMPLETED
    assert ran == ["a", "b", "b"]


@pytest.mark.parametrize("is_in_c", [False, True])
def test_a_coroutine_that_never_awaits_costs_the_others_nothing(
    executor: Executor, monkeypatch: pytest.MonkeyPatch, is_in_c: bool
) -> None:
    """It holds up its loop, and is ended; those that come later do not wait for it."""
    monkeypatch.setattr("test_rig.workflow.attempts.GRACE_S", 0.05)
    may_end, went_on = threading.Event(), threading.Event()

    async def hog(context: dict[str, Any]) -> None:
        while not may_end.is_set():
            if is_in_c:  # where no exception reaches it
                may_end.wait(60)
        went_on.set()

    async def waiting(context: dict[str, Any]) -> dict[str, Any]:
        for _ in range(5):
            await asyncio.sleep(0.01)
        return {"waited": True}

    calm = Workflow("calm", [task("wait")(waiting)])
    others = [executor.submit(calm) for _ in range(3)]
    result = executor.run(Workflow("hog", [task("hog", timeout_s=0.05)(hog)]), timeout_s=30)
    assert result.errors["hog"].type == "TaskTimeout"
    assert ("could not be ended" in str(result.errors["hog"])) is is_in_c
    assert executor.run(calm, timeout_s=30).final_context == {"waited": True}
    may_end.set()
    assert [each.result(30).status for each in others] == [RunStatus.COMPLETED] * 3
    assert not went_on.is_set()


def test_whoever_listens_badly_costs_no_run(caplog: pytest.LogCaptureFixture) -> None:
    """What `on_progress` raises goes to the log."""

    def broken(progress: object) -> None:
        raise ValueError("I am no good listener")

    forget("test_rig")
    with Executor("sqlite://:memory:", on_progress=broken) as executor:
        workflow = Workflow("w", [task("a")(lambda context: {"n": 1})])
        assert executor.run(workflow, timeout_s=30).final_context == {"n": 1}
    assert "no good listener" in caplog.text


def test_whoever_gave_up_waiting_stops_no_engine() -> None:
    """As `asyncio.wait_for` does with a handle: the others are told."""
    for tell in (
        lambda waiters: waiters.send_on(),
        lambda waiters: waiters.let_go(WorkerLost("taken over")),
        lambda waiters: waiters.let_go(WorkflowError("no store")),
    ):
        waiters, gone, patient = Waiters(), Waiter(), Waiter()
        gone.cancel()
        for each in (gone, patient):
            waiters.add(ELSEWHERE, each)
        tell(waiters)
        assert patient.done()


def test_nobody_waits_for_an_engine_that_failed(executor: Executor) -> None:
    """Whatever its store raises: those who wait are told, and those who come later."""

    def broken(*anything: object) -> None:
        raise ZeroDivisionError("the store has a bug")

    workflow = Workflow("w", [task("a")(lambda context: {"n": 1})])
    executor.store.commit = broken  # type: ignore[method-assign]  # the planted fault
    for _ in range(2):
        with pytest.raises(WorkflowError, match="the store has a bug"):
            executor.run(workflow, timeout_s=30)


@pytest.mark.parametrize("wrong", [{"max_tasks": 0}, {"lease_s": -1.0}, {"max_runs": "many"}])
def test_limits_that_nothing_could_run_with_are_refused(wrong: dict[str, Any]) -> None:
    """At once, by their names."""
    with pytest.raises(WorkflowInvalid, match=next(iter(wrong))):
        Executor("sqlite://:memory:", **wrong)


def test_a_misspelt_option_of_an_executor_is_told_with_a_near_one() -> None:
    """As that of a task is."""
    with pytest.raises(TypeError, match="no option 'max_taks'; did you mean 'max_tasks'"):
        Executor("sqlite://:memory:", max_taks=3)


@pytest.mark.parametrize("delay", ["tomorrow", float("nan"), float("inf")])
def test_a_delay_that_is_no_time_is_refused(executor: Executor, delay: Any) -> None:
    """Instead of running at once, or never."""
    with pytest.raises(WorkflowInvalid, match="delay"):
        executor.submit(Workflow("w", [task("a")(lambda context: None)]), delay=delay)


def test_a_run_with_a_key_is_run_once(executor: Executor) -> None:
    """Whoever submits it again gets the first one's result."""
    ran: list[int] = []
    workflow = Workflow("w", [task("a")(lambda context: ran.append(1))])
    results = [executor.submit(workflow, key="nightly").result(30) for _ in range(3)]
    assert len({result.run_id for result in results}) == 1
    assert ran == [1]


def test_limits_on_what_runs_at_the_same_time_hold(executor: Executor) -> None:
    """A task's limit counts over all of its instances, and runs."""
    lock, now, most = threading.Lock(), [0], [0]

    def body(context: dict[str, Any]) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.002)
        with lock:
            now[0] -= 1

    one = task("one", max_concurrent=2, map_over="items")(body)
    result = executor.run(Workflow("w", [one]), {"items": list(range(20))})
    assert result.status is RunStatus.COMPLETED
    assert 1 <= most[0] <= 2


def test_a_workflow_takes_the_tasks_that_no_other_one_has(executor: Executor) -> None:
    """Made anew under its name it takes its own again."""
    task("a")(lambda context: {"a": 1})
    first = Workflow("first")
    task("b")(lambda context: {"b": 1})
    second = Workflow("second")
    assert [each.task_id for each in first.tasks] == ["a"]
    assert [each.task_id for each in second.tasks] == ["b"]
    assert [each.task_id for each in Workflow("first").tasks] == ["a"]


def test_an_id_from_another_file_is_an_error_that_names_both(executor: Executor) -> None:
    """In the same file the later one replaces the earlier one, as a reload does."""
    task("same")(lambda context: {"v": 1})
    task("same")(lambda context: {"v": 2})
    assert executor.run(Workflow("w")).final_context == {"v": 2}
    code = "@task('same')\ndef other(context): ..."
    with pytest.raises(WorkflowInvalid, match=r"other.py:1.*test_workflow_engine"):
        exec(compile(code, "other.py", "exec"), {"task": task})


def test_an_unknown_option_is_told_with_a_near_one() -> None:
    """A typing error is no silent default."""
    with pytest.raises(TypeError, match="did you mean 'retries'"):
        task("x", retrys=3)(lambda context: None)  # type: ignore[call-overload]  # the test's point
