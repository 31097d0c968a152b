"""What does the evidence of a handler add to its statements?

Two sessions of one target answer the same query in turns: a plain one, and one whose statements
and answers are recorded as `test-rig run` records them. What counts is the median of each round.
What a session adds to the bare driver is the business of `session_statement.py`.

    python benchmarks/handler_evidence.py [--rounds 40] [--queries 100] [URL...]

PostgreSQL and MariaDB on their standard ports of this machine are asked where no URL is given.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from test_rig.machine import State
from test_rig.suite.evidence import Recorder
from test_rig.suite.journal import Journal
from test_rig.targets import Session, Target, observe_sessions

URLS = ("postgresql://postgres@127.0.0.1:5432/postgres", "mysql://root@127.0.0.1:3306/test")
QUERY = "SELECT 1 AS one"


def measured(sessions: dict[str, Session], rounds: int, queries: int) -> dict[str, float]:
    """Return the median of microseconds a query, the sessions taking turns."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(rounds + 1):
        for name, session in sessions.items():
            started = time.perf_counter()
            for _ in range(queries):
                assert session.execute_query(QUERY)[0]["one"] == 1
            if turn:  # the first is to warm up
                times[name].append((time.perf_counter() - started) / queries * 1e6)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("urls", nargs="*", default=URLS)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    for url in options.urls:
        recorder = Recorder(
            lambda: State.Initial,
            lambda _: True,
            secret=None,
            on_session=lambda _: None,
            journal=Journal(),
        )
        with Target.open(url) as target, target.connect("plain") as plain:
            with observe_sessions(recorder.opened):
                recorded = target.connect("recorded")
            sessions = {"plain": plain, "recorded": recorded}
            medians = measured(sessions, options.rounds, options.queries)
            recorded.close()
            product = f"{target.info.product} {target.info.version}"
        added = medians["recorded"] / medians["plain"] - 1
        print(
            f"{product:<40} plain {medians['plain']:7.1f} us   "
            f"recorded {medians['recorded']:7.1f} us   added {added:6.1%}"
        )


if __name__ == "__main__":
    main()
