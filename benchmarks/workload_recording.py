"""What recording a workload's history costs: the same clients without it, with it, and judged too.

    python benchmarks/workload_recording.py [URL]

Runs of each kind take turns, so that all meet the same load of the machine: clients that write
nothing down; clients that write to the tape, which is taken and written to a run folder's history
as in `test-rig workload run`; the same, and the judge is asked again and again. Told are the
medians of committed transactions a second and of the rig's CPU time for each, and the ratios. The
CPU time is what counts on a machine that others use: the cost of the rate where the rig is the
bottleneck.
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
from test_rig.workload import BUILT_IN, Entry, Plan, Request, Sent, Silence, Tape
from test_rig.workload.admission import Admission
from test_rig.workload.asking import Asking
from test_rig.workload.client import Client, Source
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.pace import Pace
from test_rig.workload.readiness import make_ready
from test_rig.workload.speech import Speech
from test_rig.workload.tape import Writable

URL = "postgresql://postgres@127.0.0.1:5432/postgres"
PLAN = Plan(time_s=3.0, clients=10, seed=7)
ROUNDS = 5
WORKLOAD = BUILT_IN["list-append"]
KINDS = ("without recording", "with recording", "recorded and judged")
ORIGIN = Origin(target="x", level="x", scenario="list-append")


class Counting(Client):
    """A client that counts what it commits, whoever writes it down."""

    committed = tried = 0

    def do(self, request: Request, *, due_ns: int | None = None) -> bool:
        """Perform one request."""
        is_done = super().do(request, due_ns=due_ns)
        self.committed += is_done
        self.tried += 1
        return is_done


def feed(judge: HistoryJudge, entries: list[Entry]) -> None:
    """Hand what happened to whoever makes transactions of it."""
    for entry in entries:
        if isinstance(entry, Sent):
            judge.transactions.begun(entry.process, entry.request, entry.time_ns)
        else:
            judge.feed(entry)


def measured(scratch: Scratch, level: LevelSpec, kind: str) -> tuple[float, float]:
    """Return the committed transactions a second of one run, and the CPU of each in ms."""
    with scratch.connect("setup", level=level) as session:
        for sql, values in WORKLOAD.setup(PLAN):
            Speech(session).run(sql, *values)
    tape: Writable = Silence(SYSTEM_CLOCK) if kind == KINDS[0] else Tape(SYSTEM_CLOCK)
    source = Source(WORKLOAD.generator(PLAN, Random(PLAN.seed)), Pace(None, SYSTEM_CLOCK.now_ns))

    def connect(name: str) -> Session:
        return scratch.connect(name, level=level)

    admission = Admission(PLAN.clients)
    clients = [
        Counting(
            number,
            workload=WORKLOAD,
            plan=PLAN,
            level=level,
            tape=tape,
            connect=connect,
            on_session=lambda process, session: None,
            admission=admission,
        )
        for number in range(PLAN.clients)
    ]
    threads = [threading.Thread(target=client.work, args=(source,)) for client in clients]
    with tempfile.TemporaryDirectory() as folder, RunFolder.create(folder, "bench") as writer:
        judge = HistoryJudge(WORKLOAD.name)
        asking = Asking(judge, source)
        started, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        if kind == KINDS[2]:
            asking.start()
        flushed = started
        while (now := time.perf_counter()) - started < PLAN.time_s:
            time.sleep(0.05)
            if isinstance(tape, Tape):
                feed(judge, tape.take())
                if now - flushed > 1.0:
                    writer.record_transactions(ORIGIN, judge.take({}))
                    flushed = now
        source.stopped.set()
        for thread in threads:
            thread.join()
        asking.stop()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    if source.broken is not None:
        raise source.broken
    # Refused transactions cost as much: what was tried is what was paid for.
    tried = sum(client.tried for client in clients)
    return sum(client.committed for client in clients) / seconds, cpu / tried * 1000


def own_cost_ms() -> float:
    """Return the CPU time that recording one transaction takes by itself: tape, history, file."""
    tape, count = Tape(SYSTEM_CLOCK), 20_000
    request = Request("txn", (("r", 1, None), ("append", 2, 9), ("r", 3, None)))
    value = (("r", 1, tuple(range(16))), ("append", 2, 9), ("r", 3, tuple(range(16))))
    with tempfile.TemporaryDirectory() as folder, RunFolder.create(folder, "bench") as writer:
        started = time.process_time()
        judge = HistoryJudge(WORKLOAD.name)
        for _ in range(count):
            tape.ended(Sent(0, request, tape.sent(0, request)), OpType.OK, value)
        feed(judge, tape.take())
        writer.record_transactions(ORIGIN, judge.take({}))
        return (time.process_time() - started) / count * 1000


def main() -> None:
    """Measure and print."""
    url = sys.argv[1] if len(sys.argv) > 1 else URL
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    make_ready("list-append")  # as a run does before its clients begin
    with Target.open(url) as target:
        level = target.levels[0]
        print(f"{target.info.product} {target.info.version}, {level.name}, {PLAN.clients} clients")
        for _ in range(ROUNDS):
            for kind in KINDS:
                with target.scratch() as scratch:
                    rate, cost = measured(scratch, level, kind)
                rates[kind].append(rate)
                costs[kind].append(cost)
    base_rate, base_cost = (statistics.median(each[KINDS[0]]) for each in (rates, costs))
    for kind in KINDS:
        rate, cost = statistics.median(rates[kind]), statistics.median(costs[kind])
        print(
            f"{kind:20} {rate:7.0f}/s ({100 * (rate / base_rate - 1):+5.1f} %)   "
            f"{cost:6.3f} ms of CPU each ({100 * (cost / base_cost - 1):+5.1f} %)"
        )
    own = own_cost_ms()
    print(f"by itself {own:.3f} ms of CPU a transaction: {100 * own / base_cost:.1f} %")


if __name__ == "__main__":
    main()
