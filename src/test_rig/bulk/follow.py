"""Follows jobs from look to look: which to follow, how fast each is, how long it will take.

Theory of operation. A look is a list of jobs at a moment. Of a server with a history the jobs that
had ended before the first look are nobody's concern, unless they were named. A job that was there
and is not any more has ended; how, only a history tells. The rate is that of the last samples, so
that it follows a load which speeds up; the time left is what remains at that rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from test_rig.bulk.job import ImportJob, JobState

__all__ = ["Following", "JobProgress"]

#: The rate is taken over so many samples.
_SAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """A job, with what several looks tell together."""

    job: ImportJob
    rows_per_s: float | None = None
    bytes_per_s: float | None = None
    #: None where it cannot be told.
    left_s: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the job runs no more."""
        return self.job.state.is_over


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    rows: int | None
    bytes_done: int | None
    done: float | None


@dataclass(slots=True)
class _Followed:
    progress: JobProgress
    samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))


class Following:
    """The jobs that are followed.

    Args:
        ids: Those to follow; empty: all that run, or come.
        has_history: Whether a look shows jobs that have ended, too.
    """

    def __init__(self, ids: Collection[str] = (), *, has_history: bool) -> None:
        self._ids, self._has_history = frozenset(ids), has_history
        self._followed: dict[str, _Followed] = {}
        self._past: set[str] = set()
        self._is_first = True

    @property
    def progress(self) -> list[JobProgress]:
        """What is known of each job, in the order in which they were first seen."""
        return [each.progress for each in self._followed.values()]

    @property
    def is_over(self) -> bool:
        """Whether every job that was seen has ended; False before one was seen."""
        return bool(self._followed) and all(each.is_over for each in self.progress)

    @property
    def unseen(self) -> list[str]:
        """The jobs that were to be followed and never seen."""
        seen = {each.job.id for each in self.progress}
        return sorted(self._ids - seen)

    def take(self, jobs: Sequence[ImportJob], at_ns: int) -> list[JobProgress]:
        """Take a look, and return the jobs that are new or have moved or ended."""
        changed: list[JobProgress] = []
        present = {job.key for job in jobs}
        for job in jobs:
            if self._concerns(job):
                changed += self._update(job, at_ns)
        for key, followed in self._followed.items():
            if key not in present and not followed.progress.is_over:
                ended = replace(followed.progress.job, state=JobState.ENDED)
                followed.progress = replace(followed.progress, job=ended, left_s=None)
                changed.append(followed.progress)
        self._is_first = False
        return changed

    def _concerns(self, job: ImportJob) -> bool:
        if self._ids:
            return job.id in self._ids
        if self._is_first and job.state.is_over:
            self._past.add(job.key)
        return job.key not in self._past

    def _update(self, job: ImportJob, at_ns: int) -> list[JobProgress]:
        followed = self._followed.get(job.key)
        if followed is None:
            followed = self._followed[job.key] = _Followed(JobProgress(job=job))
        elif followed.progress.is_over:
            return []
        before, is_new = followed.progress.job, not followed.samples
        followed.samples.append(_Sample(at_ns, job.rows_done, job.bytes_done, job.done))
        followed.progress = _progress(job, followed.samples)
        return [followed.progress] if is_new or _has_moved(before, job) else []


def _has_moved(before: ImportJob, job: ImportJob) -> bool:
    def signs(each: ImportJob) -> tuple[object, ...]:
        return (each.state, each.phase, each.rows_done, each.bytes_done, each.done, each.step_done)

    return signs(before) != signs(job)


def _progress(job: ImportJob, samples: Sequence[_Sample]) -> JobProgress:
    first, last = samples[0], samples[-1]
    seconds = (last.at_ns - first.at_ns) / 1e9
    if job.state.is_over:
        # Of the whole job, by the server's own clock.
        rows = _rate(0, job.rows_done, job.elapsed_s)
        return JobProgress(
            job=job, rows_per_s=rows, bytes_per_s=_rate(0, job.bytes_done, job.elapsed_s)
        )
    speed = _rate(first.done, last.done, seconds)
    left_s = job.server_left_s
    if speed and last.done is not None:
        left_s = (1.0 - last.done) / speed
    return JobProgress(
        job=job,
        rows_per_s=_rate(first.rows, last.rows, seconds),
        bytes_per_s=_rate(first.bytes_done, last.bytes_done, seconds),
        left_s=left_s,
    )


def _rate(first: float | None, last: float | None, seconds: float | None) -> float | None:
    if first is None or last is None or not seconds or seconds <= 0:
        return None
    return max(last - first, 0.0) / seconds
