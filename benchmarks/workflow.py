"""How fast are durable workflows, beside DBOS and beside what the bare storage can do?

On each store: ten sequential steps, a fan-out of a hundred tasks and a join, a thousand workflows
of one step; then how soon a killed worker's task runs again in a living one, how soon a task that
is ready starts, what an idle engine costs, and how long it takes to look at a million recorded
tasks. Every commit waits for the disk, the peers' too. What counts is the median of each, and the
ratio of medians; all run in the same invocation, each in a process of its own, in turns.

    python benchmarks/workflow.py [--rounds 3] [--records 1000000] [--postgres URL] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import psycopg

from test_rig.workflow import Executor, Workflow, task

#: What the issue of speed is: row -> (goal on SQLite, goal on PostgreSQL, unit, better is higher).
GOALS = {
    "chain_ms": (5.0, 8.0, "ms", False),
    # The goals above are for disks on which ten bare commits take 1.4 and 3.0 ms.
    "chain_added_ms": (5.0 - 1.4, 8.0 - 3.0, "ms", False),
    "fan_per_s": (10_000, 10_000, "tasks/s", True),
    "thousand_per_s": (4_000, 3_000, "workflows/s", True),
    "takeover_ms": (100.0, 100.0, "ms", False),
    "ready_ms_p99": (5.0, 5.0, "ms", False),
    "idle_cpu_percent": (1.0, 1.0, "%", False),
    "list_ms": (100.0, 100.0, "ms", False),
    "show_ms": (100.0, 100.0, "ms", False),
    "resume_ms": (100.0, 100.0, "ms", False),
}


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Return the median seconds of some repetitions, after one that does not count."""
    work()
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


# Ours


def chain() -> Workflow:
    steps = [
        task(f"c{number}", dependencies=[f"c{number - 1}"] if number else ())(
            lambda context, number=number: {f"v{number}": number}
        )
        for number in range(10)
    ]
    return Workflow("chain", steps, version="1")


def fan() -> Workflow:
    parts = [
        task(f"f{number}")(lambda context, number=number: {f"v{number}": number})
        for number in range(100)
    ]
    join = task("join", dependencies=parts)(lambda context: {"n": len(context)})
    return Workflow("fan", [*parts, join], version="1")


def ours(url: str) -> dict[str, float]:
    with Executor(url) as executor:
        ten, hundred = chain(), fan()
        one = Workflow("one", [task("one")(lambda context: {"n": 1})], version="1")
        chain_s = timed(lambda: executor.run(ten), 30)
        fan_s = timed(lambda: executor.run(hundred), 15)

        def thousand() -> None:
            for handle in [executor.submit(one) for _ in range(1000)]:
                handle.result()

        thousand_s = timed(thousand, 3)
        waits = []
        for _ in range(50):
            found = executor.saved(executor.run(ten).run_id).steps
            steps = sorted(found, key=lambda step: step.started or 0)
            waits += [(b.started or 0) - (a.finished or 0) for a, b in pairwise(steps)]
        executor.run(one)
        time.sleep(0.5)
        begun, cpu = time.perf_counter(), time.process_time()
        time.sleep(3)
        idle = (time.process_time() - cpu) / (time.perf_counter() - begun)
    return {
        "chain_ms": chain_s * 1e3,
        "fan_per_s": 101 / fan_s,
        "thousand_per_s": 1000 / thousand_s,
        "ready_ms_p99": statistics.quantiles(waits, n=100)[98] * 1e3,
        "idle_cpu_percent": idle * 100,
    }


# DBOS


