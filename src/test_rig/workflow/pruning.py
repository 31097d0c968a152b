"""Which runs may go, and what went."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from test_rig.errors import UnknownName, UsageError
from test_rig.workflow.states import RunStatus

__all__ = ["PruneOrder", "Pruned", "prune_orders"]

_FINAL = tuple(status.value for status in RunStatus if status.is_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOrder:
    """Which runs may go: they, and what their children ran, ended before a moment."""

    before: float
    status: str
    workflow: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, or would go."""

    runs: int = 0
    #: Of tasks.
    results: int = 0
    #: Large values that no run has any more; of a dry run nobody knows.
    values: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            runs=self.runs + other.runs,
            results=self.results + other.results,
            values=self.values + other.values,
        )


def prune_orders(
    older_than: float | timedelta,
    statuses: Iterable[str] | None,
    workflow: str | None,
    *,
    now: float,
) -> list[PruneOrder]:
    """Return what somebody asks for: an order for each state.

    Args:
        older_than: How long ago the runs have ended; seconds or a `timedelta`.
        statuses: In which of the final states they are; in any where None.
        workflow: Whose runs; those of all workflows where None.
        now: The moment.

    Raises:
        UsageError: It is no time, or a state in which a run goes on.
        UnknownName: A state that there is not.
    """
    age_s = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    if not math.isfinite(age_s) or age_s < 0:
        raise UsageError(f"{older_than} is no time since the end of a run", where="older_than")
    names = _FINAL if statuses is None else tuple(dict.fromkeys(str(each) for each in statuses))
    for name in names:
        if name not in {status.value for status in RunStatus}:
            raise UnknownName("state", name, _FINAL)
        if name not in _FINAL:
            what = f"a run that is {name} goes on: it is never pruned"
            raise UsageError(what, where="statuses", todo=f"known: {', '.join(_FINAL)}")
    return [PruneOrder(before=now - age_s, status=name, workflow=workflow) for name in names]
