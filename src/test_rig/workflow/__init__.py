"""Durable graphs of Python tasks, on SQLite or PostgreSQL.

`@task` marks a function, `Workflow` puts tasks together, `Executor(database_url)` runs them: each
result is recorded once, with what it makes runnable, and a run goes on where it was when its
process is killed.
"""

from test_rig.workflow.active import Limits, Progress
from test_rig.workflow.catalog import Marker, all_tasks, is_task, task
from test_rig.workflow.definition import Workflow
from test_rig.workflow.describe import Described, DescribedTask
from test_rig.workflow.drawing import graph_svg, graph_text
from test_rig.workflow.earlier import (
    UnifiedExecutor,
    UrlCheck,
    checked_context,
    discover_backends,
    python_tasks,
)
from test_rig.workflow.emitting import Emitting
from test_rig.workflow.executor import Executor, RunHandle
from test_rig.workflow.ledger import Ledger
from test_rig.workflow.pruning import Pruned
from test_rig.workflow.records import AttemptRow, Failure, Saved, StepRow
from test_rig.workflow.result import TaskResult, WorkflowResult
from test_rig.workflow.retry import RetryPolicy
from test_rig.workflow.rules import (
    Rule,
    all_of,
    always,
    any_of,
    context_value,
    none_of,
    task_failed,
    task_skipped,
    task_success,
)
from test_rig.workflow.schedules import Schedule
from test_rig.workflow.states import RunStatus, TaskStatus
from test_rig.workflow.task import Task, TaskContext

__all__ = [
    "AttemptRow",
    "Described",
    "DescribedTask",
    "Emitting",
    "Executor",
    "Failure",
    "Ledger",
    "Limits",
    "Marker",
    "Progress",
    "Pruned",
    "RetryPolicy",
    "Rule",
    "RunHandle",
    "RunStatus",
    "Saved",
    "Schedule",
    "StepRow",
    "Task",
    "TaskContext",
    "TaskResult",
    "TaskStatus",
    "UnifiedExecutor",
    "UrlCheck",
    "Workflow",
    "WorkflowResult",
    "all_of",
    "all_tasks",
    "always",
    "any_of",
    "checked_context",
    "context_value",
    "discover_backends",
    "graph_svg",
    "graph_text",
    "is_task",
    "none_of",
    "python_tasks",
    "task",
    "task_failed",
    "task_skipped",
    "task_success",
]
