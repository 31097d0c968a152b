"""A worker that a test may kill: it runs what is in the store, and says what it does.

    python chain.py URL LOG SECONDS_PER_STEP [RUNS_TO_SUBMIT [RUNS_AT_ONCE]]

Every execution of a task is a line of LOG, appended in one write; after that the task sleeps.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from test_rig.workflow import Executor, Task, Workflow, task

STEPS = 5


def made(log: str, step_s: float) -> Workflow:
    """Return a workflow: a chain of steps, and a branch beside it that joins at the end."""

    def body(number: int) -> Any:
        def step(context: Any) -> dict[str, int]:
            line = f"{context.run_id} {context.info.task_id} {os.getpid()} {time.time()}\n"
            handle = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            os.write(handle, line.encode())
            os.close(handle)
            time.sleep(step_s)
            return {f"v{number}": context.get(f"v{number - 1}", 0) + number}

        return step

    tasks: list[Task | Any] = [
        task(f"s{number}", dependencies=[f"s{number - 1}"] if number else ())(body(number))
        for number in range(STEPS)
    ]
    tasks.append(task("side", dependencies=["s0"])(body(100)))
    tasks.append(task("join", dependencies=[f"s{STEPS - 1}", "side"])(body(200)))
    return Workflow("chain", tasks, version="1")


if __name__ == "__main__":
    url, log, step_s, *rest = sys.argv[1:]
    workflow = made(log, float(step_s))
    at_once = int(rest[1]) if len(rest) > 1 else 1000
    with Executor(url, workflows=[workflow], lease_s=12.0, max_runs=at_once) as executor:
        for number in range(int(rest[0]) if rest else 0):
            executor.submit(workflow, {"n": number}, key=f"run-{number}")
        print("ready", flush=True)
        sys.stdin.read()  # until the test closes it, or kills this process
