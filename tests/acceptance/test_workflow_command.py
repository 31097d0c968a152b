"""`test-rig workflow` as people use it."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

FLOW = """
import time
from pathlib import Path
from test_rig.workflow import Workflow, task

@task
def first(context):
    return {"a": context.get("a", 0) + 1}

@task(dependencies=[first])
def second(context):
    if not Path("fixed").exists():
        raise ValueError("not fixed yet")
    return {"b": 2}

flow = Workflow("flow", version="1")

@task("wait")
def wait(context):
    with open("log", "a") as log:
        log.write("waiting")
    time.sleep(0.2 if Path("fixed").exists() else 60)

slow = Workflow("slow", [wait], version="1")
"""


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A file with two workflows."""
    path = tmp_path / "flow.py"
    path.write_text(FLOW)
    return path


def test_a_run_fails_is_looked_at_and_run_again(rig: Any, flow: Path, tmp_path: Path) -> None:
    """Progress goes to standard error, results to standard output, the store is kept."""
    failed = rig("workflow", "run", str(flow), "flow", "--context", '{"a": 4}', "--json")
    assert failed.returncode == 1, failed.stderr
    result = json.loads(failed.stdout)
    assert result["status"] == "Failed"
    assert "first  Completed" in failed.stderr
    shown = rig("workflow", "show", "last", "--traceback")
    assert "ValueError: not fixed yet" in shown.stdout
    assert 'raise ValueError("not fixed yet")' in shown.stdout
    (tmp_path / "fixed").touch()
    again = rig("workflow", "retry", result["run_id"], str(flow), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["final_context"] == {"a": 5, "b": 2}
    assert "first" not in again.stderr
    assert "Completed" in rig("workflow", "list").stdout
    attempts = json.loads(rig("workflow", "show", "last", "--json").stdout)["tasks"][1]["attempts"]
    assert [each["attempt"] for each in attempts] == [1, 2]


def test_the_graph_is_drawn(rig: Any, flow: Path, tmp_path: Path) -> None:
    """Of a file as text; of a run, with its states, as a picture."""
    assert "second  <- first" in rig("workflow", "graph", str(flow)).stdout
    rig("workflow", "run", str(flow), "flow")
    assert rig("workflow", "graph", "last", "--svg", "g.svg").returncode == 0
    picture = (tmp_path / "g.svg").read_text()
    assert picture.startswith("<svg ")
    assert "second Failed" in picture


def test_an_interrupted_run_is_gone_on_with(
    rig: Any, start_rig: Any, flow: Path, tmp_path: Path
) -> None:
    """After Ctrl-C the same key goes on, and the first command leaves nothing running."""
    running = start_rig("workflow", "run", str(flow), "slow", "--key", "k")
    until = time.monotonic() + 30
    while not (tmp_path / "log").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=30)
    assert (running.returncode, "is kept" in told) == (130, True)
    (tmp_path / "fixed").touch()
    again = rig("workflow", "run", str(flow), "slow", "--key", "k")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "nowhere.py"], "nowhere.py"),
        (["run", "flow.py", "flo"], "did you mean 'flow'"),
        (["run", "flow.py", "flow", "--context", "[1]"], "JSON object"),
        (["show", "last", "--store", "typo.db"], "there is no such workflow store"),
        (["list", "--store", "mysql://x/y"], "Invalid database URL format"),
        (["list", "--status", "gone"], "there is no state 'gone'"),
    ],
)
def test_wrong_use_is_told(rig: Any, flow: Path, words: list[str], text: str) -> None:
    """With exit code 2 and without a traceback."""
    done = rig("workflow", *words)
    assert done.returncode == 2, done.stdout
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not (flow.parent / "typo.db").exists()


def test_a_run_that_is_not_there_is_told(rig: Any, flow: Path) -> None:
    """In a store that is there."""
    assert rig("workflow", "run", str(flow), "flow").returncode == 1  # it fails, and is recorded
    done = rig("workflow", "show", "nothing")
    assert (done.returncode, "there is no run 'nothing'" in done.stderr) == (2, True)


def test_a_worker_serves_what_others_leave_and_what_is_due(
    rig: Any, start_rig: Any, flow: Path, tmp_path: Path
) -> None:
    """`worker` goes on with an interrupted run, starts a scheduled one, and ends when told."""
    (tmp_path / "fixed").touch()
    added = rig(
        "workflow", "schedule", "add", "often", "flow", "* * * * *", "--context", '{"a": 1}'
    )
    assert added.returncode == 0, added.stderr
    listed = json.loads(rig("workflow", "schedule", "list", "--json").stdout)
    assert [(each["name"], each["workflow"], each["time_zone"]) for each in listed] == [
        ("often", "flow", "UTC")
    ]
    # As if the minute of its next run had come a while ago.
    with closing(sqlite3.connect(tmp_path / "test-rig-workflows.sqlite3")) as file:
        file.execute("UPDATE wf_schedule SET next_due = next_due - 3600")
        file.commit()
    working = start_rig("workflow", "worker", str(flow))
    until = time.monotonic() + 60
    while True:
        runs = json.loads(rig("workflow", "list", "--json").stdout)
        if runs and runs[0]["status"] == "Completed":
            break
        assert time.monotonic() < until, working.poll()
        time.sleep(0.1)
    assert runs[0]["workflow"] == "flow"
    assert runs[0]["final_context"]["a"] == 2
    assert "scheduled_for" in runs[0]["final_context"]
    working.send_signal(signal.SIGTERM)
    _, err = working.communicate(timeout=30)
    assert working.returncode == 143
    assert "serves flow, slow" in err
    assert "Traceback" not in err
    assert rig("workflow", "schedule", "remove", "often").returncode == 0
    gone = rig("workflow", "schedule", "remove", "often")
    assert gone.returncode == 2
    assert "there is no schedule 'often'" in gone.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["schedule", "add", "x", "flow", "61 * * * *"], "61"),
        (["schedule", "add", "x", "flow", "0 3 * * *", "--time-zone", "Mars/Base"], "Mars/Base"),
        (["schedule", "add", "x", "flow", "0 3 * * *", "--catch-up", "some"], "latest"),
        (["worker", "nowhere.py"], "nowhere.py"),
    ],
)
def test_wrong_schedules_and_workers_are_told(rig: Any, words: list[str], text: str) -> None:
    """With exit code 2 and without a traceback."""
    done = rig("workflow", *words)
    assert done.returncode == 2, done.stdout
    assert text in done.stderr
    assert "Traceback" not in done.stderr
