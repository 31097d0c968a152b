"""Who waits for the results of an engine's runs."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from test_rig.errors import WorkflowError
from test_rig.workflow.result import WorkflowResult
from test_rig.workflow.store import WorkerLost

__all__ = ["ELSEWHERE", "Waiter", "Waiters", "crash_of", "refuse"]

#: In place of a run that another worker has.
ELSEWHERE = ""
#: Gets the result of a run; None where it has to be looked for in the store.
Waiter = Future[WorkflowResult | None]


class Waiters:
    """Futures by the run that they wait for."""

    def __init__(self) -> None:
        self._by_run: dict[str, list[Waiter]] = {}

    def add(self, run_id: str, waiter: Waiter) -> None:
        """Let somebody wait."""
        self._by_run.setdefault(run_id, []).append(waiter)

    def take(self, run_id: str) -> list[Waiter]:
        """Return those who wait for a run, and forget them."""
        return self._by_run.pop(run_id, [])

    def send_on(self) -> None:
        """Tell those who wait for a run that is not here that the store has what there is of it."""
        for waiter in self.take(ELSEWHERE):
            with suppress(InvalidStateError):
                waiter.set_result(None)

    def let_go(self, error: WorkflowError) -> None:
        """Tell all of them that nothing comes from here, and why."""
        runs, self._by_run = self._by_run, {}
        for waiter in [each for waiters in runs.values() for each in waiters]:
            if not isinstance(error, WorkerLost):
                refuse(waiter, error)
                continue
            with suppress(InvalidStateError):
                waiter.set_result(None)  # another worker has the run: its result will be there


def refuse(waiter: Waiter, error: WorkflowError) -> None:
    """Tell one who waits why nothing comes; whoever gave up waiting is not told."""
    with suppress(InvalidStateError):
        waiter.set_exception(error)


def crash_of(error: Exception) -> WorkflowError:
    """Return what those who wait are told when an engine cannot go on."""
    what = f"the engine failed: {type(error).__name__}: {error}"
    crash = WorkflowError(what, todo="make a new executor: it takes the runs over")
    crash.__cause__ = error
    return crash
