"""A task in a process of its own: it can be killed, and its memory can be limited.

How to think of it: the process is started for one attempt, in a group of its own. It gets what it
needs by its standard input and answers on a pipe that nothing else writes to. Whatever becomes of
it is an outcome: what it answered, or how it died. It dies with this process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from test_rig.processes import ended_how, kill_group, start_own_code
from test_rig.workflow.commands import Outcome
from test_rig.workflow.records import Failure
from test_rig.workflow.states import TaskStatus
from test_rig.workflow.values import decoded

if TYPE_CHECKING:
    from test_rig.workflow.bodies import Job

__all__ = ["run_isolated"]


def run_isolated(job: Job) -> Outcome | None:
    """Run an attempt in a process of its own; None where it was killed because of `stop`."""
    reading, writing = os.pipe()
    try:
        process = start_own_code(
            "test_rig.workflow.child",
            "answer_and_exit",
            [str(writing), str(os.getpid())],
            descriptors=[writing],
        )
    except OSError as error:
        os.close(reading)
        os.close(writing)
        failure = Failure(type="ProcessFailed", message=f"no process could be started: {error}")
        return Outcome(TaskStatus.FAILED, job.started, time.time(), failure=failure)
    os.close(writing)
    with job.lock:
        job.process = process.pid
    if job.stopped is not None:
        kill_group(process.pid)
    with os.fdopen(reading, "rb") as answers:
        with suppress(BrokenPipeError):
            process.communicate(json.dumps(_request(job)).encode())
        answer = answers.read()
    with job.lock:
        job.process = None
    kill_group(process.pid)  # what it started and left behind
    if job.stopped is not None:
        return None
    return _outcome(job, answer, process.returncode)


def _request(job: Job) -> dict[str, Any]:
    function = job.task.function
    plain = getattr(function, "__wrapped__", function)
    return {
        "path": sys.path,
        "file": job.task.file,
        "module": plain.__module__,
        "name": plain.__qualname__,
        "task_id": job.task.task_id,
        "run_id": job.run_id,
        "key": job.key,
        "attempt": job.attempt,
        "view": job.view,
        "limit": job.limit,
        "deadline": job.deadline,
        "memory_limit_mb": job.task.memory_limit_mb,
    }


def _outcome(job: Job, answer: bytes, code: int) -> Outcome:
    now = time.time()
    if not answer:
        what = f"the task's process {ended_how(code)}"
        failure = Failure(type="ProcessDied", message=what, names=("ProcessDied",))
        return Outcome(TaskStatus.FAILED, job.started, now, failure=failure)
    told = json.loads(answer)
    text = told["delta"]
    error = told["error"]
    return Outcome(
        TaskStatus(told["status"]),
        job.started,
        now,
        None if text is None else decoded(text),
        text,
        None if error is None else Failure(**{**error, "names": tuple(error["names"])}),
    )
