"""Handlers that give what is no text where text is meant."""

import os

from test_rig_python import PyState, PyStateHandler


class HalfCharacterHandler(PyStateHandler):
    def execute(self, context):
        return PyState.error("\ud800\x1b[31m")


class HalfStatementHandler(PyStateHandler):
    def execute(self, context):
        try:
            context.connection.execute_query("SELECT '\ud800'")
        except Exception:  # noqa: BLE001 - swallowed on purpose: it is told as doubtful
            pass
        return PyState.completed()


class BytesHandler(PyStateHandler):
    def execute(self, context):
        assert context.connection.execute_query(b"SELECT 1")[0]["col_0"] == 1
        return PyState.completed()


class GarbageHandler(PyStateHandler):
    """Writes where the rig talks to itself, and dies."""

    def execute(self, context):
        context.connection.execute_query("SELECT 1")
        for descriptor in range(3, 30):
            try:
                os.write(descriptor, b"garbage\n{}\n" * 20)
            except OSError:
                pass
        os._exit(1)


class LastGoodHandler(PyStateHandler):
    def execute(self, context):
        assert context.connection.execute_query("SELECT 1 AS one") == [{"one": 1}]
        return PyState.completed()
