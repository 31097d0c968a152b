"""Isolated tasks, children, schedules and spans."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

sys.path.insert(0, str(Path(__file__).parent))

import isolated_tasks

from test_rig.errors import WorkflowInvalid
from test_rig.workflow import Executor, RunStatus, TaskStatus, Workflow, task
from test_rig.workflow.catalog import forget
from test_rig.workflow.cron import dues, next_due
from test_rig.workflow.records import Batch
from test_rig.workflow.tracing import Tracing


@pytest.fixture
def executor() -> Iterator[Executor]:
    """An executor in memory; what a test marks is forgotten after it."""
    forget("test_rig")
    with Executor("sqlite://:memory:") as made:
        yield made
    forget("test_rig")


@pytest.mark.parametrize("name", ["good", "coroutine"])
def test_an_isolated_task_has_a_process_of_its_own(executor: Executor, name: str) -> None:
    """What it prints is no answer; what it returns is."""
    result = executor.run(Workflow("w", [getattr(isolated_tasks, name)]), {"n": 1})
    assert result.status is RunStatus.COMPLETED, result.error_message
    assert result.final_context["pid"] != os.getpid()


def test_an_isolated_task_is_killed_when_its_time_is_over(
    executor: Executor, tmp_path: Path
) -> None:
    """Wherever it hangs: the process is gone."""
    file = tmp_path / "pid"
    result = executor.run(Workflow("w", [isolated_tasks.stuck]), {"file": str(file)})
    assert result.task_results["stuck"].status is TaskStatus.TIMED_OUT
    until = time.monotonic() + 30
    while file.exists() and Path(f"/proc/{file.read_text()}").exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(("name", "text"), [("crash", "SIGSEGV"), ("greedy", "MemoryError")])
def test_a_crash_or_greed_costs_the_task_only(executor: Executor, name: str, text: str) -> None:
    """The run says what became of the process; other runs go on."""
    result = executor.run(Workflow("w", [getattr(isolated_tasks, name)]))
    assert result.status is RunStatus.FAILED
    assert text in str(result.errors[name])
    fine = task("fine")(lambda context: {"ok": 1})
    assert executor.run(Workflow("v", [fine])).status is RunStatus.COMPLETED


def test_a_function_that_no_process_could_find_is_refused(executor: Executor) -> None:
    """Before anything runs."""
    inner = task("inner", isolated=True)(lambda context: None)
    with pytest.raises(WorkflowInvalid, match="top of a module"):
        executor.run(Workflow("w", [inner]))


def test_a_workflow_can_be_a_task_of_another_one(executor: Executor) -> None:
    """It gets the context; what it adds stands under the task's id."""
    double = task("double")(lambda context: {"n2": context["n"] * 2})
    child = Workflow("child", [double])
    after = task("after", dependencies=["twice"])(lambda context: {"seen": context["twice"]["n2"]})
    result = executor.run(Workflow("parent", [child.as_task("twice"), after]), {"n": 4})
    assert result.status is RunStatus.COMPLETED, result.error_message
    assert result.final_context == {"n": 4, "twice": {"n2": 8}, "seen": 8}
    (run,) = executor.list(workflow="child")
    assert executor.saved(run.run_id).run.parent == result.run_id


def test_a_childs_failure_is_its_task_s(executor: Executor) -> None:
    """With the cause; and a cancelled parent ends its child."""

    def failing(context: dict[str, Any]) -> None:
        raise ValueError("child's own")

    child = Workflow("child", [task("bad")(failing)])
    result = executor.run(Workflow("parent", [child.as_task("sub")]))
    assert "1 task(s) failed" in str(result.errors["sub"])

    begun = threading.Event()

    def waiting(context: Any) -> None:
        begun.set()
        while not context.is_stopped:
            time.sleep(0.01)

    slow = Workflow("slow", [task("wait")(waiting)])
    handle = executor.submit(Workflow("outer", [slow.as_task("sub")]))
    assert begun.wait(30)
    handle.cancel()
    assert handle.result(30).status is RunStatus.CANCELLED
    until = time.monotonic() + 30
    while executor.list(workflow="slow")[0].status is not RunStatus.CANCELLED:
        assert time.monotonic() < until
        time.sleep(0.01)


