"""What a plan decides, over graphs of any shape."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from test_rig.workflow.commands import Finish, Outcome, Record, Retry, Start, Stop, Wake
from test_rig.workflow.graph import Graph
from test_rig.workflow.plan import Plan
from test_rig.workflow.records import AttemptRow, Failure, RunRow, Saved, StepRow
from test_rig.workflow.retry import RetryPolicy
from test_rig.workflow.rules import read_rule
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.task import Task
from test_rig.workflow.values import encoded

RULES = ("all_success", "all_done", "one_failed", "one_success", "none_failed")


def nothing(context: dict[str, Any]) -> None:
    """Do nothing: plans do not call functions."""


def made(key: str, *dependencies: str, **options: Any) -> Task:
    """Return a task."""
    return Task(task_id=key, function=nothing, dependencies=dependencies, **options)


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    """Tasks that depend on some of those before them, with any rules and numbers of retries."""
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 12))):
        before = [task.task_id for task in tasks]
        chosen = draw(st.lists(st.sampled_from(before), unique=True, max_size=4)) if before else []
        rule = read_rule(draw(st.sampled_from(RULES)))
        retry = RetryPolicy(retries=draw(st.integers(0, 2)), delay_s=0)
        tasks.append(made(f"t{number}", *chosen, rule=rule, retry=retry))
    return tasks


class Played:
    """Plays a plan: ends attempts in a drawn order, fails some, keeps what is recorded."""

    def __init__(self, tasks: list[Task], draw: Any) -> None:
        self.graph, self.draw, self.now = Graph("w", tasks), draw, 0.0
        self.steps: list[StepRow] = []
        self.attempts: list[AttemptRow] = []
        self.ran: list[str] = []
        self.finish: Finish | None = None
        self.ready: list[str] = []

    def take(self, commands: list[Any], plan: Plan) -> None:
        """Do what the plan wants."""
        for command in commands:
            if isinstance(command, Record):
                self.steps.append(command.step)
            elif isinstance(command, Retry):
                self.attempts.append(command.row)
            elif isinstance(command, Start):
                self.ready.append(command.key)
            elif isinstance(command, Wake):
                self.take(plan.due(command.key, command.at), plan)
            elif isinstance(command, Finish):
                self.finish = command

    def step(self, plan: Plan, fails: frozenset[tuple[str, int]]) -> None:
        """End one attempt."""
        key = self.ready.pop(self.draw(st.integers(0, len(self.ready) - 1)))
        attempt = plan.places[key].attempt
        self.now += 1
        if (key, attempt) in fails:
            failure = Failure(type="ValueError", message="no", names=("ValueError",))
            outcome = Outcome(TaskStatus.FAILED, self.now, self.now, failure=failure)
        else:
            self.ran.append(key)
            text, delta = encoded({key: attempt}, where=key)
            outcome = Outcome(TaskStatus.COMPLETED, self.now, self.now, delta, text)
        self.take(plan.ended(key, outcome, self.now), plan)


@given(graphs(), st.data())
def test_every_run_ends_with_one_result_for_each_task(tasks: list[Task], data: Any) -> None:
    """Whatever fails, and in whatever order, nothing is stuck, forgotten or recorded twice."""
    every = st.sampled_from([(task.task_id, number) for task in tasks for number in (1, 2, 3)])
    fails = frozenset(data.draw(st.sets(every)))
    played = Played(tasks, data.draw)
    plan = Plan("r", played.graph, {"in": 1})
    played.take(plan.begin(0.0), plan)
    while played.ready:
        played.step(plan, fails)
    assert played.finish is not None
    assert sorted(step.key for step in played.steps) == sorted(played.graph.tasks)
    assert len(played.ran) == len(set(played.ran))
    has_failed = any(step.status is TaskStatus.FAILED for step in played.steps)
    wanted = RunStatus.FAILED if has_failed else RunStatus.COMPLETED
    assert played.finish.status is wanted


@given(graphs(), st.data())
def test_a_killed_run_goes_on_where_it_was(tasks: list[Task], data: Any) -> None:
    """Made anew from its records at any moment, it ends as it would have, and repeats nothing."""
    every = st.sampled_from([(task.task_id, number) for task in tasks for number in (1, 2, 3)])
    fails = frozenset(data.draw(st.sets(every)))
    whole = Played(tasks, lambda _: 0)
    plan = Plan("r", whole.graph, {"in": 1})
    whole.take(plan.begin(0.0), plan)
    while whole.ready:
        whole.step(plan, fails)

    played = Played(tasks, data.draw)
    plan = Plan("r", played.graph, {"in": 1})
    played.take(plan.begin(0.0), plan)
    for _ in count():
        if not played.ready:
            break
        if data.draw(st.booleans()):
            run = RunRow(
                id="r", workflow="w", version="1", status=RunStatus.RUNNING, input="{}", created=0
            )
            saved = Saved(run=run, steps=tuple(played.steps), attempts=tuple(played.attempts))
            plan, played.ready = Plan("r", played.graph, {"in": 1}), []
            played.take(plan.resume(saved, played.now), plan)
        if played.ready:
            played.step(plan, fails)
    assert len(played.ran) == len(set(played.ran))
    assert {step.key: (step.status, step.delta) for step in played.steps} == {
        step.key: (step.status, step.delta) for step in whole.steps
    }
    assert played.finish == whole.finish


def test_a_cancelled_run_stops_what_runs_and_starts_nothing() -> None:
    """Each task has a result then, and late ones are not recorded."""
    plan = Plan("r", Graph("w", [made("a"), made("b", "a")]), {})
    plan.begin(0)
    commands = plan.cancel(1)
    assert [each for each in commands if isinstance(each, Stop)] == [Stop("a")]
    assert [each.step.status for each in commands if isinstance(each, Record)] == [
        TaskStatus.CANCELLED,
        TaskStatus.CANCELLED,
    ]
    assert plan.ended("a", Outcome(TaskStatus.COMPLETED, 0, 1), 2) == []


def test_a_paused_run_lets_what_runs_end_and_starts_nothing() -> None:
    """It is paused when the last running task has its result."""
    plan = Plan("r", Graph("w", [made("a"), made("b", "a")]), {})
    plan.begin(0)
    assert plan.pause(1) == []
    record, finish = plan.ended("a", Outcome(TaskStatus.COMPLETED, 0, 1), 2)
    assert isinstance(record, Record)
    assert finish == Finish(RunStatus.PAUSED)


def test_a_task_waits_for_its_event() -> None:
    """The event may come before or after its dependencies are done, and its payload is seen."""
    plan = Plan("r", Graph("w", [made("a", wait_for="go")]), {})
    assert plan.begin(0) == []
    assert plan.signalled("go", {"by": "me"}, 1) == [Start("a")]
    assert plan.view("a") == {"go": {"by": "me"}}
    assert plan.signalled("go", "again", 2) == []


def test_a_mapped_task_has_an_instance_for_each_element() -> None:
    """Its result is the list of what its instances wrote, in the order of the elements."""
    plan = Plan("r", Graph("w", [made("a", map_over="items"), made("b", "a")]), {"items": [7, 8]})
    assert plan.begin(0) == [Start("a[0]"), Start("a[1]")]
    assert plan.view("a[1]") == {"items": [7, 8], "item": 8, "index": 1}
    plan.ended("a[1]", Outcome(TaskStatus.COMPLETED, 0, 1, {"x": 8}, '{"x":8}'), 1)
    plan.ended("a[0]", Outcome(TaskStatus.COMPLETED, 0, 1, {"x": 7}, '{"x":7}'), 1)
    assert plan.view("b")["a"] == [{"x": 7}, {"x": 8}]
