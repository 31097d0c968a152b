"""What a transaction sees of another's commit, at two levels."""

import unittest

from test_rig import State, StateContext, StateHandler

TABLE = "example_levels"


class NonRepeatableReadHandler(StateHandler):
    """READ COMMITTED sees a commit that came meanwhile; REPEATABLE READ does not."""

    def enter(self, context: StateContext) -> str:
        """Make a row, and another session that will change it."""
        levels = [level.key for level in context.target.levels]
        if "repeatable-read" not in levels:
            raise unittest.SkipTest(f"it has other levels: {', '.join(levels)}")
        session = context.connection
        session.query_drop(f"DROP TABLE IF EXISTS {TABLE}")
        session.query_drop(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, n INTEGER)")
        session.query_drop(f"INSERT INTO {TABLE} VALUES (1, 0)")
        self.other = context.close_at_end(context.target.connect("other"))
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Read twice in one transaction, with a commit in between."""
        differs = {
            level: self.differs(context, level) for level in ("read-committed", "repeatable-read")
        }
        if differs != {"read-committed": True, "repeatable-read": False}:
            return State.error(f"non-repeatable reads: {differs}")
        return State.completed()

    def differs(self, context: StateContext, level: str) -> bool:
        """Return whether the second read differs from the first one."""
        session, sql = context.connection, f"SELECT n FROM {TABLE}"
        with session.transaction(isolation=level):
            first = session.execute_query(sql)
            self.other.query_drop(f"UPDATE {TABLE} SET n = n + 1")
            second = session.execute_query(sql)
        return first != second

    def exit(self, context: StateContext) -> None:
        """Remove the row."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
