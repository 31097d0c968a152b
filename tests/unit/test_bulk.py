"""Following bulk loads: which are followed, how fast they are, what is told of them."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from test_rig.bulk import (
    Following,
    ImportJob,
    ImportJobConfig,
    JobMonitor,
    JobProgress,
    JobState,
    Look,
    final_line,
    progress_line,
    provider_of,
)
from test_rig.bulk.tidb import read_jobs, size_of, span_of
from test_rig.cli.imports import shown
from test_rig.errors import UsageError
from test_rig.targets import Target

_S = 1_000_000_000


def _job(key: str = "1", state: JobState = JobState.RUNNING, **more: Any) -> ImportJob:
    return ImportJob(id=key, key=key, state=state, **more)


def test_the_rate_and_the_time_left_follow_from_looks() -> None:
    """A quarter of the bytes in ten seconds: thirty seconds more."""
    following = Following(has_history=False)
    following.take([_job(rows_done=0, bytes_done=0, bytes_total=400)], 0)
    (progress,) = following.take([_job(rows_done=50, bytes_done=100, bytes_total=400)], 10 * _S)
    assert (progress.rows_per_s, progress.bytes_per_s, progress.left_s) == (5.0, 10.0, 30.0)
    assert progress_line(progress) == (
        "job 1: running, 25.0%, 50 rows, 100 B of 400 B, 5 rows/s, 10 B/s, 00:00:30 left"
    )


def test_a_job_that_is_gone_has_ended_and_nobody_says_how() -> None:
    """Unless the server keeps a history; the last that was seen is kept."""
    following = Following(has_history=False)
    following.take([_job(rows_done=7, table="t")], 0)
    assert not following.is_over
    (progress,) = following.take([], _S)
    assert (progress.job.state, following.is_over) == (JobState.ENDED, True)
    assert "whether its rows were committed, the server does not tell" in final_line(progress)
    assert following.take([], 2 * _S) == []


def test_of_a_history_only_what_runs_is_followed() -> None:
    """What had ended before is nobody's concern; what comes is; what is named is, in any state."""
    old, new = _job("1", JobState.FINISHED), _job("2")
    following = Following(has_history=True)
    following.take([old, new], 0)
    following.take([old, _job("2", JobState.FAILED), _job("3", JobState.FINISHED)], _S)
    assert [each.job.id for each in following.progress] == ["2", "3"]
    named = Following(["1", "9"], has_history=True)
    named.take([old, new], 0)
    assert [each.job.id for each in named.progress] == ["1"]
    assert named.unseen == ["9"]


def test_only_what_moves_is_told() -> None:
    """A look that shows the same again tells nothing."""
    following = Following(has_history=False)
    assert len(following.take([_job(rows_done=1)], 0)) == 1
    assert following.take([_job(rows_done=1, elapsed_s=9.0)], _S) == []
    assert len(following.take([_job(rows_done=2)], 2 * _S)) == 1


class _Scripted:
    """Shows one look after the other."""

    has_history, shortest_interval_s = True, 0.0

    def __init__(self, *looks: list[ImportJob]) -> None:
        self.looks = list(looks)

    def look(self, ids: object = ()) -> Look:
        return Look(jobs=tuple(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]))


class _Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def utc(self) -> datetime:
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        self.at_ns += round(seconds * _S)


def _watch(*looks: list[ImportJob], wait: bool = False) -> tuple[Any, list[JobProgress], _Clock]:
    clock, told = _Clock(), list[JobProgress]()
    monitor = JobMonitor(_Scripted(*looks), ImportJobConfig(60, 5), clock=clock)
    result = monitor.watch(told.append, must_wait=wait, sleep=clock.sleep)
    return result, told, clock


def test_watching_ends_with_the_jobs() -> None:
    """A failed one is a finding."""
    result, told, clock = _watch(
        [_job(rows_done=1)], [_job(rows_done=2)], [_job(state=JobState.FAILED, message="no disk")]
    )
    assert (len(told), clock.at_ns, result.is_cut_off) == (3, 10 * _S, False)
    assert result.has_failures
    assert final_line(result.jobs[0]) == "job 1: failed, no disk"


