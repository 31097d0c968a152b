"""The states of bulk loads: which run, and how each goes on until it ends.

`CheckingImportJobs` looks which bulk loads run and goes to `ShowingImportJobDetails` if any do;
that one follows them until they end or its time is over. They are no part of the standard path: a
machine goes there when a handler answers one of them, or a transition leads there.

As the detour of a whole test they look once and lead back, and where a database shows no bulk
loads, they lead back as well: such a test follows the jobs by itself.
"""

from __future__ import annotations

import time

from test_rig.bulk import (
    ImportJobConfig,
    JobMonitor,
    JobProgress,
    final_line,
    progress_line,
    provider_of,
)
from test_rig.errors import MachineError, UsageError
from test_rig.machine.builtin import InitialHandler
from test_rig.machine.context import StateContext
from test_rig.machine.handler import Answer, StateHandler
from test_rig.machine.states import OFF_PATH, State
from test_rig.targets import Session

__all__ = [
    "ACTIVE_JOBS",
    "IMPORT_JOBS",
    "CheckingImportJobsHandler",
    "ShowingImportJobDetailsHandler",
    "import_handlers",
]

#: Where the context keeps the numbers of the jobs that run: a list of texts.
ACTIVE_JOBS = "active_import_jobs"
#: Where the context keeps what is known of every job: a list of `JobProgress`.
IMPORT_JOBS = "import_jobs"
#: A handler comes back so often, at least, so that it can be ended.
_NAP_S = 0.25


class CheckingImportJobsHandler(InitialHandler):
    """Looks which bulk loads run on the server."""

    def execute(self, context: StateContext) -> Answer:
        """Go to `ShowingImportJobDetails` if any run, else to the next state.

        Raises:
            UsageError: The database shows no bulk loads.
        """
        monitor = _monitor(context, ImportJobConfig(), ())
        if monitor is None:
            return context.next_state
        monitor.look()
        running = [each for each in monitor.following.progress if not each.is_over]
        context.set_data(ACTIVE_JOBS, [each.job.id for each in running])
        context.set_data(IMPORT_JOBS, monitor.following.progress)
        context.logger.info("import jobs", running=len(running))
        if not running or _is_detour(context):
            return context.next_state
        return State.ShowingImportJobDetails


class ShowingImportJobDetailsHandler(InitialHandler):
    """Follows bulk loads until they end, or for as long as its settings say.

    It follows those that `CheckingImportJobs` found, else all that run. Progress goes to the log
    and out as measurements. A job that fails, or is cancelled, is the run's failure.

    Args:
        config: How long and how often.
    """

    def __init__(self, config: ImportJobConfig | None = None) -> None:
        self._config = config or ImportJobConfig()
        self._monitor: JobMonitor | None = None
        self._until_s = self._next_s = 0.0

    def enter(self, context: StateContext) -> Answer:
        """Begin to follow."""
        self._monitor = _monitor(context, self._config, context.get_data(ACTIVE_JOBS) or ())
        self._next_s = time.monotonic()
        self._until_s = self._next_s + self._config.monitor_duration_s
        return State.ShowingImportJobDetails

    def execute(self, context: StateContext) -> Answer:
        """Look when it is time to; stay until all jobs have ended, or the time is over."""
        monitor = self._monitor
        if monitor is None:
            return context.next_state
        if time.monotonic() >= self._next_s:
            for progress in monitor.look():
                self._tell(context, progress)
            context.set_data(IMPORT_JOBS, monitor.following.progress)
            self._next_s = time.monotonic() + monitor.interval_s
        if _is_detour(context):
            return context.next_state
        now_s = time.monotonic()
        if not monitor.following.progress or monitor.following.is_over or now_s >= self._until_s:
            return self._end(context, monitor)
        time.sleep(min(max(min(self._next_s, self._until_s) - now_s, 0.01), _NAP_S))
        return State.ShowingImportJobDetails

    def _tell(self, context: StateContext, progress: JobProgress) -> None:
        details = dict(progress.job.columns) if self._config.show_details else {}
        context.logger.info(progress_line(progress), **{str(k): v for k, v in details.items()})

    def _end(self, context: StateContext, monitor: JobMonitor) -> Answer:
        lines = [final_line(each) for each in monitor.following.progress]
        for line in lines:
            context.logger.info(line)
        left = [each.job.id for each in monitor.following.progress if not each.is_over]
        context.set_data(ACTIVE_JOBS, left)
        bad = [each for each in monitor.following.progress if each.job.state.is_bad]
        if bad:
            return State.error("; ".join(final_line(each) for each in bad))
        return context.next_state


def _is_detour(context: StateContext) -> bool:
    return context.next_state.is_test


def _monitor(
    context: StateContext, config: ImportJobConfig, ids: tuple[str, ...] | list[str]
) -> JobMonitor | None:
    """Return a monitor of the context's server; None for a detour where there is nothing to see."""
    session: Session | None = context.connection
    if session is None:
        raise MachineError(
            "there is no connection",
            where=f"state {context.current_state}",
            todo="go through Connecting first",
        )
    try:
        return JobMonitor(provider_of(session), config, ids=ids, emit=context.emit)
    except UsageError:
        if _is_detour(context):
            return None
        raise


def import_handlers() -> dict[State, StateHandler]:
    """Return the handlers of the states of bulk loads."""
    handlers = (CheckingImportJobsHandler(), ShowingImportJobDetailsHandler())
    return dict(zip(OFF_PATH, handlers, strict=True))
