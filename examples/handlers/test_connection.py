"""Is the database there, is it the one that was asked for, and what is it?"""

from test_rig import State, StateContext, StateHandler


class ConnectionTestHandler(StateHandler):
    """Tells what it is connected to, and asks for one row."""

    def execute(self, context: StateContext) -> str:
        """Look at what the machine found on its way here, and at an answer."""
        print(f"{context.product} {context.server_version}, database {context.database}")
        rows = context.connection.execute_query("SELECT 1 AS one, 2 AS two")
        if rows != [{"one": 1, "two": 2}] or rows[0]["col_1"] != 2:
            return State.error(f"asked for 1 and 2, got {rows}")
        return State.completed()


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
