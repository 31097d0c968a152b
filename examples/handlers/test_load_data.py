"""Rows loaded the fastest way that the database has, and counted."""

from test_rig import State, StateContext, StateHandler

TABLE = "example_load"


class LoadDataHandler(StateHandler):
    """Loads `rows` rows: `--set LoadDataHandler.rows=100000`."""

    def __init__(self, rows: int = 10) -> None:
        self.rows = rows

    def enter(self, context: StateContext) -> str:
        """Make the table."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")
        context.connection.query_drop(f"CREATE TABLE {TABLE} (id INTEGER, name VARCHAR(40))")
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Load, then compare count and sum."""
        session = context.connection
        rows = [(number, f"name {number}, 'quoted', \t with a tab") for number in range(self.rows)]
        session.bulk_load(TABLE, ["id", "name"], rows)
        found = session.execute_query(f"SELECT COUNT(*) AS n, SUM(id) AS total FROM {TABLE}")[0]
        expected = (self.rows, sum(range(self.rows)))
        if (found["n"], int(found["total"] or 0)) != expected:
            return State.error(f"count and sum are {dict(found)}, not {expected}")
        last = session.execute_query(f"SELECT name FROM {TABLE} WHERE id = {self.rows - 1}")
        return State.completed() if last == [{"name": rows[-1][1]}] else State.error(str(last))

    def exit(self, context: StateContext) -> None:
        """Remove the table."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
