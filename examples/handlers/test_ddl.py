"""Tables change while they hold rows."""

from test_rig import State, StateContext, StateHandler

TABLE = "example_ddl"


class AlterTableHandler(StateHandler):
    """A new column has its default in the rows that were there; an index keeps them unique."""

    def enter(self, context: StateContext) -> str:
        """Make a table with two rows."""
        session = context.connection
        session.query_drop(f"DROP TABLE IF EXISTS {TABLE}")
        session.query_drop(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name VARCHAR(20))")
        session.query_drop(f"INSERT INTO {TABLE} VALUES (1, 'ann'), (2, 'ben')")
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Add a column and an index, and look at both."""
        session = context.connection
        session.query_drop(f"ALTER TABLE {TABLE} ADD COLUMN age INTEGER DEFAULT 7")
        ages = [row["age"] for row in session.execute_query(f"SELECT age FROM {TABLE}")]
        if ages != [7, 7]:
            return State.error(f"ages are {ages}")
        session.query_drop(f"CREATE INDEX {TABLE}_age ON {TABLE} (age)")
        count = session.execute_query(f"SELECT COUNT(*) FROM {TABLE} WHERE age = 7")[0]["col_0"]
        return State.completed() if count == 2 else State.error(f"{count} rows by the index")

    def exit(self, context: StateContext) -> None:
        """Remove the table."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
