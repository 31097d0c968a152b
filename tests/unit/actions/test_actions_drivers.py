"""Making drivers: names, options, and what is said of wrong ones."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from test_rig.actions import (
    DELIVERED,
    DRIVERS,
    Delivery,
    Event,
    Fate,
    MeasurementEvent,
    create_driver,
    driver_type,
    in_key_order,
    key_of,
    measurement_event,
    retry,
)
from test_rig.errors import SettingsError, UsageError
from test_rig.telemetry import Measurement


def number(value: float, *, name: str = "latency", id: str = "") -> MeasurementEvent:
    """Return a measurement."""
    return MeasurementEvent(
        id=id or f"{name}-{value}", name=name, value=value, timestamp=1.0, timestamp_ns=10**9
    )


def test_an_unknown_driver_names_those_there_are() -> None:
    """With a suggestion for a near miss."""
    with pytest.raises(UsageError, match=r"did you mean 'file'.*known: file") as told:
        create_driver("flie", {})
    assert all(name in str(told.value) for name in DRIVERS)


def test_every_driver_in_the_list_can_be_made_or_names_its_extra() -> None:
    """The list has no entry without a file behind it."""
    assert {driver_type(name).name for name in DRIVERS} == set(DRIVERS)


def test_a_driver_whose_extra_is_not_installed_names_it() -> None:
    """The room itself needs none of them."""
    code = (
        "import sys\n"
        "lacking = 'aiohttp redis confluent_kafka nats aiomqtt prometheus_client'\n"
        "for name in lacking.split():\n"
        "    sys.modules[name] = None\n"
        "from test_rig.actions import create_driver\n"
        "from test_rig.errors import MissingExtra\n"
        "for name in ('http', 'redis', 'kafka', 'nats', 'mqtt', 'prometheus', 'otlp'):\n"
        "    try:\n"
        "        create_driver(name, {})\n"
        "    except MissingExtra as missing:\n"
        "        assert f'test-rig[{name}]' in str(missing)\n"
        "    else:\n"
        "        raise AssertionError(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_problems_of_options_are_told_at_once() -> None:
    """Unknown ones with a suggestion, wrong values, missing ones."""
    with pytest.raises(SettingsError) as told:
        create_driver("file", {"max_byte": 1, "keep": -1, "sync": "perhaps"})
    text = str(told.value)
    for part in ("did you mean 'max_bytes'", "file.keep", "file.sync", "file.path: is required"):
        assert part in text


def send_all(type: str, config: dict[str, Any], *batches: list[Event]) -> list[list[Delivery]]:
    """Start a driver, give it batches, stop it; return its answers."""

    async def run() -> list[list[Delivery]]:
        driver = create_driver(type, config)
        await driver.start()
        answers = [list(await driver.send(batch)) for batch in batches]
        await driver.stop(timeout_s=1)
        return answers

    return asyncio.run(run())


def test_a_file_gets_one_line_for_each_event(tmp_path: Path) -> None:
    """In a folder that is made for it, in the order in which they came."""
    path = tmp_path / "new" / "out.jsonl"
    answers = send_all("file", {"path": str(path), "sync": True}, [number(1), number(2)])
    assert answers == [[DELIVERED, DELIVERED]]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["value"] for line in lines] == [1, 2]
    assert {line["type"] for line in lines} == {"measurement"}


@pytest.mark.parametrize(("sync", "count"), [(True, 2), (False, 0)])
def test_a_batch_is_on_the_disk_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, count: int
) -> None:
    """Once for each batch, before it counts as delivered."""
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    config = {"path": str(tmp_path / "out"), "sync": sync}
    send_all("file", config, [number(1), number(2)], [number(3)])
    assert len(synced) == count


def test_a_full_file_makes_room_for_the_next(tmp_path: Path) -> None:
    """And only as many as wanted stay."""
    path = tmp_path / "out.jsonl"
    options = {"path": str(path), "max_bytes": 10, "keep": 2}
    send_all("file", options, *[[number(value)] for value in range(5)])
    kept = [json.loads(file.read_text())["value"] for file in sorted(tmp_path.iterdir())]
    assert kept == [4, 3, 2]


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ('{"a":1}\n{"b":', ['{"a":1}']),
        ('{"a":1}\n{"b":2}', ['{"a":1}', '{"b":2}']),
        ("x" * 200_000, []),
        ("", []),
    ],
)
def test_half_a_line_that_a_kill_left_is_taken_away(
    tmp_path: Path, before: str, left: list[str]
) -> None:
    """The next event gets a line of its own; a whole line without its end gets it."""
    path = tmp_path / "out.jsonl"
    path.write_text(before)
    send_all("file", {"path": str(path)}, [number(1)])
    *kept, new = path.read_text().splitlines()
    assert kept == left
    assert json.loads(new)["value"] == 1


def test_events_of_one_key_keep_their_order() -> None:
    """After *again later* none of the same key is sent; other keys go on."""
    sent: list[str] = []

    async def send_one(event: Event) -> Delivery:
        sent.append(event.id)
        return retry("busy", after_s=2) if event.id == "a1" else DELIVERED

    batch: list[Event] = [
        number(1, name=name, id=f"{name}{turn}") for turn in range(3) for name in "ab"
    ]
    answers = asyncio.run(in_key_order(batch, send_one, concurrency=4))
    fates = {event.id: answer.fate for event, answer in zip(batch, answers, strict=True)}
    assert [id for id, fate in fates.items() if fate is Fate.RETRY] == ["a1", "a2"]
    assert [event.id for event, each in zip(batch, answers, strict=True) if not each.was_tried] == [
        "a2"
    ]
    assert "a2" not in sent
    assert sent.index("b0") < sent.index("b1") < sent.index("b2")


def test_a_measurement_of_the_rig_becomes_an_event_with_wall_time() -> None:
    """Its labels and its source make its key."""
    item = Measurement(
        name="rows", value=3, unit="1/s", time_ns=5, labels=(("b", "2"), ("a", "1")), source="bulk"
    )
    event = measurement_event(item, id="x", wall_offset_ns=10**9)
    assert (event.timestamp_ns, event.unit, event.source_node_id) == (10**9 + 5, "1/s", "bulk")
    assert key_of(event) == "bulk/rows{a=1,b=2}"