def seconds(text: str) -> float:
    """Return a moment in UTC as seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_due_times_follow_the_clock_of_their_zone() -> None:
    """Three o'clock in Berlin is two hours, then one hour, ahead of UTC."""
    summer = next_due("0 3 * * *", "Europe/Berlin", seconds("2026-07-01T12:00"))
    winter = next_due("0 3 * * *", "Europe/Berlin", seconds("2026-12-01T12:00"))
    assert (summer, winter) == (seconds("2026-07-02T01:00"), seconds("2026-12-02T02:00"))


@pytest.mark.parametrize(("catch_up", "hours"), [("all", [1, 2, 3]), ("latest", [3]), ("none", [])])
def test_missed_times_are_caught_up_as_the_rule_says(catch_up: Any, hours: list[int]) -> None:
    """Three were missed; the next one is waited for in any case."""
    first, now = seconds("2026-01-01T01:00"), seconds("2026-01-01T03:30")
    found, due = dues("0 * * * *", "UTC", first=first, now=now, catch_up=catch_up)
    assert found == [seconds(f"2026-01-01T0{hour}:00") for hour in hours]
    assert due == seconds("2026-01-01T04:00")


@pytest.mark.parametrize(("catch_up", "count"), [("all", 1000), ("latest", 1), ("none", 1)])
def test_a_long_pause_is_no_flood(catch_up: Any, count: int) -> None:
    """A year of minutes is caught up by a bounded number of runs, of which the last is due now."""
    now = seconds("2026-01-01T00:00")
    found, due = dues("* * * * *", "UTC", first=now - 31_536_000, now=now, catch_up=catch_up)
    assert (len(found), found[-1], due) == (count, now, now + 60)


def test_due_times_far_apart_are_found_again_after_a_long_pause() -> None:
    """However far back one has to look for them."""
    first = seconds("2000-01-01T00:00")
    found, _ = dues("0 0 1 1 *", "UTC", first=first, now=first + 10 * 366 * 86_400, catch_up="all")
    assert found == [seconds(f"20{year:02}-01-01T00:00") for year in range(11)]


@pytest.mark.parametrize(("cron", "zone"), [("61 * * * *", "UTC"), ("0 0 * * *", "Mars/Base")])
def test_wrong_schedules_are_refused(executor: Executor, cron: str, zone: str) -> None:
    """At once, not when they would be due."""
    with pytest.raises(WorkflowInvalid, match="schedule"):
        executor.schedule("s", "w", cron, time_zone=zone)


def test_a_due_schedule_starts_its_workflow(executor: Executor) -> None:
    """Once for a due time, with that time in the context; then it waits for the next one."""
    seen = task("seen")(lambda context: {"at": context["scheduled_for"], "mine": context["k"]})
    executor.engine.know(Workflow("w", [seen]))
    executor.schedule("s", "w", "0 3 * * *", context={"k": 7})
    due = seconds("2026-01-01T03:00")
    executor.store.put_schedule(("s", "w", "0 3 * * *", "UTC", '{"k":7}', "latest", due), due)
    for _ in range(3):
        executor.look()
    until = time.monotonic() + 30
    while not (found := executor.list(workflow="w", status="Completed")):
        assert time.monotonic() < until
        time.sleep(0.01)
    (run,) = found
    assert run.final_context["mine"] == 7
    assert run.final_context["at"].endswith("T03:00:00+00:00")
    assert executor.schedules()[0].next_due > time.time()
    assert executor.unschedule("s")


def test_a_delayed_run_starts_when_its_time_has_come(executor: Executor) -> None:
    """Not before; nobody has to ask for it."""
    workflow = Workflow("w", [task("a")(lambda context: {"at": time.time()})])
    begun = time.time()
    result = executor.submit(workflow, delay=0.3).result(30)
    assert result.final_context["at"] >= begun + 0.3


def test_a_run_waits_for_an_event(executor: Executor) -> None:
    """Its payload is in the context."""
    waits = task("waits", wait_for="approved")(lambda context: {"by": context["approved"]["by"]})
    handle = executor.submit(Workflow("w", [waits]))
    until = time.monotonic() + 30
    while executor.store.status(handle.run_id) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert executor.signal(handle.run_id, "approved", {"by": "me"})
    assert handle.result(30).final_context["by"] == "me"


