"""`test-rig run` as a user runs it: earlier handlers unchanged, and every kind of misbehaviour."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

Run = Callable[..., subprocess.CompletedProcess[str]]
HANDLERS = Path(__file__).parent / "handlers"
EARLIER, MISBEHAVING = HANDLERS / "earlier", HANDLERS / "misbehaving"
SERVERS = ["postgres_url", "mariadb_url"]


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
    assert found["DyingHandler"]["output"] == "last words\n"
    assert "exit code 7" in found["DyingHandler"]["reason"]
    assert "does not have IMPORT INTO" in found["ForeignHandler"]["reason"]
    assert "instead of a state" in found["NothingHandler"]["reason"]


def test_what_never_comes_back_is_ended(rig: Run) -> None:
    """A loop that catches everything, a sleep: timed out, and said that exit did not run."""
    finished = rig("run", str(HANDLERS / "stuck"), "--url", "sqlite://", "--json")
    assert finished.returncode == 1, finished.stderr
    found = results(finished)
    statuses = [each["status"] for each in found.values()]
    assert statuses == ["timed_out", "timed_out", "passed"]
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


def test_what_handlers_print_is_shown_where_that_is_wanted(rig: Run) -> None:
    """Live on standard error with --show-output, and only then."""
    arguments = ("run", str(EARLIER), "--url", "sqlite://", "-k", "ConnectionTestHandler")
    assert "one: 1" not in rig(*arguments).stderr
    assert "one: 1" in rig(*arguments, "--show-output").stderr


def test_a_broken_file_is_told_with_its_line_and_the_others_run(rig: Run, tmp_path: Path) -> None:
    """Exit code 1."""
    (tmp_path / "test_bad.py").write_text("x = 1\nclass (:\n")
    (tmp_path / "test_good.py").write_text((EARLIER / "test_display_names.py").read_text())
    finished = rig("run", ".", "--url", "sqlite://")
    assert finished.returncode == 1
    assert "1 passed; 1 file could not be loaded." in finished.stdout
    assert "test_bad.py:2: not Python" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing was named to run"),
        (("no/such/place",), "no such file or folder"),
        (("no_such_module_7",), "no such module"),
        (("--suite", "nowhere"), "there is no suite 'nowhere'"),
        ((str(EARLIER), "-k", "no-such-handler"), "no handler was found"),
        ((str(EARLIER), "--test-file", "test_other.py"), "there is no file to run"),
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


def test_a_missing_setting_says_where_to_give_it(rig: Run, tmp_path: Path) -> None:
    """It is that handler's error."""
    text = "from test_rig import StateHandler\nclass WantingHandler(StateHandler):\n"
    (tmp_path / "wanting.py").write_text(text + "    def __init__(self, table: str): ...\n")
    finished = rig("run", "wanting.py", "--url", "sqlite://")
    assert finished.returncode == 1
    told = " ".join(finished.stdout.split())
    assert "wanting.py:2: WantingHandler(...) wants table: str" in told
    assert "--set NAME=VALUE" in told


def test_without_a_real_database_the_stand_in_serves_and_says_so(rig: Run) -> None:
    """`REAL_DB=no`, in every run."""
    finished = rig("run", str(EARLIER), env={"REAL_DB": "no"})
    assert finished.returncode == 0, finished.stdout
    assert "stand-in" in finished.stderr
    assert "SQLite in memory (stand-in)" in finished.stdout


def test_suites_files_and_modules_are_chosen_by_name(rig: Run, tmp_path: Path) -> None:
    """A suite of the settings, an earlier suite's folder, a module, one file of a folder."""
    source = (EARLIER / "test_display_names.py").read_text()
    folder = tmp_path / "src" / "ddl"
    folder.mkdir(parents=True)
    (folder / "test_names.py").write_text(source)
    (folder / "test_more.py").write_text(source)
    (tmp_path / "my_handlers.py").write_text(source)
    (tmp_path / "test-rig.toml").write_text("[suites]\nmine = ['my_handlers.py']\n")
    counts = {
        ("--suite", "mine", "--suite", "DDL"): 3,
        ("--suite", "DDL", "--test-file", "test_more.py"): 1,
        ("--test-file", "my_handlers.py"): 1,
        ("--python-module", "my_handlers"): 1,
    }
    for arguments, count in counts.items():
        finished = rig("run", *arguments, "--url", "sqlite://")
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert finished.stdout.startswith(f"{count} passed."), arguments


def test_a_new_handler_runs_as_it_stands(rig: Run, tmp_path: Path) -> None:
    """And is not written over another one."""
    assert rig("new", "handler", "OrderCount").returncode == 0
    assert (tmp_path / "test_order_count.py").exists()
    finished = rig("run", "test_order_count.py")
    assert finished.returncode == 0, finished.stdout
    assert finished.stdout.startswith("2 passed.")
    assert rig("new", "handler", "OrderCount").returncode == 2
    assert rig("new", "handler", "???").returncode == 2
