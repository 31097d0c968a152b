"""What a campaign runs: runs of a matrix, and what came of each.

How to think of it: a *planned run* is a target, a level, a check (a workload, an audit, or files of
handlers) and a seed; a *plan* has all of them. A run's *outcome* is what is recorded of it: small,
without a password, enough for the summary; everything else is in the run's own folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

#: Grows when a reader of the earlier format would misread `campaign.json`.
FORMAT = 1

__all__ = [
    "FORMAT",
    "CampaignRecord",
    "Check",
    "CheckKind",
    "Found",
    "LeftOut",
    "Limits",
    "Pattern",
    "Plan",
    "PlannedRun",
    "PlannedTarget",
    "RunOutcome",
    "SeenLevel",
    "Standing",
    "runs_of",
]


class CheckKind(Enum):
    """What kind of run it is."""

    WORKLOAD = "workload"
    AUDIT = "audit"
    HANDLERS = "handlers"


class Standing(Enum):
    """What a run came to, the worst last."""

    VALID = "valid"
    #: It could not be judged.
    UNKNOWN = "unknown"
    #: It took longer than the campaign lets a run take.
    TIMED_OUT = "timed out"
    #: The target or the rig failed.
    ERROR = "error"
    #: A claim is broken, a handler failed.
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is done to a target."""

    kind: CheckKind
    #: The workload, or the file, folder or module of handlers; "audit" for an audit.
    name: str

    def __str__(self) -> str:
        return f"handlers {self.name}" if self.kind is CheckKind.HANDLERS else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run of a campaign."""

    #: The target's name in the campaign.
    target: str
    #: The level's key; None for all that the target has, or where levels play no part.
    level: str | None
    check: Check
    seed: int

    @property
    def id(self) -> str:
        """What tells it from the other runs of its campaign, for people and machines."""
        level = "" if self.level is None else f" / {self.level}"
        return f"{self.target}{level} / {self.check} / seed {self.seed}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Its place in the table: target, level, check; runs of other seeds stand there too."""
        return (self.target, self.level or "", str(self.check))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that the matrix asks for and that cannot be."""

    target: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One kind of finding of a run."""

    level: str
    #: The anomaly, or the handler.
    what: str
    count: int
    #: Whether it breaks a claim; what is permitted is told, and is no finding.
    is_forbidden: bool
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLevel:
    """What a run showed of one level."""

    level: str
    claim: str
    #: The strongest levels that nothing contradicts, where an audit looked for them.
    observed: tuple[str, ...]
    standing: Standing
    comparison: str
    #: Transactions of a workload: committed, failed, of unknown outcome, and its seconds.
    ok: int = 0
    fail: int = 0
    info: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What came of a planned run."""

    planned: PlannedRun
    standing: Standing
    #: The run's folder, relative to the campaign's where it is within; None where none was made.
    folder: str | None = None
    #: The host and process that did it.
    worker: str = ""
    started: float = 0.0
    duration_s: float = 0.0
    attempt: int = 1
    error: str | None = None
    target: str = ""
    levels: tuple[SeenLevel, ...] = ()
    findings: tuple[Found, ...] = ()

    @property
    def broken(self) -> tuple[Found, ...]:
        """The findings that break a claim."""
        return tuple(found for found in self.findings if found.is_forbidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTarget:
    """One database of a campaign; without its password."""

    name: str
    #: The URL without its password.
    url: str
    #: Where its password is found; None where the URL or the settings tell it, or it needs none.
    password_env: str | None = None
    password_file: str | None = None
    #: How many runs it bears at the same time.
    parallel: int = 1
    #: "PostgreSQL 15.20"; empty where it was not reached.
    product: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a campaign runs at the same time, and how long."""

    parallel: int
    time_limit_s: float
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All runs of a campaign."""

    name: str
    description: str
    #: The file that it was made of, and a hash of what stands there.
    file: str
    digest: str
    targets: tuple[PlannedTarget, ...]
    runs: tuple[PlannedRun, ...]
    limits: Limits
    left_out: tuple[LeftOut, ...] = ()
    #: Settings of the rig for its runs, by key (`workload.time_secs`).
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRecord:
    """Who asked for what, and how far it came."""

    id: str
    plan: Plan
    started: datetime
    versions: dict[str, str]
    #: Where its progress is recorded, without a password; None for a file in its folder.
    store: str | None = None
    finished: datetime | None = None
    #: What came of each run, once all have ended.
    outcomes: tuple[RunOutcome, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What an `exclude` of the file matches; an empty field matches everything."""

    targets: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def matches(self, planned: PlannedRun) -> bool:
        """Return whether a planned run is meant; `*` and `?` stand for other characters.

        >>> pg = PlannedRun(target="pg", level="read-committed", seed=1,
        ...           check=Check(kind=CheckKind.WORKLOAD, name="bank"))
        >>> Pattern(targets=("p*",), levels=("Read Committed",)).matches(pg)
        True
        >>> Pattern(checks=("bank",), seeds=(2,)).matches(pg)
        False
        """
        return (
            _any(self.targets, planned.target)
            and _any(self.levels, planned.level or "")
            and _any(self.checks, planned.check.name)
            and (not self.seeds or planned.seed in self.seeds)
        )


def _any(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(plain(text), plain(each)) for each in patterns)


def plain(text: str) -> str:
    """Return a name as names are compared: in any case, with blanks, hyphens or underscores."""
    return text.lower().replace("_", "-").replace(" ", "-").replace(",", "")


def runs_of(
    targets: Iterable[tuple[str, Sequence[str | None]]],
    checks: Sequence[Check],
    seeds: Sequence[int],
) -> list[PlannedRun]:
    """Return the runs of a matrix: targets, each with its levels, by checks by seeds.

    Handlers know no level: they are one run for each target and seed. The scenarios of an audit
    know no seed: it is one run for each target and level, of the first seed.
    """
    found = []
    for (target, levels), check in product(targets, checks):
        at: Sequence[str | None] = (None,) if check.kind is CheckKind.HANDLERS else levels
        by = seeds[:1] if check.kind is CheckKind.AUDIT else seeds
        found += [
            PlannedRun(target=target, level=level, check=check, seed=seed)
            for level, seed in product(at, by)
        ]
    return list(dict.fromkeys(found))