def test_a_run_can_be_paused_and_go_on(executor: Executor) -> None:
    """What ran comes to its end; the rest waits for `resume`."""
    begun, go = threading.Event(), threading.Event()

    def first(context: dict[str, Any]) -> None:
        begun.set()
        go.wait(30)

    one = task("one")(first)
    two = task("two", dependencies=["one"])(lambda context: {"two": True})
    handle = executor.submit(Workflow("w", [one, two]))
    assert begun.wait(30)
    assert executor.pause(handle.run_id)
    go.set()
    paused = handle.result(30)
    assert paused.status is RunStatus.PAUSED
    assert set(paused.task_results) == {"one"}
    assert executor.resume(handle.run_id).result(30).final_context == {"two": True}


def test_a_run_beyond_its_time_is_timed_out(executor: Executor) -> None:
    """Its running tasks are ended."""

    def waiting(context: Any) -> None:
        while not context.is_stopped:
            time.sleep(0.01)

    slow = Workflow("w", [task("wait")(waiting)], timeout_s=0.2)
    assert executor.run(slow, timeout_s=30).status is RunStatus.TIMED_OUT


@pytest.fixture
def spans(executor: Executor) -> Iterator[InMemorySpanExporter]:
    """What the executor's spans are given to when they end."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    executor.engine._tracing = Tracing(provider)
    yield exporter
    provider.shutdown()


def below(exporter: InMemorySpanExporter) -> list[tuple[str, str | None]]:
    """Return the spans in the order of their ends, each with the one that it is below."""
    ended = exporter.get_finished_spans()
    names = {each.context.span_id: each.name for each in ended}
    return [(each.name, names[each.parent.span_id] if each.parent else None) for each in ended]


def test_spans_are_made_where_somebody_collects_them(
    executor: Executor, spans: InMemorySpanExporter
) -> None:
    """One for the run, one below it for each attempt, also of what is skipped; failures say why."""

    def failing(context: dict[str, Any]) -> None:
        raise ValueError("broken")

    bad = task("bad", retries=1, retry_delay_s=0.01)(failing)
    skipped_too = task("next", dependencies=["bad"])(lambda context: None)
    executor.run(Workflow("w", [bad, skipped_too]))
    tasks = [(name, "workflow w") for name in ("task bad", "task bad", "task next")]
    assert below(spans) == [*tasks, ("workflow w", None)]
    first, second, skipped, run = spans.get_finished_spans()
    numbers = [(each.attributes or {})["workflow.attempt"] for each in (first, second)]
    assert numbers == [1, 2]
    told = [str(each.status.description) for each in (first, second, skipped, run)]
    assert ["broken" in text for text in told] == [True, True, False, False]
    assert run.status.status_code is StatusCode.ERROR


def test_spans_of_callers_tasks_and_children_are_one_trace(
    executor: Executor, spans: InMemorySpanExporter
) -> None:
    """What a task's code traces is below its attempt, whether it is awaited or not."""
    own = executor.engine._tracing._tracer

    def called(context: dict[str, Any]) -> None:
        with own.start_as_current_span("in a thread"):
            pass

    async def awaited(context: dict[str, Any]) -> None:
        with own.start_as_current_span("on the loop"):
            pass

    child = Workflow("inner", [task("b")(awaited)])
    outer = Workflow("outer", [task("a")(called), child.as_task("sub", dependencies=["a"])])
    with own.start_as_current_span("caller"):
        executor.run(outer)
    assert below(spans) == [
        ("in a thread", "task a"),
        ("task a", "workflow outer"),
        ("on the loop", "task b"),
        ("task b", "workflow inner"),
        ("workflow inner", "task sub"),
        ("task sub", "workflow outer"),
        ("workflow outer", "caller"),
        ("caller", None),
    ]


def test_what_is_ready_starts_while_another_result_is_being_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A free place waits for no disk: only for what made the task ready."""
    begun, was_begun = threading.Event(), list[bool]()
    with Executor("sqlite://:memory:", max_tasks=1) as executor:
        record = executor.store.commit

        def commit(worker: str, batch: Batch) -> None:
            if [step.key for step in batch.steps] == ["first"]:
                was_begun.append(begun.wait(30))
            record(worker, batch)

        monkeypatch.setattr(executor.store, "commit", commit)
        tasks = [
            task("first")(lambda context: None),
            task("second")(lambda context: begun.set()),
        ]
        assert executor.run(Workflow("w", tasks)).status == "Completed"
    assert was_begun == [True]
