"""Workers are killed at random moments: nothing is lost, nothing finished is run again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parent / "workflow_scripts"))

from chain import STEPS

from test_rig.workflow import Executor, RunStatus
from test_rig.workflow.catalog import forget

SCRIPT = Path(__file__).parent / "workflow_scripts" / "chain.py"
#: Few, so that every test run can afford them; more by hand.
KILLS = int(os.environ.get("TEST_RIG_WORKFLOW_KILLS", "4"))
RUNS = 3 * KILLS


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"wfchaos_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        yield server.rsplit("/", 1)[0] + f"/{name}"
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start workers over the same runs; what is left of them is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), url, str(tmp_path / "log"), "0.01", str(RUNS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    forget("test_rig")


@pytest.mark.parametrize("workers", [1, 2])
def test_kills_at_random_moments_lose_and_repeat_nothing(
    url: str, start: Callable[[], subprocess.Popen[str]], tmp_path: Path, workers: int
) -> None:
    """No run is lost or stuck, none is made twice, and every task has the right result."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    living = [start() for _ in range(workers)]
    kills = 0
    with Executor(url) as looking:
        until = time.monotonic() + 80 + 3 * KILLS
        while len(looking.list(status="Completed", limit=RUNS + 1)) < RUNS:
            assert time.monotonic() < until, f"a run is stuck (seed {seed}, {kills} kills)"
            if kills < KILLS:
                victim = living.pop(0)
                assert victim.stdout is not None
                victim.stdout.readline()
                time.sleep(chance.uniform(0, 0.15))
                victim.kill()
                victim.wait()
                kills += 1
                living.append(start())
            time.sleep(0.02)
        results = [looking.get(run.run_id) for run in looking.list(limit=RUNS + 1)]
        recorded = {(run.run_id, key) for run in results for key in run.task_results}
    assert len(results) == RUNS, "no run was lost, and none was made twice"
    wanted = {f"v{number}": sum(range(number + 1)) for number in range(STEPS)}
    for result in results:
        assert result.status is RunStatus.COMPLETED
        assert {**result.final_context, **wanted, "v100": 100} == result.final_context
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    counts = Counter((run, key) for run, key, _, _ in lines)
    assert set(counts) == recorded
    assert max(counts.values()) <= 1 + kills
    finished = {
        (run.run_id, key): result.finished.timestamp()
        for run in results
        for key, result in run.task_results.items()
        if result.finished is not None
    }
    late = [line for line in lines if float(line[3]) > finished[line[0], line[1]]]
    assert late == [], "a task was run again after its result was recorded"
    print(f"{kills} kills, {len(lines) - len(counts)} attempts in vain, seed {seed}")
