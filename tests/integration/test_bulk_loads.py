"""Bulk loads on real servers, and import jobs over TiDB's wire: seen, followed, told at the end."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pymysql
import pytest

from servers.tidb_standin import NEW_IMPORT_COLUMNS, OLD_IMPORT_COLUMNS, StandinImport, TidbStandin
from test_rig.bulk import (
    ImportJobConfig,
    JobMonitor,
    JobProgress,
    JobState,
    WatchResult,
    provider_of,
)
from test_rig.machine import (
    DynamicStateMachine,
    RunResult,
    ShowingImportJobDetailsHandler,
    StateContext,
    StateHandler,
    StateMachine,
)
from test_rig.targets import Session, Target, TargetUrl

_LINES = 2_000
_SOON = ImportJobConfig(monitor_duration=60, update_interval=0.02)


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Each server in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    """A session that looks and does not load."""
    with Target.open(url) as target, target.connect("monitor") as opened:
        yield opened


@pytest.fixture
def table(session: Session) -> Iterator[str]:
    """A table of this test's own."""
    name = f"bulk_{secrets.token_hex(5)}"
    session.query_drop(f"CREATE TABLE {name} (id INT, note VARCHAR(100))")
    yield name
    session.query_drop(f"DROP TABLE {name}")


def _copy_from_pipe(url: str, table: str, go_on: Sequence[threading.Event]) -> None:
    """COPY in parts; before each the load waits for its event."""
    text = f"COPY {table} FROM STDIN"
    with psycopg.connect(url) as connection, connection.cursor().copy(text) as copy:
        for event in go_on:
            for _ in range(_LINES):
                copy.write_row((1, "x" * 90))
            event.wait(60)


