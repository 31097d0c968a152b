"""What a run says of itself: the content of `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from test_rig.verdict import AuditVerdict, SuiteVerdict, Verdict, WorkloadVerdict

__all__ = ["FORMAT", "RunRecord", "RunResults", "RunStatus"]

#: Grows when a reader of the earlier format would misread the files.
FORMAT = 1


class RunStatus(Enum):
    """How far a run came."""

    RUNNING = "running"
    #: It came to its end, whatever it found.
    FINISHED = "finished"
    #: It was stopped, or its process is gone; what it had is there.
    INTERRUPTED = "interrupted"
    #: It could not go on, for the reason told beside it.
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Who asked for what, with what, and how it ended."""

    #: The short id that ends the folder's name.
    id: str
    command: str
    #: The command line, passwords masked.
    argv: tuple[str, ...]
    #: The settings by table and key, without secrets.
    settings: Mapping[str, object]
    #: The seed that replays the run, where chance played a part.
    seed: int | None
    #: Versions of the rig, of Python and of the drivers, by name.
    versions: Mapping[str, str]
    #: The targets' URLs without passwords.
    targets: tuple[str, ...]
    started: datetime
    finished: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    verdict: Verdict | None = None
    #: Why it failed or was interrupted.
    error: str | None = None
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """The content of `results.json`."""

    audit: AuditVerdict | None = None
    suite: SuiteVerdict | None = None
    #: What workloads showed, one for each level that was run.
    workloads: tuple[WorkloadVerdict, ...] = ()
    format: int = field(default=FORMAT)
