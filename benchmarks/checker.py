"""How fast histories of lists are judged, and how much memory that takes.

    python benchmarks/checker.py [--transactions 100000 1000000] [--rounds 5]
    python benchmarks/checker.py --memory-of serializable 10000000

Histories are made as databases of three kinds would make them, by 20 sessions that overlap, with 1
to 7 micro-operations each, on ten keys at a time of which one is twice as busy as the next one, and
32 appends to a key until another one takes its place: *serializable* (what a transaction does
happens at its end), *snapshot isolation* (it reads what was there at its beginning; of two that
append to the same list one is rolled back), and *read committed* (each read sees what is committed
then). Each is judged for every class, with the orders of sessions and of time.

Told are medians: the wall clock and the CPU time of reading the Arrow file and judging it, in a
process of its own whose peak of memory is told too; the memory beyond the history for each
micro-operation, as the peak of a process of its own; and what the first judgement takes, with
nothing compiled and then with it. No other checker of lists was found in the registries of packages
(Elle is JVM code, the others judge registers); beside ours are the same loops uncompiled, and, on a
history that it can bear, the plain search of all cycles that the tests compare with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "checker"))

import numpy as np
from list_oracle import cycles
from numba import njit

from test_rig.checker import Checked, check, compiling, prepare
from test_rig.history import (
    History,
    HistoryBuilder,
    Mop,
    OpType,
    Timescale,
    read_history,
    write_history,
)

KINDS = ("serializable", "snapshot isolation", "read committed")
SESSIONS, KEYS, APPENDS = 20, 10, 32
SELF = (sys.executable, __file__)


@njit(cache=True)
def simulated(
    kind: int, count: int, seed: int, key_span: int, sessions: int
) -> tuple[np.ndarray, ...]:
    """Return the columns of a history; times are places of one clock."""
    np.random.seed(seed)
    most = 8 * count + 1024
    types, process = np.zeros(count, np.uint8), np.zeros(count, np.int32)
    starts, ends = np.zeros(count, np.int64), np.zeros(count, np.int64)
    mop_start = np.zeros(count + 1, np.int64)
    f, key, value = np.zeros(most, np.uint8), np.zeros(most, np.int64), np.zeros(most, np.int64)
    element_start, element = np.zeros(most + 1, np.int64), np.empty(64 * count, np.int64)
    keys = KEYS + most // APPENDS + 64
    lists = np.zeros((keys, key_span), np.int32)
    size, given = np.zeros(keys, np.int32), np.zeros(keys, np.int32)
    active = np.arange(KEYS)
    fresh = KEYS
    busy = np.zeros(sessions, np.int32)  # how many micro-operations its transaction has; 0: idle
    begun = np.zeros(sessions, np.int64)
    planned_f = np.zeros((sessions, 8), np.uint8)
    planned_key = np.zeros((sessions, 8), np.int64)
    planned_value = np.zeros((sessions, 8), np.int64)
    snapshot = np.zeros((sessions, 8), np.int32)
    clock = done = mops = elements = 0
    while done < count:
        clock += 1
        who = np.random.randint(sessions)
        if busy[who] == 0:
            busy[who] = np.random.randint(1, 8)
            begun[who] = clock
            for place in range(busy[who]):
                slot = 0
                while slot < KEYS - 1 and np.random.random() < 0.5:
                    slot += 1
                each = active[slot]
                planned_key[who, place] = each
                planned_f[who, place] = 3 if np.random.random() < 0.5 else 0
                snapshot[who, place] = size[each]
                for other in range(place):
                    if kind == 2 and planned_key[who, other] == each:
                        planned_f[who, place] = 0  # what it has locked it only appends to
                if planned_f[who, place] == 0:
                    given[each] += 1
                    planned_value[who, place] = given[each]
                    if given[each] == APPENDS:
                        active[slot] = fresh
                        fresh += 1
            continue
        for place in range(busy[who]):  # read committed: each reads at a time of its own
            if kind == 2:
                each = planned_key[who, place]
                if np.random.random() < 0.5:
                    snapshot[who, place] = size[each]
        is_ok = True
        if kind == 1:
            for place in range(busy[who]):
                if planned_f[who, place] == 0:
                    is_ok &= size[planned_key[who, place]] == snapshot[who, place]
        for place in range(busy[who]):
            each = planned_key[who, place]
            f[mops], key[mops] = planned_f[who, place], each
            if planned_f[who, place] == 0:
                value[mops] = planned_value[who, place]
                if is_ok:
                    lists[each, size[each]] = planned_value[who, place]
                    size[each] += 1
            else:
                value[mops] = -9223372036854775808
                if is_ok:
                    own = 0
                    for other in range(place):
                        own += planned_f[who, other] == 0 and planned_key[who, other] == each
                    seen = size[each] - own if kind == 0 else snapshot[who, place]
                    for offset in range(min(seen, size[each] - own)):
                        element[elements] = lists[each, offset]
                        elements += 1
                    for other in range(place):
                        if planned_f[who, other] == 0 and planned_key[who, other] == each:
                            element[elements] = planned_value[who, other]
                            elements += 1
            mops += 1
            element_start[mops] = elements
        types[done], process[done] = 0 if is_ok else 1, who
        starts[done], ends[done] = begun[who], clock
        done += 1
        mop_start[done] = mops
        busy[who] = 0
    return (
        types, process, starts, ends, mop_start, f[:mops], key[:mops], value[:mops],
        element_start[:mops], np.diff(element_start[: mops + 1]).astype(np.int32),
        element[:elements],
    )  # fmt: skip


def history_of(kind: str, count: int, seed: int = 7) -> History:
    """Return a history as a database of a kind would make it."""
    names = (
        "type", "process", "start", "end", "mop_start", "f", "key", "value",
        "element_start", "element_count", "element",
    )  # fmt: skip
    columns = simulated(KINDS.index(kind), count, seed, APPENDS, SESSIONS)
    none = np.full(count, -1, np.int32)
    return History(
        **dict(zip(names, columns, strict=True)),
        level=none,
        error_class=none,
        error_code=none,
        sql=none,
        strings=tuple(str(each) for each in range(SESSIONS)),
        clock=Timescale.PLACE,
    )


RING = 20_000


def ring_of(count: int) -> History:
    """Return a history in which all transactions are one cycle, and no shorter one is there."""
    builder = HistoryBuilder(clock=Timescale.SESSION)
    for each in range(count):
        mops = [("r", each, []), ("append", (each + 1) % count, 1)]
        builder.record(str(each), OpType.OK, mops, start=0, end=1)
    return builder.history()


COMPONENTS = 20_000


def components_of(count: int) -> History:
    """Return a history of so many groups of transactions, each of which has one class of cycle."""
    builder = HistoryBuilder(clock=Timescale.SESSION)
    for each in range(count):
        x, y = 2 * each, 2 * each + 1
        classes: tuple[list[list[Mop]], ...] = (
            [
                [("append", x, 1), ("append", y, 1)],
                [("append", x, 2), ("append", y, 2)],
                [("r", x, [1, 2])],
                [("r", y, [2, 1])],
            ],
            [[("append", x, 1), ("r", y, [2])], [("append", y, 2), ("r", x, [1])]],
            [[("append", x, 1), ("append", y, 1)], [("r", x, [1]), ("r", y, [])], [("r", y, [1])]],
            [
                [("append", x, 1)],
                [("r", x, [1]), ("r", y, [])],
                [("append", y, 1)],
                [("r", y, [1]), ("r", x, [])],
            ],
            [[("r", x, []), ("append", y, 1)], [("r", y, []), ("append", x, 1)]],
        )
        for number, mops in enumerate(classes[each % len(classes)]):
            builder.record(f"{each}.{number}", OpType.OK, mops, start=0, end=1)
    return builder.history()


def measured(history: History) -> tuple[float, float, Checked]:
    """Return the wall clock and the CPU time of a judgement in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = check(history)
    return time.perf_counter() - wall, time.process_time() - cpu, found


