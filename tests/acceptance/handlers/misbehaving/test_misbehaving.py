"""Handlers that do what handlers must not do: each costs its own verdict and nothing else."""

import os
import sys
import threading
import time

from test_rig_python import PyState, PyStateHandler

TABLE = "misbehaving_rows"


class FirstGoodHandler(PyStateHandler):
    def enter(self, context):
        context.connection.query_drop(f"DROP TABLE IF EXISTS {TABLE}")
        context.connection.query_drop(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY)")
        return PyState.connecting()

    def execute(self, context):
        context.connection.query_drop(f"INSERT INTO {TABLE} VALUES (1)")
        rows = context.connection.execute_query(f"SELECT COUNT(*) FROM {TABLE}")
        return PyState.completed() if rows[0]["col_0"] == 1 else PyState.error("no row")


class LeavingHandler(PyStateHandler):
    def execute(self, context):
        sys.exit(0)


class DyingHandler(PyStateHandler):
    """Dies while the server is busy for it, with a lock in its hands."""

    def execute(self, context):
        print("last words")
        connection = context.connection
        connection.start_transaction()
        connection.query_drop(f"UPDATE {TABLE} SET id = 4 WHERE id = 1")
        busy = {"postgresql": "SELECT pg_sleep(50)", "mysql": "SELECT SLEEP(50)"}
        sql = busy[connection.dialect.family]
        threading.Thread(target=connection.execute_query, args=(sql,), daemon=True).start()
        while not connection.is_busy:
            time.sleep(0.01)
        time.sleep(0.1)
        os._exit(7)


class OpenTransactionHandler(PyStateHandler):
    def execute(self, context):
        context.connection.start_transaction()
        context.connection.query_drop(f"UPDATE {TABLE} SET id = 2 WHERE id = 1")
        return PyState.completed()


class LockedAwayHandler(PyStateHandler):
    """Holds a lock in a thread that never ends, in a session that nobody else knows."""

    timeout_s = 1.0

    def execute(self, context):
        session = context.target.connect("hidden")
        session.start_transaction()
        session.query_drop(f"UPDATE {TABLE} SET id = 3 WHERE id = 1")
        threading.Event().wait()


class LostConnectionHandler(PyStateHandler):
    def execute(self, context):
        context.connection.close()
        context.connection.execute_query("SELECT 1")
        return PyState.completed()


class NonsenseHandler(PyStateHandler):
    def execute(self, context):
        return {"state": "Completed"}


class NothingHandler(PyStateHandler):
    def execute(self, context):
        context.connection.execute_query("SELECT 1")


class SwallowingHandler(PyStateHandler):
    def execute(self, context):
        try:
            context.connection.execute_query("SELECT * FROM no_such_table_anywhere")
        except:  # noqa: E722
            pass
        return PyState.completed()


class BlindHandler(PyStateHandler):
    def execute(self, context):
        context.connection.execute_query("SELECT 1")
        return PyState.completed()


class IdleHandler(PyStateHandler):
    pass


class ForeignHandler(PyStateHandler):
    def execute(self, context):
        context.connection.execute_query("IMPORT INTO t FROM 'file.csv'")
        return PyState.completed()


class LastGoodHandler(PyStateHandler):
    def execute(self, context):
        rows = context.connection.execute_query(f"SELECT id FROM {TABLE}")
        assert [row["id"] for row in rows] == [1], rows
        context.connection.query_drop(f"DELETE FROM {TABLE}")
        context.connection.query_drop(f"DROP TABLE {TABLE}")
        return PyState.completed()
