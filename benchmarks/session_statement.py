"""What does a session of the rig add to a point query over the bare driver?

The same connection answers the same query by primary key in turns: through the driver alone
(psycopg, PyMySQL), and through `Session.execute_query`, which watches a deadline, keeps account of
the statement, reads every result set and makes rows of names and positions. Statements are not
prepared on either side: the rig never does so behind one's back. What counts is the median of each.

    python benchmarks/session_statement.py [--rounds 60] [--queries 100] [--json FILE] [URL...]

PostgreSQL and MariaDB on their standard ports of this machine are asked where no URL is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.targets import Session, Target

#: What the rig may add at most.
GOAL = 0.10
ROWS = 1_000
URLS = ("postgresql://postgres@127.0.0.1:5432/postgres", "mysql://root@127.0.0.1:3306/test")
QUERY = "SELECT v FROM test_rig_points WHERE id = %s"


def contenders(session: Session) -> dict[str, Callable[[int], Any]]:
    """Return the two ways to ask, on one connection."""
    connection = session._wire._connection  # type: ignore[attr-defined]  # the bare driver's

    def bare(number: int) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(QUERY, (number,))
            return cursor.fetchall()

    def rig(number: int) -> Any:
        return session.execute_query(QUERY, (number,))

    return {"driver": bare, "test-rig": rig}


def measured(session: Session, rounds: int, queries: int) -> dict[str, list[float]]:
    """Return microseconds a query of every round, the contenders taking turns."""
    session.query_drop("CREATE TEMPORARY TABLE test_rig_points (id INT PRIMARY KEY, v INT)")
    rows = [(number, number) for number in range(ROWS)]
    session.execute_batch("INSERT INTO test_rig_points VALUES (%s, %s)", rows)
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, ask in contenders(session).items():
            started = time.perf_counter()
            for number in range(queries):
                ask(number % ROWS)
            spent_us = (time.perf_counter() - started) / queries * 1e6
            if turn:  # the first is to warm up
                times.setdefault(name, []).append(spent_us)
    return times


def main() -> None:
    """Measure, print, and keep the numbers where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("urls", nargs="*", default=URLS)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for url in options.urls:
        with Target.open(url) as target:
            product = f"{target.info.product} {target.info.version}"
            session = target.connect()
            times = measured(session, options.rounds, options.queries)
            session.close()
        medians = {name: statistics.median(each) for name, each in times.items()}
        added = medians["test-rig"] / medians["driver"] - 1
        print(
            f"{product:<24} driver {medians['driver']:7.1f} us   test-rig "
            f"{medians['test-rig']:7.1f} us   added {added:6.1%}   goal: {GOAL:.0%}"
        )
        found[product] = {"us": times, "medians_us": medians, "added": added}
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
