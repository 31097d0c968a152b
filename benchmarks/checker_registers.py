"""How fast histories of registers are judged, and how much memory that takes.

    python benchmarks/checker_registers.py [--transactions 1000000] [--rounds 3]
    python benchmarks/checker_registers.py --memory-of "read committed" 1000000

Histories are made as databases of several kinds would make them, by 20 sessions that overlap, with
1 to 7 micro-operations each, half of them writes, on 1,000 keys at a time, and 32 writes of a key
until another one takes its place: *serializable* (what a transaction does happens at its end),
*snapshot isolation* (it reads what was there at its beginning; of two that write the same key one
is rolled back), *read committed* (each read sees what is committed at a time of its own), *old
reads* (serializable, but for one read in 1,000 that sees the value before the last one), and
*replica* (serializable, but for one session that reads what all had written 1,000 transactions ago
at least).

Told are medians of the CPU time of each level's step, after the index and the line that all need,
and of the whole verdict with the orders of sessions and of time; the peak of the memory of a
process of its own; and what the first judgement takes, with nothing compiled and then with it.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
from numba import njit

from test_rig.checker import Checked, check, prepare
from test_rig.checker.register_atomic import atomic_reach
from test_rig.checker.register_causal import Causality
from test_rig.checker.register_index import index_registers
from test_rig.checker.register_order import line_up
from test_rig.history import NIL, History, Timescale

T = TypeVar("T")

KINDS = ("serializable", "snapshot isolation", "read committed", "old reads", "replica")
SESSIONS, KEYS, WRITES, LAG = 20, 1000, 32, 1000


@njit(cache=True)
def simulated(kind: int, count: int, seed: int, nil: int) -> tuple[np.ndarray, ...]:
    """Return the columns of a history; times are places of one clock."""
    np.random.seed(seed)
    most = 8 * count + 1024
    types, process = np.zeros(count, np.uint8), np.zeros(count, np.int32)
    starts, ends = np.zeros(count, np.int64), np.zeros(count, np.int64)
    mop_start = np.zeros(count + 1, np.int64)
    f, key, value = np.zeros(most, np.uint8), np.zeros(most, np.int64), np.zeros(most, np.int64)
    keys = KEYS + most // WRITES + 64
    now, before = np.zeros(keys, np.int32), np.zeros(keys, np.int32)
    replica, given = np.zeros(keys, np.int32), np.zeros(keys, np.int32)
    active = np.arange(KEYS)
    fresh = KEYS
    busy = np.zeros(SESSIONS, np.int32)  # how many micro-operations its transaction has; 0: idle
    begun = np.zeros(SESSIONS, np.int64)
    planned_f = np.zeros((SESSIONS, 8), np.uint8)
    planned_key = np.zeros((SESSIONS, 8), np.int64)
    planned_value = np.zeros((SESSIONS, 8), np.int64)
    seen = np.zeros((SESSIONS, 8), np.int32)
    clock = done = mops = 0
    while done < count:
        clock += 1
        who = np.random.randint(SESSIONS)
        if busy[who] == 0:
            busy[who] = np.random.randint(1, 8)
            begun[who] = clock
            for place in range(busy[who]):
                slot = np.random.randint(KEYS)
                each = active[slot]
                planned_key[who, place] = each
                planned_f[who, place] = 1 if np.random.random() < 0.5 else 2
                seen[who, place] = now[each]
                if planned_f[who, place] == 1:
                    given[each] += 1
                    planned_value[who, place] = given[each]
                    if given[each] == WRITES:
                        active[slot] = fresh
                        fresh += 1
            continue
        for place in range(busy[who]):  # read committed: each reads at a time of its own
            if kind == 2 and np.random.random() < 0.5:
                seen[who, place] = now[planned_key[who, place]]
        is_ok = True
        if kind == 1:
            for place in range(busy[who]):
                if planned_f[who, place] == 1:
                    is_ok &= now[planned_key[who, place]] == seen[who, place]
        for place in range(busy[who]):
            each = planned_key[who, place]
            f[mops], key[mops] = planned_f[who, place], each
            if planned_f[who, place] == 1:
                value[mops] = planned_value[who, place]
            elif is_ok:
                found = seen[who, place] if kind == 1 or kind == 2 else now[each]
                if kind == 3 and np.random.random() < 0.001:
                    found = before[each]
                elif kind == 4 and who == 0:
                    found = replica[each]
                for other in range(place):
                    if planned_f[who, other] == 1 and planned_key[who, other] == each:
                        found = planned_value[who, other]
                value[mops] = nil if found == 0 else found
            else:
                value[mops] = nil
            mops += 1
        if is_ok:
            for place in range(busy[who]):
                each = planned_key[who, place]
                if planned_f[who, place] == 1:
                    is_last = True
                    for other in range(place + 1, busy[who]):
                        if planned_f[who, other] == 1 and planned_key[who, other] == each:
                            is_last = False
                    if is_last:
                        before[each] = now[each]
                        now[each] = planned_value[who, place]
        types[done], process[done] = 0 if is_ok else 1, who
        starts[done], ends[done] = begun[who], clock
        done += 1
        if kind == 4 and done % LAG == 0:
            for each in range(keys):
                replica[each] = now[each]
        mop_start[done] = mops
        busy[who] = 0
    return types, process, starts, ends, mop_start, f[:mops], key[:mops], value[:mops]


def history_of(kind: str, count: int, seed: int = 7) -> History:
    """Return a history as a database of a kind would make it."""
    names = ("type", "process", "start", "end", "mop_start", "f", "key", "value")
    columns = simulated(KINDS.index(kind), count, seed, NIL)
    none, mops = np.full(count, -1, np.int32), len(columns[-1])
    return History(
        **dict(zip(names, columns, strict=True)),
        level=none,
        error_class=none,
        error_code=none,
        sql=none,
        element_start=np.zeros(mops, np.int64),
        element_count=np.zeros(mops, np.int32),
        element=np.zeros(0, np.int64),
        strings=tuple(map(str, range(SESSIONS))),
        clock=Timescale.PLACE,
    )


def timed(what: str, action: Callable[[], T], rounds: int) -> T:
    """Tell the median of the CPU time."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        result = action()
        times.append(time.process_time() - begun)
    print(f"  {what:40} {statistics.median(times):7.2f} s CPU", flush=True)
    return result


