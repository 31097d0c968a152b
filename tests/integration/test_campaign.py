"""Campaigns on real servers: gone on with after a kill, compared, done on a cluster."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

SOURCE = Path(__file__).parents[2] / "src"
Rig = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Rig]:
    """Start `test-rig` in an empty folder, in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **env: str) -> subprocess.Popen[str]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEST_RIG_", "TIDB_"))
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "test_rig", *arguments],
            cwd=tmp_path,
            env={**clean, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def campaign(folder: Path, targets: dict[str, str], **matrix: Any) -> Path:
    """Write a campaign's file: short runs of one workload."""
    given = {"workloads": ["lost-update"], **matrix}
    lines = ["[campaign]", 'name = "small"', "parallel = 2", "time_limit_secs = 300", "[matrix]"]
    lines += [f"targets = {json.dumps(list(targets))}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in given.items()]
    for name, url in targets.items():
        lines += [f"[targets.{name}]", f"url = {json.dumps(url)}"]
    lines += ["[settings.workload]", "time_secs = 0.3", "clients = 3"]
    path = folder / "small.toml"
    path.write_text("\n".join(lines))
    return path


def runs_made(folder: Path) -> dict[str, list[str]]:
    """Return how far each run of a campaign came, by its cell."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("test-rig-campaigns/*/runs/*/run.json")):
        record = json.loads(path.read_text())
        found.setdefault(record["argv"][-1], []).append(record["status"])
    return found


def judged(summary: str) -> int:
    """Return how many runs came to their end; a busy machine may not let them see enough."""
    counts: dict[str, int] = json.loads(summary)["counts"]
    assert set(counts) <= {"valid", "unknown"}
    return sum(counts.values())


def cell_of(line: str) -> str:
    """Return the cell of which a line of progress tells."""
    return line.partition("] ")[2].rpartition(": ")[0]


def ended_lines(process: subprocess.Popen[str], count: int) -> set[str]:
    """Wait until so many runs have ended, and return the cells of those."""
    assert process.stderr is not None
    found: set[str] = set()
    for line in process.stderr:
        if line.startswith("["):
            found.add(cell_of(line))
        if len(found) == count:
            return found
    raise AssertionError(f"it ended before: {found}")


def command_lines() -> Iterator[bytes]:
    """Yield the command line of each process on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


def wait_for(holds: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)


def test_a_killed_campaign_goes_on_and_repeats_no_finished_run(
    start: Rig, postgres_url: str, tmp_path: Path
) -> None:
    """What was recorded before a kill -9 is not run again; no password is anywhere."""
    targets = {"file": "sqlite://", "pg": postgres_url}
    file = campaign(tmp_path, targets, levels=["wal-deferred", "read-committed"], seeds=[1, 2])
    in_pg = 'password_env = "THE_SECRET"\n[settings.workload]'
    file.write_text(file.read_text().replace("[settings.workload]", in_pg))
    first = start("campaign", "run", str(file), THE_SECRET="geheimnis")
    ended_lines(first, 3)
    assert b"geheimnis" not in b"".join(command_lines())
    first.kill()
    first.communicate()
    second = start("campaign", "run", str(file), "--json", THE_SECRET="geheimnis")
    out, err = second.communicate(timeout=100)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if b"geheimnis" in path.read_bytes()] == []
    assert "geheimnis" not in out + err
    assert judged(out) == 4, err
    before = re.search(r"(\d) of 4 runs are done", err)
    assert before is not None
    again = {cell_of(line) for line in err.splitlines() if line.startswith("[")}
    assert len(again) == 4 - int(before[1]), "only what was not recorded was run"
    assert int(before[1]) >= 1
    made = runs_made(tmp_path)
    assert len(made) == 4
    assert {cell for cell in set(made) - again if made[cell] != ["finished"]} == set()
    listed = start("campaign", "list", "--json")
    out, _ = listed.communicate(timeout=60)
    assert [each["state"] for each in json.loads(out)] == ["finished"]


HANDLER = """
from test_rig_python import PyState, PyStateHandler

class PriceHandler(PyStateHandler):
    def execute(self, context):
        (row,) = context.connection.execute_query("SELECT 1 AS price")
        assert row["price"] == WANTED, "the price is wrong"
        return PyState.completed()
"""


def test_a_campaign_is_compared_with_an_earlier_one(
    start: Rig, mariadb_url: str, tmp_path: Path
) -> None:
    """A handler that failed is a finding, and gone when it is put right."""
    handler = tmp_path / "test_price.py"
    handler.write_text(f"WANTED = 2\n{HANDLER}")
    targets = {"maria": mariadb_url}
    file = campaign(tmp_path, targets, workloads=[], handlers=[str(handler)])
    first = start("campaign", "run", str(file), "--junit", "junit.xml", "--html", "page.html")
    out, err = first.communicate(timeout=100)
    assert first.returncode == 1, err
    assert "INVALID" in out
    for form in ("junit.xml", "page.html"):
        assert "the price is wrong" in (tmp_path / form).read_text()
    handler.write_text(f"WANTED = 1\n{HANDLER}")
    second = start("campaign", "run", str(file), "--against", "last", "--json")
    out, err = second.communicate(timeout=100)
    assert second.returncode == 0, err
    changes = json.loads(out)["changes"]
    assert [each["what"] for each in changes["gone"]] == ["PriceHandler"]
    assert (changes["new"], changes["added"], changes["removed"]) == ([], [], [])


def test_a_run_that_takes_too_long_is_ended_and_told(start: Rig, tmp_path: Path) -> None:
    """The limit of a run ends it, cleanly; the others go on, and the exit code says so."""
    file = campaign(tmp_path, {"file": "sqlite://"}, levels=["wal-deferred"])
    text = file.read_text().replace("time_limit_secs = 300", "time_limit_secs = 1")
    file.write_text(text.replace("time_secs = 0.3", "time_secs = 60"))
    process = start("campaign", "run", str(file), "--json")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 3, err
    assert json.loads(out)["counts"] == {"timed out": 1}


@pytest.fixture
def store(postgres_url: str) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    name = f"campaign_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A cluster of Dask on this machine: its scheduler's address, and its two workers."""
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    started: list[subprocess.Popen[bytes]] = []

    def dask(*arguments: str) -> None:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    port = address.rpartition(":")[2]
    dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    for _ in range(2):
        # It tries again until the scheduler is there.
        dask("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
    yield address, started[1:]
    for process in reversed(started):
        process.kill()
        process.wait()


def test_a_killed_worker_of_a_cluster_costs_no_finished_run(
    start: Rig, store: str, cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    """Runs of a worker that was killed -9 are done by the other one, finished ones stay."""
    psutil = pytest.importorskip("psutil")
    address, workers = cluster
    file = campaign(tmp_path, {"file": "sqlite://"}, levels=["wal-deferred"], seeds=[1, 2, 3])
    text = file.read_text().replace("time_secs = 0.3", "time_secs = 1.0")
    file.write_text(text.replace("parallel = 2", "parallel = 2\nparallel_per_target = 2"))
    process = start("campaign", "run", str(file), "--cluster", address, "--store", store, "--json")
    told = ended_lines(process, 1)

    def busy() -> list[subprocess.Popen[bytes]]:
        return [each for each in workers if psutil.Process(each.pid).children()]

    wait_for(lambda: bool(busy()))
    (busy() or workers)[0].kill()
    out, err = process.communicate(timeout=100)
    assert judged(out) == 3, err
    made = runs_made(tmp_path)
    assert len(made) == 3
    assert {cell for cell, runs in made.items() if "finished" not in runs} == set()
    assert [made[cell] for cell in told] == [["finished"]], "a finished run was not repeated"
