"""Several async operations at the same time: all of them awaited, none lost.

`join` is for a few whose results are wanted together, `JoinSet` for many that are taken as they
end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self

__all__ = ["JoinOutcome", "JoinSet", "JoinStatus", "join"]


async def join(*operations: Awaitable[Any]) -> tuple[Any, ...]:
    """Await all operations at the same time and return their results in order.

    All are awaited to their end, also when one fails; then the first error is raised, and notes
    tell of the others.

    >>> async def give(value: int) -> int:
    ...     return value
    >>> asyncio.run(join(give(1), give(2)))
    (1, 2)
    """
    results = await asyncio.gather(*operations, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        first, *others = errors
        for other in others:
            first.add_note(f"another operation failed: {type(other).__name__}: {other}")
        raise first
    return tuple(results)


class JoinStatus(Enum):
    """How a task ended."""

    COMPLETED = "completed"
    #: It raised an exception.
    FAILED = "failed"
    #: It was cancelled, or ended as nothing in it should have: `sys.exit()`, for one.
    PANICKED = "panicked"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOutcome:
    """What came of one task."""

    #: Counts from 0, in the order of spawning.
    index: int
    status: JoinStatus
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class JoinSet:
    """Tasks that run at the same time and are taken as they end.

    It is an async context manager: leaving it cancels what still runs, and waits for that.

    >>> async def total() -> int:
    ...     async with JoinSet() as tasks:
    ...         for number in range(10):
    ...             tasks.spawn(asyncio.sleep(0, number))
    ...         return sum([outcome.result() async for outcome in tasks])
    >>> asyncio.run(total())
    45
    """

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[JoinOutcome], tuple[int, Coroutine[Any, Any, Any]]] = {}
        self._spawned = 0

    def __len__(self) -> int:
        """How many were spawned and not yet taken."""
        return len(self._running)

    def spawn(self, operation: Coroutine[Any, Any, Any] | Callable[[], Any]) -> int:
        """Start a coroutine, or a plain function in a thread, and return its index."""
        index, self._spawned = self._spawned, self._spawned + 1
        coroutine = asyncio.to_thread(operation) if callable(operation) else operation
        self._running[asyncio.ensure_future(_guarded(index, coroutine))] = (index, coroutine)
        return index

    async def join_next(self) -> JoinOutcome | None:
        """Wait for the next task that ends, and return what came of it; None when none is left."""
        if not self._running:
            return None
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        task = min(done, key=lambda each: self._running[each][0])
        index, coroutine = self._running.pop(task)
        if task.cancelled():
            coroutine.close()  # it may not even have begun
            error = asyncio.CancelledError("the task was cancelled")
            return JoinOutcome(index=index, status=JoinStatus.PANICKED, error=error)
        return task.result()

    async def join_all(self) -> list[JoinOutcome]:
        """Wait for all tasks, and return what came of each, in the order of spawning."""
        outcomes = [outcome async for outcome in self]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    def abort_all(self) -> None:
        """Cancel what runs. What runs in threads goes on there to its end."""
        for task in self._running:
            task.cancel()

    async def __aiter__(self) -> AsyncIterator[JoinOutcome]:
        while (outcome := await self.join_next()) is not None:
            yield outcome

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort_all()
        await self.join_all()


async def _guarded(index: int, operation: Awaitable[Any]) -> JoinOutcome:
    try:
        value = await operation
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the door: it is what came of the task
        return JoinOutcome(index=index, status=JoinStatus.FAILED, error=error)
    except SystemExit as error:
        return JoinOutcome(index=index, status=JoinStatus.PANICKED, error=error)
    return JoinOutcome(index=index, status=JoinStatus.COMPLETED, value=value)
