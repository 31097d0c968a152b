"""A base that test files share; it is not run by itself."""

import time

from src.common.test_rig_python import PyState, PyStateHandler


class BaseTableHandler(PyStateHandler):
    columns = "id INTEGER PRIMARY KEY, name VARCHAR(50)"

    def enter(self, context):
        self.table = f"ddl_test_{int(time.time())}"
        if context.connection:
            context.connection.execute_query(f"DROP TABLE IF EXISTS {self.table}")
            context.connection.execute_query(f"CREATE TABLE {self.table} ({self.columns})")
        return PyState.connecting()

    def exit(self, context):
        if context.connection:
            context.connection.execute_query(f"DROP TABLE IF EXISTS {self.table}")
