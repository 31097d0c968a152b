"""New versions of a script, and the end of one that does not want to end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from test_rig.actions import DriverContext, Fate, MeasurementEvent, create_driver
from test_rig.actions.drivers.python import PythonDriver

STATEFUL = """
version, count = {version}, 0
def on_measurement(data):
    global count
    if data["value"] < 0:
        import os
        os._exit(1)
    count += 1
def get_status(): return [version, count]
def get_state(): return count
def set_state(state):
    global count
    count = state
"""


def number(value: float) -> MeasurementEvent:
    """Return a measurement."""
    return MeasurementEvent(
        id=str(value), name="latency", value=value, timestamp=1.0, timestamp_ns=10**9
    )


async def started(folder: Path, text: str, **options: Any) -> PythonDriver:
    """Return a driver that serves a text."""
    (folder / "script.py").write_text(text)
    given = {"script_path": str(folder / "script.py"), **options}
    driver = create_driver("python", given, context=DriverContext(folder=folder))
    assert isinstance(driver, PythonDriver)
    await driver.start()
    return driver


async def edited(driver: PythonDriver, folder: Path, text: str) -> bool:
    """Save a text, and return whether it came into service."""
    (folder / "script.py").write_text(text)
    return await asyncio.to_thread(driver.reload)


def test_twenty_versions_under_traffic_count_every_event_once(tmp_path: Path) -> None:
    """The state is handed over between two calls: none is lost, none comes twice."""

    async def go() -> None:
        driver = await started(tmp_path, STATEFUL.format(version=0))
        delivered, is_over = 0, False

        async def traffic() -> None:
            nonlocal delivered
            while not is_over:
                answers = await driver.send([number(1), number(2)])
                delivered += sum(each.fate is Fate.DELIVERED for each in answers)
                assert len({each.fate for each in answers}) == 1

        sending = asyncio.create_task(traffic())
        for version in range(1, 21):
            assert await edited(driver, tmp_path, STATEFUL.format(version=version))
        is_over = True
        await sending
        assert delivered
        assert (await driver.status())["python_status"] == [20, delivered]
        await driver.stop(timeout_s=30)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def get_status(): return 2", "has no longer the functions on_measurement"),
        (STATEFUL.format(version=2) + "def set_state(state): raise KeyError", "set_state"),
    ],
)
def test_a_version_that_would_lose_something_is_refused(
    tmp_path: Path, text: str, why: str
) -> None:
    """Events that it has no function for, or the state."""

    async def go() -> None:
        driver = await started(tmp_path, STATEFUL.format(version=1))
        await driver.send([number(1)])
        assert not await edited(driver, tmp_path, text)
        status = await driver.status()
        assert status["python_status"] == [1, 1]
        assert why in status["refused"]
        await driver.stop(timeout_s=30)

    asyncio.run(go())


def test_a_state_that_cannot_be_had_keeps_the_old_version(tmp_path: Path) -> None:
    """It would be lost otherwise."""

    async def go() -> None:
        text = STATEFUL.format(version=1) + "def get_state(): raise OSError('no state')\n"
        driver = await started(tmp_path, text)
        assert not await edited(driver, tmp_path, STATEFUL.format(version=2))
        assert "no state" in (await driver.status())["refused"]
        await driver.stop(timeout_s=30)

    asyncio.run(go())


def test_a_version_that_served_is_not_tried_again_after_a_crash(tmp_path: Path) -> None:
    """Its new process serves, though `initialize` and `self_test` say no by now."""
    flag = tmp_path / "flag"
    text = STATEFUL.format(version=2) + (
        "import pathlib\n"
        f"def self_test(): return not pathlib.Path({str(flag)!r}).exists()\n"
        f"def initialize():\n    if not self_test(): raise OSError\n"
    )

    async def go() -> None:
        driver = await started(tmp_path, STATEFUL.format(version=1))
        assert await edited(driver, tmp_path, text)
        flag.touch()
        first, second = await driver.send([number(-1), number(1)])
        assert (first.fate, second.fate) == (Fate.REJECTED, Fate.DELIVERED)
        await driver.stop(timeout_s=30)

    asyncio.run(go())


def test_a_script_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """When the time for the end is over, also in the middle of a call."""
    text = "import time\ndef shutdown():\n    while True:\n        time.sleep(1)\n"

    async def go() -> None:
        driver = await started(tmp_path, text, timeout_seconds=1000)
        with pytest.raises(TimeoutError):
            await driver.stop(timeout_s=0.2)

    began = time.monotonic()
    asyncio.run(go())  # it waits for the threads that it started
    assert time.monotonic() - began < 100


def test_every_call_is_told_with_its_duration(tmp_path: Path) -> None:
    """One that returned, one that was stopped and one that took the process down."""
    text = (
        "import os, time\ndef on_measurement(data):\n    time.sleep(data['value'])\n"
        "    if data['value'] == 0.25: os._exit(1)\n"
    )

    async def go() -> None:
        driver = await started(tmp_path, text, timeout_seconds=3)
        for value in (0.5, 60, 0.25):
            await driver.send([number(value)])
        await driver.stop(timeout_s=30)
        past = driver.history()
        assert [each["outcome"] for each in past] == ["returned", "timed out", "crashed"]
        assert all(
            each["duration_s"] >= least for each, least in zip(past, (0.5, 3, 0.25), strict=True)
        )

    asyncio.run(go())
