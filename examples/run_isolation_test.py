"""Is a repeatable read repeatable? Two sessions, seven steps.

    python3 examples/run_isolation_test.py --host db.example:4000 --user root --test-rows 10

It takes the options of `test-rig run` (`--host`, `--user`, `--password`, `--database`, `--config`,
`--url`, ...), and environment and settings files as every command does; `--test-rows N` is
`test.rows`. A test file as any other, too: `test-rig run examples/run_isolation_test.py`.
"""

import os
import unittest

from test_rig import State, StateContext, StateHandler, unique_name

#: Levels at which a second read gives what the first one gave.
LEVELS = ("repeatable-read", "snapshot", "wal-deferred")


class IsolationTestHandler(StateHandler):
    """Reads 50, and 50 again after another session committed 999, and 999 in the end."""

    def __init__(self, rows: int = 10) -> None:
        self.rows = max(rows, 1)
        self.table = unique_name("isolation_test_rows")

    def enter(self, context: StateContext) -> str:
        """Make the rows, and two sessions."""
        levels = {level.key: level for level in context.target.levels}
        level = next((levels[name] for name in LEVELS if name in levels), None)
        if level is None:
            raise unittest.SkipTest(f"no such level here: {', '.join(levels)}")
        self.level = level
        session = context.connection
        session.query_drop(f"CREATE TABLE {self.table} (id INTEGER PRIMARY KEY, value INTEGER)")
        mark = session.dialect.placeholder
        rows = [(number, 50) for number in range(1, self.rows + 1)]
        session.execute_batch(f"INSERT INTO {self.table} VALUES ({mark}, {mark})", rows)
        self.reader = context.close_at_end(context.target.connect("reader", level=level))
        self.writer = context.close_at_end(context.target.connect("writer", level=level))
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Go through the steps."""
        self.reader.start_transaction(isolation=self.level)  # 1
        first = self.read()  # 2
        with self.writer.transaction():  # 3
            self.writer.query_drop(f"UPDATE {self.table} SET value = 999 WHERE id = 1")  # 4
        second = self.read()  # 5
        self.reader.commit()  # 6
        last = self.read()  # 7
        print(f"{self.level.name}: {first}, then {second}, after the commit {last}")
        if (first, second, last) != (50, 50, 999):
            return State.error(f"read {first}, {second} and {last} instead of 50, 50 and 999")
        return State.completed()

    def read(self) -> int:
        """Read what the first row says."""
        return self.reader.execute_query(f"SELECT value FROM {self.table} WHERE id = 1")[0]["value"]

    def exit(self, context: StateContext) -> None:
        """Remove the rows."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {self.table}")


def as_run_options(arguments: list[str]) -> list[str]:
    """Return the options of `test-rig run`; `--test-rows N` becomes the setting `test.rows`."""
    options = []
    waiting = iter(arguments)
    for argument in waiting:
        name, is_given, value = argument.partition("=")
        if name == "--test-rows":
            os.environ["TEST_RIG_TEST_ROWS"] = value if is_given else next(waiting, "none")
        else:
            options.append(argument)
    return options


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, "--show-output", *as_run_options(sys.argv[1:])])