def told(kind: str, count: int, rounds: int) -> None:
    """Tell what judging one history takes, step by step."""
    history = history_of(kind, count)
    print(f"{kind}: {count:,} transactions, {history.mop_count:,} micro-operations", flush=True)
    registers = timed("index", lambda: index_registers(history), rounds)
    line = timed("line", lambda: line_up(registers), rounds)
    timed("read atomic", lambda: atomic_reach(registers, line), rounds)
    timed("causal consistency", lambda: Causality(registers, line).derived(), rounds)
    found = timed("the whole verdict, all levels", lambda: check(history), rounds)
    print(f"    {said(found)}", flush=True)


def said(found: Checked) -> str:
    """Return the verdict and how many of each anomaly there are."""
    return f"{found.verdict.value}: {dict(Counter(seen.anomaly for seen in found.seen))}"


def memory(kind: str, count: int) -> None:
    """Tell the peak of the memory of this process, and how much of it is the history."""
    check(history_of(kind, 20_000))
    base = _status("VmRSS")
    history = history_of(kind, count)
    # What making the history took, and has been given back, must not hide the judge's peak.
    with Path("/proc/self/clear_refs").open("w") as file:
        file.write("5")
    before = _status("VmRSS")
    begun = time.process_time()
    found = check(history)
    cpu, peak = time.process_time() - begun, _status("VmHWM")
    print(
        f"{kind:18} {count:>10,} transactions: the program {base / 1e6:4.0f} MB, the history "
        f"{(before - base) / 1e6:4.0f} MB, the judgement {(peak - before) / 1e6:5.0f} MB "
        f"({(peak - before) / history.mop_count:.0f} bytes a micro-operation), together "
        f"{peak / 1e6:5.0f} MB; {cpu:.2f} s CPU, {len(found.seen):,} anomalies",
        flush=True,
    )


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", text)[1])


def first_call() -> None:
    """Tell what the first judgement of a process takes."""
    history = history_of(KINDS[2], 20_000)
    begun, used = time.perf_counter(), time.process_time()
    prepare(history)
    check(history)
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    other = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(
        f"first judgement of a process: {wall:.2f} s wall, {cpu:.2f} s CPU, "
        f"and {other:.2f} s CPU of the process beside it",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", nargs=2, metavar=("KIND", "TRANSACTIONS"))
    parser.add_argument("--first-call", action="store_true")
    options = parser.parse_args()
    if options.memory_of:
        memory(options.memory_of[0], int(options.memory_of[1]))
        return
    if options.first_call:
        first_call()
        return
    self = [sys.executable, __file__]
    with tempfile.TemporaryDirectory() as cache:
        # `simulated` is compiled once more too; the clock runs for the judgement alone.
        fresh = dict(os.environ, NUMBA_CACHE_DIR=cache)
        print("nothing compiled yet, and then in another process:", flush=True)
        for _ in range(2):
            subprocess.run([*self, "--first-call"], check=True, env=fresh)
    check(history_of(KINDS[2], 20_000))
    for kind in options.kinds:
        told(kind, options.transactions, options.rounds)
    for kind in options.kinds:
        subprocess.run([*self, "--memory-of", kind, str(options.transactions)], check=True)


if __name__ == "__main__":
    main()
