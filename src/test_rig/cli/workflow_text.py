"""Runs of workflows as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from test_rig.workflow import Described, DescribedTask, Progress, WorkflowResult

__all__ = ["listed", "progress_line", "told"]


def listed(runs: Sequence[WorkflowResult]) -> str:
    """Return a table of runs."""
    if not runs:
        return "no runs\n"
    rows = [("run", "workflow", "status", "created", "took", "error")]
    rows += [
        (
            run.run_id,
            run.workflow,
            run.status.value,
            f"{run.created:%Y-%m-%d %H:%M:%S}" if run.created else "",
            _took(run.started, run.finished),
            run.error.message.splitlines()[0][:60] if run.error and run.error.message else "",
        )
        for run in runs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in rows
    )


def _took(started: datetime | None, finished: datetime | None) -> str:
    if started is None or finished is None:
        return ""
    return f"{(finished - started).total_seconds():.3f} s"


def told(found: Described, *, with_tracebacks: bool = False) -> str:
    """Return a run with each task and each attempt."""
    run = found.run
    lines = [f"{run.workflow}  {run.status.value}  {run.id}  version {run.version}"]
    if found.error:
        lines.append(f"  {found.error}")
    if run.recoveries:
        times = "once" if run.recoveries == 1 else f"{run.recoveries} times"
        lines.append(f"  taken over {times} from workers that died")
    width = max((len(task.key) for task in found.tasks), default=0)
    for task in found.tasks:
        lines += _task(task, width, with_tracebacks)
    return "\n".join(lines) + "\n"


def _task(task: DescribedTask, width: int, with_tracebacks: bool) -> Iterator[str]:
    took = f"{task.duration_s * 1000:9.1f} ms" if task.duration_s is not None else " " * 12
    reason = f"  {task.reason.splitlines()[0]}" if task.reason else ""
    yield f"  {task.key:{width}}  {task.status.value:10} {took}{reason}".rstrip()
    last = len(task.attempts) - 1
    for place, attempt in enumerate(task.attempts):
        if last > 0 or (with_tracebacks and attempt["traceback"]):
            error = f"  {attempt['error'].splitlines()[0]}" if attempt["error"] else ""
            begun = (attempt["started"] or "")[:23]
            number = attempt["attempt"]
            yield f"  {'':{width}}    attempt {number}  {attempt['status']}  {begun}{error}"
        if with_tracebacks and attempt["traceback"]:
            yield from (f"      {line}" for line in attempt["traceback"].rstrip().splitlines())
        del place


def progress_line(progress: Progress) -> str:
    """Return one line of a run as it goes."""
    what = progress.task_id if progress.task_id is not None else progress.workflow
    again = f" (attempt {progress.attempt})" if progress.attempt > 1 else ""
    status = progress.status.value
    if progress.task_id is not None and status == "Pending":
        status = "failed, is tried again"
    return f"{datetime.fromtimestamp(progress.time):%H:%M:%S}  {what}  {status}{again}"
