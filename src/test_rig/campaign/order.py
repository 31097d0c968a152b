"""What a run's process is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from test_rig.campaign.planned import (
    PlannedRun,
    PlannedTarget,
)
from test_rig.targets import TargetUrl

__all__ = ["Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One run, for a process of its own; it may hold a password, so it goes by standard input."""

    planned: PlannedRun
    target: PlannedTarget
    #: With the password that the file told, where it did; without one on a cluster.
    url: TargetUrl
    #: Where the run's folder is made.
    runs: str
    time_limit_s: float
    attempt: int = 1
    #: Settings files, the strongest first; None for those of the working folder.
    config_files: tuple[str, ...] | None = None
    #: Settings of the campaign by key.
    settings: dict[str, Any] = field(default_factory=dict)
