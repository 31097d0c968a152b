"""How fast registers are judged: each level's algorithm, and the whole verdict.

    python benchmarks/checker_registers.py [--transactions 1000000] [--sessions 20]

Histories of four micro-operations a transaction, half of them writes, on 1,000 keys at a time that
are changed after 32 writes: one serial, and one in which reads see older values of their keys. The
steps are timed as processor seconds of this process, medians of three after one that compiles. A
level takes its own step after the index and the line; the verdict takes all that the history needs.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from test_rig.checker import check
from test_rig.checker.register_atomic import atomic_reach
from test_rig.checker.register_causal import Causality
from test_rig.checker.register_index import index_registers
from test_rig.checker.register_order import line_up
from test_rig.history import NIL, History, Timescale

T = TypeVar("T")


def timed(what: str, action: Callable[[], T], rounds: int) -> T:
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        result = action()
        times.append(time.process_time() - begun)
    print(f"  {what:46} {statistics.median(times):8.2f} s")
    return result


def serial(count: int, sessions: int) -> History:
    rng = np.random.default_rng(1)
    keys, per, writes_each = 1000, 4, 32
    mops = count * per
    f = np.where(rng.random(mops) < 0.5, 1, 2).astype(np.uint8)
    slots = rng.integers(0, keys, mops).tolist()
    key, value = np.empty(mops, np.int64), np.empty(mops, np.int64)
    written, last, turn = [0] * keys, [int(NIL)] * keys, [0] * keys
    for mop, (kind, slot) in enumerate(zip(f.tolist(), slots, strict=True)):
        if kind == 1:
            if written[slot] == writes_each:
                turn[slot], written[slot] = turn[slot] + 1, 0
            written[slot] += 1
            last[slot] = written[slot]
        key[mop], value[mop] = slot + keys * turn[slot], last[slot]
    start = np.arange(count, dtype=np.int64) * 10
    nothing = np.full(count, -1, np.int32)
    return History(
        type=np.zeros(count, np.uint8),
        process=rng.integers(0, sessions, count).astype(np.int32),
        start=start,
        end=start + rng.integers(5, 9, count),
        level=nothing,
        error_class=nothing,
        error_code=nothing,
        sql=nothing,
        mop_start=np.arange(count + 1, dtype=np.int64) * per,
        f=f,
        key=key,
        value=value,
        element_start=np.zeros(mops, np.int64),
        element_count=np.zeros(mops, np.int32),
        element=np.zeros(0, np.int64),
        strings=tuple(map(str, range(sessions))),
        clock=Timescale.NS,
    )


def weakened(history: History, share: float) -> History:
    rng = np.random.default_rng(2)
    value = history.value.copy()
    reads = np.flatnonzero((history.f == 2) & (value > 1))
    value[rng.choice(reads, int(len(reads) * share), replace=False)] -= 1
    return replace(history, value=value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=20)
    options = parser.parse_args()
    history = serial(options.transactions, options.sessions)
    small = weakened(serial(40_000, options.sessions), 0.001)
    begun = time.process_time()
    check(small)
    print(f"first verdict, with compiling {time.process_time() - begun:.1f} s")
    for name, each in (
        ("serial", history),
        ("one read in 100,000 older", weakened(history, 0.00001)),
        ("one read in 1,000 older", weakened(history, 0.001)),
    ):
        print(f"{len(each)} transactions, {each.mop_count} micro-operations, {name}")
        registers = timed("index", lambda: index_registers(each), 3)  # noqa: B023 - at once
        line = timed("line", lambda: line_up(registers), 3)  # noqa: B023 - at once
        timed(
            "monotonic atomic view and read atomic",
            lambda: atomic_reach(registers, line),  # noqa: B023 - at once
            3,
        )
        timed(
            "causal consistency",
            lambda: Causality(registers, line).derived(),  # noqa: B023 - at once
            3,
        )
        found = timed("the whole verdict, all levels", lambda: check(each), 1)  # noqa: B023
        print(f"    {found.verdict.value}: {dict(Counter(seen.anomaly for seen in found.seen))}")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB, histories too")


if __name__ == "__main__":
    main()
