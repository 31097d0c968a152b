"""How fast Jepsen's EDN is read: the fast way beside the general parser, and the other forms.

    python benchmarks/history_edn.py [--transactions 1000000]

Writes a history of lists as EDN, reads it with compiled code (once before, which compiles it) and,
a part of it, with the general parser; then writes and reads it as Arrow, Parquet and JSON lines,
and one of registers in the forms of their checkers. Times are processor seconds of this process,
medians of three; of the other forms each is written once, and read once before.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from test_rig.history import History, from_ops, read_history, read_ops, write_history
from test_rig.history.edn import error_from_edn
from test_rig.history.op_columns import columns_of_edn


def median_s(action: Callable[[], object], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        action()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def write_edn(path: Path, count: int, write: str = "append") -> None:
    rng = np.random.default_rng(7)
    with path.open("w") as file:
        for number in range(count):
            key, other, size = number // 16, int(rng.integers(0, 99)), int(rng.integers(0, 8))
            seen = " ".join(map(str, range(size)))
            read = f"[{seen}]" if write == "append" else str(size + 1)
            for place, (kind, what) in enumerate((("invoke", "nil"), ("ok", read))):
                file.write(
                    f"{{:index {2 * number + place}, :type :{kind}, :process {number % 20}, "
                    f":f :txn, :value [[:{write} {key} {number + 1}] [:r {other} {what}]], "
                    f":time {number * 1000 + place}}}\n"
                )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transactions", type=int, default=1_000_000)
    count = parser.parse_args().transactions
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.edn"
        write_edn(path, count)
        content = path.read_bytes()
        size = len(content) / 1e6
        begun = time.process_time()
        history = columns_of_edn(content, error_from_edn)
        assert isinstance(history, History)
        first = time.process_time() - begun
        fast = median_s(lambda: columns_of_edn(content, error_from_edn))
        whole = median_s(lambda: read_history(path))
        part = Path(folder) / "part.edn"
        cut = content.index(b"\n", len(content) // 20) + 1
        part.write_bytes(content[:cut])
        slow = median_s(lambda: from_ops(read_ops(part)))
        print(f"EDN, {count} transactions, {size:.0f} MB")
        print(f"  first time, with compiling   {first:8.2f} s")
        print(f"  text to columns              {fast:8.2f} s {size / fast:8.1f} MB/s")
        print(f"  whole file, with validation  {whole:8.2f} s {size / whole:8.1f} MB/s")
        print(f"  general parser, a 20th of it {slow:8.2f} s {cut / 1e6 / slow:8.1f} MB/s")
        print(f"  ratio {size / fast / (cut / 1e6 / slow):.0f}")
        tell(history, ("h.arrow", "h.parquet", "h.edn", "h.jsonl"), Path(folder))
        write_edn(path, count, "w")
        registers = read_history(path)
        tell(registers, ("h.plume", "h.json", "h.hist", "h.awdit"), Path(folder))


def tell(history: History, names: tuple[str, ...], folder: Path) -> None:
    for name in names:
        to = folder / name
        wrote = median_s(lambda: write_history(history, to), 1)  # noqa: B023 - called at once
        read_history(to)
        read = median_s(lambda: read_history(to), 1)  # noqa: B023 - called at once
        print(
            f"{to.suffix[1:]:8} {len(history)} transactions, {to.stat().st_size / 1e6:.0f} MB: "
            f"written in {wrote:.2f} s, read in {read:.2f} s"
        )


if __name__ == "__main__":
    main()