def dbos(url: str) -> dict[str, float]:
    from concurrent.futures import ThreadPoolExecutor

    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})

    @DBOS.step()
    def step(number: int) -> int:
        return number

    @DBOS.workflow()
    def ten() -> int:
        return sum(step(number) for number in range(10))

    @DBOS.workflow()
    def one() -> int:
        return step(1)

    DBOS.launch()
    try:
        chain_s = timed(ten, 10)
        with ThreadPoolExecutor(32) as pool:

            def many(count: int) -> None:
                list(pool.map(lambda _: one(), range(count)))

            # DBOS has no graph of tasks: a child workflow each is its nearest fan-out.
            fan_s = timed(lambda: many(100), 2)
            count = 200
            thousand_s = timed(lambda: many(count), 1)
    finally:
        DBOS.destroy()
    return {
        "chain_ms": chain_s * 1e3,
        "fan_per_s": 100 / fan_s,
        "thousand_per_s": count / thousand_s,
    }


# The storage alone


def bare(url: str) -> dict[str, float]:
    table = "CREATE TABLE bare (run TEXT, step INTEGER, result TEXT, PRIMARY KEY (run, step))"
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute(table)

        def put(run: str, number: int) -> None:
            file.execute("INSERT INTO bare VALUES (?, ?, '{}')", (run, number))
    else:
        server = psycopg.connect(url, autocommit=True)
        server.execute(table)

        def put(run: str, number: int) -> None:
            server.execute("INSERT INTO bare VALUES (%s, %s, '{}')", (run, number), prepare=True)

    def ten() -> None:
        run = uuid.uuid4().hex
        for number in range(10):
            put(run, number)

    return {"chain_ms": timed(ten, 30) * 1e3}


# A killed worker


def slow(log: str) -> Workflow:
    def body(context: Any) -> None:
        with Path(log).open("a") as lines:
            lines.write(f"{os.getpid()} {time.time()}\n")
        time.sleep(1.0)

    return Workflow("slow", [task("slow")(body)], version="1")


def victim(url: str, log: str) -> None:
    with Executor(url) as executor:
        executor.run(slow(log))


