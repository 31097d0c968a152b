"""`from cloacina import task, Workflow, UnifiedExecutor`: every backend that is installed.

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
from test_rig.workflow import discover_backends as _discover_backends

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

task = Marker("cloacina")
context_from_python = context_to_python = checked_context
get_all_python_tasks = python_tasks
is_valid_url_format = UrlCheck(None).is_valid
validate_database_url = UrlCheck(None).validate


class Workflow(_Workflow):
    """A graph of the tasks that were marked through this module."""

    spelling = "cloacina"


class UnifiedExecutor(_UnifiedExecutor):
    """Runs workflows on either database."""

    backend = None
