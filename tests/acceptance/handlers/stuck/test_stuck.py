"""Handlers that never come back."""

import re
import time

from test_rig_python import PyState, PyStateHandler


class LoopingHandler(PyStateHandler):
    timeout_s = 0.5

    def execute(self, context):
        while True:
            try:
                pass
            except BaseException:  # noqa: BLE001
                pass


class SleepingHandler(PyStateHandler):
    timeout_s = 0.5

    def execute(self, context):
        time.sleep(1000)


class HoldingHandler(PyStateHandler):
    timeout_s = 0.5

    def execute(self, context):
        context.connection.execute_query("SELECT 1 AS one")
        re.match(r"(a+)+$", "a" * 60 + "b")  # holds the interpreter for ever


class AfterwardsHandler(PyStateHandler):
    def execute(self, context):
        assert context.connection.execute_query("SELECT 1 AS one") == [{"one": 1}]
        return PyState.completed()
