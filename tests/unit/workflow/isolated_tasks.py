"""Tasks that have to be in a process of their own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from test_rig.workflow import task


@task("good", isolated=True)
def good(context: dict[str, Any]) -> dict[str, Any]:
    """Tell which process it is in."""
    print("this is not an answer")
    return {"pid": os.getpid(), "n": context["n"] + 1}


@task("coroutine", isolated=True)
async def coroutine(context: dict[str, Any]) -> dict[str, Any]:
    """Be async there too."""
    return {"pid": os.getpid()}


@task("stuck", isolated=True, timeout_s=2)
def stuck(context: dict[str, Any]) -> None:
    """Wait in C, where no exception arrives, in a process that started another one."""
    Path(context["file"]).write_text(str(os.getpid()))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    time.sleep(600)


@task("crash", isolated=True)
def crash(context: dict[str, Any]) -> None:
    """Die as a broken extension does."""
    os.kill(os.getpid(), signal.SIGSEGV)


@task("greedy", isolated=True, memory_limit_mb=600)
def greedy(context: dict[str, Any]) -> dict[str, Any]:
    """Want more memory than there is for it."""
    return {"n": len(bytearray(2 << 30))}
