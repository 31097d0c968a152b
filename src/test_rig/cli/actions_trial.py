"""What the commands of `test-rig actions` do beside running: trying drivers, asking a host."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from test_rig.actions import (
    ActionsPlan,
    DeadLetters,
    Driver,
    DriverContext,
    Event,
    PipePlan,
    events_of,
    measurement_event,
    read_plan,
    read_state,
    spool_path,
    told,
)
from test_rig.errors import RigError, UnknownName, UsageError
from test_rig.rig import actions_plan
from test_rig.runs import RunFolder
from test_rig.settings import AppConfig

__all__ = [
    "as_lines",
    "ask_host",
    "chosen_plans",
    "on_disk",
    "recorded",
    "send_once",
    "start_once",
]

_BATCH = 256
_ASK_S = 10.0


def chosen_plans(config: AppConfig, names: Sequence[str]) -> list[PipePlan]:
    """Return the drivers of the settings by their names, all where none is named, and scripts.

    Raises:
        UnknownName: The settings have no such driver.
        UsageError: No driver is left.
    """
    plan = actions_plan(config)
    scripts = {
        Path(name).stem: {"type": "python", "script_path": name}
        for name in names
        if name.endswith(".py")
    }
    made = list(read_plan(plan.folder, drivers=scripts).drivers) if scripts else []
    own = {each.name: each for each in plan.drivers}
    for name in names:
        if name.endswith(".py"):
            continue
        if name not in own:
            raise UnknownName("driver", name, list(own))
        made.append(own[name])
    if not names:
        made = list(plan.drivers)
    if not made:
        raise UsageError("the settings name no driver", where="actions.drivers")
    return made


def start_once(plan: PipePlan) -> str:
    """Start and stop a driver; return why it does not start, empty where it does."""

    async def trial(driver: Driver) -> str:
        try:
            async with asyncio.timeout(plan.pipe.timeout_s):
                await driver.start()
        except Exception as exc:  # noqa: BLE001 -- a driver's door
            return f"does not start: {told(exc)}"
        finally:
            with suppress(Exception):
                await driver.stop(timeout_s=5.0)
        return ""

    return asyncio.run(trial(_driver(plan)))


def send_once(plan: PipePlan, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Send events to a driver and return its answers as plain data."""

    async def trial(driver: Driver) -> list[dict[str, Any]]:
        try:
            async with asyncio.timeout(plan.pipe.timeout_s):
                await driver.start()
                answers = await driver.send(events)
        except Exception as exc:  # noqa: BLE001 -- a driver's door
            return [_answer(event, "failed", told(exc), "") for event in events]
        finally:
            with suppress(Exception):
                await driver.stop(timeout_s=5.0)
        return [
            _answer(event, answer.fate.value, answer.reason, answer.detail)
            for event, answer in zip(events, answers, strict=True)
        ]

    return asyncio.run(trial(_driver(plan)))


def _driver(plan: PipePlan) -> Driver:
    folder = Path(tempfile.mkdtemp(prefix="test-rig-trial-"))
    made: Driver = plan.kind.make(plan.options, DriverContext(name=plan.name, folder=folder))
    return made


def _answer(event: Event, fate: str, reason: str, detail: str) -> dict[str, Any]:
    kind = type(event).__struct_config__.tag
    return {"type": kind, "id": event.id, "fate": fate, "reason": reason, "detail": detail}


def recorded(source: Path) -> Iterator[list[Event]]:
    """Return the events of a run folder or of a file, in batches.

    Raises:
        UsageError: It is neither, or a line of the file is no event.
    """
    if source.is_dir():
        return _of_run(source)
    try:
        body = source.read_bytes()
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", where=str(source)) from exc
    numbers = iter(range(1, 1 << 62))
    mark = f"{source.name}-{time.time_ns():x}"
    events, problems = events_of(
        body, now_ns=time.time_ns(), next_id=lambda: f"{mark}-{next(numbers)}"
    )
    if problems:
        raise UsageError("; ".join(problems[:10]), where=str(source))
    return (events[at : at + _BATCH] for at in range(0, len(events), _BATCH))


def _of_run(folder: Path) -> Iterator[list[Event]]:
    run = RunFolder.open(folder)
    # What was measured is told in the clock's time; the run's own start makes it a date.
    batch: list[Event] = []
    offset_ns: int | None = None
    started_ns = round(run.record().started.timestamp() * 1e9)
    for number, item in enumerate(run.measurements()):
        if offset_ns is None:
            offset_ns = started_ns - item.time_ns
        id = f"{folder.name}-{number}"
        batch.append(measurement_event(item, id=id, wall_offset_ns=offset_ns))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def ask_host(folder: Path, path: str) -> dict[str, Any] | None:
    """Ask the actions that run in a folder; None where none listen.

    Raises:
        RigError: They listen, and do not answer, or refuse.
    """
    try:
        url = json.loads((folder / "host.json").read_text(encoding="utf-8"))["url"]
    except (OSError, ValueError, KeyError):
        return None
    if urlsplit(url).scheme != "http" or not is_held(folder):
        return None  # what a kill left behind
    try:
        with build_opener(ProxyHandler({})).open(f"{url}{path}", timeout=_ASK_S) as answer:
            content: dict[str, Any] = json.load(answer)
            return content
    except HTTPError as exc:
        told = json.loads(exc.read() or b"{}").get("error", exc.reason)
        raise (UsageError if exc.code == 404 else RigError)(told, where=url) from exc
    except (URLError, OSError, ValueError) as exc:
        raise RigError(f"the running actions do not answer: {exc}", where=url) from exc


def is_held(folder: Path) -> bool:
    """Return whether a process works in a folder."""
    import fcntl

    try:
        with (folder / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def on_disk(plan: ActionsPlan) -> dict[str, Any]:
    """Return what the files of a folder tell."""
    drivers: dict[str, Any] = {}
    for each in plan.drivers:
        path = spool_path(plan.folder, each.name)
        drivers[each.name] = {"driver": each.kind.name, "spooled": 0, "dead_letters": 0}
        if path.exists():
            letters = DeadLetters(path)
            drivers[each.name] |= {"spooled": letters.depth(), "dead_letters": letters.count()}
    notify = read_state(plan.folder).notify
    firing = [key for key, active in notify.active.items() if not active.is_over]
    return {
        "running": is_held(plan.folder),
        "folder": str(plan.folder),
        "alerts_firing": firing,
        "drivers": drivers,
    }


def as_lines(content: Mapping[str, Any]) -> list[str]:
    """Return a status as text."""
    state = "running" if content["running"] else "not running; this is what is on disk"
    lines = [f"actions in {content['folder']}: {state}"]
    for name, each in content["drivers"].items():
        told = [f"{each['spooled']} spooled", f"{each['dead_letters']} dead letters"]
        if "state" in each:
            told = [
                each["state"],
                f"{each['delivered']} delivered",
                f"{each['queued']} queued",
                *told,
                f"breaker {each['breaker']}",
            ]
            told += [f"last error: {each['last_error']}"] if each["last_error"] else []
        lines.append(f"  {name} ({each['driver']}): {', '.join(told)}")
    lines += [f"  fires: {key}" for key in content["alerts_firing"]]
    return lines
