"""Several sessions of a pool write at the same time; nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

from test_rig import State, StateContext, StateHandler

TABLE = "example_concurrent"


class ConcurrentLoadHandler(StateHandler):
    """As many writers as the pool has sessions (`database.pool_size`)."""

    def __init__(self, rows: int = 10, pool_size: int = 5) -> None:
        self.rows, self.writers = rows, pool_size

    def enter(self, context: StateContext) -> str:
        """Make the table."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")
        context.connection.query_drop(f"CREATE TABLE {TABLE} (writer INTEGER, n INTEGER)")
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Write from all of them, and count."""
        pool = context.pool()

        def write(writer: int) -> None:
            session = pool.get_connection()
            try:
                for number in range(self.rows):
                    session.query_drop(f"INSERT INTO {TABLE} VALUES ({writer}, {number})")
            finally:
                pool.return_connection(session)

        with ThreadPoolExecutor(self.writers) as threads:
            list(threads.map(write, range(self.writers)))  # raises what a writer raised
        count = context.connection.execute_query(f"SELECT COUNT(*) FROM {TABLE}")[0]["col_0"]
        expected = self.rows * self.writers
        return State.completed() if count == expected else State.error(f"{count} of {expected}")

    def exit(self, context: StateContext) -> None:
        """Remove the table."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
