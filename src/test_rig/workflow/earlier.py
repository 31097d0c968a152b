"""The names of earlier scripts, on the same engine: `UnifiedExecutor` and what stands beside it.

The modules `cloacina`, `cloacina_sqlite` and `cloacina_postgres` bind these to a spelling and to a
backend, and hold nothing of their own.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from test_rig.errors import WorkflowError, WorkflowUrlError
from test_rig.workflow.catalog import all_tasks
from test_rig.workflow.definition import Workflow
from test_rig.workflow.executor import Executor
from test_rig.workflow.store import read_address
from test_rig.workflow.task import Task
from test_rig.workflow.values import encoded

__all__ = [
    "BACKENDS",
    "UnifiedExecutor",
    "UrlCheck",
    "checked_context",
    "discover_backends",
    "python_tasks",
]

#: The backends that can be there, each a module `cloacina_<name>`.
BACKENDS = ("postgres", "sqlite")


class UnifiedExecutor:
    """An executor that is initialized with a URL and awaited.

    >>> import asyncio
    >>> executor = UnifiedExecutor()
    >>> asyncio.run(executor.initialize("sqlite://:memory:"))
    >>> executor.is_initialized
    True
    >>> executor.shutdown()
    """

    #: The only backend whose URLs are taken; both where None.
    backend: str | None = None

    def __init__(self) -> None:
        self._executor: Executor | None = None

    @property
    def is_initialized(self) -> bool:
        """Whether there is a store to run on."""
        return self._executor is not None

    async def initialize(self, database_url: str) -> None:
        """Open the store.

        Raises:
            ValueError: It is no URL of this backend.
        """
        self.shutdown()
        self._executor = await asyncio.to_thread(Executor, database_url, backend=self.backend)

    async def execute(
        self, workflow: Workflow, context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run a workflow; return its status, its final context and its tasks' results."""
        if self._executor is None:
            todo = "await executor.initialize(database_url) first"
            raise WorkflowError("the executor is not initialized", todo=todo)
        return (await self._executor.submit(workflow, context)).as_dict()

    def shutdown(self) -> None:
        """Close the store; the executor can be initialized again."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()


class UrlCheck:
    """What a backend says of a URL."""

    def __init__(self, backend: str | None) -> None:
        self._backend = backend

    def is_valid(self, url: object) -> bool:
        """Return whether it is a URL of this backend."""
        try:
            read_address(url, backend=self._backend)
        except WorkflowUrlError:
            return False
        return True

    def validate(self, url: object) -> None:
        """Raise `ValueError` unless it is a URL of this backend."""
        read_address(url, backend=self._backend)


def checked_context(context: Any) -> Any:
    """Return a context as JSON gives it back; `ValueError` with the keys that JSON cannot hold."""
    return encoded(context, where="context")[1]


def python_tasks(spelling: str | None = None) -> dict[str, Callable[..., Any] | Task]:
    """Return all tasks that were marked, by id, through whichever module."""
    return dict(all_tasks(spelling))


def discover_backends() -> dict[str, ModuleType]:
    """Return the backends that can be imported here, by name."""
    found = {}
    for name in BACKENDS:
        try:
            found[name] = importlib.import_module(f"cloacina_{name}")
        except ImportError:
            continue  # its driver is not installed
    return found
