"""Several connections at once, as the later generation writes it."""

from src.common.test_rig_python import MultiConnectionTestHandler, PyState, PyStateContext


class ConcurrentReadHandler(MultiConnectionTestHandler):
    def __init__(self):
        super().__init__(connection_count=3)

    def enter(self, context: PyStateContext) -> str:
        super().enter(context)
        return PyState.connecting()

    def execute(self, context: PyStateContext) -> str:
        operations = [
            {"connection_id": number, "operation": "query", "query": f"SELECT {number} AS n"}
            for number in range(3)
        ]
        operations.append({"connection_id": 9, "operation": "query", "query": "SELECT 1"})
        results = self.execute_concurrent_operations(operations)
        statuses = [result["status"] for result in results]
        if statuses != ["success", "success", "success", "error"]:
            return PyState.error(str(statuses))
        counts = [result["result"][0].get("col_0", 0) for result in results[:3]]
        return PyState.completed() if counts == [0, 1, 2] else PyState.error(str(counts))


class GetConnectionsHandler(MultiConnectionTestHandler):
    def enter(self, context: PyStateContext) -> str:
        return PyState.connecting()

    def execute(self, context: PyStateContext) -> str:
        first, second = self.get_connections(context, 2)
        first.start_transaction()
        assert second.execute_query("SELECT 1 AS one")[0]["one"] == 1
        first.rollback()
        return PyState.completed()
