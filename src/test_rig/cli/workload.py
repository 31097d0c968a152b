"""`test-rig workload`: random transactions against a database, and what they showed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson, Junit

if TYPE_CHECKING:
    from rich.console import Console

    from test_rig.verdict import TargetInfo, WorkloadVerdict
    from test_rig.workload import Progress

__all__ = ["app"]

app = typer.Typer(
    help="Run random transactions with many clients, and judge what they saw.",
    no_args_is_help=True,
)
#: Exit codes by verdict.
_CODES = {"valid": 0, "invalid": 1, "unknown": 3}

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE[:NAME]",
        help="A workload (see `test-rig workload list`), or a Python file or module with your own.",
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option(
        "--level",
        help="Run at this level only; may be repeated. All of the target's if not given.",
        show_default=False,
    ),
]
Time = Annotated[
    float | None,
    typer.Option("--time", help="Seconds at each level [default: 10].", show_default=False),
]
Clients = Annotated[
    int | None,
    typer.Option("--clients", help="Sessions at a time [default: 10].", show_default=False),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", help="Transactions a second offered in all.", show_default=False),
]
Keys = Annotated[
    int | None,
    typer.Option("--keys", help="Keys in use at a time [default: 8].", show_default=False),
]
StopAtFirst = Annotated[
    bool,
    typer.Option(
        "--stop-at-first", help="End when something was seen that the claimed level forbids."
    ),
]


@app.command("list")
def list_workloads(as_json: AsJson = False) -> None:
    """List the workloads, the rig's and those of installed packages, with what they look for."""
    from test_rig.rig import installed_workloads, workload_named
    from test_rig.workload import BUILT_IN

    every = [*BUILT_IN.values(), *map(workload_named, installed_workloads())]
    if as_json:
        known = [{"name": each.name, "about": each.about} for each in every]
        typer.echo(json.dumps(known, indent=2))
        return
    width = max(len(each.name) for each in every)
    for each in every:
        typer.echo(f"{each.name:{width}}  {each.about}")


@app.command()
@common_options
def run(
    common: CommonOptions,
    name: Name,
    level: Levels = None,
    time: Time = None,
    clients: Clients = None,
    rate: Rate = None,
    keys: Keys = None,
    stop_at_first: StopAtFirst = False,
    as_json: AsJson = False,
    junit: Junit = None,
) -> None:
    """Run a workload at each level of a database and judge what it showed.

    Exit code 0 when nothing was seen that a claim forbids, 1 when something was, 2 for wrong use,
    3 when something could not be judged. Ctrl-C ends it; what there is until then is judged.
    """
    from test_rig.cli.door import Door
    from test_rig.cli.outputs import check_folders, near, write_report
    from test_rig.cli.report import as_text
    from test_rig.report import render_json
    from test_rig.rig import run_workloads, workload_named
    from test_rig.settings import OptionValue

    workload = workload_named(name)
    check_folders(junit)
    given = {
        "levels": level,
        "time_secs": time,
        "clients": clients,
        "rate": rate,
        "key_count": keys,
    }
    options = {"levels": "--level", "time_secs": "--time", "key_count": "--keys"}
    extra = {
        f"workload.{key}": OptionValue(value, options.get(key, f"--{key}"))
        for key, value in given.items()
        if value is not None
    }
    with Door(common, (), extra=extra) as door:
        done = door.with_password(
            lambda targets: run_workloads(
                door.config,
                workload,
                targets,
                argv=door.argv,
                stop_at_first=stop_at_first,
                on_level=lambda target, at: _say_level(door.console, target, at),
                on_progress=lambda progress: _say(door.console, progress),
                listener=door.sql_listener,
            )
        )
    for each in done.report.workloads:
        _warn(door.console, each)
    write_report(done.report, junit, None)
    text = render_json(done.report) if as_json else as_text(done.report, page=near(done.html))
    typer.echo(text.rstrip())
    raise typer.Exit(_CODES[done.verdict.value])


def _say_level(console: Console, target: TargetInfo, level: str) -> None:
    text = f"{target.product} {target.version}, {level}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _say(console: Console, progress: Progress) -> None:
    found = ", ".join(f"{each.flaw.anomaly} {each.count}" for each in progress.shown)
    outside = f", {progress.outside} clients have no connection" if progress.outside else ""
    console.print(
        f"  {progress.elapsed_s:5.1f} s  {progress.ok:,} committed, {progress.fail:,} failed, "
        f"{progress.info:,} unknown{outside}  {found}".rstrip(),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _warn(console: Console, workload: WorkloadVerdict) -> None:
    from test_rig.report import refused_lines

    if lines := refused_lines(workload):
        where = f"{workload.target.product} {workload.target.version}, {workload.level}"
        text = f"warning: {where}: {'; '.join(lines)}"
        console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