def test_watching_ends_with_its_duration() -> None:
    """What still runs then is told so, and is no failure."""
    result, _, clock = _watch([_job(rows_done=1)])
    assert (clock.at_ns, result.is_cut_off, result.has_failures) == (60 * _S, True, False)
    assert final_line(result.jobs[0]) == "job 1: still running, 1 rows, 0 rows/s"


def test_nothing_is_waited_for_unless_asked() -> None:
    """Without a job watching ends at once; with `must_wait` it waits for one."""
    result, _, clock = _watch([])
    assert (result.jobs, clock.at_ns) == ((), 0)
    result, _, clock = _watch([], [], [_job()], [_job(state=JobState.FINISHED)], wait=True)
    assert (len(result.jobs), clock.at_ns) == (1, 15 * _S)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("277.5GiB", round(277.5 * 1024**3)),
        ("4.55GB", 4_550_000_000),
        ("16B", 16),
        ("1 kB", None),
        ("3 conflicts", None),
        ("", None),
        (None, None),
    ],
)
def test_sizes_for_people_are_read(text: str | None, size: int | None) -> None:
    """And what is no size is none: steps that solve conflicts count those."""
    assert size_of(text) == (1000 if text == "1 kB" else size)


@given(st.one_of(st.none(), st.integers(), st.text()))
def test_no_text_breaks_the_reading(text: object) -> None:
    """Whatever a new version writes, there is a size or none, a span or none."""
    row = (1, "t", text, text, text, text, text)
    names = ("Job_ID", "Target_Table", "Status", "Source_File_Size", "Imported_Rows")
    (job,) = read_jobs([*names, "Start_Time", "Cur_Step_ETA"], [row], datetime(2026, 1, 1))
    assert job.id == "1"
    assert span_of(text) is None or span_of(text) >= 0  # type: ignore[operator]


def test_elapsed_time_is_by_the_servers_clock() -> None:
    """Start and now are both in its time zone; the zero date is none."""
    now = datetime(2026, 7, 1, 20, 0, 30)
    names = ("Job_ID", "Status", "Start_Time", "End_Time")
    row = (1, "running", "2026-07-01 20:00:00.5", "0000-00-00 00:00:00")
    (job,) = read_jobs(names, [row], now)
    assert job.elapsed_s == 29.5


@pytest.mark.parametrize(
    ("duration", "interval"), [(0, 1), (-1, 1), (1, 0), (1, 2), (float("nan"), 1)]
)
def test_a_wrong_configuration_is_refused(duration: float, interval: float) -> None:
    """No time, and looks that are further apart than watching lasts."""
    with pytest.raises(UsageError, match="ImportJobConfig"):
        ImportJobConfig(duration, interval)


def test_times_may_be_timedeltas() -> None:
    """As everywhere."""
    config = ImportJobConfig(timedelta(minutes=1), timedelta(seconds=2))
    assert (config.monitor_duration_s, config.update_interval_s) == (60.0, 2.0)


def test_an_embedded_database_shows_no_loads() -> None:
    """It is told which do."""
    told = pytest.raises(UsageError, match="SQLite shows no bulk loads")
    with Target.open("sqlite://") as target, target.connect() as session, told:
        provider_of(session)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_a_bar_in_a_terminal_and_lines_elsewhere(is_terminal: bool) -> None:
    """Of a size that is known, the bar shows how much is done."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=is_terminal, width=100, color_system=None)
    with shown(console) as told:
        told(JobProgress(job=_job(bytes_done=50, bytes_total=100)))
        told(JobProgress(job=_job("2")))
        told(JobProgress(job=_job("2", JobState.ENDED)))
    assert ("\u2501" in text.getvalue()) == is_terminal
    assert "job 1: running, 50.0%, 50 B of 100 B" in text.getvalue()
    assert "job 2: ended" in text.getvalue()


def test_a_steps_share_is_told() -> None:
    """Where that of the whole is not known; what is no percentage is none."""
    names = ("Job_ID", "Status", "Cur_Step_Progress_Pct")
    (job, other) = read_jobs(names, [(1, "running", "37%"), (2, "running", "many")], None)
    assert progress_line(JobProgress(job=job)) == "job 1: running, 37% of this step"
    assert other.step_done is None
