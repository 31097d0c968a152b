"""When a schedule is due: cron expressions, time zones, and what was missed.

The expression's meaning is that of Debian's cron, daylight saving time included, as cronsim has it
(https://github.com/cuu508/cronsim).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from test_rig.errors import MissingExtra, Problem, WorkflowInvalid

__all__ = ["CATCH_UPS", "CatchUp", "dues", "next_due"]

CatchUp = Literal["all", "latest", "none"]
CATCH_UPS: tuple[CatchUp, ...] = ("all", "latest", "none")
#: How late a due time counts as kept, where what was missed is not caught up.
GRACE_S = 60.0
#: The most runs that are caught up; of more missed times the last ones count.
MOST = 1000


def next_due(cron: str, time_zone: str, after: float) -> float:
    """Return the first due time after a moment; seconds since 1970 in UTC.

    Raises:
        WorkflowInvalid: The expression or the time zone is none, or is never due.
        MissingExtra: cronsim is not installed.
    """
    return next(_after(cron, time_zone, after))


def _after(cron: str, time_zone: str, after: float) -> Iterator[float]:
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as missing:
        raise MissingExtra("schedules need cronsim", extra="schedules") from missing
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        what = f"there is no time zone {time_zone!r}"
        todo = "use a name such as Europe/Berlin or UTC"
        raise WorkflowInvalid([Problem(where="schedule", what=what, todo=todo)]) from error
    try:
        times = CronSim(cron, datetime.fromtimestamp(after, UTC).astimezone(zone))
        while True:
            yield float(next(times).timestamp())
    except (CronSimError, StopIteration) as error:
        what = f"{cron!r} is no cron expression that is ever due ({error or 'no such day'})"
        todo = "five fields: minute, hour, day, month, weekday; for example 0 3 * * 1-5"
        raise WorkflowInvalid([Problem(where="schedule", what=what, todo=todo)]) from error


def dues(
    cron: str, time_zone: str, *, first: float, now: float, catch_up: CatchUp
) -> tuple[list[float], float]:
    """Return the due times to be run now, and the next one to wait for.

    Args:
        cron: The expression.
        time_zone: Whose clock it means.
        first: The due time that was waited for.
        now: The moment.
        catch_up: What to do about times that were missed: run for each of them, for the latest
            one, or for none that is more than a minute ago.
    """
    found = _missed(cron, time_zone, first, now)
    due = next_due(cron, time_zone, max(now, first - 1))
    if catch_up == "all":
        return found, due
    latest = found[-1:]
    if catch_up == "none":
        latest = [each for each in latest if now - each <= GRACE_S]
    return latest, due


def _missed(cron: str, time_zone: str, first: float, now: float) -> list[float]:
    """Return the due times since the first one; of very many the last ones."""
    span = MOST * 60.0
    while True:
        # From the end: after a year a schedule of minutes has half a million of them.
        start = max(first - 1, now - span)
        found = list(takewhile(lambda due: due <= now, _after(cron, time_zone, start)))
        if len(found) >= MOST or start < first:
            return found[-MOST:]
        span *= 2
