"""The later generation: `src.common`, positions, transactions as calls and as statements."""

import os
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "..", ".."))

from ddl_base import BaseTableHandler  # noqa: E402

from src.common.test_rig_python import PyState, PyStateContext  # noqa: E402


class CreateTableHandler(BaseTableHandler):
    def execute(self, context: PyStateContext) -> str:
        connection = context.connection
        assert connection.execute_query(f"SELECT * FROM {self.table}") == []
        connection.execute_query(f"INSERT INTO {self.table} VALUES (1, 'ddl_test'), (2, 'b')")
        result = connection.execute_query(f"SELECT COUNT(*) FROM {self.table}")
        count = result[0]["col_0"]
        result = connection.execute_query(f"SELECT id, name FROM {self.table} ORDER BY id")
        if count == 2 and any("ddl_test" in str(row) for row in result):
            return PyState.completed()
        return PyState.error(f"{count} rows")


class TransactionHandler(CreateTableHandler):
    """Inherits indirectly; its base is in this file, and is run too."""

    def execute(self, context: PyStateContext) -> str:
        connection = context.connection
        connection.start_transaction()
        connection.execute_query(f"INSERT INTO {self.table} VALUES (1, 'a')")
        connection.rollback()
        connection.execute_query("BEGIN")
        connection.execute_query(f"INSERT INTO {self.table} VALUES (2, 'b')")
        connection.execute_query("SAVEPOINT one")
        connection.execute_query(f"INSERT INTO {self.table} VALUES (3, 'c')")
        connection.execute_query("ROLLBACK TO SAVEPOINT one")
        connection.execute_query("COMMIT")
        rows = connection.execute_query(f"SELECT id FROM {self.table}")
        assert [row.get("col_0", 0) for row in rows] == [2]
        assert "id" in rows[0] and "col_0" in rows[0] and list(rows[0]) == ["id"]
        return "completed"


class WorkingFolderHandler(BaseTableHandler):
    """Its folder is the working folder; `python` is on PATH; files beside it are found."""

    def execute(self, context: PyStateContext) -> str:
        assert os.path.samefile(os.getcwd(), os.path.dirname(os.path.abspath(__file__)))
        assert os.path.exists("ddl_base.py")
        done = subprocess.run(["python", "-c", "print(6 * 7)"], capture_output=True, text=True)
        assert done.stdout.strip() == "42", done
        rows = context.connection.execute_query("SELECT 1 AS one")
        return PyState.completed() if rows[0]["one"] == 1 else PyState.error("no one")
