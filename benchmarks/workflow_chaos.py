"""Are durable workflows right when their workers are killed at random moments?

On SQLite and PostgreSQL, with one, two and four workers: workers that share runs are killed with
-9, one after another, at moments that chance picks. Afterwards no run may be lost, stuck or made
twice, no task may have a wrong result, and none may have been run again after its result was
recorded. The count of kills is printed, with the seed that repeats their moments; exit code 1 when
anything was wrong.

    python benchmarks/workflow_chaos.py [--kills 210] [--seed N] [--postgres URL]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration" / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from chaos import kill_at_random
from workflow import stores

WORKERS = (1, 2, 4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=210, help="how many in all")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--postgres", default="postgresql://postgres@127.0.0.1:5432/postgres")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    each = -(-options.kills // (2 * len(WORKERS)))
    begun, total, in_vain, faults = time.monotonic(), 0, 0, 0
    print(f"seed {options.seed}", flush=True)
    with stores(options.postgres) as make, tempfile.TemporaryDirectory(dir=Path.home()) as root:
        for kind in ("sqlite", "postgresql"):
            for workers in WORKERS:
                folder = Path(root, f"{kind}-{workers}")
                folder.mkdir()
                wreck = kill_at_random(
                    make(kind),
                    folder,
                    workers=workers,
                    kills=each,
                    runs=8 * each * workers,
                    chance=chance,
                    step_s=0.05,
                    at_once=4,
                )
                total, in_vain = total + wreck.kills, in_vain + wreck.in_vain
                faults += len(wreck.faults)
                print(
                    f"{kind:10}  {workers} workers  {wreck.kills:3} kills  {wreck.runs:4} runs  "
                    f"{wreck.tasks:5} tasks recorded  {wreck.in_vain:3} attempts in vain",
                    flush=True,
                )
                for fault in wreck.faults:
                    print(f"    WRONG: {fault}", flush=True)
    print(
        f"{total} kills in {time.monotonic() - begun:.0f} s: {in_vain} attempts run again, "
        f"{faults} things wrong"
    )
    return 1 if faults or total < options.kills else 0


if __name__ == "__main__":
    sys.exit(main())
