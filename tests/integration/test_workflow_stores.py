"""Workflows on real stores: what is left when processes are killed, stall, or lose the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from servers.private import NotHereError, PrivatePostgres

sys.path.insert(0, str(Path(__file__).parent / "workflow_scripts"))

from chain import STEPS, made

from test_rig.errors import WorkflowError
from test_rig.workflow import Executor, RunStatus, Workflow, task
from test_rig.workflow.catalog import forget
from test_rig.workflow.payload import LARGE
from test_rig.workflow.sql.schema import MIGRATIONS

SCRIPT = Path(__file__).parent / "workflow_scripts" / "chain.py"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def url(store_url: str) -> str:
    """The URL of an empty store of each kind."""
    return store_url


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    """Start worker processes; what is left of them is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(step_s: float, *rest: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), url, str(tmp_path / "log"), str(step_s)]
            + [str(each) for each in rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    forget("test_rig")


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def executions(tmp_path: Path) -> list[list[str]]:
    """Return what was executed: (run, task, pid, time)."""
    path = tmp_path / "log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def final_values() -> dict[str, int]:
    """Return what a chain leaves in the context."""
    values = {f"v{number}": sum(range(number + 1)) for number in range(STEPS)}
    return {**values, "v100": 100, "v200": 200}


def test_a_killed_process_is_gone_on_with_by_the_next_one(
    url: str, start: Start, tmp_path: Path
) -> None:
    """Finished tasks are not run again, those in flight are, and the result is the same."""
    victim = start(0.15, 1)
    eventually(lambda: len(executions(tmp_path)) >= 4, "no task ran")
    victim.kill()
    victim.wait()
    with Executor(url) as executor:
        (run,) = executor.list()
        done = set(executor.get(run.run_id).task_results)
        before = len(executions(tmp_path))
        result = executor.submit(made(str(tmp_path / "log"), 0), {"n": 0}, key="run-0").result(40)
    assert result.status is RunStatus.COMPLETED
    assert result.final_context == {"n": 0, **final_values()}
    again = [key for _, key, _, _ in executions(tmp_path)[before:]]
    assert done
    assert not done & set(again)


def test_a_living_worker_takes_over_at_once(url: str, start: Start, tmp_path: Path) -> None:
    """It learns of the death by a lock, not by a lease; nothing polls for it."""
    victim = start(0.3, 1)
    eventually(lambda: executions(tmp_path), "no task ran")
    helper = start(0.0)
    victim.kill()
    victim.wait()
    killed = time.time()
    own = str(helper.pid)
    eventually(lambda: any(row[2] == own for row in executions(tmp_path)), "nobody took over")
    first = min(float(row[3]) for row in executions(tmp_path) if row[2] == own)
    assert first - killed < 10, "before the lease of 12 s was over"


def test_a_stalled_worker_loses_its_runs_and_records_nothing_late(
    url: str, start: Start, tmp_path: Path
) -> None:
    """When it wakes its result is refused: each task has one result, from its heir."""
    stalled = start(0.4, 1)
    eventually(lambda: executions(tmp_path), "no task ran")
    os.kill(stalled.pid, signal.SIGSTOP)
    with Executor(url, workflows=[made(str(tmp_path / "log"), 0)], lease_s=2.0) as executor:
        (run,) = executor.list()
        result = executor.handle(run.run_id).result(40)
        os.kill(stalled.pid, signal.SIGCONT)
        assert result.status is RunStatus.COMPLETED
        time.sleep(1)  # what the stalled worker wants to record would be there by now
        saved = executor.saved(run.run_id)
        assert {step.worker for step in saved.steps if step.key == "join"} == {
            executor.engine.worker
        }
        assert saved.run.status is RunStatus.COMPLETED
        assert saved.run.recoveries == 1


def test_runs_are_shared_and_none_is_run_twice(url: str, start: Start, tmp_path: Path) -> None:
    """Two workers over one store: each task of each run is executed once."""
    workers = [start(0.001, 20), start(0.001, 20)]
    with Executor(url) as executor:
        eventually(
            lambda: len(executor.list(status="Completed", limit=100)) == 20, "not all completed"
        )
    assert len(workers) == 2
    counts = Counter((run, key) for run, key, _, _ in executions(tmp_path))
    assert len(counts) == 20 * (STEPS + 2)
    assert set(counts.values()) == {1}


def test_a_worker_that_ends_in_peace_is_no_death(url: str) -> None:
    """However often workers are replaced: a run only fails when too many of them died."""
    forget("test_rig")
    begun, go = threading.Event(), threading.Event()

    def slow(context: dict[str, Any]) -> None:
        begun.set()
        go.wait(0.01 if go.is_set() else 60)

    workflow = Workflow("w", [task("slow")(slow)], version="1")
    for _ in range(3):
        begun.clear()
        with Executor(url, workflows=[workflow], max_recoveries=1) as executor:
            handle = executor.submit(workflow, key="one")
            assert begun.wait(30)
    go.set()
    with Executor(url, workflows=[workflow], max_recoveries=1) as executor:
        result = executor.handle(handle.run_id).result(30)
        assert (result.status, executor.saved(handle.run_id).run.recoveries) == ("Completed", 0)


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_retry_goes_on_with_the_children_too(url: str, how: str) -> None:
    """What a child completed stays; its attempts can be looked up."""
    forget("test_rig")
    ran: list[str] = []
    begun, is_broken = threading.Event(), threading.Event()
    is_broken.set()

    def second(context: Any) -> dict[str, int]:
        ran.append("second")
        begun.set()
        while is_broken.is_set():
            if how == "failed":
                raise ValueError("broken")
            time.sleep(0.01)
        return {"n": 1}

    first = task("first")(lambda context: ran.append("first"))
    child = Workflow("child", [first, task("second", dependencies=[first])(second)])
    middle = Workflow("middle", [child.as_task("inner")])
    with Executor(url) as executor:
        handle = executor.submit(Workflow("outer", [middle.as_task("sub")]))
        assert begun.wait(30)
        if how == "cancelled":
            handle.cancel()
        assert handle.result(30).status == how.title()
        eventually(lambda: executor.list(workflow="child")[0].status == how.title(), "it ends")
        is_broken.clear()
        result = executor.retry(handle.run_id).result(30)
        assert result.final_context == {"sub": {"inner": {"n": 1}}}
        assert ran == ["first", "second", "second"]
        (run,) = executor.list(workflow="child")
        second_task = executor.describe(run.run_id).tasks[1]
        before = ["Failed"] if how == "failed" else []
        assert [each["status"] for each in second_task.attempts] == [*before, "Completed"]


def test_a_run_of_another_version_is_left_to_who_knows_it(url: str) -> None:
    """It says so; the right code goes on with it."""
    first = Workflow("v", [task("a")(lambda context: {"by": 1})], version="1")
    second = Workflow("v", [task("b")(lambda context: {"by": 2})], version="2")
    try:
        with Executor(url) as executor:
            waiting = executor.submit(first, delay=3600).run_id
        with Executor(url, workflows=[second]) as executor:
            with pytest.raises(WorkflowError, match="began with version 1, and this process has 2"):
                executor.resume(waiting)
            assert executor.run(second).final_context == {"by": 2}
            assert executor.get(waiting).status is RunStatus.PENDING
    finally:
        forget("test_rig")


def plant_first_release(url: str) -> None:
    """Make a store as the first release made it, with a run that ended and one that waits."""
    rows = [
        ("old-1", "chain", "1", "Completed", '{"n":1}', 1e9, '{"n":1,"v0":0}'),
        ("old-2", "chain", "1", "Pending", '{"n":2}', 1e9 + 1, None),
    ]
    insert = "INSERT INTO wf_run (id, workflow, version, status, input, created, output)"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            for statement in MIGRATIONS[0]:
                file.execute(statement)
            file.execute("PRAGMA user_version = 1")
            file.executemany(f"{insert} VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            file.commit()
        return
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE TABLE wf_meta (version INTEGER NOT NULL)")
        for statement in MIGRATIONS[0]:
            server.execute(statement.encode())
        server.execute("INSERT INTO wf_meta VALUES (1)")
        for row in rows:
            server.execute(f"{insert} VALUES (%s, %s, %s, %s, %s, %s, %s)".encode(), row)


def test_a_store_of_an_older_release_is_brought_up_to_date(url: str, tmp_path: Path) -> None:
    """What it holds can be read, what waits is run, and what is new in this release works."""
    plant_first_release(url)
    big = {"n": 3, "text": "x" * LARGE}
    with Executor(url, workflows=[made(str(tmp_path / "log"), 0.0)]) as executor:
        assert executor.get("old-1").final_context == {"n": 1, "v0": 0}
        assert executor.handle("old-2").result(40).final_context == {"n": 2, **final_values()}
        result = executor.run(made(str(tmp_path / "log"), 0.0), big, timeout_s=40)
        assert executor.get(result.run_id).final_context == {**big, **final_values()}
        assert executor.store.rows("SELECT count(*) FROM wf_payload") == [(1,)]  # type: ignore[attr-defined]  # every store has it
    with Executor(url) as again:
        assert {run.run_id for run in again.list()} == {"old-1", "old-2", result.run_id}
    forget("test_rig")


def test_a_large_value_is_kept_once_however_many_rows_have_it(url: str) -> None:
    """Input, results and outputs of several runs name it; each gives it back as it was."""
    values = {"big": [f"{number}" for number in range(20_000)], "odd": {"$payload": "no reference"}}
    copy = task("copy")(lambda context: {"copy": context["big"]})
    last = task("last", dependencies=["copy"])(lambda context: {"same": context["copy"]})
    workflow = Workflow("w", [copy, last], version="1")
    wanted = {**values, "copy": values["big"], "same": values["big"]}
    with Executor(url) as executor:
        ids = [executor.run(workflow, values, timeout_s=40).run_id for _ in range(2)]
        ids.append(executor.submit(workflow, values, key="k").result(40).run_id)
        assert [executor.get(run_id).final_context for run_id in ids] == [wanted] * 3
        assert executor.describe(ids[0]).as_dict()["final_context"] == wanted
        assert [run.final_context for run in executor.list()] == [wanted] * 3
        # The large value, and what only looks like a reference to one.
        assert executor.store.rows("SELECT count(*) FROM wf_payload") == [(2,)]  # type: ignore[attr-defined]  # every store has it
    forget("test_rig")


def test_texts_and_numbers_come_back_as_they_were(url: str) -> None:
    """Whatever characters a name, a value or an error has: rows go to the server within JSON."""
    odd = "é 🚂 \\ \" ' {a,b} \\u0000 \t \x7f %s ? :x null"

    @task(id=odd, dependencies=[])
    def echo(context: dict[str, Any]) -> None:
        context["echo"] = [context["odd"], 0.1 + 0.2, 2**62, -1e-300, None]

    @task(id="never", dependencies=[odd])
    def never(context: dict[str, Any]) -> None:
        raise ValueError(odd)

    with Executor(url) as executor:
        run_id = executor.run(Workflow(odd, [echo, never], version="1"), {"odd": odd + "\0"}).run_id
        saved = executor.saved(run_id)
        found = executor.get(run_id)
    assert found.final_context["echo"] == [odd + "\0", 0.1 + 0.2, 2**62, -1e-300, None]
    assert found.workflow == odd
    assert odd in str(found.task_results["never"].error)
    assert {step.key: step.attempt for step in saved.steps} == {odd: 1, "never": 1}
    assert 0 < time.time() - saved.run.created < 60
    assert saved.run.finished is not None
    assert saved.run.created < saved.run.finished


def test_a_store_of_a_newer_release_is_refused(url: str) -> None:
    """With both versions, before anything is changed."""
    with Executor(url) as executor, executor.store.transaction() as say:  # type: ignore[attr-defined]  # every store has it
        if url.startswith("sqlite"):
            say("PRAGMA user_version = 99", ())
        else:
            say("INSERT INTO wf_meta VALUES (99)", ())
    with pytest.raises(WorkflowError, match="has version 99"):
        Executor(url)


def test_a_cut_connection_costs_no_task_and_no_run(postgres_url: str, tmp_path: Path) -> None:
    """The worker connects again, holds its lock again, and says again what was not recorded."""
    name = f"wf_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        workflow = made(str(tmp_path / "log"), 0.05)
        with Executor(postgres_url.rsplit("/", 1)[0] + f"/{name}") as executor:
            handles = [executor.submit(workflow, {"n": number}) for number in range(3)]
            for _ in range(3):
                eventually(lambda: executions(tmp_path), "no task ran")
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (name,),
                )
                time.sleep(0.1)
            results = [handle.result(40) for handle in handles]
            assert {result.status for result in results} == {RunStatus.COMPLETED}
            assert [result.final_context["n"] for result in results] == [0, 1, 2]
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    forget("test_rig")


def test_a_restarted_server_costs_no_task_and_no_run(tmp_path: Path) -> None:
    """PostgreSQL is killed in the middle and comes back: the runs go on, nothing is run again."""
    try:
        server = PrivatePostgres()
    except NotHereError as missing:
        pytest.skip(str(missing))
    log = str(tmp_path / "log")
    with server, Executor(server.url, lease_s=60.0, store_patience_s=100.0) as executor:
        handles = [executor.submit(made(log, 0.1), {"n": number}) for number in range(3)]
        eventually(lambda: len(executions(tmp_path)) >= 3, "no task ran")
        server.kill()
        server.start()
        results = [handle.result(100) for handle in handles]
        assert {result.status for result in results} == {RunStatus.COMPLETED}
        counts = Counter((run, key) for run, key, _, _ in executions(tmp_path))
        assert len(counts) == 3 * (STEPS + 2)
        # Who was at work held what it had until the server was back.
        assert set(counts.values()) == {1}
    forget("test_rig")


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_costs_and_delays_nothing(
    url: str, jump_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day ahead or back in the middle: no living worker is buried, no wait becomes a day."""
    begun, go, ran = threading.Event(), threading.Event(), []

    def slow(context: dict[str, Any]) -> None:
        begun.set()
        go.wait(30)

    def flaky(context: Any) -> None:
        ran.append(context.attempt)
        if context.attempt == 1:
            raise ValueError("once")

    tasks = [
        task("slow", timeout_s=40)(slow),
        task("flaky", dependencies=["slow"], retries=1, retry_delay_s=0.01)(flaky),
    ]
    workflow = Workflow("jumping", tasks, version="1")
    real = time.time
    with Executor(url, lease_s=30.0) as worker, Executor(url, lease_s=30.0) as other:
        other.engine.know(workflow)
        handle = worker.submit(workflow)
        assert begun.wait(30)
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        other.look()
        time.sleep(0.1)
        other.look()
        go.set()
        assert handle.result(30).status is RunStatus.COMPLETED
        assert worker.saved(handle.run_id).run.recoveries == 0
    assert ran == [1, 2]
    forget("test_rig")


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """Whoever waits gets an error that says what is wrong; nothing is lost."""
    begun, go = threading.Event(), threading.Event()

    def body(context: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        go.wait(30)
        return {"big": os.urandom(500_000).hex()}

    workflow = Workflow("big", [task("big")(body)], version="1")
    with Executor(str(tmp_path / "full.db"), store_patience_s=0.1) as executor:
        handle = executor.submit(workflow)
        assert begun.wait(30)
        executor.store._writer.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]  # what SQLite takes for a full disk
        go.set()
        with pytest.raises(WorkflowError, match="full"):
            handle.result(40)
        executor.store._writer.execute("PRAGMA max_page_count = 100000")  # type: ignore[attr-defined]  # room again
        eventually(
            lambda: executor.get(handle.run_id).status is RunStatus.COMPLETED, "it did not go on"
        )
    forget("test_rig")
