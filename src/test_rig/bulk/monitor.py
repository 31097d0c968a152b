"""Looks at a server's bulk loads again and again until they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from test_rig.bulk.follow import Following, JobProgress
from test_rig.bulk.job import ImportJobConfig, JobState
from test_rig.bulk.providers import JobProvider
from test_rig.bulk.telling import final_line
from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.telemetry import Alert, Emit, Measurement, Severity, emit_nothing

__all__ = ["JobMonitor", "WatchResult"]

Told = Callable[[JobProgress], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchResult:
    """What came of watching."""

    jobs: tuple[JobProgress, ...]
    #: Jobs that were named and never seen.
    unseen: tuple[str, ...]
    #: The duration was over before all jobs had ended.
    is_cut_off: bool

    @property
    def has_failures(self) -> bool:
        """Whether a job is known to have failed, or to have been cancelled."""
        return any(each.job.state.is_bad for each in self.jobs)


class JobMonitor:
    """Follows the bulk loads of one server.

    Args:
        provider: Where the server shows them.
        config: How long and how often to look.
        ids: The jobs to follow; empty: all that run, or come meanwhile.
        emit: Gets rows, bytes and rates of each job as measurements, and an alert of each that
            failed or was cancelled.
        clock: Tells when a look was taken.
    """

    def __init__(
        self,
        provider: JobProvider,
        config: ImportJobConfig | None = None,
        *,
        ids: Collection[str] = (),
        emit: Emit = emit_nothing,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.config = config or ImportJobConfig()
        self.following = Following(ids, has_history=provider.has_history)
        self._provider, self._ids = provider, tuple(ids)
        self._emit, self._clock = emit, clock

    @property
    def interval_s(self) -> float:
        """The time between two looks, in seconds."""
        return max(self.config.update_interval_s, self._provider.shortest_interval_s)

    def look(self) -> list[JobProgress]:
        """Look once, and return the jobs that are new or have moved or ended."""
        # All jobs are looked at where it costs one question; of TiDB's history only those named.
        ids = self._ids if self._provider.has_history else ()
        changed = self.following.take(self._provider.look(ids).jobs, self._clock.now_ns())
        for progress in changed:
            self._measure(progress)
            if progress.job.state.is_bad:
                self._alert(progress)
        return changed

    def watch(
        self,
        told: Told | None = None,
        *,
        must_wait: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> WatchResult:
        """Look until all jobs have ended, or the duration is over.

        Args:
            told: Is told of every job that is new, has moved or has ended.
            must_wait: Where no job runs, wait for one.
            sleep: How to pause.
        """
        until_ns = self._clock.now_ns() + round(self.config.monitor_duration_s * 1e9)
        while True:
            for progress in self.look():
                if told is not None:
                    told(progress)
            if self.following.is_over or not (self.following.progress or must_wait):
                return self._result(is_cut_off=False)
            left_s = (until_ns - self._clock.now_ns()) / 1e9
            if left_s <= 0:
                return self._result(is_cut_off=True)
            sleep(min(self.interval_s, left_s))

    def _result(self, *, is_cut_off: bool) -> WatchResult:
        return WatchResult(
            jobs=tuple(self.following.progress),
            unseen=tuple(self.following.unseen),
            is_cut_off=is_cut_off,
        )

    def _measure(self, progress: JobProgress) -> None:
        job = progress.job
        values = {
            ("import_rows", "rows"): job.rows_done,
            ("import_bytes", "By"): job.bytes_done,
            ("import_rows_per_s", "rows/s"): progress.rows_per_s,
            ("import_done", "1"): job.done,
        }
        labels = (("job", job.id), ("table", job.table or ""), ("state", job.state.value))
        for (name, unit), value in values.items():
            if value is not None:
                self._emit(
                    Measurement(
                        name=name,
                        value=float(value),
                        unit=unit,
                        time_ns=self._clock.now_ns(),
                        labels=labels,
                        source="bulk",
                    )
                )

    def _alert(self, progress: JobProgress) -> None:
        job = progress.job
        self._emit(
            Alert(
                alert_type="import_failed",
                severity=Severity.CRITICAL if job.state is JobState.FAILED else Severity.WARNING,
                message=final_line(progress),
                time_ns=self._clock.now_ns(),
                data={"state": job.state.value, "reason": job.message, "rows": job.rows_done},
                labels=(("job", job.id), ("table", job.table or "")),
                source="bulk",
            )
        )
