"""What a worker is made of, and what it answers: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, overload

from msgspec import Struct

__all__ = [
    "Answer",
    "Answers",
    "Call",
    "Each",
    "Outcome",
    "Sandbox",
    "Script",
    "WorkerLimits",
    "WorkerPlan",
]


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


class Answers(Sequence[Answer]):
    """What became of several calls, in their order.

    Most of many thousand calls in a second end alike: their answers are made when they are asked
    for, and only `odd` ones are kept.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        #: Calls that were begun: the first so many. Those after them are `rest`.
        self.done = 0
        #: How long each of them took, in microseconds; less than 0 where nobody knows.
        self.took_us: list[int] = []
        #: By place: what did not simply return nothing.
        self.odd: dict[int, Answer] = {}
        #: The answer of those that were not begun.
        self.rest = Answer(outcome=Outcome.NOT_RUN)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Answer: ...

    @overload
    def __getitem__(self, place: slice) -> list[Answer]: ...

    def __getitem__(self, place: int | slice) -> Answer | list[Answer]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self._count))]
        at = place + self._count if place < 0 else place
        if not 0 <= at < self._count:
            raise IndexError(place)
        if at in self.odd:
            return self.odd[at]
        if at >= self.done:
            return self.rest
        return Answer(outcome=Outcome.RETURNED, duration_s=self.duration_s(at))

    def duration_s(self, place: int) -> float | None:
        """Return how long a call took; None where nobody knows."""
        took_us = self.took_us[place] if place < len(self.took_us) else -1
        return None if took_us < 0 else took_us / 1e6

    def end_at(self, place: int, answer: Answer) -> None:
        """Note the last call that was begun, which did not return."""
        self.odd.setdefault(place, answer)
        self.done = place + 1
        self.took_us += [-1] * (self.done - len(self.took_us))

    def join(self, more: Answers) -> None:
        """Take over what became of those that were not begun before."""
        self.odd |= {self.done + place: answer for place, answer in more.odd.items()}
        self.took_us += more.took_us[: more.done]
        self.done += more.done


class Each(NamedTuple):
    """One function, called with each of several values in turn."""

    function: str
    #: What `msgspec` can write as JSON.
    values: Sequence[Any]


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
class Sandbox:
    """What a script in a sandbox is granted: it reads files, and nothing else unless said here."""

    #: Folders that it may write in.
    writable: Sequence[str] = ()
    network: bool = True


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
    #: Where it runs with less than the rights of the rig's user; None: with all of them.
    sandbox: Sandbox | None = None
