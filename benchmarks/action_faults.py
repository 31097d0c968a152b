"""What scripts and kills do to deliveries: nothing that is not told.

    python benchmarks/action_faults.py faults  [--rounds 5]
    python benchmarks/action_faults.py reloads [--count 100]
    python benchmarks/action_faults.py kills   [--count 100] [--seed 1]

`faults`: every way in which a script of tests/ misbehaves, with a limit of 0.5 s, and then a good
call; how long both took together, against the limit plus 250 ms.
`reloads`: so many new versions of a script while it is called all the time; how many calls failed,
and whether the last version has counted every event once.
`kills`: `test-rig actions run` with the spool on, killed (SIGKILL) so often at moments of chance;
what was accepted and did not arrive, and what arrived twice by which id.

The exit code is 1 where something was lost, failed or came too late.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.actions import DriverContext, Fate, MeasurementEvent, create_driver
from test_rig.actions.drivers.python import PythonDriver
from test_rig.plugins import Script, Worker, WorkerLimits, WorkerPlan

SCRIPT = Path(__file__).parents[1] / "tests/unit/plugins/scripts/misbehaving.py"
LIMIT_S, RECOVERY_S = 0.5, 0.25
FAULTS = (
    "raise_error", "leave", "leave_hard", "abort", "segfault", "endless_loop", "hang_in_c",
    "swallow_everything", "block_signals", "ignore_signals", "recurse", "leak", "want_much",
    "close_descriptors", "print_much", "leave_threads", "leave_child", "fork_bomb", "return_much",
)  # fmt: skip
STATEFUL = """
version, count = {version}, 0
def on_measurement(data):
    global count
    count += 1
def get_status(): return [version, count]
def get_state(): return count
def set_state(state):
    global count
    count = state
"""
SETTINGS = """
[actions.drivers.out]
type = "file"
path = "out.jsonl"
pipe = {spool = true, batch_size = 64, policy = "block"}
"""


def faults(rounds: int) -> bool:
    """Print how each fault ended, and how long it and the next good call took."""
    found: dict[str, list[float]] = {fault: [] for fault in FAULTS}
    ends: dict[str, str] = {}
    limits = WorkerLimits(memory_bytes=256 << 20)
    for _ in range(rounds):
        for fault in FAULTS:
            with Worker(WorkerPlan(script=Script(path=SCRIPT), limits=limits)) as worker:
                assert worker.call("good", timeout_s=30).is_ok
                started = time.perf_counter()
                ends[fault] = worker.call(fault, timeout_s=LIMIT_S).outcome.value
                assert worker.call("good", timeout_s=30).is_ok, fault
                found[fault].append(time.perf_counter() - started)
    late = []
    for fault in FAULTS:
        taken = statistics.median(found[fault])
        late += [fault] if taken > LIMIT_S + RECOVERY_S else []
        print(f"{fault:20} {ends[fault]:14} then good after {taken * 1000:6.0f} ms (median)")
    print(f"later than {(LIMIT_S + RECOVERY_S) * 1000:.0f} ms: {', '.join(late) or 'none'}")
    return not late


def reloads(count: int) -> bool:
    """Print how many calls failed while a script was replaced so often."""

    async def go(folder: Path) -> bool:
        script = folder / "script.py"
        script.write_text(STATEFUL.format(version=0))
        driver = create_driver(
            "python", {"script_path": str(script)}, context=DriverContext(folder=folder)
        )
        assert isinstance(driver, PythonDriver)
        await driver.start()
        delivered = failed = 0
        longest_s = 0.0
        is_over = False

        async def traffic() -> None:
            nonlocal delivered, failed, longest_s
            event = MeasurementEvent(id="1", name="n", value=1, timestamp=1.0, timestamp_ns=10**9)
            while not is_over:
                started = time.perf_counter()
                answers = await driver.send([event] * 8)
                longest_s = max(longest_s, time.perf_counter() - started)
                good = sum(each.fate is Fate.DELIVERED for each in answers)
                delivered, failed = delivered + good, failed + len(answers) - good

        sending = asyncio.create_task(traffic())
        took = []
        for version in range(1, count + 1):
            script.write_text(STATEFUL.format(version=version))
            started = time.perf_counter()
            assert await asyncio.to_thread(driver.reload), version
            took.append(time.perf_counter() - started)
        is_over = True
        await sending
        status = (await driver.status())["python_status"]
        await driver.stop(timeout_s=30)
        median_ms = statistics.median(took) * 1000
        print(f"{count} reloads, median {median_ms:.0f} ms; {delivered:,} calls, {failed} failed,")
        print(f"the longest wait for 8 of them {longest_s * 1000:.0f} ms; the script says {status}")
        return failed == 0 and status == [count, delivered]

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(go(Path(folder)))


def kills(count: int, seed: int) -> bool:
    """Print what was lost over so many kills of the host."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test-rig.toml").write_text(SETTINGS)
        accepted = [killed_after(folder, turn, rng.uniform(0, 0.5)) for turn in range(count)]
        subprocess.run(
            [*RUN, "--drain", "60"], cwd=folder, env=environment(), input=b"", check=True
        )
        came: list[dict[str, Any]] = []
        for line in (folder / "out.jsonl").read_bytes().splitlines():
            try:
                came.append(json.loads(line))
            except ValueError:  # a line that the kill cut off; its event came again
                continue
    wanted = {f"{turn}-{n}" for turn, much in enumerate(accepted) for n in range(much)}
    ids = [each["id"] for each in came]
    lost = wanted - set(ids)
    odd = [each for each in came if float(each["id"].split("-")[1]) != each["value"]]
    twice = len(ids) - len(set(ids))
    print(f"{count} kills (seed {seed}): {len(wanted):,} events accepted, {len(lost)} lost,")
    print(f"{twice:,} came twice by the same id, {len(odd)} under another id")
    return not lost and not odd


RUN = [sys.executable, "-m", "test_rig", "actions", "run"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}


def killed_after(folder: Path, turn: int, wait_s: float) -> int:
    """Feed a host, kill it a while after it first accepted; return how many it had accepted."""
    process = subprocess.Popen(
        [*RUN, "--acks"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin = process.stdin

    def feed() -> None:
        number = 0
        try:
            while True:
                events = (
                    {"name": "n", "value": n, "id": f"{turn}-{n}"}
                    for n in range(number, number + 50)
                )
                stdin.write("".join(json.dumps(each) + "\n" for each in events).encode())
                stdin.flush()
                number += 50
                time.sleep(0.002)
        except OSError:
            return

    feeder = threading.Thread(target=feed)
    feeder.start()
    accepted, timer = 0, None
    for line in process.stdout:
        if line.endswith(b"\n"):
            accepted = json.loads(line)["accepted"]
        if timer is None:
            timer = threading.Timer(wait_s, process.kill)
            timer.start()
    process.wait()
    feeder.join()
    with contextlib.suppress(OSError):  # what was not written yet has no reader
        process.stdin.close()
    process.stdout.close()
    return accepted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("faults", "reloads", "kills"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "faults":
        is_good = faults(given.rounds)
    elif given.what == "reloads":
        is_good = reloads(given.count)
    else:
        is_good = kills(given.count, given.seed)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
