"""What can be awaited and need not be: results for scripts of either kind.

Existing scripts write `machine.run()`, `await machine.run()` and `asyncio.run(machine.run())`. So
a result is also something to await that gives itself at once (`Finished`), and one that is not
there yet, within an event loop, says so to whoever does not await it (`Pending`).
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, NoReturn, Self, TypeVar

from test_rig.errors import MachineError

__all__ = ["Finished", "Pending"]

T = TypeVar("T")


class Finished(Coroutine[Any, Any, Any]):
    """A result that may be awaited, which gives itself."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._at_once().__await__()

    async def _at_once(self) -> Self:
        return self

    def send(self, value: Any) -> NoReturn:
        """Finish at once, as a coroutine that has nothing to wait for."""
        del value
        raise StopIteration(self)

    def throw(self, *exc_info: Any) -> NoReturn:
        """Raise what is thrown in."""
        error = exc_info[1] if len(exc_info) > 1 and exc_info[1] is not None else exc_info[0]
        raise error

    def close(self) -> None:
        """Do nothing: there is nothing left to run."""


class Pending(Coroutine[Any, Any, T], Generic[T]):
    """Something that starts when it is awaited; what `run()` gives within an event loop.

    Args:
        coroutine: What is awaited.
        names: The attributes of what it gives: asking for one too early is told clearly.
        todo: What to write instead.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], names: frozenset[str], *, todo: str
    ) -> None:
        self._coroutine, self._names, self._todo = coroutine, names, todo

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Go on."""
        return self._coroutine.send(value)

    def throw(self, *exc_info: Any) -> Any:
        """Go on with an exception."""
        return self._coroutine.throw(*exc_info)

    def close(self) -> None:
        """Give it up."""
        self._coroutine.close()

    def __getattr__(self, name: str) -> NoReturn:
        if name in self._names:
            raise MachineError(
                f"the run has no {name} yet", todo=f"within an event loop {self._todo}"
            )
        raise AttributeError(name)
