"""The event loop on which a run's async functions are run to their end.

One for a run, made when an async function is first called. It belongs to the runner's thread and
stands still while no async function is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

__all__ = ["RunLoop"]


class RunLoop:
    """A loop that runs one awaitable at a time."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._task: asyncio.Task[Any] | None = None

    def finish(self, awaitable: Awaitable[Any]) -> object:
        """Run something to its end and return what it gives."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._under_task(awaitable))

    async def _under_task(self, awaitable: Awaitable[Any]) -> object:
        self._task = asyncio.current_task()
        try:
            return await awaitable
        finally:
            self._task = None

    def cancel(self) -> None:
        """Cancel what is running. From any thread."""
        runner, task = self._runner, self._task
        if runner is not None and task is not None:
            with suppress(RuntimeError):  # closed meanwhile: there is nothing left to cancel
                runner.get_loop().call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        """End the tasks that are left, and the loop."""
        if self._runner is not None:
            self._runner.close()
