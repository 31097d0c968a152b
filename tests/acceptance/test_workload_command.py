"""`test-rig workload`, as a user runs it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Run, Start
from servers.private import NotHereError, PrivatePostgres


def test_the_workloads_are_listed(rig: Run) -> None:
    """Each with what it looks for."""
    done = rig("workload", "list")
    assert done.returncode == 0
    assert "write-skew-predicate" in done.stdout
    known = json.loads(rig("workload", "list", "--json").stdout)
    assert {"bank", "set", "long-fork"} <= {each["name"] for each in known}


def test_a_workload_leaves_a_run_that_can_be_told_again(
    rig: Run, tmp_path: Path, only_run: Callable[[], Path]
) -> None:
    """Results on standard output, progress beside them, everything in the run folder."""
    options = ("--time", "0.5", "--clients", "3", "--seed", "7", "--level", "wal-deferred")
    done = rig("workload", "run", "bank", "--url", "sqlite://", *options, "--junit", "out.xml")
    assert done.returncode == 0, done.stderr
    assert "Nothing was seen that a claim forbids: bank" in done.stdout
    assert "WAL, BEGIN DEFERRED" in done.stderr
    folder = only_run()
    assert {"run.json", "results.json", "history.arrow", "measurements.arrow", "report.html"} <= {
        path.name for path in folder.iterdir()
    }
    assert "<polyline" in (folder / "report.html").read_text()
    assert 'failures="0"' in (tmp_path / "out.xml").read_text()
    told = json.loads(rig("report", "last", "--json").stdout)
    (workload,) = told["workloads"]
    assert workload["seed"] == 7
    assert workload["ok"] > 0


def test_a_broken_claim_is_exit_code_1(rig: Run, mariadb_url: str) -> None:
    """MariaDB's REPEATABLE READ, named as the standard's, loses updates."""
    done = rig(
        *("workload", "run", "lost-update", "--url", mariadb_url, "--level", "repeatable-read"),
        *("--time", "60", "--stop-at-first", "--keys", "2", "--json"),
    )
    assert done.returncode == 1, done.stderr
    (workload,) = json.loads(done.stdout)["workloads"]
    assert workload["verdict"] == "invalid"
    assert workload["findings"][0]["anomaly"] == "lost-update"
    assert workload["ended_early"] == "stopped at the first lost-update"


def test_who_is_turned_away_by_a_full_server_is_told(rig: Run) -> None:
    """More clients than connections: the others work, a warning and the results say what was."""
    try:
        server = PrivatePostgres(max_connections="7", superuser_reserved_connections="1")
    except NotHereError as missing:
        pytest.skip(str(missing))
    with server:
        done = rig(
            *("workload", "run", "bank", "--url", server.url, "--level", "serializable"),
            *("--time", "3", "--clients", "9", "--json"),
        )
    assert done.returncode == 0, done.stderr
    (workload,) = json.loads(done.stdout)["workloads"]
    assert 0 < workload["outside"] < workload["clients"] == 9
    told = f"{workload['outside']} of 9 clients never got a connection"
    assert (
        f"warning: PostgreSQL {workload['target']['version']}, SERIALIZABLE: {told}" in done.stderr
    )
    assert "too many connections (53300): " in done.stderr


def test_wrong_use_is_exit_code_2(rig: Run) -> None:
    """Unknown workloads and levels, with what there is."""
    done = rig("workload", "run", "bnk")
    assert (done.returncode, "did you mean 'bank'" in done.stderr) == (2, True)
    done = rig("workload", "run", "bank", "--url", "duckdb://", "--level", "serial")
    assert (done.returncode, "snapshot" in done.stderr) == (2, True)


def test_ctrl_c_ends_cleanly_with_what_there_is(start_rig: Start, tmp_path: Path) -> None:
    """The history so far is judged and told; nothing is left behind."""
    running = start_rig("workload", "run", "bank", "--url", "sqlite:///own.db", "--time", "90")
    assert running.stderr is not None
    for line in running.stderr:
        if " committed, " in line:
            break
    running.send_signal(signal.SIGINT)
    told, complaint = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "ended early: interrupted" in told, complaint
    assert "interrupted" in complaint
    assert [path.name for path in tmp_path.glob("test_rig_*")] == []


def test_a_killed_run_leaves_a_history_that_can_be_judged(
    rig: Run, start_rig: Start, only_run: Callable[[], Path]
) -> None:
    """Whole up to its last second, and nobody is accused of reading what was never written."""
    running = start_rig(
        "workload", "run", "list-append", "--url", "sqlite:///own.db", "--time", "90"
    )
    assert running.stderr is not None
    for line in running.stderr:
        if " committed, " in line:
            break
    running.kill()
    running.communicate(timeout=60)
    told = rig("report", "last").stdout.splitlines()
    assert "Kept, and still to be judged" in told
    (command,) = (line.split() for line in told if line.startswith("  test-rig check "))
    checked = rig(*command[1:], "--level", "read uncommitted")
    assert checked.returncode == 0, checked.stdout
    assert "valid at read uncommitted" in checked.stdout


def test_a_witness_is_replayed(rig: Run, only_run: Callable[[], Path], mariadb_url: str) -> None:
    """What chance found once is found again by order, and is not where the level forbids it."""
    options = ("--level", "repeatable-read", "--time", "60", "--stop-at-first", "--keys", "2")
    rig("workload", "run", "list-append", "--url", mariadb_url, *options)
    (witness, *_) = sorted((only_run() / "witnesses").glob("*lost-update.json"))
    again = rig("replay", str(witness), "-n", "3", "--json")
    assert again.returncode == 1, again.stderr
    told = json.loads(again.stdout)
    assert (told["tries"], told["occurred"]) == (3, 3)
    prevented = rig("replay", str(witness), "-n", "3", "--level", "serializable")
    assert prevented.returncode == 0
    assert "occurred in 0 of 3 tries" in prevented.stdout


def test_a_phantom_is_replayed_by_search(
    rig: Run, only_run: Callable[[], Path], postgres_url: str
) -> None:
    """What a search missed it misses again, and not where the level forbids it."""
    options = ("--level", "repeatable-read", "--time", "2")
    done = rig("workload", "run", "write-skew-predicate", "--url", postgres_url, *options)
    assert "weakest level violated: serializable" in done.stdout, done.stderr
    for ending in ("json", "spec"):
        witness = str(only_run() / "witnesses" / f"01-G2.{ending}")
        again = rig("replay", witness, "-n", "2", "--url", postgres_url)
        assert (again.returncode, "G2 occurred in 2 of 2 tries" in again.stdout) == (0, True)
        prevented = rig("replay", witness, "-n", "2", "--level", "serializable")
        assert "G2 occurred in 0 of 2 tries" in prevented.stdout, prevented.stderr


def test_a_checked_history_has_witnesses_that_can_be_played(rig: Run, tmp_path: Path) -> None:
    """Pictures, a history and a scenario of each anomaly; the scenario plays on a database."""
    (tmp_path / "skew.edn").write_text(
        "{:process 0 :type :ok :f :txn :value [[:r 1 []] [:append 2 5]]}\n"
        "{:process 1 :type :ok :f :txn :value [[:r 2 []] [:append 1 4]]}\n"
    )
    assert rig("check", "skew.edn", "--witnesses", "found").returncode == 1
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    endings = ("-cycle.svg", "-timeline.svg", ".edn", ".json", ".spec")
    assert names == [f"01-G2-item{ending}" for ending in endings]
    assert "invalid: 2 transactions" in rig("check", "found/01-G2-item.edn").stdout
    for witness in ("found/01-G2-item.spec", "found/01-G2-item.json"):
        options = ("--url", "duckdb://", "--level", "snapshot", "-n", "2")
        played = rig("replay", witness, *options)
        assert "G2-item occurred in 2 of 2 tries" in played.stdout, played.stderr
        nowhere = rig("replay", witness, "--url", "duckdb://")
        assert nowhere.returncode == 2
        assert "--level" in nowhere.stderr


def test_what_is_no_witness_is_refused(rig: Run, tmp_path: Path) -> None:
    """A file that is not there, and one that is something else."""
    assert rig("replay", "nowhere.json").returncode == 2
    (tmp_path / "other.json").write_text('{"steps": []}')
    refused = rig("replay", "other.json")
    assert refused.returncode == 2
    assert "no witness" in refused.stderr
