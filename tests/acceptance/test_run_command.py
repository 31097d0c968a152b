"""`test-rig run` as a user runs it: earlier handlers unchanged, and every kind of misbehaviour."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from test_rig.suite.conduct import SLACK_S
from test_rig.targets import Target, TargetUrl

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "handlers"
HANDLERS = Path(__file__).parent / "handlers"
EARLIER, MISBEHAVING = HANDLERS / "earlier", HANDLERS / "misbehaving"
SERVERS = ["postgres_url", "mariadb_url"]


LOGS = """
import logging
from test_rig_python import PyState, PyStateHandler

class LoggingHandler(PyStateHandler):
    def execute(self, context):
        logging.getLogger("mine").info("by %s", "logging")
        context.logger.info("by the context", rows=3)
        logging.getLogger("mine").debug("too fine")
        assert context.connection.execute_query("SELECT 1 AS one") == [{"one": 1}]
        return PyState.completed()
"""


def results(finished: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Return the results of the only target by handler, from what `--json` printed."""
    (target,) = json.loads(finished.stdout)["suite"]["targets"]
    return {each["handler"]: each for each in target["handlers"]}


def remarks(result: dict[str, Any]) -> list[str]:
    """Return the kinds of a result's remarks."""
    return [each["kind"] for each in result["remarks"]]


@pytest.mark.parametrize("server", [*SERVERS, "sqlite"])
def test_handlers_of_the_earlier_rig_run_unchanged(
    rig: Run, server: str, request: pytest.FixtureRequest
) -> None:
    """Every generation of spellings, against real databases, each file in a place of its own."""
    url = "sqlite://" if server == "sqlite" else request.getfixturevalue(server)
    finished = rig("run", str(EARLIER), "--url", url, "--jobs", "2", "--json")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = results(finished)
    assert list(found) == [
        "ConnectionTestHandler",
        "ConfigurableHandler",
        "AsyncHandler",
        "ImportJobMonitorHandler",
        "RobustHandler",
        "ReconnectingHandler",
        "SpellingsHandler",
        "ConcurrentReadHandler",
        "GetConnectionsHandler",
        "CreateTableHandler",
        "TransactionHandler",
        "WorkingFolderHandler",
    ]
    assert {each["status"] for each in found.values()} == {"passed"}
    assert remarks(found["ConfigurableHandler"]) == ["checked nothing"]
    assert [name for name, each in found.items() if each["remarks"]] == ["ConfigurableHandler"]
    assert found["ConnectionTestHandler"]["output"].endswith("one: 1\nDone\n")


@pytest.mark.parametrize("server", SERVERS)
def test_misbehaviour_costs_its_own_verdict_only(
    rig: Run, server: str, request: pytest.FixtureRequest
) -> None:
    """Exits, crashes, locks, lost connections, nonsense: the next handler runs."""
    url = request.getfixturevalue(server)
    finished = rig("run", str(MISBEHAVING), "--url", url, "--scratch", "--json")
    assert finished.returncode == 1, finished.stderr
    found = results(finished)
    assert {name: each["status"] for name, each in found.items()} == {
        "FirstGoodHandler": "passed",
        "LeavingHandler": "error",
        "DyingHandler": "error",
        "OpenTransactionHandler": "passed",
        "LockedAwayHandler": "timed_out",
        "LostConnectionHandler": "error",
        "NonsenseHandler": "error",
        "NothingHandler": "error",
        "SwallowingHandler": "passed",
        "BlindHandler": "passed",
        "IdleHandler": "passed",
        "ForeignHandler": "skipped",
        "LastGoodHandler": "passed",
    }
    assert remarks(found["OpenTransactionHandler"]) == ["left behind"]
    assert remarks(found["SwallowingHandler"]) == ["swallowed an error"]
    assert remarks(found["BlindHandler"]) == ["checked nothing"]
    assert remarks(found["IdleHandler"]) == ["checked nothing"]
    assert "left behind" in remarks(found["LockedAwayHandler"])
    assert "(LockedAwayHandler.timeout_s)" in found["LockedAwayHandler"]["reason"]
    assert found["DyingHandler"]["output"] == "last words\n"
    assert "exit code 7" in found["DyingHandler"]["reason"]
    assert any("UPDATE" in each["sql"] for each in found["DyingHandler"]["statements"])
    assert "does not have IMPORT INTO" in found["ForeignHandler"]["reason"]
    assert "instead of a state" in found["NothingHandler"]["reason"]


