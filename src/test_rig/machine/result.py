"""What a run leaves: where it ended, why, and what was called when.

Existing scripts run a machine in three ways: `machine.run()`, `await machine.run()` and
`asyncio.run(machine.run())`; `awaiting` says how all three are served.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from test_rig.machine.awaiting import Finished
from test_rig.machine.states import State
from test_rig.machine.trace import Phase, Trace, Visit
from test_rig.resilience import ErrorContext
from test_rig.telemetry import Alert, Measurement
from test_rig.verdict import ResultStatus

__all__ = ["RESULT_NAMES", "RunFailure", "RunResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """Why a run failed. `str()` tells all of it, on several lines; passwords are taken out."""

    #: One line.
    message: str
    #: The operation, the attempt, and where the connection led.
    context: ErrorContext
    #: Python's traceback from the handler's own code on; None where nothing was raised.
    traceback: str | None = None
    #: What was raised, for those who want to raise it again.
    exception: BaseException | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        parts = [self.message, f"  in {self.context}"]
        return "\n".join(parts if self.traceback is None else [*parts, self.traceback.rstrip()])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(Finished):
    """How a run of a machine ended. Awaiting it gives itself."""

    #: `Completed`, or an error state.
    final_state: State
    #: passed; failed (a handler answered an error, or an assertion did not hold); error; timed_out.
    status: ResultStatus
    #: Why it failed; None where it passed.
    error: RunFailure | None
    #: Every call, in order.
    trace: Trace
    measurements: tuple[Measurement, ...] = ()
    alerts: tuple[Alert, ...] = ()
    #: What else is to be told: a second error, an exit that did not run.
    notes: tuple[str, ...] = ()
    started_at: datetime
    duration_ns: int

    @property
    def passed(self) -> bool:
        """Whether the run ended in `Completed`."""
        return self.status is ResultStatus.PASSED

    def visits(self) -> tuple[Visit, ...]:
        """Return the visits to states, in order.

        Where a whole test goes on after a detour it is told again: it came back to its state.
        """
        visits: list[Visit] = []
        # A detour of a whole test lies within its visit.
        begun: list[tuple[int, int]] = []
        for entry in self.trace:
            if entry.phase is Phase.ENTER:
                begun.append((len(visits), entry.start_ns))
                visits.append(Visit(entry.state, entry.handler, 0))
            elif entry.phase is Phase.EXECUTE and begun[-1][0] < len(visits) - 1:
                begun[-1] = (len(visits), entry.start_ns)
                visits.append(Visit(entry.state, entry.handler, 0))
            place, start_ns = begun[-1]
            spent_ns = entry.start_ns + entry.duration_ns - start_ns
            visits[place] = visits[place]._replace(duration_ns=spent_ns)
            if entry.phase is Phase.EXIT:
                begun.pop()
        return tuple(visits)


#: What a result has that a run which was not awaited has not.
RESULT_NAMES = frozenset(RunResult.__dataclass_fields__) | {"passed", "visits"}