def told(kind: str, count: int, rounds: int) -> None:
    """Tell what judging one history takes, each time in a process that has judged a small one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.arrow"
        subprocess.run([*SELF, "--write", kind, str(count), str(path)], check=True)
        runs = []
        for _ in range(rounds):
            done = subprocess.run(
                [*SELF, "--judge", str(path)], check=True, capture_output=True, text=True
            )
            runs.append(json.loads(done.stdout))
    middle = {
        name: statistics.median(run[name] for run in runs)
        for name in ("wall_s", "read_s", "check_s", "peak")
    }
    assert len({run["answer"] for run in runs}) == 1, "two answers"
    print(
        f"{kind:18} {count:>10,} transactions {runs[0]['mops']:>11,} mops: from Arrow "
        f"{middle['wall_s']:6.3f} s wall, {middle['read_s'] + middle['check_s']:6.3f} s CPU "
        f"(read {middle['read_s']:.3f}, judge {middle['check_s']:.3f}), peak of the process "
        f"{middle['peak'] / 2**30:.2f} GiB; {runs[0]['names'] or 'nothing seen'}",
        flush=True,
    )


def judge(path: Path) -> None:
    """Read and judge a file in this process, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        # Large enough for the compiled loops: they and pyarrow are loaded before the clock runs.
        small = Path(folder) / "history.arrow"
        write_history(history_of(KINDS[2], 20_000), small)
        check(read_history(small))
    wall, cpu = time.perf_counter(), time.process_time()
    history = read_history(path)
    read = time.process_time()
    found = check(history)
    end = time.process_time()
    print(
        json.dumps(
            {
                "wall_s": time.perf_counter() - wall,
                "read_s": read - cpu,
                "check_s": end - read,
                "peak": _status("VmHWM"),
                "mops": history.mop_count,
                "names": dict(Counter(each.anomaly for each in found.seen)),
                "answer": hashlib.sha256(repr(found).encode()).hexdigest(),
            }
        )
    )