def test_what_is_no_text_costs_its_own_verdict_only(rig: Run, postgres_url: str) -> None:
    """Half characters, statements as bytes, garbage in the rig's own pipes."""
    finished = rig("run", str(HANDLERS / "garbled"), "--url", postgres_url, "--json")
    assert finished.returncode == 1, finished.stderr
    found = results(finished)
    assert {name: each["status"] for name, each in found.items()} == {
        "HalfCharacterHandler": "failed",
        "HalfStatementHandler": "passed",
        "BytesHandler": "passed",
        "GarbageHandler": "error",
        "LastGoodHandler": "passed",
    }
    assert found["HalfCharacterHandler"]["reason"] == "\\ud800\x1b[31m"
    assert "\x1b" not in finished.stderr
    assert found["HalfStatementHandler"]["statements"][0]["sql"] == "SELECT '\\ud800'"
    assert found["BytesHandler"]["statements"][0]["sql"] == "SELECT 1"


def test_what_never_comes_back_is_ended(rig: Run) -> None:
    """A loop that catches everything, a sleep, C code that lets no other thread go on.

    Each has timed out, long before the slack is over that a worker has which still lives.
    """
    finished = rig("run", str(HANDLERS / "stuck"), "--url", "sqlite://", "--json")
    assert finished.returncode == 1, finished.stderr
    found = results(finished)
    statuses = [each["status"] for each in found.values()]
    assert statuses == ["timed_out", "timed_out", "timed_out", "passed"]
    (statement,) = found["HoldingHandler"]["statements"]
    assert statement["sql"] == "SELECT 1 AS one"
    assert found["HoldingHandler"]["duration_s"] < SLACK_S
    (remark,) = found["LoopingHandler"]["remarks"]
    assert "LoopingHandler.exit did not run" in remark["text"]


@pytest.mark.parametrize("server", SERVERS)
def test_every_statement_is_evidence(rig: Run, server: str, request: pytest.FixtureRequest) -> None:
    """With its time, rows or codes; what the rig itself asks on its way is left out."""
    url = request.getfixturevalue(server)
    finished = rig("run", str(MISBEHAVING), "--url", url, "-k", "swallow", "--json", "--show-sql")
    (result,) = results(finished).values()
    (statement,) = result["statements"]
    assert statement["sql"] == "SELECT * FROM no_such_table_anywhere"
    assert statement["sqlstate"] in ("42P01", "42S02")
    assert "no_such_table_anywhere" in statement["message"]
    assert statement["duration_s"] > 0
    assert [visit["state"] for visit in result["visits"]][-2:] == [
        "GettingVersion",
        "SwallowingHandler",
    ]
    assert "SELECT * FROM no_such_table_anywhere" in finished.stderr


def test_a_doubtful_result_is_a_finding_where_that_is_wanted(rig: Run) -> None:
    """Exit code 1 with --strict, 0 without."""
    arguments = ("run", str(MISBEHAVING), "--url", "sqlite://", "-k", "idle")
    assert rig(*arguments).returncode == 0
    assert rig(*arguments, "--strict").returncode == 1


