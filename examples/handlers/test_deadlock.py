"""Two transactions that wait for each other: one is ended by the server, and runs again."""

import unittest

from test_rig import MultiConnectionTestHandler, State, StateContext

TABLE = "example_deadlock"


class DeadlockReplayHandler(MultiConnectionTestHandler):
    """Both transactions are there in the end, whichever was the victim."""

    def enter(self, context: StateContext) -> str:
        """Make two rows."""
        if context.url.is_embedded:
            raise unittest.SkipTest("one writer at a time: no deadlock can be made")
        session = context.connection
        session.query_drop(f"DROP TABLE IF EXISTS {TABLE}")
        session.query_drop(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, n INTEGER)")
        session.query_drop(f"INSERT INTO {TABLE} VALUES (1, 0), (2, 0)")
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Update the rows in opposite orders, at the same time."""
        self.get_connections(context, 2)
        operations = []
        for number, order in enumerate([(1, 2), (2, 1)]):
            add = f"UPDATE {TABLE} SET n = n + 1 WHERE id = "
            operations += [
                {"connection_id": number, "operation": "start_transaction"},
                {"connection_id": number, "operation": "query", "query": f"{add}{order[0]}"},
                {"connection_id": number, "operation": "query", "query": f"{add}{order[1]}"},
                {"connection_id": number, "operation": "commit"},
            ]
        results = self.execute_concurrent_operations(operations)
        failed = [result for result in results if result["status"] == "error"]
        if failed:
            return State.error(f"not replayed: {failed[0]['error']}")
        print(f"{self.replay_count} transactions were run again")
        rows = context.connection.execute_query(f"SELECT n FROM {TABLE} ORDER BY id")
        return State.completed() if [row["n"] for row in rows] == [2, 2] else State.error(str(rows))

    def exit(self, context: StateContext) -> None:
        """Close the connections, remove the rows."""
        super().exit(context)
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
