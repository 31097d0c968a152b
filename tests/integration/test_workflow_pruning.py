"""Runs that are over are deleted: whole families, and values that nobody uses any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from test_rig.errors import UnknownName, UsageError
from test_rig.workflow import Executor, Pruned, Workflow, task
from test_rig.workflow.catalog import forget
from test_rig.workflow.payload import LARGE, Payload
from test_rig.workflow.sql.schema import INSERT_USE, note_uses

BIG = {"text": "x" * LARGE}


@pytest.fixture
def executor(store_url: str) -> Iterator[Executor]:
    """An executor on an empty store of each kind; what a test marks is forgotten after it."""
    forget("test_rig")
    with Executor(store_url) as made:
        yield made
    forget("test_rig")


def simple(name: str) -> Workflow:
    """Return a workflow whose one task does as its input says."""

    def step(context: dict[str, Any]) -> dict[str, int]:
        if context.get("fails"):
            raise ValueError("as its input says")
        return {"n": 1}

    return Workflow(name, [task(f"{name}_step")(step)])


def count(executor: Executor, table: str) -> int:
    """Return how many rows a table of the store has."""
    return int(executor.store.rows(f"SELECT count(*) FROM {table}")[0][0])


def change(executor: Executor, sql: str, *values: object) -> None:
    """Change the store behind everybody's back."""
    with executor.store.transaction() as say:  # type: ignore[attr-defined]  # every store has it
        say(sql, values)


def left(executor: Executor) -> set[str]:
    """Return the ids of the runs that are there."""
    return {run.run_id for run in executor.list()}


def test_what_is_over_goes_and_what_goes_on_stays(executor: Executor) -> None:
    """By its state and its workflow; a dry run says the same and deletes nothing."""
    done, other = (executor.run(simple(name)).run_id for name in ("w", "other"))
    failed = executor.run(simple("w"), {"fails": True}).run_id
    waiting = executor.submit(simple("w"), delay=3600).run_id
    paused = executor.submit(simple("w"), delay=3600).run_id
    executor.pause(paused)
    for dry in (True, False):
        found = executor.prune(older_than=0, statuses=["Completed"], workflow="w", is_dry_run=dry)
        assert found == Pruned(runs=1, results=1)
    assert left(executor) == {other, failed, waiting, paused}
    with pytest.raises(UnknownName, match=done):
        executor.get(done)
    assert executor.prune(older_than=timedelta(0)) == Pruned(runs=2, results=2)
    assert left(executor) == {waiting, paused}
    assert (count(executor, "wf_step"), count(executor, "wf_attempt")) == (0, 0)


def test_only_what_ended_long_enough_ago_goes(executor: Executor) -> None:
    """The moment of its end counts."""
    old, young = (executor.run(simple("w")).run_id for _ in range(2))
    change(executor, "UPDATE wf_run SET created = created - 7200 WHERE id IN (?, ?)", old, young)
    change(executor, "UPDATE wf_run SET finished = finished - 7200 WHERE id = ?", old)
    assert executor.prune(older_than=3600).runs == 1
    assert left(executor) == {young}


def test_a_family_goes_as_a_whole_or_stays(executor: Executor) -> None:
    """A child of a child that goes on keeps all of them; a child never goes alone."""
    middle = Workflow("middle", [simple("inner").as_task("inside")])
    outer = Workflow("outer", [middle.as_task("sub")])
    executor.run(outer)
    (inner,) = executor.list(workflow="inner")
    change(executor, "UPDATE wf_run SET status = 'Paused' WHERE id = ?", inner.run_id)
    assert executor.prune(older_than=0).runs == 0
    change(executor, "UPDATE wf_run SET status = 'Failed' WHERE id = ?", inner.run_id)
    assert executor.prune(older_than=0, statuses=["Failed"]).runs == 0
    assert executor.prune(older_than=0, workflow="inner").runs == 0
    assert executor.prune(older_than=0, statuses=["Completed"]).runs == 3
    assert left(executor) == set()


def test_many_go_in_small_transactions(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to stay in between is passed by."""
    monkeypatch.setattr("test_rig.workflow.sql.pruning._AT_ONCE", 2)
    handles = executor.submit_many(simple("w"), [{"n": number} for number in range(7)])
    runs = [handle.result(30).run_id for handle in handles]
    change(executor, "UPDATE wf_run SET finished = finished + 3600 WHERE id = ?", runs[2])
    assert executor.prune(older_than=0).runs == 6
    assert left(executor) == {runs[2]}


def test_a_large_value_goes_with_the_last_run_that_has_it(executor: Executor) -> None:
    """Whatever names it: inputs and outputs here."""
    kept = executor.run(simple("kept"), BIG).run_id
    executor.run(simple("gone"), BIG)
    assert executor.prune(older_than=0, workflow="gone") == Pruned(runs=1, results=1)
    assert executor.get(kept).final_context == {**BIG, "n": 1}
    assert executor.prune(older_than=0) == Pruned(runs=1, results=1, values=1)
    assert (count(executor, "wf_payload"), count(executor, "wf_use")) == (0, 0)


def test_uses_in_a_store_of_an_older_release_are_noted(executor: Executor) -> None:
    """Results of tasks too: what they name stays as long as they do."""
    grown = task("grown")(lambda context: {"grown": "y" * LARGE})
    executor.run(Workflow("w", [grown]), BIG)
    before = executor.store.rows("SELECT run_id, sha256 FROM wf_use ORDER BY sha256")
    assert len(before) == 2
    change(executor, "DELETE FROM wf_use")
    with executor.store.transaction() as say:  # type: ignore[attr-defined]  # every store has it
        note_uses(say, 2)
    assert executor.store.rows("SELECT run_id, sha256 FROM wf_use ORDER BY sha256") == before


def test_a_value_that_a_new_run_takes_up_meanwhile_stays(executor: Executor) -> None:
    """Whoever prunes waits for a transaction that names the value."""
    executor.run(simple("w"), BIG)
    store: Any = executor.store
    payload = Payload.of(b'"' + b"x" * LARGE + b'"')
    assert store.rows("SELECT sha256 FROM wf_payload") == [(payload.sha256,)]
    pruning = threading.Thread(target=lambda: executor.prune(older_than=0))
    with store.transaction() as say:
        say(store.insert_payload, (payload.sha256, payload.codec, payload.body))
        say(INSERT_USE, ("a new run", payload.sha256))
        pruning.start()
        until = time.monotonic() + 0.5
        while pruning.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert pruning.is_alive(), "it did not wait"
    pruning.join(30)
    assert left(executor) == set()
    assert count(executor, "wf_payload") == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"older_than": -1.0}, UsageError),
        ({"older_than": float("nan")}, UsageError),
        ({"older_than": 0, "statuses": ["Running"]}, UsageError),
        ({"older_than": 0, "statuses": ["Done"]}, UnknownName),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], error: type[Exception]) -> None:
    """Above all to delete what goes on."""
    with Executor("sqlite://:memory:") as executor, pytest.raises(error):
        executor.prune(**wrong)
