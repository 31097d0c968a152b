"""What is committed stays, what is rolled back was never there."""

from test_rig import State, StateContext, StateHandler


class AccountsHandler(StateHandler):
    """A base for tests with two accounts; a test itself, of the sum that it starts with."""

    table = "example_accounts"

    def enter(self, context: StateContext) -> str:
        """Make the accounts."""
        session = context.connection
        session.query_drop(f"DROP TABLE IF EXISTS {self.table}")
        session.query_drop(f"CREATE TABLE {self.table} (id INTEGER PRIMARY KEY, balance INTEGER)")
        session.query_drop(f"INSERT INTO {self.table} VALUES (1, 100), (2, 100)")
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Look at both."""
        return self.expect(context, [100, 100])

    def expect(self, context: StateContext, balances: list[int]) -> str:
        """Compare the balances."""
        sql = f"SELECT balance FROM {self.table} ORDER BY id"
        found = [row["balance"] for row in context.connection.execute_query(sql)]
        return State.completed() if found == balances else State.error(f"{found}, not {balances}")

    def move(self, context: StateContext, amount: int) -> None:
        """Move money from the first to the second."""
        update = f"UPDATE {self.table} SET balance = balance"
        context.connection.query_drop(f"{update} - {amount} WHERE id = 1")
        context.connection.query_drop(f"{update} + {amount} WHERE id = 2")

    def exit(self, context: StateContext) -> None:
        """Remove them."""
        context.connection.query_drop(f"DROP TABLE IF EXISTS {self.table}")


class CommitHandler(AccountsHandler):
    """A committed transfer is there."""

    def execute(self, context: StateContext) -> str:
        """Transfer in a transaction."""
        with context.connection.transaction():
            self.move(context, 30)
        return self.expect(context, [70, 130])


class RollbackHandler(AccountsHandler):
    """A transfer that was rolled back was never there."""

    def execute(self, context: StateContext) -> str:
        """Transfer, then think better of it."""
        context.connection.start_transaction()
        self.move(context, 30)
        context.connection.rollback()
        return self.expect(context, [100, 100])


class SavepointHandler(AccountsHandler):
    """What came after a savepoint can be undone by itself."""

    def execute(self, context: StateContext) -> str:
        """Keep the first transfer, undo the second."""
        session = context.connection
        session.start_transaction()
        self.move(context, 10)
        session.query_drop("SAVEPOINT before_the_second")
        self.move(context, 50)
        session.query_drop("ROLLBACK TO SAVEPOINT before_the_second")
        session.commit()
        return self.expect(context, [90, 110])


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
