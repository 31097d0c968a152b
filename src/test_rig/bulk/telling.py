"""Jobs told in one line each, for logs and terminals."""

from __future__ import annotations

from test_rig.bulk.follow import JobProgress
from test_rig.bulk.job import JobState

__all__ = ["final_line", "progress_line"]


def progress_line(progress: JobProgress) -> str:
    """Return how far a job is: `job 7 into shop.orders: importing, 1,200 rows, 600 rows/s, ...`."""
    job = progress.job
    parts = [job.state.value if progress.is_over or not job.phase else job.phase]
    if job.done is not None:
        parts.append(f"{job.done:.1%}")
    elif job.step_done is not None:
        parts.append(f"{job.step_done:.0%} of this step")
    parts += _amounts(progress)
    if progress.left_s is not None:
        parts.append(f"{_clock(progress.left_s)} left")
    return f"{_name(progress)}: {', '.join(parts)}"


def final_line(progress: JobProgress) -> str:
    """Return how a job ended, or how far it was when watching ended."""
    job = progress.job
    parts = [job.state.value if progress.is_over else f"still {job.state.value}"]
    if job.state is JobState.ENDED:
        parts[0] = "ended (whether its rows were committed, the server does not tell); last seen"
    if job.message:
        parts.append(job.message)
    parts += _amounts(progress)
    if job.elapsed_s is not None:
        parts.append(f"after {_clock(job.elapsed_s)}")
    return f"{_name(progress)}: {', '.join(parts)}"


def _name(progress: JobProgress) -> str:
    job = progress.job
    return f"job {job.id}" + ("" if job.table is None else f" into {job.table}")


def _amounts(progress: JobProgress) -> list[str]:
    job, parts = progress.job, []
    if job.rows_done is not None:
        parts.append(f"{job.rows_done:,} rows")
    if job.bytes_done is not None:
        total = "" if job.bytes_total in (None, job.bytes_done) else f" of {_size(job.bytes_total)}"
        parts.append(f"{_size(job.bytes_done)}{total}")
    if progress.rows_per_s is not None:
        parts.append(f"{progress.rows_per_s:,.0f} rows/s")
    if progress.bytes_per_s:
        parts.append(f"{_size(progress.bytes_per_s)}/s")
    return parts


def _size(count: float | None) -> str:
    size = float(count or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
