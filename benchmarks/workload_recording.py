"""What recording a workload's history costs: the same clients with it and without.

    python benchmarks/workload_recording.py [URL]

Three runs of each kind take turns, so that both meet the same load of the machine: clients that
write nothing down; clients that write to the tape, which is taken, judged and written to a run
folder's history as in `test-rig workload run`. Told are the medians of committed transactions a
second, their ratio, and what an entry costs by itself, in the one thread that takes the tape.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.clock import SYSTEM_CLOCK
from test_rig.history import OpType, Origin
from test_rig.runs import RunFolder
from test_rig.targets import LevelSpec, Scratch, Session, Target
from test_rig.workload import BUILT_IN, Plan, Request, Sent, Silence, Tape, operation
from test_rig.workload.client import Client, Source
from test_rig.workload.pace import Pace
from test_rig.workload.speech import Speech
from test_rig.workload.tape import Writable

URL = "postgresql://postgres@127.0.0.1:5432/postgres"
PLAN = Plan(time_s=4.0, clients=10, seed=7)
ROUNDS = 3
WORKLOAD = BUILT_IN["list-append"]
ORIGIN = Origin(target="x", level="x", scenario="list-append")


class Counting(Client):
    """A client that counts what it commits, whoever writes it down."""

    committed = 0

    def do(self, request: Request, *, due_ns: int | None = None) -> bool:
        """Perform one request."""
        is_done = super().do(request, due_ns=due_ns)
        self.committed += is_done
        return is_done


def rate(scratch: Scratch, level: LevelSpec, *, is_recorded: bool) -> float:
    """Return the committed transactions a second of one run."""
    with scratch.connect("setup") as session:
        for sql, values in WORKLOAD.setup(PLAN):
            Speech(session).run(sql, *values)
    tape: Writable = Tape(SYSTEM_CLOCK) if is_recorded else Silence(SYSTEM_CLOCK)
    source = Source(WORKLOAD.generator(PLAN, Random(PLAN.seed)), Pace(None, SYSTEM_CLOCK.now_ns))

    def connect(name: str) -> Session:
        return scratch.connect(name, level=level)

    clients = [
        Counting(
            number,
            workload=WORKLOAD,
            plan=PLAN,
            level=level,
            tape=tape,
            connect=connect,
            on_session=lambda session: None,
        )
        for number in range(PLAN.clients)
    ]
    threads = [threading.Thread(target=client.work, args=(source,)) for client in clients]
    with tempfile.TemporaryDirectory() as folder, RunFolder.create(folder, "bench") as writer:
        judge = WORKLOAD.judge(PLAN)
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        while time.perf_counter() - started < PLAN.time_s:
            time.sleep(0.05)
            if isinstance(tape, Tape):
                entries = tape.take()
                writer.record_ops(ORIGIN, map(operation, entries))
                for entry in entries:
                    if not isinstance(entry, Sent):
                        judge.feed(entry)
        source.stopped.set()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
    if source.broken is not None:
        raise source.broken
    return sum(client.committed for client in clients) / seconds


def tape_cost_us() -> float:
    """Return what the two entries of a transaction cost its client, in microseconds."""
    tape, request, count = Tape(SYSTEM_CLOCK), Request("txn", (("r", 1, None),)), 100_000
    started = time.perf_counter()
    for _ in range(count):
        sent = Sent(0, request, tape.sent(0, request))
        tape.ended(sent, OpType.OK, request.value)
    return (time.perf_counter() - started) / count * 1e6


def main() -> None:
    """Measure and print."""
    url = sys.argv[1] if len(sys.argv) > 1 else URL
    rates: dict[bool, list[float]] = {False: [], True: []}
    with Target.open(url) as target:
        level = target.levels[-1] if len(target.levels) == 1 else target.levels[-2]
        print(f"{target.info.product} {target.info.version}, {level.name}, {PLAN.clients} clients")
        for _ in range(ROUNDS):
            for is_recorded in (False, True):
                with target.scratch() as scratch:
                    rates[is_recorded].append(rate(scratch, level, is_recorded=is_recorded))
    silent, recorded = (statistics.median(rates[key]) for key in (False, True))
    print(f"without recording  {silent:8.0f} transactions/s (median of {ROUNDS})")
    print(f"with recording     {recorded:8.0f} transactions/s")
    print(f"cost               {100 * (1 - recorded / silent):8.1f} %")
    print(f"two entries on the tape {tape_cost_us():.2f} us")


if __name__ == "__main__":
    main()
