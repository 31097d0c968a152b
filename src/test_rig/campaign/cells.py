"""What a campaign runs: cells of a matrix, and what came of each.

How to think of it: a *cell* is one run: a target, a level, a check (a workload, an audit, or files
of handlers) and a seed. Its *outcome* is what is recorded of it: small, without a password, enough
for the summary; everything else is in the run's own folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from itertools import product

__all__ = [
    "Cell",
    "CellOutcome",
    "Check",
    "CheckKind",
    "Found",
    "LeftOut",
    "Pattern",
    "SeenLevel",
    "Standing",
    "cells_of",
]


class CheckKind(Enum):
    """What kind of run a cell is."""

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
class Cell:
    """One run of a campaign."""

    #: The target's name in the campaign.
    target: str
    #: The level's key; None for all that the target has, or where levels play no part.
    level: str | None
    check: Check
    seed: int

    @property
    def id(self) -> str:
        """What tells it from the other cells of its campaign, for people and machines."""
        level = "" if self.level is None else f" / {self.level}"
        return f"{self.target}{level} / {self.check} / seed {self.seed}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Its place in the table: target, level, check; cells of other seeds stand there too."""
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
class CellOutcome:
    """What came of a cell."""

    cell: Cell
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
class Pattern:
    """What an `exclude` of the file matches; an empty field matches everything."""

    targets: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def matches(self, cell: Cell) -> bool:
        """Return whether a cell is meant; `*` and `?` stand for other characters.

        >>> pg = Cell(target="pg", level="read-committed", seed=1,
        ...           check=Check(kind=CheckKind.WORKLOAD, name="bank"))
        >>> Pattern(targets=("p*",), levels=("Read Committed",)).matches(pg)
        True
        >>> Pattern(checks=("bank",), seeds=(2,)).matches(pg)
        False
        """
        return (
            _any(self.targets, cell.target)
            and _any(self.levels, cell.level or "")
            and _any(self.checks, cell.check.name)
            and (not self.seeds or cell.seed in self.seeds)
        )


def _any(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(plain(text), plain(each)) for each in patterns)


def plain(text: str) -> str:
    """Return a name as names are compared: in any case, with blanks, hyphens or underscores."""
    return text.lower().replace("_", "-").replace(" ", "-").replace(",", "")


def cells_of(
    targets: Iterable[tuple[str, Sequence[str | None]]],
    checks: Sequence[Check],
    seeds: Sequence[int],
) -> list[Cell]:
    """Return the cells of a matrix: targets, each with its levels, by checks by seeds.

    Handlers know no level: they are one cell for each target and seed. The scenarios of an audit
    know no seed: it is one cell for each target and level, of the first seed.
    """
    found = []
    for (target, levels), check in product(targets, checks):
        at: Sequence[str | None] = (None,) if check.kind is CheckKind.HANDLERS else levels
        by = seeds[:1] if check.kind is CheckKind.AUDIT else seeds
        found += [
            Cell(target=target, level=level, check=check, seed=seed)
            for level, seed in product(at, by)
        ]
    return list(dict.fromkeys(found))