def _load_from_pipe(url: str, table: str, go_on: Sequence[threading.Event], fifo: Path) -> None:
    """LOAD DATA LOCAL of a pipe that is filled in parts; before each it waits for its event."""
    parts = TargetUrl.parse(url)
    os.mkfifo(fifo)

    def feed() -> None:
        with fifo.open("w") as file:
            for event in go_on:
                file.write(f"1\t{'x' * 90}\n" * _LINES)
                file.flush()
                event.wait(60)

    feeder = threading.Thread(target=feed)
    feeder.start()
    connection = pymysql.connect(
        host=str(parts.host),
        port=int(parts.port or 0),
        user=parts.user,
        password=parts.password or "",
        database=parts.database,
        local_infile=True,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(f"LOAD DATA LOCAL INFILE '{fifo}' INTO TABLE `{table}`")
        connection.commit()
    feeder.join(60)


@contextmanager
def _slow_load(url: str, table: str, fifo: Path) -> Iterator[list[threading.Event]]:
    """Load two parts; each of two events lets it go on."""
    go_on = [threading.Event(), threading.Event()]
    if url.startswith("postgresql"):
        load = threading.Thread(target=_copy_from_pipe, args=(url, table, go_on))
    else:
        load = threading.Thread(target=_load_from_pipe, args=(url, table, go_on, fifo))
    load.start()
    try:
        yield go_on
    finally:
        for event in go_on:
            event.set()
        load.join(60)


def _follow(
    session: Session, table: str, told: Callable[[JobProgress], None]
) -> tuple[WatchResult, JobProgress]:
    """Watch until all loads of this moment have ended; return what became of this test's own.

    Others load into the same servers at the same time: their jobs are not looked at.
    """
    provider = provider_of(session)
    until = threading.Event()
    own: list[str] = []
    while not own and not until.wait(0.3):
        own = [job.id for job in provider.look().jobs if table in str(job.table)]
    monitor = JobMonitor(provider, _SOON, ids=own)
    result = monitor.watch(told)
    (progress,) = result.jobs
    return result, progress


def test_a_slow_load_is_followed_to_its_end(
    url: str, session: Session, table: str, tmp_path: Path
) -> None:
    """Its rows grow while it runs, and when it is gone nobody claims to know how it ended."""
    rows: list[int] = []
    with _slow_load(url, table, tmp_path / "pipe") as (first, second):

        def told(progress: JobProgress) -> None:
            seen = progress.job.rows_done or 0
            rows.append(seen)
            if seen > 0:
                first.set()
            if seen > _LINES:
                second.set()

        result, progress = _follow(session, table, told)
    assert rows == sorted(rows)
    assert rows[-1] > _LINES
    assert (progress.job.state, result.has_failures) == (JobState.ENDED, False)
    (count,) = session.execute(f"SELECT count(*) FROM {table}").rows[0]
    assert count == 2 * _LINES


def test_what_is_known_of_a_load_is_told(
    url: str, session: Session, table: str, tmp_path: Path
) -> None:
    """Source, phase, elapsed time, and every column of the server's own view."""
    found: list[JobProgress] = []
    with _slow_load(url, table, tmp_path / "pipe") as events:

        def told(progress: JobProgress) -> None:
            found.append(progress)
            for event in events:
                event.set()

        _follow(session, table, told)
    job = found[0].job
    assert "the client" in str(job.source)
    assert job.phase
    assert job.elapsed_s is not None
    assert job.elapsed_s >= 0
    names = {name.lower() for name, _ in job.columns}
    assert names >= ({"pid", "bytes_processed"} if "postgres" in url else {"progress", "info"})


def test_rows_are_unknown_where_transactions_are_not_to_be_seen(
    mariadb_url: str, tmp_path: Path
) -> None:
    """A user without PROCESS sees its own load, without rows."""
    name = f"bulk_{secrets.token_hex(5)}"
    parts = TargetUrl.parse(mariadb_url)
    with Target.open(mariadb_url) as target, target.connect("admin") as admin:
        admin.query_drop(f"CREATE TABLE {name} (id INT, note VARCHAR(100))")
        admin.query_drop(f"CREATE USER {name}@'%' IDENTIFIED BY 'pw'")
        admin.query_drop(f"GRANT ALL ON {parts.database}.* TO {name}@'%'")
        own = f"mysql://{name}:pw@{parts.address()}/{parts.database}"
        try:
            with (
                Target.open(own) as other,
                other.connect("monitor") as session,
                _slow_load(own, name, tmp_path / "pipe") as events,
            ):
                _, progress = _follow(
                    session, name, lambda _: [event.set() for event in events] and None
                )
            assert progress.job.rows_done is None
        finally:
            admin.query_drop(f"DROP USER {name}@'%'")
            admin.query_drop(f"DROP TABLE {name}")


@pytest.fixture(params=[OLD_IMPORT_COLUMNS, NEW_IMPORT_COLUMNS], ids=["v8.5.0", "v9"])
def tidb(request: pytest.FixtureRequest) -> Iterator[TidbStandin]:
    """A stand-in for TiDB with three jobs: one that ended long ago, one that works, one to come."""
    with TidbStandin(import_columns=request.param) as server:
        server.imports = [StandinImport(1, step=9), StandinImport(2), StandinImport(3, "`a`.`b`")]
        yield server


def test_import_jobs_are_followed_over_the_wire(tidb: TidbStandin) -> None:
    """Phases in order, rows that grow, all columns of the version, elapsed time without a zone."""
    told: list[JobProgress] = []
    with Target.open(tidb.url) as target, target.connect("monitor") as session:
        result = JobMonitor(provider_of(session), _SOON).watch(told.append)
    assert [each.job.id for each in result.jobs] == ["2", "3"]
    phases = [each.job.phase or each.job.state.value for each in told if each.job.id == "2"]
    is_new = tidb.import_columns is NEW_IMPORT_COLUMNS
    steps = ["global-sorting / encode", "importing / ingest", "validating / post-process"]
    expected = steps if is_new else ["global-sorting", "importing", "validating"]
    assert phases == ["queued", expected[0], expected[1], expected[1], expected[2], "finished"]
    job = result.jobs[0].job
    assert (job.rows_done, job.bytes_total, job.elapsed_s) == (1000, round(1.5 * 1024**3), 40.0)
    assert tuple(name for name, _ in job.columns) == tidb.import_columns
    left = {each.left_s for each in told if not each.is_over}
    assert left == ({None, 30.0, 20.0, 10.0} if is_new else {None})


def test_a_failed_import_job_is_a_finding(tidb: TidbStandin) -> None:
    """One that is named, with its message; others are not asked for."""
    tidb.imports[2].end, tidb.imports[2].message = "failed", "checksum mismatched"
    with Target.open(tidb.url) as target, target.connect("monitor") as session:
        result = JobMonitor(provider_of(session), _SOON, ids=["3"]).watch()
    assert result.has_failures
    assert result.jobs[0].job.message == "checksum mismatched"
    assert "SHOW IMPORT JOBS" not in tidb.statements


def _run_states(tidb: TidbStandin) -> tuple[RunResult, StateContext]:
    machine = StateMachine(tidb.url)
    machine.register_transitions("GettingVersion", ["CheckingImportJobs"])
    machine.register_handler("ShowingImportJobDetails", ShowingImportJobDetailsHandler(_SOON))
    return machine.run(), machine.get_context()


def test_the_states_follow_jobs_until_they_end(tidb: TidbStandin) -> None:
    """Checking finds what runs, showing follows it, and all that is known is in the context."""
    result, context = _run_states(tidb)
    assert result.passed, str(result.error)
    visited = [str(visit.state) for visit in result.visits()]
    assert visited[-2:] == ["CheckingImportJobs", "ShowingImportJobDetails"]
    assert context.get_data("active_import_jobs") == []
    assert [each.job.state.value for each in context.get_data("import_jobs")] == ["finished"] * 2
    assert max(each.value for each in result.measurements if each.name == "import_rows") == 1000


def test_a_job_that_was_cancelled_fails_the_run(tidb: TidbStandin) -> None:
    """Ending is not succeeding."""
    tidb.imports[1].end = "cancelled"
    result, _ = _run_states(tidb)
    assert str(result.final_state).startswith("Error: job 2 into `test`.`orders`: cancelled")


def test_without_jobs_the_machine_goes_on(tidb: TidbStandin) -> None:
    """To the next state, without showing anything."""
    tidb.imports = []
    machine = StateMachine(tidb.url)
    machine.register_transitions("GettingVersion", ["CheckingImportJobs"])
    result = machine.run()
    assert result.passed, str(result.error)
    assert str(result.visits()[-1].state) == "CheckingImportJobs"


class _OwnMonitor(StateHandler):
    """Follows jobs by itself, and answers the state of it until they end, as scripts do."""

    def __init__(self, *statements: str) -> None:
        self.statements, self.rounds = statements, 0

    def execute(self, context: StateContext) -> str:
        assert context.connection is not None
        self.rounds += 1
        rows = [context.connection.execute_query(sql) for sql in self.statements]
        jobs = rows[0] if rows else []
        is_over = all(job.get("End_Time") for job in jobs) and self.rounds > 2
        return "completed" if is_over else "showing_import_job_details"


def test_a_test_that_follows_jobs_by_itself_is_not_kept(tidb: TidbStandin) -> None:
    """The detour looks once and leads back."""
    machine, test = DynamicStateMachine(tidb.url), _OwnMonitor("SHOW IMPORT JOBS")
    machine.register_test(test)
    result = machine.run()
    assert result.passed, str(result.error)
    assert test.rounds >= 3


def test_such_a_test_runs_where_no_loads_can_be_seen() -> None:
    """The state means nothing but: call me again."""
    machine, test = DynamicStateMachine("sqlite://"), _OwnMonitor()
    machine.register_test(test)
    result = machine.run()
    assert (result.passed, test.rounds) == (True, 3), str(result.error)
