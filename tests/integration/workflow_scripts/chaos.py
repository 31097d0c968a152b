"""Killing workers at random moments, and saying what became of their runs.

One routine for the short test of every day (`test_workflow_chaos.py`) and for the long one by hand
(`benchmarks/workflow_chaos.py`).
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from chain import STEPS

from test_rig.workflow import Executor, RunStatus

__all__ = ["Wreck", "kill_at_random"]

_SCRIPT = Path(__file__).parent / "chain.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wreck:
    """What a series of kills came to."""

    kills: int
    runs: int
    #: Recorded results of tasks.
    tasks: int
    #: Attempts whose worker was killed before their result was recorded.
    in_vain: int
    #: Everything that must not be: empty where the engine is right.
    faults: tuple[str, ...]


def kill_at_random(
    url: str,
    folder: Path,
    *,
    workers: int,
    kills: int,
    runs: int,
    chance: random.Random,
    step_s: float = 0.01,
    at_once: int = 1000,
) -> Wreck:
    """Let workers share runs, kill one after another with -9, and look at what is recorded.

    Args:
        url: An empty store.
        folder: Where the tasks' log is kept.
        workers: How many live at the same time; a killed one is replaced.
        kills: How many are killed.
        runs: How many runs of seven tasks there are.
        chance: Says when.
        step_s: How long a task takes.
        at_once: On how many runs a worker works at the same time.
    """
    log = folder / "log"
    living: list[subprocess.Popen[str]] = []

    def start() -> None:
        living.append(
            subprocess.Popen(
                [sys.executable, str(_SCRIPT), url, str(log), str(step_s), str(runs), str(at_once)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    killed = 0
    try:
        for _ in range(workers):
            start()
        with Executor(url) as looking:
            until = time.monotonic() + 80 + 5 * kills
            while killed < kills or _completed(looking, runs) < runs:
                if time.monotonic() > until:
                    what = f"a run is stuck after {killed} kills"
                    return Wreck(kills=killed, runs=runs, tasks=0, in_vain=0, faults=(what,))
                if killed < kills:
                    victim = living[0]
                    if victim.stdout is not None:
                        victim.stdout.readline()  # it is at work
                    time.sleep(chance.uniform(0, 0.15))
                    _end(living.pop(0))
                    killed += 1
                    start()
                time.sleep(0.02)
            return _look(looking, log, killed, runs)
    finally:
        for process in living:
            _end(process)


def _completed(looking: Executor, runs: int) -> int:
    return len(looking.list(status="Completed", limit=runs + 1))


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _look(looking: Executor, log: Path, killed: int, runs: int) -> Wreck:
    results = [looking.get(run.run_id) for run in looking.list(limit=runs + 1)]
    faults = []
    if len(results) != runs:
        faults.append(f"there are {len(results)} runs, not {runs}: one was lost or made twice")
    wanted = {f"v{number}": sum(range(number + 1)) for number in range(STEPS)} | {"v100": 100}
    for result in results:
        if result.status is not RunStatus.COMPLETED:
            faults.append(f"{result.run_id} is {result.status}")
        elif not wanted.items() <= result.final_context.items():
            faults.append(f"{result.run_id} has a wrong result: {result.final_context}")
    lines = [line.split() for line in log.read_text().splitlines()]
    counts = Counter((run, key) for run, key, _, _ in lines)
    recorded = {
        (run.run_id, key): result.finished
        for run in results
        for key, result in run.task_results.items()
    }
    if set(counts) != set(recorded):
        faults.append(f"run or recorded, not both: {sorted(set(counts) ^ set(recorded))[:5]}")
    if max(counts.values()) > 1 + killed:
        faults.append("a task was run again without a kill")
    late = [
        line
        for line in lines
        if (end := recorded.get((line[0], line[1]))) and float(line[3]) > end.timestamp()
    ]
    if late:
        faults.append(f"run again after the result was recorded: {late[:5]}")
    return Wreck(
        kills=killed,
        runs=runs,
        tasks=len(recorded),
        in_vain=len(lines) - len(counts),
        faults=tuple(faults),
    )
