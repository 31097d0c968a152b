"""What it costs to find the smallest part of a large history that shows an anomaly.

    python benchmarks/witness_reduction.py [--transactions 1000000]

A history of lists in which one read in a hundred is stale shows anomalies of many classes, among
much that shows none. Told are, for each class, the size of its witness and the CPU time that it
took to find (the median of three).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.checker import check, one_of_each, reduce
from test_rig.history import History, HistoryBuilder, Mop, OpType

_KEYS, _PER_KEY, _SESSIONS = 8, 32, 10


def weak_history(count: int, random: Random) -> History:
    """Return so many transactions, one after the other, of which some read what is old."""
    builder = HistoryBuilder()
    keys, fresh = list(range(_KEYS)), _KEYS
    lists: dict[int, list[int]] = {}
    for number in range(count):
        mops: list[Mop] = []
        for _ in range(random.randint(1, 5)):
            place = random.randrange(_KEYS)
            values = lists.setdefault(keys[place], [])
            if random.random() < 0.5:
                values.append(len(values))
                mops.append(("append", keys[place], values[-1]))
                if len(values) == _PER_KEY:
                    keys[place], fresh = fresh, fresh + 1
            else:
                old = random.randint(1, 2) if random.random() < 0.01 else 0
                mops.append(("r", keys[place], values[: max(len(values) - old, 0)]))
        at = 10 * number
        builder.record(str(number % _SESSIONS), OpType.OK, mops, start=at, end=at + 9)
    return builder.history()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--transactions", type=int, default=1_000_000)
    history = weak_history(parser.parse_args().transactions, Random(1))
    found = check(history).seen
    print(f"{len(history):,} transactions, {history.mop_count:,} micro-operations")
    print("| anomaly | transactions | micro-operations | nothing can be taken | CPU s |")
    print("|---|---|---|---|---|")
    for seen in one_of_each(found):
        times = []
        for _ in range(3):
            started = time.process_time()
            small = reduce(history, seen)
            times.append(time.process_time() - started)
        cells = (len(small.history), small.history.mop_count, small.is_minimal)
        told = " | ".join(map(str, cells))
        print(f"| {seen.anomaly} | {told} | {statistics.median(times):.2f} |", flush=True)


if __name__ == "__main__":
    main()
