"""The names of `cloacina`, bound to SQLite.

Thin: everything is in `test_rig.workflow`.
"""

from test_rig.workflow import (
    Marker,
    TaskResult,
    UrlCheck,
    checked_context,
    python_tasks,
)
from test_rig.workflow import UnifiedExecutor as _UnifiedExecutor
from test_rig.workflow import Workflow as _Workflow
from test_rig.workflow import WorkflowResult as PipelineResult

__all__ = [
    "PipelineResult",
    "TaskResult",
    "UnifiedExecutor",
    "Workflow",
    "context_from_python",
    "context_to_python",
    "get_all_python_tasks",
    "is_valid_url_format",
    "task",
    "validate_database_url",
]

task = Marker("cloacina_sqlite")
context_from_python = context_to_python = checked_context
get_all_python_tasks = python_tasks
is_valid_url_format = UrlCheck("sqlite").is_valid
validate_database_url = UrlCheck("sqlite").validate


class Workflow(_Workflow):
    """A graph of the tasks that were marked through this module."""

    spelling = "cloacina_sqlite"


class UnifiedExecutor(_UnifiedExecutor):
    """Runs workflows on SQLite."""

    backend = "sqlite"
