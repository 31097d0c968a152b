"""How many measurements a second reach an isolated script, and how long one takes to be there.

    python benchmarks/action_script.py [--events 100000] [--rounds 5]

Side by side in one run, in turns: the pipe with the driver `python` (with the standard library's
codec in the script, and with msgspec there), the driver alone, and, where they are installed,
bytewax and pathway, which read the same JSON lines in the process itself, without isolation. All of
them call the same Python function with each event as a dict. Pathway is measured once more with an
expression of its own, which calls no Python: what it can do that a script cannot.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from test_rig.actions import Actions, MeasurementEvent, create_driver, read_plan

SCRIPT = """
import time
count = over = 0
ages = []

def on_measurement(data):
    global count, over
    count += 1
    if data["value"] > 500:
        over += 1
    if data["name"] == "timed":
        ages.append(time.time_ns() - data["timestamp_ns"])

def get_status():
    return {"count": count, "ages": sorted(ages)[:: max(1, len(ages) // 1000)]}
"""


def events(count: int, name: str = "latency") -> list[MeasurementEvent]:
    now_ns = time.time_ns()
    return [
        MeasurementEvent(
            id=f"{now_ns:x}-{number}",
            name=name,
            value=float(number % 1000),
            unit="ms",
            labels={"target": "pg"},
            source_node_id="bench",
            timestamp=now_ns / 1e9,
            timestamp_ns=now_ns,
        )
        for number in range(count)
    ]


def driver_rate(folder: Path, script: Path, count: int, python: str) -> float:
    """Return events a second through the driver alone, in batches of 2,048."""
    made = events(count)
    driver = create_driver("python", {"script_path": str(script), "python_executable": python})

    async def run() -> float:
        await driver.start()
        started = time.perf_counter()
        for first in range(0, count, 2048):
            await driver.send(made[first : first + 2048])
        took = time.perf_counter() - started
        await driver.stop(timeout_s=10)
        return count / took

    return asyncio.run(run())


def pipe_rate(folder: Path, script: Path, count: int, python: str) -> float:
    """Return events a second from `submit` to the script's answer, through rules and pipe."""
    actions = started_actions(folder, script, count, python)
    made = events(count)
    started = time.perf_counter()
    actions.submit(made)
    wait_count(actions, count)
    took = time.perf_counter() - started
    actions.stop()
    return count / took


def started_actions(folder: Path, script: Path, count: int, python: str) -> Actions:
    table = {
        "type": "python",
        "script_path": str(script),
        "python_executable": python,
        "pipe": {"queue_size": count + 1, "policy": "block"},
    }
    actions = Actions(read_plan(tempfile.mkdtemp(dir=folder), drivers={"script": table}))
    actions.start()
    pipe = actions.pipes["script"]
    while pipe.snapshot()["state"] != "running":
        time.sleep(0.01)
    return actions


def wait_count(actions: Actions, count: int) -> None:
    pipe = actions.pipes["script"]
    while pipe.snapshot()["delivered"] < count:
        time.sleep(0.002)


def latencies_ms(folder: Path, script: Path, python: str, rate: int = 2000) -> list[float]:
    """Return ages of events when the script has them, offered one by one at a rate."""
    actions = started_actions(folder, script, rate * 4, python)
    started = time.perf_counter()
    for number in range(rate * 3):
        wait_s = started + number / rate - time.perf_counter()
        if wait_s > 0:
            time.sleep(wait_s)
        actions.submit(events(1, "timed"))
    wait_count(actions, rate * 3)
    status = actions.pipes["script"].driver_status()
    actions.stop()
    return [age / 1e6 for age in status["python_status"]["ages"]]


def json_lines(count: int) -> list[bytes]:
    return [msgspec.json.encode(event) for event in events(count)]


def bytewax_rate(count: int) -> float | None:
    """Return events a second of bytewax, which parses the same lines in its own process."""
    if importlib.util.find_spec("bytewax") is None:
        return None
    import json

    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    script: dict[str, Any] = {}
    exec(SCRIPT, script)  # noqa: S102 -- the same function that the other ways call
    flow = Dataflow("bench")
    stream = op.input("in", flow, TestingSource(json_lines(count), batch_size=512))
    parsed = op.map("parse", stream, json.loads)
    called = op.map("call", parsed, script["on_measurement"])
    out: list[object] = []
    op.output("out", op.filter("none", called, bool), TestingSink(out))
    started = time.perf_counter()
    run_main(flow)
    took_s = time.perf_counter() - started
    assert script["count"] == count
    return count / took_s


PATHWAY = """
import sys, time
import pathway as pw

class Reading(pw.Schema):
    id: str
    name: str
    value: float
    unit: str
    labels: pw.Json
    source_node_id: str
    timestamp: float
    timestamp_ns: int

rows = pw.io.jsonlines.read(sys.argv[1], schema=Reading, mode="static")
script = {}
exec(sys.argv[3], script)
if sys.argv[2] == "python":
    on_measurement = script["on_measurement"]
    pw.io.subscribe(rows, on_change=lambda key, row, time, is_addition: on_measurement(row))
else:
    over = rows.filter(pw.this.value > 500).reduce(count=pw.reducers.count())
    pw.io.null.write(over)
started = time.perf_counter()
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
print(script["count"], time.perf_counter() - started)
"""


def pathway_rate(folder: Path, count: int, way: str) -> float | None:
    """Return events a second of pathway, which reads the same lines from a file.

    Args:
        folder: Where the file is made.
        count: How many events.
        way: `python`: each row, as a dict, goes to the script's own function, as here. `native`: an
            expression of pathway's own counts, and no Python is called for any row.
    """
    if importlib.util.find_spec("pathway") is None:
        return None
    lines = folder / "lines.jsonl"
    lines.write_bytes(b"\n".join(json_lines(count)) + b"\n")
    command = [sys.executable, "-c", PATHWAY, str(lines), way, SCRIPT]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seen, took_s = told.split()[-2:]
    assert int(seen) == (count if way == "python" else 0), told
    return count / float(took_s)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    count, rounds = given.events, given.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "script.py"
        script.write_text(SCRIPT)
        venv.create(folder / "plain", with_pip=False)
        plain, rich = str(folder / "plain" / "bin" / "python"), sys.executable
        ways: dict[str, Callable[[], float | None]] = {
            "pipe, json in the script": lambda: pipe_rate(folder, script, count, plain),
            "pipe, msgspec in the script": lambda: pipe_rate(folder, script, count, rich),
            "driver alone, json": lambda: driver_rate(folder, script, count, plain),
            "driver alone, msgspec": lambda: driver_rate(folder, script, count, rich),
            "bytewax, in process": lambda: bytewax_rate(count),
            "pathway, in process": lambda: pathway_rate(folder, count, "python"),
            "pathway, native expression": lambda: pathway_rate(folder, count, "native"),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):  # interleaved: what else the machine does falls on all alike
            for way, rate in ways.items():
                if (measured := rate()) is not None:
                    found[way].append(measured)
        medians = {way: statistics.median(rates) for way, rates in found.items() if rates}
        for way in ways:
            told = f"{medians[way]:10,.0f} events/s" if way in medians else "not installed"
            print(f"{way:32} {told}")
        for peer in ("bytewax, in process", "pathway, in process"):
            for way in list(ways)[:2]:
                if peer in medians:
                    ratio = statistics.median(
                        mine / other for mine, other in zip(found[way], found[peer], strict=True)
                    )
                    print(f"{way} : {peer} = {ratio:.2f} : 1 (median of the rounds)")
        ages = sorted(latencies_ms(folder, script, sys.executable))
        p50, p99 = ages[len(ages) // 2], ages[len(ages) * 99 // 100]
        print(f"2,000/s offered: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


if __name__ == "__main__":
    main()
