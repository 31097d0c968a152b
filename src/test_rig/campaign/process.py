"""A run's process as its campaign holds it: started, limited in time, ended for certain."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import IO

import msgspec

from test_rig.campaign.order import Order
from test_rig.campaign.planned import RunOutcome, Standing
from test_rig.processes import ended_how, kill_group, start_own_code
from test_rig.resilience import without_passwords
from test_rig.runs import decode_json, encode_json

__all__ = ["run_order"]

_LOOK_S = 0.05
#: How long a run that is to end has for removing what it made on the target.
_GRACE_S = 15.0
_LAST_WORDS = 2000


def run_order(order: Order, is_wanted: Callable[[], bool]) -> RunOutcome:
    """Do a run in a process of its own, and return what came of it.

    A run that takes too long, or that nobody wants any more, is interrupted and then killed with
    all that it started. However the process ends, that is an outcome.

    Args:
        order: What to do.
        is_wanted: Asked all the time.
    """
    started = time.time()
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as output:
        process = start_own_code(
            "test_rig.campaign.child",
            "perform_and_exit",
            [str(answer.fileno())],
            descriptors=[answer.fileno()],
            output=output,
        )
        try:
            is_late = _wait(process, order, is_wanted)
        finally:
            _end(process)
        answer.seek(0)
        text = answer.read()
        what = f"took longer than {order.time_limit_s:g} s and was ended"
        with suppress(msgspec.DecodeError):
            outcome = decode_json(text, RunOutcome)
            # What it found in its time is found.
            is_judged = not is_late or outcome.standing is Standing.INVALID
            return outcome if is_judged else _late(outcome, what)
        return RunOutcome(
            planned=order.planned,
            standing=Standing.TIMED_OUT if is_late else Standing.ERROR,
            worker=f"{platform.node()}:{process.pid}",
            started=started,
            duration_s=time.time() - started,
            attempt=order.attempt,
            error=what if is_late else _how(process.returncode, output),
            target=order.target.product,
        )


def _late(outcome: RunOutcome, what: str) -> RunOutcome:
    return replace(outcome, standing=Standing.TIMED_OUT, error=what)


def _wait(process: subprocess.Popen[bytes], order: Order, is_wanted: Callable[[], bool]) -> bool:
    """Wait for the end of the process; return whether it was too late."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with suppress(BrokenPipeError):
        process.stdin.write(encode_json(order) + b"\n")
        process.stdin.flush()
    until = time.monotonic() + order.time_limit_s
    while process.poll() is None and is_wanted():
        if time.monotonic() > until:
            return True
        # In short steps: what ends a task from outside is noticed between them.
        time.sleep(_LOOK_S)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process: the end of its input tells it, what does not listen is killed."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    kill_group(process.pid)
    process.wait()


def _how(code: int, output: IO[bytes]) -> str:
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _LAST_WORDS))
    words = " ".join(output.read().decode("utf-8", "replace").split())
    told = f"its process {ended_how(code)}"
    return f"{told}: {without_passwords(words)}" if words else told
