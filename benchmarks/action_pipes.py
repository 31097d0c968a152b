"""What does a pipe cost, and does a driver that hangs slow another?

1. Events through the router and a pipe to a driver that takes everything at once, in memory and by
   way of the spool, beside a file of JSON lines that is synced after each batch (the least that
   durability can cost).
2. Latency from submission to delivery at a steady rate: alone, beside a second driver that
   answers, and beside one that never does. What hanging costs is what the last two differ by.
   Rounds alternate, so that the machine's other load falls on all.

    python benchmarks/action_pipes.py [--events 60000] [--rounds 3] [--rate 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import msgspec

from test_rig.actions import (
    DELIVERED,
    Actions,
    ActionsPlan,
    Delivery,
    DriverType,
    Event,
    MeasurementEvent,
    Options,
    PipePlan,
)
from test_rig.actions.pipe_options import PipeOptions

BATCH = 1000


class Sink:
    """Takes everything at once, and notes when."""

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []

    async def start(self) -> None:
        """Do nothing."""

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Note how old each event is."""
        now_ns = time.time_ns()
        self.latencies_ns += [now_ns - event.timestamp_ns for event in batch]
        return [DELIVERED] * len(batch)

    async def stop(self, *, timeout_s: float) -> None:
        """Do nothing."""


class Hung(Sink):
    """Never answers."""

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Wait for ever."""
        await asyncio.sleep(3600)
        return [DELIVERED] * len(batch)


def plan_of(name: str, driver: Sink, **pipe: Any) -> PipePlan:
    kind = DriverType(name=name, about="", options=Options, make=lambda options, context: driver)
    options = PipeOptions.model_validate({"queue_size": 200_000, **pipe})
    return PipePlan(name=name, kind=kind, options=Options(), pipe=options)


def event(number: int) -> MeasurementEvent:
    now_ns = time.time_ns()
    return MeasurementEvent(
        id=f"b-{number}",
        name="latency",
        value=float(number),
        unit="ms",
        labels={"target": "sqlite://", "level": "serializable"},
        source_node_id="bench",
        timestamp=now_ns / 1e9,
        timestamp_ns=now_ns,
    )


def through_a_pipe(count: int, *, spool: bool) -> float:
    """Return events a second, until all are delivered."""
    with tempfile.TemporaryDirectory() as folder:
        plan = ActionsPlan(folder=Path(folder), drivers=(plan_of("sink", Sink(), spool=spool),))
        with Actions(plan).running() as actions:
            batches = [[event(n) for n in range(at, at + BATCH)] for at in range(0, count, BATCH)]
            started = time.perf_counter()
            for batch in batches:
                actions.submit(batch, timeout_s=120)
            while actions.snapshot()["drivers"]["sink"]["delivered"] < len(batches) * BATCH:
                time.sleep(0.001)
            return len(batches) * BATCH / (time.perf_counter() - started)


def through_a_file(count: int) -> float:
    """Return lines a second of a file that is synced after each batch."""
    encoder = msgspec.json.Encoder()
    batches = [[event(n) for n in range(at, at + BATCH)] for at in range(0, count, BATCH)]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "f").open("ab", 0) as file:
        started = time.perf_counter()
        for batch in batches:
            file.write(b"".join(encoder.encode(each) + b"\n" for each in batch))
            os.fsync(file.fileno())
        return len(batches) * BATCH / (time.perf_counter() - started)


def latencies_ms(rate: int, seconds: float, second: Sink | None) -> list[float]:
    """Return the latencies of a driver at a steady rate."""
    sink = Sink()
    drivers = [plan_of("sink", sink)]
    if second is not None:
        drivers.append(plan_of("second", second, policy="drop_oldest", queue_size=1000))
    with tempfile.TemporaryDirectory() as folder:
        actions = Actions(ActionsPlan(folder=Path(folder), drivers=tuple(drivers))).start()
        due, number = time.perf_counter(), 0
        end = due + seconds
        while due < end:
            due += 10 / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            actions.submit([event(number + each) for each in range(10)])
            number += 10
        actions.stop(0.5)
    return [each / 1e6 for each in sink.latencies_ns]


def share(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rates: dict[str, list[float]] = {"pipe": [], "pipe with spool": [], "file, synced": []}
    seconds: dict[str, Callable[[], Sink | None]] = {
        "alone": lambda: None,
        "beside one that answers": Sink,
        "beside a hung driver": Hung,
    }
    latencies: dict[str, list[list[float]]] = {name: [] for name in seconds}
    for _ in range(chosen.rounds):
        rates["pipe"].append(through_a_pipe(chosen.events, spool=False))
        rates["pipe with spool"].append(through_a_pipe(chosen.events, spool=True))
        rates["file, synced"].append(through_a_file(chosen.events))
        for name, second in seconds.items():
            latencies[name].append(latencies_ms(chosen.rate, 3.0, second()))
    result: dict[str, Any] = {}
    for name, values in rates.items():
        result[name] = round(statistics.median(values))
        print(f"{name:16} {result[name]:10,} events/s (median of {chosen.rounds})")
    for name, found in latencies.items():
        result[name] = {
            "p50_ms": round(statistics.median(share(each, 0.5) for each in found), 3),
            "p99_ms": round(statistics.median(share(each, 0.99) for each in found), 3),
        }
        print(f"{name:24} p50 {result[name]['p50_ms']} ms, p99 {result[name]['p99_ms']} ms")
    ratio = result["beside a hung driver"]["p99_ms"] / result["beside one that answers"]["p99_ms"]
    result["p99_ratio"] = round(ratio, 2)
    print(f"p99 beside a hung driver / beside one that answers: {ratio:.2f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
