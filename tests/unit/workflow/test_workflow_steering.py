"""Runs are steered and looked at from the command line, while a worker has them or none does."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from test_rig.cli.workflow import app
from test_rig.errors import UnknownName, UsageError, WorkflowError, WorkflowInvalid
from test_rig.workflow import Executor, RunStatus, Workflow, task
from test_rig.workflow.catalog import forget
from test_rig.workflow.sql.schema import MIGRATIONS

Say = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store; what a test marks is forgotten after it."""
    forget("test_rig")
    yield f"sqlite:///{tmp_path / 'store.db'}"
    forget("test_rig")


@pytest.fixture
def say(store: str) -> Say:
    """Give a command of `test-rig workflow` on the store."""

    def run(*words: str, raises: bool = False) -> Result:
        return CliRunner().invoke(app, [*words, "--store", store], catch_exceptions=not raises)

    return run


def two_steps(begun: threading.Event, go: threading.Event) -> Workflow:
    """Return a workflow whose first task waits until it may go on."""

    def first(context: dict[str, Any]) -> None:
        begun.set()
        go.wait(60)

    last = task("last", dependencies=["first"])(lambda context: {"n": 1})
    return Workflow("two", [task("first")(first), last], version="1")


def test_a_run_of_a_living_worker_is_paused_and_resumed(store: str, say: Say) -> None:
    """What runs comes to its end, nothing more starts; then it goes on where it was."""
    begun, go = threading.Event(), threading.Event()
    with Executor(store, workflows=[two_steps(begun, go)]) as executor:
        handle = executor.submit(two_steps(begun, go))
        assert begun.wait(30)
        assert say("pause", "last").exit_code == 0
        until = time.monotonic() + 30
        while not executor.engine._runs[handle.run_id].plan.is_pausing:
            assert time.monotonic() < until, "the worker was not told"
            time.sleep(0.01)
        go.set()
        assert handle.result(40).status is RunStatus.PAUSED
        assert "Paused" in say("show", "last").output
        assert say("pause", "last").exit_code == 1, "it rests already"
        resumed = say("resume", "last")
        assert (resumed.exit_code, "waits for a worker" in resumed.output) == (0, True)
        assert executor.handle(handle.run_id).result(40).final_context == {"n": 1}
        assert say("resume", "last").exit_code == 1, "it is over"


def test_a_run_is_there_as_soon_as_it_is_submitted(store: str) -> None:
    """Whoever looks at it, sends it something or ends it at once does not come too early."""
    waiting = Workflow("w", [task("a", wait_for="go")(lambda context: None)])
    with Executor(store) as executor:
        for look in (
            lambda run: executor.get(run).status == "Running",
            lambda run: executor.describe(run).run.id == run,
            lambda run: executor.signal(run, "go"),
            lambda run: executor.cancel(run),
        ):
            assert look(executor.submit(waiting).run_id)
        with pytest.raises(UnknownName):
            executor.get("none of them")


def test_a_run_is_cancelled_once(store: str, say: Say) -> None:
    """The worker that has it ends its task; a run that is over cannot be cancelled."""
    begun, go = threading.Event(), threading.Event()
    with Executor(store) as executor:
        handle = executor.submit(two_steps(begun, go))
        assert begun.wait(30)
        assert say("cancel", "last").exit_code == 0
        assert handle.result(40).status is RunStatus.CANCELLED
        go.set()
        assert say("cancel", "last").exit_code == 1


def test_a_file_that_holds_something_else_is_told(store: str, say: Say) -> None:
    """Whatever is wrong with its tables: an error of the store, with the file."""
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    with pytest.raises(WorkflowError, match=r"store.db: the store cannot be read: no such table"):
        say("list", "--workflow", "w", raises=True)


def test_what_is_over_is_pruned(store: str, say: Say) -> None:
    """Once it is old enough; what waits stays, also when nobody works on it."""
    done = Workflow("done", [task("a")(lambda context: {"n": 1})])
    with Executor(store) as executor:
        executor.run(done)
        waiting = executor.submit(done, delay=3600).run_id
        assert executor.get(waiting).status == "Pending"
    assert json.loads(say("prune", "--older-than", "2h", "--json").output)["runs"] == 0
    assert "1 runs would go" in say("prune", "--older-than", "0s", "--dry-run").output
    assert "1 runs are gone, with 1 results" in say("prune", "--older-than", "0s").output
    assert waiting in say("list").output
    assert "waits for a worker" in say("resume", "last").output


@pytest.mark.parametrize("words", ["30", "d", "-1d", "1y", "1d --status running"])
def test_what_must_not_be_pruned_is_refused(say: Say, words: str) -> None:
    """An age has a unit; a run that goes on stays."""
    age, *rest = words.split()
    with pytest.raises(UsageError):
        say("prune", f"--older-than={age}", *rest, raises=True)


def test_a_store_that_cannot_be_written_is_told(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite only says that it cannot open it."""
    Path(store.removeprefix("sqlite:///")).mkdir()  # a file could be opened by root in any case
    monkeypatch.setattr("os.access", lambda *anything: False)
    with pytest.raises(WorkflowError, match="make it and its folder writable"):
        Executor(store)


def test_an_event_reaches_its_run_once(store: str, say: Say) -> None:
    """The first one of a name counts, and what it brings is JSON."""
    waiting = task("waiting", wait_for="approved")(lambda c: {"by": c["approved"]["by"]})
    with Executor(store) as executor:
        handle = executor.submit(Workflow("w", [waiting], version="1"))
        while executor.store.status(handle.run_id) is None:
            time.sleep(0.005)  # `submit` does not wait for the record
        assert say("signal", "last", "approved", "{").exit_code != 0
        assert say("signal", "last", "approved", '{"by": "me"}').exit_code == 0
        assert say("signal", "last", "approved", '{"by": "you"}').exit_code == 1
        assert handle.result(40).final_context == {"by": "me"}


def test_a_run_is_moved_and_run_again(store: str, say: Say, tmp_path: Path) -> None:
    """With the names of the new version; without them what stands in the way is told."""
    old = [
        task("load")(lambda c: {"rows": 3}),
        task("count", dependencies=["load"])(lambda c: c["missing"]),
    ]
    with Executor(store) as executor:
        executor.run(Workflow("flow", old, version="1"))
    forget("test_rig")
    file = tmp_path / "new.py"
    file.write_text(
        "from test_rig.workflow import Workflow, task\n"
        "@task\ndef fetch(context): raise ValueError\n"
        "@task(dependencies=[fetch])\ndef count(context): return {'n': context['rows']}\n"
        "flow = Workflow('flow', version='2')\n"
    )
    assert isinstance(say("move", "last", str(file)).exception, WorkflowInvalid)
    moved = say("move", "last", str(file), "--rename", "load=fetch")
    assert (moved.exit_code, "has version 2 now" in moved.output) == (0, True)
    again = say("retry", "last", str(file), "--json")
    assert again.exit_code == 0, again.output
    shown = json.loads(say("show", "last", "--json").stdout)
    assert shown["final_context"] == {"rows": 3, "n": 3}
