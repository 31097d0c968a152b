"""Processes of the rig's own code that can be killed with all that they start.

How to think of it: such a process leads a group of its own, so that one signal reaches it and what
it started, and nothing else; what has left the group is known by a mark in its environment. It
finds this very package, and does not have the working folder on its path, whose files may be named
like libraries. What is said with it is its user's affair.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["ended_how", "kill_group", "kill_marked", "start_own_code"]

#: The variable that holds the mark.
_MARK = "TEST_RIG_PROCESS"
#: While some are killed others may be started.
_MOST_ROUNDS = 20

#: The package's folder, if it must be named, comes before the arguments.
_START = (
    "import sys; here = sys.argv.pop(1); sys.path[:0] = [here] if here else []; "
    "from {module} import {function}; {function}()"
)


def start_own_code(
    module: str,
    function: str,
    arguments: Sequence[str] = (),
    *,
    descriptors: Sequence[int] = (),
    output: int | IO[bytes] | None = None,
    mark: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that calls a function of this package.

    Args:
        module: Where the function is.
        function: What is called, without arguments.
        arguments: What it finds in `sys.argv` from 1 on.
        descriptors: What it inherits, under the same numbers.
        output: Where standard output and standard error go: a file, or `subprocess.PIPE` for one
            pipe of both; None: where this process's go.
        mark: By what `kill_marked` knows it and what it has started.

    Returns:
        The process, the leader of its group; its standard input is a pipe.

    Raises:
        OSError: The system starts no process.
    """
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
        [
            *(sys.executable, "-P", "-c", _START.format(module=module, function=function)),
            *(_package_folder(), *arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        pass_fds=descriptors,
        env=None if mark is None else {**os.environ, _MARK: mark},
        start_new_session=True,
    )


def kill_group(leader: int) -> None:
    """Kill a group's leader and what it started; nothing happens where none is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """Kill every process that was started with this mark, and what they have started since.

    In whatever group they are, also when their parents are gone. Only Linux tells who that is.
    """
    wanted = f"{_MARK}={mark}".encode()
    for _ in range(_MOST_ROUNDS):
        found = [int(place.name) for place in Path("/proc").glob("[0-9]*") if _has(place, wanted)]
        if not found:
            return
        for number in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def _has(place: Path, variable: bytes) -> bool:
    try:
        return variable in (place / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False


def ended_how(code: int) -> str:
    """Return in words how a process ended, to stand behind "the process".

    >>> ended_how(3), ended_how(-9)
    ('ended with exit code 3', 'was ended by SIGKILL')

    Args:
        code: Its exit code; minus the signal's number where a signal ended it.
    """
    if code < 0:
        with suppress(ValueError):  # a real-time signal has no name
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _package_folder() -> str:
    """Return where a child finds this package; empty where every Python of this place does."""
    folder = Path(__file__).parents[1]
    return "" if folder.name == "site-packages" else str(folder)
