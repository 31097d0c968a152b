"""The first generation: rows by name, plain states, no enter or exit, settings by constructor."""

import asyncio
import time

from test_rig_python import PyState, PyStateContext, PyStateHandler


class ConnectionTestHandler(PyStateHandler):
    def __init__(self):
        super().__init__()

    def enter(self, context: PyStateContext) -> str:
        print(f"Testing connection to {context.host}")
        return PyState.initial()

    def execute(self, context: PyStateContext) -> str:
        if context.connection is None:
            return PyState.connecting()
        results = context.connection.execute_query("SELECT 1 AS one")
        for row in results:
            for key, value in row.items():
                print(f"  {key}: {value}")
        return PyState.completed() if results and results[0].get("one") == 1 else PyState.initial()

    def exit(self, context: PyStateContext) -> None:
        print("Done")


class ConfigurableHandler(PyStateHandler):
    def __init__(self, config: dict):
        super().__init__()
        self.config = config

    def execute(self, context: PyStateContext) -> str:
        timeout = self.config.get("timeout", 30)
        assert context.version and timeout
        return PyState.completed()


class AsyncHandler(PyStateHandler):
    async def execute(self, context: PyStateContext) -> str:
        await asyncio.sleep(0)
        rows = context.connection.execute_query("SELECT 2 AS two")
        return PyState.completed() if rows[0]["col_0"] == 2 else "Error: no two"


class ImportJobMonitorHandler(PyStateHandler):
    """Stays in a state until its time is over; it must not be entered again meanwhile."""

    def __init__(self, duration=0.2):
        super().__init__()
        self.duration = duration
        self.entered = 0

    def enter(self, context: PyStateContext) -> str:
        self.start_time = time.time()
        self.entered += 1
        return PyState.checking_import_jobs()

    def execute(self, context: PyStateContext) -> str:
        assert self.entered == 1
        if time.time() - self.start_time < self.duration:
            time.sleep(0.05)
            return PyState.showing_import_job_details()
        assert context.connection.execute_query("SELECT 1 AS one")[0]["one"] == 1
        return PyState.completed()


class RobustHandler(PyStateHandler):
    def execute(self, context: PyStateContext) -> str:
        try:
            rows = context.connection.execute_query("SELECT 3 AS a, 4 AS a")
            assert (rows[0]["col_0"], rows[0]["col_1"], rows[0]["a"]) == (3, 4, 4)
            return PyState.completed()
        except Exception as e:
            return f"Error: {e}"


class ReconnectingHandler(PyStateHandler):
    """Asks for a fresh connection once, as examples do."""

    tries = 0

    def execute(self, context: PyStateContext) -> str:
        self.tries += 1
        if self.tries == 1:
            self.first = context.connection
            return PyState.connecting()
        assert context.connection is not self.first
        assert context.connection.execute_query("SELECT 1 AS one") == [{"one": 1}]
        return PyState.completed()


class _PrivateHandler(PyStateHandler):
    def execute(self, context):
        raise AssertionError("a private handler is not run")


handler_registry = {"connection_test": ConnectionTestHandler}

if __name__ == "__main__":
    raise SystemExit("a plugin file is not run as a script")
