"""`test-rig import`: which bulk loads run on a server, and how each goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, common_options

if TYPE_CHECKING:
    from rich.console import Console

    from test_rig.bulk import ImportJob, JobProgress, WatchResult
    from test_rig.cli.door import Door
    from test_rig.targets import Session, TargetUrl

__all__ = ["app", "shown"]

app = typer.Typer(
    help="Bulk loads that run on a server: TiDB's import jobs, PostgreSQL's COPY, LOAD DATA on "
    "MariaDB and MySQL.",
    no_args_is_help=True,
)

Url = Annotated[
    str | None,
    typer.Argument(
        metavar="[URL]",
        help="The server: a URL or host:port. None here: that of the settings.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the jobs as JSON.")]
Jobs = Annotated[
    list[str] | None,
    typer.Option("--job", metavar="ID", help="Follow this job only; may be given several times."),
]
Duration = Annotated[
    float | None,
    typer.Option("--duration", metavar="SECONDS", help="Stop watching after so long."),
]
Interval = Annotated[
    float | None, typer.Option("--interval", metavar="SECONDS", help="Between two looks.")
]
Details = Annotated[
    bool | None,
    typer.Option("--show-details", help="Also print every column that the server has for a load."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Where no job runs, wait for one.")]


@app.command("list")
@common_options
def list_jobs(common: CommonOptions, url: Url = None, as_json: AsJson = False) -> None:
    """Print the jobs that the server shows, with every column it has for them."""

    def work(session: Session, door: Door) -> None:
        from test_rig.bulk import provider_of

        del door
        jobs = provider_of(session).look().jobs
        if as_json:
            typer.echo(_json([dict(job.columns) for job in jobs]))
        for job in () if as_json else jobs:
            typer.echo(f"job {job.id}: {job.state.value}")
            _print_columns(job)
        if not jobs:
            typer.echo("no bulk load is there", err=True)

    _with_session(common, url, {}, work)


@app.command("watch")
@common_options
def watch(
    common: CommonOptions,
    url: Url = None,
    job: Jobs = None,
    duration: Duration = None,
    interval: Interval = None,
    show_details: Details = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Follow bulk loads until they end: phase, rows, bytes, rate, time left, a final line for each.

    Exit code 0 when none failed, 1 when one failed or was cancelled, 2 for wrong use, 3 when the
    server could not be asked.
    """
    results: list[WatchResult] = []
    has_details: list[bool] = []

    def work(session: Session, door: Door) -> None:
        from test_rig.bulk import ImportJobConfig, JobMonitor, provider_of
        from test_rig.rig import listening

        settings = door.config.imports
        config = ImportJobConfig(
            settings.duration_secs,
            min(settings.interval_secs, settings.duration_secs),
            settings.show_details,
        )
        has_details.append(config.show_details)
        with listening(door.config) as emit, shown(door.console) as told:
            monitor = JobMonitor(provider_of(session), config, ids=job or (), emit=emit)
            results[:] = [monitor.watch(told, must_wait=wait)]

    extra: dict[str, float | None] = {
        "imports.duration_secs": duration,
        "imports.interval_secs": interval,
        "imports.show_details": show_details,
    }
    _with_session(common, url, extra, work)
    (result,) = results
    _print(result, as_json=as_json, has_details=any(has_details))
    if result.unseen:
        from test_rig.errors import UsageError

        raise UsageError(f"there is no job {', '.join(result.unseen)}")
    raise typer.Exit(1 if result.has_failures else 0)


def _with_session(
    common: CommonOptions,
    url: str | None,
    extra: dict[str, float | None],
    work: Callable[[Session, Door], None],
) -> None:
    from test_rig.cli.door import Door
    from test_rig.errors import UsageError
    from test_rig.rig import target_of
    from test_rig.settings import OptionValue

    given = {
        key: OptionValue(value, _option_of(key))
        for key, value in extra.items()
        if value is not None
    }
    with Door(common, [] if url is None else [url], extra=given) as door:

        def ask(targets: Any) -> None:
            if len(targets) != 1:
                raise UsageError("no server is named", todo="give its URL, or --host")
            only: TargetUrl = targets[0]
            opened = target_of(door.config, only, listener=door.sql_listener)
            with opened as target, target.connect("monitor") as session:
                work(session, door)

        door.with_password(ask)


def _option_of(key: str) -> str:
    return "--" + key.partition(".")[2].removesuffix("_secs").replace("_", "-")


def _print(result: WatchResult, *, as_json: bool, has_details: bool) -> None:
    from test_rig.bulk import final_line

    if as_json:
        typer.echo(
            _json({"cut_off": result.is_cut_off, "jobs": [_as_data(each) for each in result.jobs]})
        )
        return
    for each in result.jobs:
        typer.echo(final_line(each))
        if has_details:
            _print_columns(each.job)
    if not result.jobs and not result.unseen:
        typer.echo("no bulk load runs", err=True)


def _print_columns(job: ImportJob) -> None:
    for name, value in job.columns:
        typer.echo(f"  {name:<26}{value}")


def _as_data(progress: JobProgress) -> dict[str, Any]:
    job = progress.job
    names = (
        "id",
        "table",
        "source",
        "phase",
        "rows_done",
        "bytes_done",
        "bytes_total",
        "done",
        "step_done",
    )
    return {
        **{name: getattr(job, name) for name in names},
        "state": job.state.value,
        "elapsed_s": job.elapsed_s,
        "message": job.message,
        "rows_per_s": progress.rows_per_s,
        "bytes_per_s": progress.bytes_per_s,
        "left_s": progress.left_s,
        "columns": dict(job.columns),
    }


def _json(data: object) -> str:
    return json.dumps(data, indent=2, default=str)


@contextmanager
def shown(console: Console) -> Iterator[Callable[[JobProgress], None]]:
    """Show progress on standard error: a bar for each job in a terminal, lines elsewhere."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    from test_rig.bulk import progress_line

    if not console.is_terminal:

        def line(progress: JobProgress) -> None:
            console.print(progress_line(progress), highlight=False, markup=False, soft_wrap=True)

        yield line
        return
    bars: dict[str, TaskID] = {}
    columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as live:

        def bar(progress: JobProgress) -> None:
            job = progress.job
            task = bars.get(job.key)
            if task is None:
                task = bars[job.key] = live.add_task("", total=None)
            # Of a load whose size nobody knows the bar only moves to and fro.
            known = {} if job.done is None else {"total": 1.0, "completed": job.done}
            if progress.is_over and job.done is None:
                known = {"total": 1.0, "completed": 1.0}
            live.update(task, description=progress_line(progress), **known)  # type: ignore[arg-type]  # numbers

        yield bar