def test_the_run_folder_tells_it_again_in_every_form(rig: Run, tmp_path: Path) -> None:
    """Text, JUnit and HTML from the folder alone; JUnit of the run itself is the same."""
    chosen = ("run", str(MISBEHAVING), "--url", "sqlite://", "-k", "*::[lb]*[nd][gd]handler")
    finished = rig(*chosen, "--junit", "own.xml")
    assert finished.returncode == 1
    assert "1 error, 1 passed (1 doubtful)" in finished.stdout
    assert rig("report").stdout.splitlines()[0] == finished.stdout.splitlines()[0]
    again = rig("report", "--format", "junit").stdout
    assert [case.name for suite in JUnitXml.fromstring(again.encode()) for case in suite] == [
        "LeavingHandler",
        "BlindHandler",
    ]
    assert (tmp_path / "own.xml").read_text().strip() == again.strip()
    page = rig("report", "--format", "html").stdout
    assert "checked nothing" in page
    assert "<script" not in page


def test_what_handlers_log_is_in_the_log(rig: Run, tmp_path: Path) -> None:
    """In its file and on standard error, each line once, by the level that was asked for."""
    (tmp_path / "test_log.py").write_text(LOGS)
    file = tmp_path / "x.log"
    told = ("run", str(tmp_path / "test_log.py"), "--url", "sqlite://", "--log-file", str(file))
    finished = rig(*told, "--json")
    assert finished.returncode == 0, finished.stderr
    for text in (file.read_text(), finished.stderr):
        assert text.count("by logging") == 1
        assert text.count("by the context") == 1
        assert "too fine" not in text
    (result,) = results(finished).values()
    assert "INFO:test_rig.machine:by the context state='LoggingHandler' rows=3" in result["output"]
    assert "too fine" in rig(*told, "--log-level", "debug").stderr


def test_what_handlers_print_is_shown_where_that_is_wanted(rig: Run) -> None:
    """Live on standard error with --show-output, and only then."""
    file = str(EARLIER / "test_connection_test.py")
    arguments = ("run", file, "--url", "sqlite://", "-k", "ConnectionTestHandler")
    assert "one: 1" not in rig(*arguments).stderr
    assert "one: 1" in rig(*arguments, "--show-output").stderr