def memory(kind: str, count: int) -> None:
    """Tell the peak of memory beyond the history, in this process."""
    history = history_of(kind, count)
    check(history_of(kind, 20_000))
    # What making the history took, and has been given back, must not hide the judge's peak.
    with Path("/proc/self/clear_refs").open("w") as file:
        file.write("5")
    before = _status("VmRSS")
    wall, cpu, found = measured(history)
    peak = _status("VmHWM")
    print(
        f"{kind:18} {count:>10,} transactions: {(peak - before) / history.mop_count:5.1f} bytes a "
        f"micro-operation beyond the history, peak of the process {peak / 2**30:.2f} GiB; "
        f"{wall:.2f} s wall, {cpu:.2f} s CPU, {len(found.seen):,} anomalies",
        flush=True,
    )


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", text)[1])


def beside_others(rounds: int) -> None:
    """Judge with the same loops uncompiled, and with the plain search of the tests, in turns."""
    history = history_of(KINDS[1], 5_000)
    times: dict[str, list[float]] = {"compiled": [], "uncompiled": []}
    small, loaded = compiling.SMALL, compiling._LOADED
    for _ in range(rounds):
        for name in times:
            is_compiled = name == "compiled"
            compiling.SMALL = 0 if is_compiled else 10**12
            compiling._LOADED = loaded if is_compiled else {}
            times[name].append(measured(history)[1])
    compiling._LOADED = loaded
    fast, slow = (statistics.median(each) for each in times.values())
    print(f"5,000 transactions: {fast:.4f} s CPU, uncompiled {slow:.2f} s, {slow / fast:.0f} times")
    compiling.SMALL = 0
    history = history_of(KINDS[2], 26)
    cpu = statistics.median(measured(history)[1] for _ in range(rounds))
    plain = time.process_time()
    cycles(history)
    plain = time.process_time() - plain
    compiling.SMALL = small
    print(f"26 transactions: {cpu:.4f} s CPU, the plain search of all cycles {plain:.2f} s")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--transactions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", nargs=2, metavar=("KIND", "TRANSACTIONS"))
    parser.add_argument("--first-call", action="store_true")
    parser.add_argument("--write", nargs=3, metavar=("KIND", "TRANSACTIONS", "FILE"))
    parser.add_argument("--judge", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.memory_of:
        memory(options.memory_of[0], int(options.memory_of[1]))
        return
    if options.write:
        kind, count, path = options.write
        write_history(history_of(kind, int(count)), Path(path))
        return
    if options.judge:
        judge(options.judge)
        return
    if options.first_call:
        history = history_of(KINDS[2], 20_000)
        begun, used = time.perf_counter(), time.process_time()
        prepare(history)
        check(history)
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
        print(f"first judgement of a process: {wall:.2f} s wall, {cpu:.2f} s CPU", flush=True)
        return
    with tempfile.TemporaryDirectory() as cache:
        # `simulated` is compiled once more too; the clock runs for the judgement alone.
        fresh = dict(os.environ, NUMBA_CACHE_DIR=cache)
        print("nothing compiled yet, and then in another process:", flush=True)
        for _ in range(2):
            subprocess.run([*SELF, "--first-call"], check=True, env=fresh)
    for count in options.transactions:
        for kind in KINDS:
            told(kind, count, options.rounds)
    for count in options.transactions:
        subprocess.run([*SELF, "--memory-of", KINDS[0], str(count)], check=True)
        subprocess.run([*SELF, "--memory-of", KINDS[2], str(count)], check=True)
    check(history_of(KINDS[2], 20_000))  # it loads the compiled loops
    wall, cpu, found = measured(ring_of(RING))
    print(f"one cycle of {RING:,} transactions: {wall:.3f} s wall, {cpu:.3f} s CPU;", end=" ")
    print([(each.anomaly, len(each.transactions), each.is_shortest) for each in found.seen])
    groups = components_of(COMPONENTS)
    runs = [measured(groups) for _ in range(options.rounds)]
    names = Counter(each.anomaly for each in runs[-1][2].seen)
    assert all(each.is_shortest for each in runs[-1][2].seen)
    wall, cpu = (statistics.median(run[place] for run in runs) for place in (0, 1))
    print(
        f"{COMPONENTS:,} groups with a cycle each, {len(groups):,} transactions: "
        f"{wall:.3f} s wall, {cpu:.3f} s CPU, all of them the shortest; {dict(names)}",
        flush=True,
    )
    beside_others(options.rounds)


if __name__ == "__main__":
    main()
