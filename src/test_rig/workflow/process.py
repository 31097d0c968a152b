"""A task in a process of its own: it can be killed, and its memory can be limited.

How to think of it: the process is started for one attempt, in a group of its own. It gets what it
needs by its standard input and answers on a pipe that nothing else writes to. Whatever becomes of
it is an outcome: what it answered, or how it died. It dies with this process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from test_rig.workflow.commands import Outcome
from test_rig.workflow.records import Failure
from test_rig.workflow.states import TaskStatus
from test_rig.workflow.values import decoded

if TYPE_CHECKING:
    from test_rig.workflow.bodies import Job

__all__ = ["kill_group", "run_isolated"]

_SOURCE = str(Path(__file__).parents[2])


def run_isolated(job: Job) -> Outcome | None:
    """Run an attempt in a process of its own; None where it was killed because of `stop`."""
    reading, writing = os.pipe()
    code = (
        f"import sys; sys.path.insert(0, {_SOURCE!r}); "
        f"from test_rig.workflow.child import main; main({writing}, {os.getpid()})"
    )
    try:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter, our own code
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            pass_fds=[writing],
            start_new_session=True,
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


def kill_group(process: int) -> None:
    """Kill a process and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


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
        how = f"exit code {code}"
        if code < 0:
            with suppress(ValueError):
                how = signal.Signals(-code).name
        failure = Failure(
            type="ProcessDied", message=f"the task's process died: {how}", names=("ProcessDied",)
        )
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
