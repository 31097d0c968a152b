"""`test-rig import` as a user runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.tidb_standin import StandinImport, TidbStandin

Run = Callable[..., subprocess.CompletedProcess[str]]
EXAMPLES = Path(__file__).parents[2] / "examples" / "handlers"


@pytest.fixture
def tidb() -> Iterator[TidbStandin]:
    """A stand-in for TiDB with one job that works."""
    with TidbStandin() as server:
        server.imports = [StandinImport(7)]
        yield server


def test_jobs_are_watched_until_they_end(rig: Run, tidb: TidbStandin) -> None:
    """Progress on standard error, the final line on standard output."""
    result = rig("import", "watch", tidb.url, "--interval", "0.02")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("job 7 into `test`.`orders`: finished, 1,000 rows, 1.5 GiB")
    assert "job 7 into `test`.`orders`: importing, 800 rows" in result.stderr


def test_json_has_all_that_is_known(rig: Run, tidb: TidbStandin) -> None:
    """The server's own columns included; a failed job is a finding."""
    tidb.imports[0].end, tidb.imports[0].message = "failed", "no space"
    result = rig("import", "watch", tidb.url, "--interval", "0.02", "--json", "--job", "7")
    assert result.returncode == 1, result.stderr
    (job,) = json.loads(result.stdout)["jobs"]
    assert (job["state"], job["message"]) == ("failed", "no space")
    assert job["columns"]["Result_Message"] == "no space"


def test_watching_ends_with_its_duration(rig: Run, tidb: TidbStandin) -> None:
    """The job still runs, which is no failure."""
    result = rig("import", "watch", tidb.url, env={"TIDB_MONITOR_DURATION": "0.05"})
    assert (result.returncode, "still " in result.stdout) == (0, True), result.stderr


def test_jobs_are_listed(rig: Run, tidb: TidbStandin) -> None:
    """With every column."""
    result = rig("import", "list", tidb.url)
    assert result.returncode == 0, result.stderr
    assert "job 7: queued" in result.stdout
    assert "  Created_By                root@%" in result.stdout
    assert json.loads(rig("import", "list", tidb.url, "--json").stdout)[0]["Job_ID"] in (7, "7")


def test_every_column_is_told_where_that_is_wanted(rig: Run, tidb: TidbStandin) -> None:
    """By an option or the earlier variable; without either, one line a job."""
    plain = rig("import", "watch", tidb.url, "--interval", "0.02")
    assert len(plain.stdout.splitlines()) == 1
    told = rig("import", "watch", tidb.url, "--job", "7", "--show-details", "--interval", "0.02")
    assert "  Created_By                root@%" in told.stdout, told.stderr
    told = rig("import", "watch", tidb.url, "--job", "7", env={"TIDB_SHOW_DETAILS": "true"})
    assert "  Created_By                root@%" in told.stdout, told.stderr


def test_the_example_of_a_monitor_follows_jobs_to_their_end(rig: Run, tidb: TidbStandin) -> None:
    """As a whole test whose detours are the built-in handlers of the states of imports."""
    finished = rig(
        "run",
        str(EXAMPLES / "test_import_monitor.py"),
        "--url",
        tidb.url,
        "--set",
        "interval=0.02",
        "--json",
    )
    assert finished.returncode == 0, finished.stderr
    (result,) = json.loads(finished.stdout)["suite"]["targets"][0]["handlers"]
    assert result["status"] == "passed", result
    assert "ShowingImportJobDetails" in [visit["state"] for visit in result["visits"]]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("watch",), 2, "no server is named"),
        (("watch", "sqlite://"), 2, "SQLite shows no bulk loads"),
        (("watch", "tidb://root@127.0.0.1:1/x"), 3, "cannot connect"),
        (("watch", "sqlite://", "--duration", "0"), 2, "imports.duration_secs"),
    ],
)
def test_wrong_use_is_told(rig: Run, arguments: tuple[str, ...], code: int, told: str) -> None:
    """With the exit code for it, and without a traceback."""
    result = rig("import", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_without_loads_is_told(rig: Run, mariadb_url: str) -> None:
    """A job that is not there is an error, since nobody can follow it."""
    result = rig("import", "watch", mariadb_url, "--job", "999999999")
    assert result.returncode == 2
    assert "there is no job 999999999" in result.stderr
