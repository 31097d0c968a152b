"""The other side of `process`: run one attempt, answer, and be gone."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from test_rig.errors import UsageError
from test_rig.workflow.bodies import Bodies, Job, failed
from test_rig.workflow.catalog import task_of
from test_rig.workflow.commands import Outcome
from test_rig.workflow.rules import read_rule
from test_rig.workflow.task import Task

__all__ = ["answer_and_exit"]

_PR_SET_PDEATHSIG = 1


def answer_and_exit() -> None:
    """Read a request from standard input, and write the outcome to a file descriptor.

    The arguments are that descriptor, and the process that waits for the outcome.
    """
    answers, parent = (int(each) for each in sys.argv[1:])
    # prctl(2): the kernel ends this process when the thread that started it is gone.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    request = json.loads(sys.stdin.buffer.read())
    outcome = _ran(request)
    plain = {
        "status": outcome.status.value,
        "delta": outcome.delta_text,
        "error": None if outcome.failure is None else asdict(outcome.failure),
    }
    with os.fdopen(answers, "wb") as pipe:
        pipe.write(json.dumps(plain).encode())
    os._exit(0)  # not held up by threads that the task left


def _ran(request: dict[str, Any]) -> Outcome:
    limit = request["memory_limit_mb"]
    sys.path[:] = request["path"]
    found: list[Outcome] = []
    job = Job(
        run_id=request["run_id"],
        key=request["key"],
        attempt=request["attempt"],
        task=Task(task_id=request["task_id"], function=dict),
        view=request["view"],
        limit=request["limit"],
        deliver=lambda _, outcome: found.append(outcome),
        deadline=request["deadline"],
    )
    try:
        job.task = replace(_task(request), isolated=False, memory_limit_mb=None)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit << 20, limit << 20))
    except BaseException as error:  # noqa: BLE001 -- the door to users' code: importing it
        return failed(job, error)
    return Bodies("isolated").run_here(job)


def _task(request: dict[str, Any]) -> Task:
    module = _module(request["module"], request["file"])
    function = reduce(getattr, request["name"].split("."), module)
    task = task_of(function)
    if task is None:
        what = f"{request['name']} is no task there: an isolated task is marked where it is written"
        raise UsageError(what, where=request["file"])
    # The rule was asked before; a function among the rules is asked in this process.
    return task if task.rule.kind == "function" else replace(task, rule=read_rule("always"))


def _module(name: str, file: str) -> ModuleType:
    """Import a module by its name where that leads to its file, else the file itself."""
    if name != "__main__":
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec is not None and spec.origin is not None and Path(spec.origin) == Path(file):
            return importlib.import_module(name)
    plain = "isolated_main" if name == "__main__" else name
    spec = importlib.util.spec_from_file_location(plain, file)
    if spec is None or spec.loader is None:
        raise UsageError("cannot be imported", where=file)
    sys.path.insert(0, str(Path(file).parent))
    module = sys.modules[plain] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
