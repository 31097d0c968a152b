"""`test-rig connect` as a user runs it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from test_rig.targets import TargetUrl

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]

_PATH = [
    "Initial",
    "ParsingConfig",
    "Connecting",
    "TestingConnection",
    "VerifyingDatabase",
    "GettingVersion",
]


def test_without_a_url_the_embedded_databases_answer(rig: Run) -> None:
    """Each state is printed with its time, and what answered with its version."""
    result = rig("connect")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        *_PATH,
        "Completed",
        *_PATH,
        "Completed",
    ]
    assert all(line.endswith(" ms") for line in lines if line.startswith("  "))
    assert any(line.startswith("SQLite 3.") for line in lines)
    assert any(line.startswith(("DuckDB 1.", "DuckDB 2.")) for line in lines)


def test_json_has_the_same_for_programs(rig: Run, mariadb_url: str) -> None:
    """Product, version, database, and each state with handler and time."""
    result = rig("connect", mariadb_url, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    (target,) = found["targets"]
    assert (found["passed"], target["status"], target["product"]) == (True, "passed", "MariaDB")
    assert [each["state"] for each in target["states"]] == _PATH
    assert all(each["duration_ms"] >= 0 for each in target["states"])


def test_a_server_is_reached_by_options_too(rig: Run, postgres_url: str) -> None:
    """Host, user and database instead of a URL."""
    url = TargetUrl.parse(postgres_url)
    result = rig(
        "connect", "-H", url.address(), "-u", str(url.user), "-d", str(url.database or "postgres")
    )
    assert result.returncode == 0, result.stderr
    assert "PostgreSQL" in result.stdout


def test_show_sql_shows_what_was_asked(rig: Run) -> None:
    """On standard error, so that results stay results."""
    result = rig("connect", "sqlite://", "--show-sql")
    assert "SELECT 1" in result.stderr
    assert "SELECT 1" not in result.stdout


def test_a_wrong_password_is_one_clear_message_without_it(rig: Run, mariadb_url: str) -> None:
    """Exit code 3; the states so far are told, the password nowhere, not even with -v."""
    url = TargetUrl.parse(mariadb_url)
    target = f"mysql://{url.user}:wr0ng-secret@{url.address()}/test"
    result = rig("connect", target, "-v")
    assert result.returncode == 3
    assert "Access denied" in result.stderr
    assert "ConnectingHandler.execute in state Connecting (attempt 1)" in result.stderr
    assert "Connecting" in result.stdout
    assert "wr0ng-secret" not in result.stdout + result.stderr


def test_one_that_cannot_be_reached_does_not_stop_the_others(rig: Run) -> None:
    """The exit code is that of the worst."""
    result = rig("connect", "mysql://root@127.0.0.1:1/x", "sqlite://", "--json")
    assert result.returncode == 3
    found = json.loads(result.stdout)
    assert [each["status"] for each in found["targets"]] == ["error", "passed"]
    assert not found["passed"]
    assert found["targets"][0]["states"][-1]["state"] == "Connecting"
    assert "127.0.0.1:1" in result.stderr


def test_a_url_that_names_no_target_is_wrong_use(rig: Run) -> None:
    """Exit code 2 and one line."""
    result = rig("connect", "oracle://db/x")
    assert result.returncode == 2
    assert "unknown scheme 'oracle'" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interruption_does_not_wait_for_a_silent_server(start_rig: Start) -> None:
    """Ctrl-C ends it within a few seconds, with the usual exit code."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        process = start_rig("connect", f"postgresql://ann@127.0.0.1:{port}/x")
        silent.settimeout(30)
        accepted, _ = silent.accept()
        with accepted:
            process.send_signal(signal.SIGINT)
            started = time.monotonic()
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert time.monotonic() - started < 25
    assert "Traceback" not in errors


def test_without_a_real_database_the_stand_in_serves_and_says_so(rig: Run) -> None:
    """`REAL_DB=no` takes the place of any target, embedded ones too, and never passes for one."""
    for target in ([], ["mysql://root@127.0.0.1:1/x"]):
        result = rig("connect", *target, env={"REAL_DB": "no"})
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("memory://")
        assert "SQLite in memory (stand-in)" in result.stdout
        assert "no real database: test.real_db is off (environment REAL_DB)" in result.stderr
