"""`test-rig actions status DRIVER` and `history`: what only running actions can tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["history_lines", "past_of", "standing_of"]


def standing_of(folder: Path, driver: str) -> dict[str, Any]:
    """Return what a driver, its pipe and its script tell of themselves, and its statistics.

    Raises:
        RigError: No actions run here that can be asked.
        UsageError: They have no such driver.
    """
    return {
        **_asked(folder, driver, ""),
        "statistics": _asked(folder, driver, "/statistics"),
    }


def past_of(folder: Path, driver: str, limit: int) -> list[dict[str, Any]]:
    """Return the last deliveries of a driver, the newest last. Raises as `standing_of`."""
    past: list[dict[str, Any]] = _asked(folder, driver, f"/history?limit={limit}")["history"]
    return past


def history_lines(past: list[dict[str, Any]]) -> list[str]:
    """Return past deliveries as text, a line each."""
    return [_line(each) for each in past]


def _line(past: Mapping[str, Any]) -> str:
    event = past["event"]
    at = datetime.fromtimestamp(event["timestamp"], UTC).isoformat(timespec="milliseconds")
    what = event.get("name") or event.get("alert_type") or event["type"]
    told = f"{at} {event['id']} {what}: {past['fate']} at try {past['attempt']}"
    return told + (f": {past['reason']}" if past["reason"] else "")


def _asked(folder: Path, driver: str, page: str) -> dict[str, Any]:
    from test_rig.cli.actions_trial import ask_host
    from test_rig.errors import RigError

    told = ask_host(folder, f"/api/actions/{quote(driver, safe='')}{page}")
    if told is None:
        what = "no actions run here that can be asked"
        raise RigError(what, where=str(folder), todo="test-rig actions run --listen 127.0.0.1:8765")
    return told
