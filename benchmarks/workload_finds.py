"""How soon a workload finds the weakest level that a database's level violates.

    python benchmarks/workload_finds.py [--runs 10] [--time 10] [--clients 10] [URL ...]

Every level of every target is run that often with list-append, each time from another seed. A run
ends when what was seen violates the weakest level that the database's level is known to violate;
where it is known to violate none the run takes the whole time. What a level is known to forbid and
was seen all the same is an accusation: its witness is put before a second judge, the plain one that
the tests compare the checker with. If that one finds nothing it is a false accusation, else the
database has broken its claim. How it stands is told once a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "checker"))

from list_oracle import anomalies, cycles

from test_rig.checker import history_of
from test_rig.isolation import history_levels, weakest_broken
from test_rig.targets import LevelSpec, Scratch, Target
from test_rig.verdict import WorkloadFinding
from test_rig.workload import Plan, Progress, find_workload, run_workload

URLS = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "mysql://root@127.0.0.1:3306/test",
    "sqlite://",
    "duckdb://",
)
RC, RU, SI = "read committed", "read uncommitted", "snapshot isolation"
#: By product and level: the worst anomaly that it lets happen and lists can show, and the strongest
#: level that it keeps. All others are serializable.
KNOWN = {
    ("PostgreSQL", "read-uncommitted"): ("lost-update", RC),
    ("PostgreSQL", "read-committed"): ("lost-update", RC),
    ("PostgreSQL", "repeatable-read"): ("G2-item", SI),
    ("MariaDB", "read-uncommitted"): ("G1b", RU),
    ("MariaDB", "read-committed"): ("lost-update", RC),
    ("MariaDB", "repeatable-read"): ("lost-update", RC),
    ("SQLite", "shared-cache-read-uncommitted"): ("G1b", RU),
    ("DuckDB", "snapshot"): ("G2-item", SI),
}


@dataclass(slots=True)
class Outcome:
    """What the runs of one level came to."""

    wanted: tuple[str, ...]
    kept: str
    runs: int = 0
    committed: int = 0
    #: When each run that found it did, in seconds.
    found_s: list[float] = field(default_factory=list)
    #: What was seen of what the level forbids, as the second judge sees it.
    true: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """Return what to print."""
        found = f"{len(self.found_s)} of {self.runs}" if self.wanted else "-"
        times = "-"
        if self.found_s:
            times = f"{statistics.median(self.found_s):.1f} ({max(self.found_s):.1f})"
        told = (", ".join(each) or "none" for each in (self.true, self.false))
        return (", ".join(self.wanted) or "none", found, times, f"{self.committed:,}", *told)


def run_once(scratch: Scratch, level: LevelSpec, plan: Plan, outcome: Outcome) -> None:
    """Run the workload until it has found what it can, or the time is over."""
    found: list[float] = []

    def look(progress: Progress) -> None:
        names = {each.flaw.anomaly for each in progress.shown}
        if outcome.wanted and weakest_broken(names) == outcome.wanted:
            found.append(progress.elapsed_s)
            raise KeyboardInterrupt  # ends the run, which is then judged

    verdict = run_workload(find_workload("list-append"), scratch, level, plan, on_progress=look)
    names = {each.anomaly for each in verdict.findings}
    if outcome.wanted and not found and weakest_broken(names) == outcome.wanted:
        found.append(verdict.duration_s)
    outcome.runs += 1
    outcome.committed += verdict.ok
    outcome.found_s += found
    for each in verdict.findings:
        if each.anomaly in history_levels()[outcome.kept]:
            print(f"  {level.name}: {'; '.join(each.witnesses[:1])}", file=sys.stderr)
            (outcome.true if is_shown(each) else outcome.false).append(each.anomaly)


def is_shown(finding: WorkloadFinding) -> bool:
    """Return whether the second judge finds the anomaly in its witness too."""
    if finding.history is None:
        return False
    history = history_of(finding.history)
    names = {name for name, _ in anomalies(history)}
    return finding.anomaly in names | {name for name, _ in cycles(history)}


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("urls", nargs="*", default=URLS)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--time", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=10)
    chosen = parser.parse_args()
    print(
        "| target, level | weakest level violated | found in | after s (longest) | committed |"
        " claim broken by | false accusations |"
    )
    print("|---|---|---|---|---|---|---|")
    for url in chosen.urls:
        with Target.open(url) as target:
            for level in target.levels:
                worst, kept = KNOWN.get((target.info.product, level.key), ("", "serializable"))
                outcome = Outcome(wanted=weakest_broken({worst} - {""}), kept=kept)
                for seed in range(1, chosen.runs + 1):
                    plan = Plan(time_s=chosen.time, clients=chosen.clients, seed=seed)
                    with target.scratch() as scratch:
                        run_once(scratch, level, plan, outcome)
                cells = (f"{target.info.product} {level.name}", *outcome.cells())
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