def takeover(url: str, rounds: int) -> float:
    """Return the median milliseconds from the kill of a worker to its task in another one."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            log = Path(folder) / f"log{number}"
            process = subprocess.Popen(
                [sys.executable, __file__, "--role", "victim", "--url", url, "--log", str(log)]
            )
            while not log.exists():
                time.sleep(0.005)
            with Executor(url, workflows=[slow(str(log))]) as executor:
                time.sleep(0.3)
                process.kill()
                killed = time.time()
                process.wait()
                while len(lines := log.read_text().splitlines()) < 2:
                    time.sleep(0.002)
                found.append((float(lines[1].split()[1]) - killed) * 1e3)
                for run in executor.list(limit=1):
                    executor.handle(run.run_id).result()
    return statistics.median(found)


# A million records


def fill(url: str, records: int) -> None:
    """Record runs of ten tasks each; the newest one is paused."""
    runs = records // 10
    with Executor(url, workflows=[chain()]):
        pass
    run_row = (
        f"SELECT 'r' || i, 'chain', '1', CASE WHEN i = {runs} THEN 'Paused' ELSE 'Completed' END,"
        " '{}', 1e9 + i, 0, '{}', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 1e9 + i,"
        " 1e9 + i + 1"
    )
    step_row = "SELECT 'r' || i, 'c' || j, 'Completed', 1, '{\"v\":1}', NULL, 1e9 + i, 1e9 + i, 'w'"
    if url.startswith("sqlite"):
        number = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.execute(f"INSERT INTO wf_run {number.format(runs)} {run_row} FROM n")
            inner = f"(SELECT column1 AS j FROM (VALUES {', '.join(f'({j})' for j in range(10))}))"
            sql = f"{number.format(runs)} {step_row} FROM n, {inner} WHERE i < {runs}"
            file.execute(f"INSERT INTO wf_step {sql}")
        file.close()
        return
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"INSERT INTO wf_run {run_row} FROM generate_series(1, {runs}) AS i")
        steps = f"generate_series(1, {runs - 1}) AS i, generate_series(0, 9) AS j"
        server.execute(f"INSERT INTO wf_step {step_row} FROM {steps}")
        server.execute("ANALYZE")


def records(url: str, count: int) -> dict[str, float]:
    fill(url, count)
    with Executor(url, workflows=[chain()]) as executor:
        middle, last = f"r{count // 20}", f"r{count // 10}"
        list_s = timed(lambda: executor.list(status="Completed", limit=50), 9)
        show_s = timed(lambda: executor.describe(middle), 9)
        begun = time.perf_counter()
        executor.resume(last).result(60)  # all ten tasks of it are run
        resume_s = time.perf_counter() - begun
    return {"list_ms": list_s * 1e3, "show_ms": show_s * 1e3, "resume_ms": resume_s * 1e3}


# All of them


@contextmanager
def stores(postgres: str) -> Iterator[Callable[[str], str]]:
    """Give what makes empty stores: a file, or a database that is dropped at the end."""
    made: list[str] = []
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:

        def make(kind: str) -> str:
            if kind == "sqlite":
                return f"sqlite:///{folder}/{uuid.uuid4().hex}.db"
            name = f"wfbench_{uuid.uuid4().hex[:12]}"
            with psycopg.connect(postgres, autocommit=True) as server:
                server.execute(f"CREATE DATABASE {name}")
            made.append(name)
            return f"{postgres.rsplit('/', 1)[0]}/{name}"

        try:
            yield make
        finally:
            with psycopg.connect(postgres, autocommit=True) as server:
                for name in made:
                    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def in_own_process(role: str, url: str) -> dict[str, float]:
    """Run one contender; nothing where it is not installed."""
    done = subprocess.run(
        [sys.executable, __file__, "--role", role, "--url", url],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        print(f"  {role}: left out: {reason}", file=sys.stderr)
        return {}
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Return store -> contender -> row -> median."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    with stores(options.postgres) as make:
        for kind in ("sqlite", "postgres"):
            rounds: dict[str, list[dict[str, float]]] = {}
            for _ in range(options.rounds):
                for role in ("bare", "ours", "dbos"):
                    found = in_own_process(role, make(kind))
                    if found:
                        rounds.setdefault(role, []).append(found)
            results[kind] = {
                role: {row: statistics.median(each[row] for each in found) for row in found[0]}
                for role, found in rounds.items()
            }
            chain_ms = {role: found["chain_ms"] for role, found in results[kind].items()}
            results[kind]["ours"]["chain_added_ms"] = chain_ms["ours"] - chain_ms["bare"]
            results[kind]["ours"]["takeover_ms"] = takeover(make(kind), 3)
            if options.records:
                results[kind]["ours"] |= records(make(kind), options.records)
    return results


def show(results: dict[str, dict[str, dict[str, float]]]) -> None:
    for place, (kind, contenders) in enumerate(results.items()):
        print(f"\n{kind}")
        own = contenders["ours"]
        for row, (*goals, unit, is_higher) in GOALS.items():
            if row not in own:
                continue
            goal = goals[place]
            is_met = own[row] >= goal if is_higher else own[row] <= goal
            line = f"  {row:17} {own[row]:10.2f} {unit:11} goal {goal:>7g}"
            line += "  met   " if is_met else "  MISSED"
            for name in ("dbos", "bare"):
                other = contenders.get(name, {}).get(row)
                if other is not None:
                    ratio = own[row] / other if is_higher else other / own[row]
                    line += f"  {name} {other:.2f} (x {ratio:.1f})"
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=1_000_000)
    default = os.environ.get("TEST_RIG_PG_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
    parser.add_argument("--postgres", default=default)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "victim":
        victim(options.url, options.log)
        return
    if options.role:
        contenders = {"ours": ours, "dbos": dbos, "bare": bare}
        print(json.dumps(contenders[options.role](options.url)))
        return
    versions = f"python {platform.python_version()}, sqlite {sqlite3.sqlite_version}"
    print(f"{versions}, {os.cpu_count()} cores")
    results = measure(options)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