def test_a_broken_file_is_told_with_its_line_and_the_others_run(rig: Run, tmp_path: Path) -> None:
    """Exit code 1."""
    (tmp_path / "test_bad.py").write_text("x = 1\nclass (:\n")
    (tmp_path / "test_good.py").write_text((EARLIER / "test_display_names.py").read_text())
    finished = rig("run", ".", "--url", "sqlite://")
    assert finished.returncode == 1
    assert "1 passed; 1 file could not be loaded." in finished.stdout
    assert "test_bad.py:2: not Python" in finished.stderr  # there no line is wrapped


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing was named to run"),
        ((str(EARLIER / "test_display_names.py"), "-k", "none-such"), "no handler was found with"),
        ((str(EARLIER), "--set", "nonsense"), "it says no NAME=VALUE"),
    ],
)
def test_wrong_use_is_one_clear_message(rig: Run, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, no traceback."""
    finished = rig("run", *arguments, "--url", "sqlite://")
    assert finished.returncode == 2, finished.stderr
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


def test_settings_reach_constructors(rig: Run, tmp_path: Path) -> None:
    """From [handlers], [handlers.NAME], --set, and the settings of the rig."""
    text = """
from test_rig_python import PyState, PyStateHandler
class TunedHandler(PyStateHandler):
    def __init__(self, config, duration, label, rows, pool_size):
        self.told = (config["duration"], duration, label, rows, pool_size)
    def execute(self, context):
        assert self.told == (5, 5, "given", 7, 3), self.told
        return PyState.completed()
"""
    (tmp_path / "tuned.py").write_text(text)
    (tmp_path / "test-rig.toml").write_text(
        "[handlers]\nlabel = 'all'\n[handlers.TunedHandler]\nduration = 5\n"
        "[test]\nrows = 7\n[database]\npool_size = 3\n"
    )
    finished = rig("run", "tuned.py", "--url", "sqlite://", "--set", "TunedHandler.label=given")
    assert finished.returncode == 0, finished.stdout


def test_a_setting_for_nobody_is_told(rig: Run) -> None:
    """A class whose name is misspelled would silently keep its default."""
    chosen = ("run", str(EARLIER / "test_display_names.py"), "--url", "sqlite://", "--set")
    finished = rig(*chosen, "SpelingsHandler.rows=3")
    assert finished.returncode == 0, finished.stderr
    assert "--set SpelingsHandler.rows has no effect" in finished.stderr
    assert "no effect" not in rig(*chosen, "SpellingsHandler.rows=3").stderr


def test_what_a_handler_started_ends_with_its_file(rig: Run, tmp_path: Path) -> None:
    """Also in a session of its own, whose parent is gone, with the rig's pipes in its hands."""
    text = """
import os, subprocess, sys
from test_rig_python import PyState, PyStateHandler
class StartingHandler(PyStateHandler):
    def execute(self, context):
        if os.fork() == 0:
            os.setsid()
            subprocess.Popen(["sleep", "1000"], close_fds=False)
            os._exit(0)
        os.wait()
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        assert context.connection.execute_query("SELECT 1 AS one") == [{"one": 1}]
        return PyState.completed()
"""
    (tmp_path / "starting.py").write_text(text)
    finished = rig("run", "starting.py", "--url", "sqlite://", env={"STARTED_BY": str(tmp_path)})
    assert finished.returncode == 0, finished.stdout
    assert started_by(str(tmp_path)) == []


def started_by(mark: str) -> list[str]:
    """Return the commands of processes with this value of STARTED_BY."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"STARTED_BY={mark}".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_text())
    return found


def test_a_limit_that_is_none_is_that_handlers_error(rig: Run, tmp_path: Path) -> None:
    """It names the class's attribute; the one after it runs."""
    text = """
from test_rig_python import PyStateHandler
class SlowHandler(PyStateHandler):
    timeout_s = "5 minutes"
class EndlessHandler(PyStateHandler):
    max_transitions = -1
class GoodHandler(PyStateHandler):
    timeout_s = 20
"""
    (tmp_path / "limits.py").write_text(text)
    found = results(rig("run", "limits.py", "--url", "sqlite://", "--json"))
    assert [each["status"] for each in found.values()] == ["error", "error", "passed"]
    assert "limits.py:3: SlowHandler.timeout_s: '5 minutes' is no" in found["SlowHandler"]["reason"]
    assert "EndlessHandler.max_transitions: -1 is too small" in found["EndlessHandler"]["reason"]


def test_a_state_that_cannot_be_served_names_its_class(rig: Run, tmp_path: Path) -> None:
    """Not only the test in whose machine it was to serve."""
    text = "from test_rig import StateHandler\nclass LastHandler(StateHandler):\n"
    (tmp_path / "last.py").write_text(f"{text}    state = 'Completed'\n")
    finished = rig("run", "last.py", "--url", "sqlite://")
    assert finished.returncode == 1
    assert "last.py:2: LastHandler" in finished.stderr


def test_help_tells_tables_in_brackets(rig: Run) -> None:
    """Which are no style."""
    assert "[suites]" in rig("run", "--help").stdout


def test_a_missing_setting_says_where_to_give_it(rig: Run, tmp_path: Path) -> None:
    """It is that handler's error."""
    text = "from test_rig import StateHandler\nclass WantingHandler(StateHandler):\n"
    (tmp_path / "wanting.py").write_text(text + "    def __init__(self, table: str): ...\n")
    finished = rig("run", "wanting.py", "--url", "sqlite://")
    assert finished.returncode == 1
    assert "wanting.py:2: WantingHandler(...) wants table: str" in finished.stderr
    assert "--set NAME=VALUE" in finished.stderr


def test_without_a_real_database_the_stand_in_serves_and_says_so(rig: Run) -> None:
    """`REAL_DB=no`, in every run."""
    finished = rig("run", str(EARLIER), env={"REAL_DB": "no"})
    assert finished.returncode == 0, finished.stdout
    assert "stand-in" in finished.stderr
    assert "SQLite in memory (stand-in)" in finished.stdout


def test_a_new_handler_runs_as_it_stands(rig: Run, tmp_path: Path) -> None:
    """And is not written over another one."""
    assert rig("new", "handler", "OrderCount").returncode == 0
    assert (tmp_path / "test_order_count.py").exists()
    finished = rig("run", "test_order_count.py")
    assert finished.returncode == 0, finished.stdout
    assert finished.stdout.startswith("2 passed.")
    assert rig("new", "handler", "OrderCount").returncode == 2
    assert rig("new", "handler", "???").returncode == 2


@pytest.mark.parametrize("server", SERVERS)
def test_our_own_examples_are_green(rig: Run, server: str, request: pytest.FixtureRequest) -> None:
    """All of them, on each server; the one about import jobs is skipped where there are none."""
    url = request.getfixturevalue(server)
    finished = rig("run", str(EXAMPLES), "--url", url, "--jobs", "3", "--strict", "--json")
    assert finished.returncode == 0, finished.stdout
    found = results(finished)
    skipped = [name for name, each in found.items() if each["status"] == "skipped"]
    assert skipped == ["ImportJobMonitorHandler"]
    assert len(found) == 11


def test_an_example_runs_as_a_script(tmp_path: Path, mariadb_url: str) -> None:
    """With the options of `test-rig run`, and one of its own."""
    url = TargetUrl.parse(mariadb_url)
    options = ["--host", url.address(), "--user", str(url.user), "--test-rows", "3"]
    options += ["--database", str(url.database), "--no-password-prompt"]
    options += ["--password", url.password] if url.password else []
    finished = subprocess.run(
        [sys.executable, EXAMPLES.parent / "run_isolation_test.py", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "MariaDB" in finished.stdout
    assert "50, then 50, after the commit 999" in finished.stderr


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield what a process says on standard error, as it says it."""
    assert process.stderr is not None
    for line in process.stderr:  # noqa: UP028 - `yield from` would close the pipe, too
        yield line


def wait_for(lines: Iterator[str], text: str) -> None:
    """Read on until a line has the text."""
    assert any(text in line for line in lines), f"it never said {text!r}"


def test_an_edited_file_runs_again_and_a_broken_one_is_told(
    start_rig: Start, tmp_path: Path
) -> None:
    """With --watch, until Ctrl-C."""
    good = (EARLIER / "test_display_names.py").read_text()
    file = tmp_path / "tests" / "test_watched.py"
    file.parent.mkdir()
    file.write_text(good)
    process = start_rig("run", "tests", "--url", "sqlite://", "--watch")
    try:
        lines = lines_of(process)
        wait_for(lines, "watching for edits")
        file.write_text("class (\n")
        wait_for(lines, "watched.py:1: not Python: invalid syntax; the results of the last good")
        file.with_name("test_new.py").write_text(good.replace("Spellings", "New"))
        wait_for(lines, "passed    NewHandler")
        file.write_text(good.replace('return "COMPLETED"', 'return "Error: edited"'))
        wait_for(lines, "failed    SpellingsHandler")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.communicate()


def test_an_interruption_leaves_nothing_on_the_server(
    start_rig: Start, tmp_path: Path, postgres_url: str
) -> None:
    """Processes are ended, and the private place is removed."""
    text = """
import time
from test_rig_python import PyStateHandler
class SleepyHandler(PyStateHandler):
    def execute(self, context):
        place = context.connection.execute_query("SELECT current_schema() AS s")[0]["s"]
        context.connection.query_drop("CREATE TABLE held (a INTEGER)")
        print("place", place, flush=True)
        context.connection.query_drop("SELECT pg_sleep(1000)")
"""
    (tmp_path / "sleepy.py").write_text(text)
    process = start_rig("run", "sleepy.py", "--url", postgres_url, "--scratch", "--show-output")
    try:
        line = next(each for each in lines_of(process) if "place" in each)
        place = line.split("place ")[1].strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.communicate()
    with Target.open(postgres_url) as target, target.connect() as session:
        sql = f"SELECT 1 FROM pg_namespace WHERE nspname = '{place}'"
        assert session.execute_query(sql) == []
