"""How often the witnesses of workloads occur again when they are played.

    python benchmarks/witness_replay.py [--tries 5] [--time 4] [--workload list-append] [URL ...]

The workload runs at every level of every target; what it shows is reduced to its smallest history,
put into an order of steps and played so many times on the same level.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.isolation import Level
from test_rig.rig import replay_witness
from test_rig.scenario import witness_steps
from test_rig.settings import AppConfig
from test_rig.targets import Target
from test_rig.verdict import Witness
from test_rig.workload import Plan, find_workload, run_workload

URLS = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "mysql://root@127.0.0.1:3306/test",
    "sqlite://",
    "duckdb://",
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("urls", nargs="*", default=URLS)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--time", type=float, default=4.0)
    parser.add_argument("--workload", default="list-append")
    chosen = parser.parse_args()
    workload, plan = find_workload(chosen.workload), Plan(time_s=chosen.time, seed=7)
    print("| target, level | anomaly | transactions | occurred again |")
    print("|---|---|---|---|")
    for url in chosen.urls:
        with Target.open(url) as target:
            for level in target.levels:
                with target.scratch() as scratch:
                    findings = run_workload(workload, scratch, level, plan).findings
                for finding in findings:
                    where = f"| {target.info.product} {level.name} | {finding.anomaly} |"
                    if finding.history is None:
                        print(f"{where} - | no witness |", flush=True)
                        continue
                    dirty = level.claim is Level.READ_UNCOMMITTED
                    steps = witness_steps(finding.history, shows_uncommitted=dirty)
                    witness = Witness(anomaly=finding.anomaly, told="", steps=steps)
                    played = replay_witness(
                        AppConfig(),
                        witness,
                        [url],
                        level=level.key,
                        times=chosen.tries,
                        on_try=lambda number, occurred: None,
                    )
                    size = len(finding.history.transactions)
                    print(f"{where} {size} | {played.occurred} of {played.tries} |", flush=True)


if __name__ == "__main__":
    main()
