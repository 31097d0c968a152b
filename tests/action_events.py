"""Events for the tests of drivers, and a way to hand them over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from test_rig.actions import (
    AlertEvent,
    ClearEvent,
    Delivery,
    Event,
    MeasurementEvent,
    create_driver,
)

NOW_NS = 1_700_000_000_250_000_000


def number(value: float, *, name: str = "latency", node: str = "node") -> MeasurementEvent:
    """Return a measurement of the rig."""
    return MeasurementEvent(
        id=f"{name}-{value}",
        name=name,
        value=value,
        source_node_id=node,
        timestamp=NOW_NS / 1e9,
        timestamp_ns=NOW_NS,
    )


def reading(ppm: float, *, id: str = "r1") -> MeasurementEvent:
    """Return a measurement of the instrument."""
    return MeasurementEvent(
        id=id,
        name="concentration_ppm",
        value=ppm,
        unit="ppm",
        source_node_id="co2",
        timestamp=NOW_NS / 1e9,
        timestamp_ns=NOW_NS,
        metadata={"polynomial": "a"},
        concentration_ppm=ppm,
        peak_amplitude=0.5,
        peak_frequency=2100.0,
    )


def alert(id: str = "a1", *, severity: str = "warning") -> AlertEvent:
    """Return an alert."""
    return AlertEvent(
        id=id,
        alert_type="too_slow",
        severity=severity,
        message="it is slow",
        data={"value": 9},
        source_node_id="node",
        timestamp=NOW_NS / 1e9,
        timestamp_ns=NOW_NS,
    )


def clearing() -> ClearEvent:
    """Return the command to clear."""
    return ClearEvent(id="c1", timestamp=NOW_NS / 1e9, timestamp_ns=NOW_NS)


async def deliver(
    type: str, config: Mapping[str, Any], *batches: list[Event]
) -> tuple[list[list[Delivery]], Mapping[str, Any]]:
    """Start a driver, give it batches, ask its status, stop it; return answers and status."""
    driver = create_driver(type, config)
    await driver.start()
    try:
        answers = [list(await driver.send(batch)) for batch in batches]
        status = await driver.status()  # type: ignore[attr-defined]
    finally:
        await driver.stop(timeout_s=10)
    return answers, status


def delivered(type: str, config: Mapping[str, Any], *batches: list[Event]) -> list[Delivery]:
    """Return the answers for the events of batches, one after the other."""
    answers, _ = asyncio.run(deliver(type, config, *batches))
    return [answer for batch in answers for answer in batch]
