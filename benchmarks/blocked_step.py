"""How soon is a blocked step recognised, and how long does a whole server take?

For PostgreSQL and MariaDB: the time from sending a step that has to wait until the server has said
twice that it waits, over many such steps; the time of one permutation, beside PostgreSQL's own
isolation tester where it is installed; and the time of all built-in scenarios at all levels.

    python benchmarks/blocked_step.py [--count 60] [--json FILE]

Servers: TEST_RIG_PG_URL and TEST_RIG_MARIADB_URL, or those on this machine's usual ports. One that
does not answer is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.errors import TargetError
from test_rig.scenario import BUILT_IN, Spec, parse_spec, run_scenario, run_spec
from test_rig.targets import Target

URLS = {
    "PostgreSQL": os.environ.get(
        "TEST_RIG_PG_URL", "postgresql://postgres@127.0.0.1:5432/postgres"
    ),
    "MariaDB": os.environ.get("TEST_RIG_MARIADB_URL", "mysql://root@127.0.0.1:3306/test"),
}
SPEC = """
setup { CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); }
setup { INSERT INTO t VALUES (1, 1); }
teardown { DROP TABLE t; }
session s1 step s1b { BEGIN; } step s1u { UPDATE t SET v = 2 WHERE id = 1; } step s1c { COMMIT; }
session s2 step s2b { BEGIN; } step s2u { UPDATE t SET v = 3 WHERE id = 1; } step s2c { COMMIT; }
"""
ORDER = "permutation s1b s1u s2b s2u s1c s2c\n"
TESTERS = sorted(Path("/usr/lib/postgresql").glob("*/lib/pgxs/src/test/isolation/isolationtester"))


def blocked_steps(target: Target, spec: Spec) -> dict[str, Any]:
    """Play the specification and return the times of its blocked steps, in milliseconds."""
    started = time.perf_counter()
    with target.scratch() as scratch:
        seen = [
            step.blocked_seen_ns / 1e6
            for transcript in run_spec(spec, scratch)
            for step in transcript.steps
            if step.blocked_seen_ns is not None
        ]
    seconds = time.perf_counter() - started
    count = spec.permutation_count
    assert len(seen) == count, f"{count - len(seen)} of {count} blocked steps were not seen"
    return {
        "blocked_steps": count,
        "seen_ms_median": statistics.median(seen),
        "seen_ms_p90": statistics.quantiles(seen, n=10)[8],
        "seen_ms_max": max(seen),
        "permutation_ms": seconds / count * 1e3,
    }


def tester_ms(target: Target, text: str, count: int) -> float | None:
    """Return the milliseconds that the isolation tester takes for one permutation."""
    if not TESTERS:
        return None
    schema, url = f"rig_bench_{secrets.token_hex(4)}", target.url
    where = f"host={url.host} port={url.port} user={url.user} dbname={url.database}"
    with target.connect() as session:
        session.execute(f"CREATE SCHEMA {schema}")
        try:
            started = time.perf_counter()
            subprocess.run(
                [str(TESTERS[-1]), f"{where} options='-c search_path={schema}'"],
                input=text.encode(),
                capture_output=True,
                check=True,
                timeout=120,
            )
            return (time.perf_counter() - started) / count * 1e3
        finally:
            session.execute(f"DROP SCHEMA {schema} CASCADE")


def all_levels(target: Target) -> dict[str, Any]:
    """Play every built-in scenario at every level, and return the time."""
    started, runs = time.perf_counter(), 0
    for level in target.levels:
        with target.scratch() as scratch:
            for scenario in BUILT_IN.values():
                run_scenario(scenario, scratch, level)
                runs += 1
    return {"all_levels_s": time.perf_counter() - started, "scenario_runs": runs}


def measured(url: str, count: int) -> dict[str, Any] | None:
    """Return one server's numbers, or None where it does not answer."""
    text = SPEC + ORDER * count
    with Target.open(url, connect_timeout_s=2) as target:
        try:
            info = target.info
        except TargetError as error:
            print(f"left out: {error}", file=sys.stderr)
            return None
        numbers = {"version": info.version, **blocked_steps(target, parse_spec(text))}
        if info.product == "PostgreSQL":
            numbers["isolationtester_permutation_ms"] = tester_ms(target, text, count)
        return {**numbers, **all_levels(target)}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the numbers as a small table, one server to a column."""
    keys = list(dict.fromkeys(key for numbers in results.values() for key in numbers))
    lines = [f"{'':32}" + "".join(f"{name:>20}" for name in results)]
    for key in keys:
        cells = (numbers.get(key) for numbers in results.values())
        shown = ("" if c is None else f"{c:.1f}" if isinstance(c, float) else str(c) for c in cells)
        lines.append(f"{key:32}" + "".join(f"{text[:19]:>20}" for text in shown))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="how many blocked steps")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    found = {name: measured(url, options.count) for name, url in URLS.items()}
    results = {name: numbers for name, numbers in found.items() if numbers is not None}
    print(table(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
