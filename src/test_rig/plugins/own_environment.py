"""The variables with which this process was started, kept from its own workers."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["forget_first_environment"]

#: Where proc(5) has `env_start`, counted from the field after the command's name.
_ENV_START = 47


@cache
def forget_first_environment() -> None:
    """Wipe what /proc shows as this process' environment; `os.environ` and getenv(3) keep it.

    The kernel shows the block that a process was given at its start, to everybody who runs as the
    same user, whatever became of the variables since. Each variable is copied out of it first:
    libraries ask for theirs at any time. Once is enough; other systems than Linux are left alone.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, ValueError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = (int(each) for each in fields[_ENV_START : _ENV_START + 2])
        if 0 < start < end:
            for name, value in os.environb.items():
                os.putenv(name, value)
            ctypes.memset(start, 0, end - start)
