"""What a workflow's progress says to those who listen to the rig: durations, and what failed."""

from __future__ import annotations

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.telemetry import Alert, AlertStatus, Emit, Measurement, Severity
from test_rig.workflow.active import Progress
from test_rig.workflow.states import RunStatus, TaskStatus

__all__ = ["Emitting"]

_SOURCE = "workflow"
_BAD = (RunStatus.FAILED, RunStatus.TIMED_OUT)


class Emitting:
    """An executor's `on_progress` that makes measurements and alerts of what it is told.

    `workflow_task_duration` for each attempt, and `workflow_run_duration` for each run that this
    worker has seen from its first task; alerts `workflow_task_failed` and `workflow_failed`, whose
    end is told when the run completes after all.

    Args:
        emit: Gets them.
        clock: Whose time they have.
    """

    def __init__(self, emit: Emit, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._emit, self._clock = emit, clock
        #: By run and task (None: the run itself): since when, in Unix seconds.
        self._since: dict[tuple[str, str | None], float] = {}

    def __call__(self, progress: Progress) -> None:
        """Take one step."""
        key = (progress.run_id, progress.task_id)
        if progress.status is TaskStatus.RUNNING:
            self._since[key] = progress.time
            self._since.setdefault((progress.run_id, None), progress.time)
            return
        since = None
        if progress.task_id is not None or progress.status.is_final:
            since = self._since.pop(key, None)
        what = "run" if progress.task_id is None else "task"
        if since is not None:
            self._measure(f"workflow_{what}_duration", progress, progress.time - since)
        if isinstance(progress.status, TaskStatus):
            if progress.status.is_failure:
                self._alert("workflow_task_failed", Severity.WARNING, progress)
        elif progress.status in _BAD:
            self._alert("workflow_failed", Severity.CRITICAL, progress)
        elif progress.status is RunStatus.COMPLETED:
            self._alert("workflow_failed", Severity.CRITICAL, progress, AlertStatus.RESOLVED)

    def _measure(self, name: str, progress: Progress, seconds: float) -> None:
        status = (("status", progress.status.value),)
        self._emit(
            Measurement(
                name=name,
                value=max(0.0, seconds),
                unit="s",
                time_ns=self._clock.now_ns(),
                labels=_labels(progress, with_run=False) + status,
                source=_SOURCE,
            )
        )

    def _alert(
        self,
        alert_type: str,
        severity: Severity,
        progress: Progress,
        status: AlertStatus = AlertStatus.FIRING,
    ) -> None:
        what = f"workflow {progress.workflow}, run {progress.run_id}"
        what += "" if progress.task_id is None else f", task {progress.task_id}"
        self._emit(
            Alert(
                alert_type=alert_type,
                severity=severity,
                message=f"{what}: {progress.status.value}",
                time_ns=self._clock.now_ns(),
                data={"status": progress.status.value, "attempt": progress.attempt},
                labels=_labels(progress, with_run=True),
                source=_SOURCE,
                status=status,
            )
        )


def _labels(progress: Progress, *, with_run: bool) -> tuple[tuple[str, str], ...]:
    """Return what tells one series from another; runs have no series of their own."""
    made = [("workflow", progress.workflow)]
    made += [("run", progress.run_id)] if with_run else []
    made += [] if progress.task_id is None else [("task", progress.task_id)]
    return tuple(made)
