"""The process that workers are forked from: an interpreter in which no script was ever loaded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from test_rig.plugins.own_environment import forget_first_environment
from test_rig.plugins.worker_answer import WorkerPlan

__all__ = ["CHILD", "Guardian"]

#: The file that guardians and workers run.
CHILD = Path(__file__).with_name("worker_child.py")
_PASSED = ("PATH", "HOME", "LANG", "TZ")
_END_S = 10.0


class Guardian:
    """Forks workers, one after the other, and ends each with all that it started.

    Args:
        plan: What the workers run in.
        output: Where a guardian that cannot begin says why; a descriptor, which stays the caller's.

    Raises:
        OSError: Python cannot be started.
    """

    def __init__(self, plan: WorkerPlan, output: int) -> None:
        forget_first_environment()
        self._life, theirs = socket.socketpair()
        given = _standard_input(plan)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the Python that the settings name
                [
                    plan.python or sys.executable,
                    "-I",
                    str(CHILD),
                    str(theirs.fileno()),
                    *_granted(plan),
                ],
                stdin=given or subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=_environment(plan),
                cwd=plan.working_dir,
                start_new_session=True,
            )
        except BaseException:
            self._life.close()
            raise
        finally:
            theirs.close()
            if given is not None:
                given.close()
        self._has_worker = False
        self._is_there = True

    @property
    def is_free(self) -> bool:
        """Whether it is there and has no worker."""
        return self._is_there and not self._has_worker and self._process.poll() is None

    def fileno(self) -> int:
        """Return what becomes readable when the worker, or the guardian, has ended."""
        return self._life.fileno()

    def fork(self, descriptors: Sequence[int]) -> None:
        """Have it fork a worker with copies of the descriptors: socket, dump, stamp, output."""
        self._has_worker = True
        with suppress(OSError):  # that it is gone is told by `learn_code`
            socket.send_fds(self._life, [b"b"], descriptors)

    def ask_where(self) -> None:
        """Have the worker write where it stands."""
        self._tell(b"d")

    def kill(self) -> None:
        """Have the worker killed, and all that it started. For any thread."""
        self._tell(b"k")

    def learn_code(self, timeout_s: float = _END_S) -> int | None:
        """Return how the worker ended: its exit code, or minus a signal.

        Args:
            timeout_s: When the guardian itself is killed, and None returned.
        """
        self._life.settimeout(timeout_s)
        try:
            told = self._life.recv(64)
        except OSError:
            self._process.kill()
            self._is_there = False
            return None
        self._has_worker = False
        if told.lstrip(b"-").isdigit():
            return int(told)
        self._is_there = False
        return -int(signal.SIGKILL)

    def close(self) -> None:
        """End it, and the worker with it."""
        self._is_there = False
        self._life.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, what: bytes) -> None:
        with suppress(OSError):
            self._life.send(what)


def _standard_input(plan: WorkerPlan) -> IO[bytes] | None:
    if plan.standard_input is None:
        return None
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the child's
    file.write(plan.standard_input)
    file.flush()
    return file


def _granted(plan: WorkerPlan) -> list[str]:
    if plan.sandbox is None:
        return []
    writable = [str(Path(each).resolve()) for each in plan.sandbox.writable]
    granted = {"writable": writable, "network": plan.sandbox.network}
    return [json.dumps(granted)]


def _environment(plan: WorkerPlan) -> dict[str, str]:
    wanted = (*_PASSED, *plan.pass_env)
    made = {name: os.environ[name] for name in wanted if name in os.environ}
    if plan.python:
        made["PATH"] = os.pathsep.join(
            [str(Path(plan.python).parent), made.get("PATH", os.defpath)]
        )
    return made
