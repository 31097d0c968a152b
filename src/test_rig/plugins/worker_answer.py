"""What a worker is made of, and what it answers: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

__all__ = ["Answer", "Call", "Outcome", "Script", "WorkerLimits", "WorkerPlan"]


class Outcome(Enum):
    """How a call ended."""

    RETURNED = "returned"
    #: An exception left the function; the worker goes on.
    RAISED = "raised"
    #: It took longer than its limit, and was stopped.
    TIMED_OUT = "timed out"
    #: The worker's process ended.
    CRASHED = "crashed"
    #: It wanted more memory than it may have.
    MEMORY = "out of memory"
    #: Not begun: a call before it ended the worker.
    NOT_RUN = "not run"


class Answer(Struct, frozen=True, kw_only=True):
    """What became of one call."""

    # No dataclass: one is made for each of many thousand events in a second.

    outcome: Outcome
    #: What the function returned, as JSON has it.
    value: Any = None
    #: Why there is no value, in one line.
    error: str = ""
    #: The traceback, or the dump of where the worker stood when it was killed or crashed.
    detail: str = ""
    #: Whether the worker had to be replaced: what the script kept in its module is lost.
    is_fresh_after: bool = False
    #: How long it took; None where the worker's end took that along, or it did not run.
    duration_s: float | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the function returned."""
        return self.outcome is Outcome.RETURNED


class Call(NamedTuple):
    """One call: a function by its name in the module (`f`, `Class.method`) and its arguments."""

    # No dataclass: one is made for each of many thousand events in a second.
    function: str
    #: JSON text of each argument.
    arguments: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a worker runs: a file's text, or an importable module."""

    path: Path | None = None
    #: The text; None reads the file at every start.
    text: str | None = None
    module: str | None = None
    #: The name that the module gets; the file's stem if unset.
    as_name: str | None = None

    @property
    def name(self) -> str:
        """The module's name."""
        return self.as_name or self.module or (self.path.stem if self.path else "script")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """What a worker may take."""

    memory_bytes: int | None = None
    #: Between the exception in the script and the kill.
    grace_s: float = 0.1
    #: How long a worker that is to be killed may take to write where it stands.
    dump_s: float = 0.05
    #: How long loading may take.
    start_s: float = 30.0
    #: Processes that the script and all its children may start within a second.
    processes_per_s: int = 64
    #: The largest value that a function may return, as JSON.
    reply_bytes: int = 1 << 20
    #: What is kept of the output in a second; the rest is counted.
    output_bytes_per_s: int = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """A worker: what it runs, in which Python, with which environment."""

    script: Script
    #: The Python that runs it, 3.8 or newer; None: the rig's own.
    python: str | None = None
    #: Folders that are put before its path, after the script's own.
    python_paths: Sequence[str] = ()
    working_dir: str | None = None
    #: Names of variables that it gets beside PATH, HOME, LANG and TZ.
    pass_env: Sequence[str] = ()
    #: Given to the script on standard input, once.
    standard_input: bytes | None = None
    limits: WorkerLimits = WorkerLimits()
