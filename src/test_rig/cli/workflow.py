"""`test-rig workflow`: run workflows, look at their runs, and steer them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import ConfigFiles
from test_rig.cli.outputs import AsJson
from test_rig.cli.workflow_schedule import app as schedules
from test_rig.cli.workflow_store import (
    Store,
    load_workflows,
    open_executor,
    open_ledger,
    read_context,
    read_json,
)

if TYPE_CHECKING:
    from test_rig.workflow import RunHandle, WorkflowResult

__all__ = ["app"]

app = typer.Typer(
    help="Run durable graphs of tasks, and look at what became of them.", no_args_is_help=True
)
app.add_typer(schedules, name="schedule")

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the end of it, or `last`.")]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files, folders or modules that hold workflows."),
]
Code = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE]",
        help="The workflow's file, to go on here; a worker does it if not given.",
        show_default=False,
    ),
]


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="The file or module that holds the workflow.")],
    name: Annotated[
        str | None, typer.Argument(help="Which workflow, where there are several.")
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(help="The input: a JSON object, or @FILE with one.", show_default=False),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Names the run: the same key is the same run.", show_default=False),
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Run a workflow to its end, with live progress.

    Exit code 0 when it completed, 1 when it did not. An interrupted run is kept: the same command
    with the same key, or `resume`, goes on with it.
    """
    from test_rig.errors import UnknownName

    workflows = load_workflows([file])
    names = [workflow.name for workflow in workflows]
    if name is None and len(workflows) != 1:
        raise UnknownName("single workflow", file, names)
    if name is not None and name not in names:
        raise UnknownName("workflow", name, names, where=file)
    workflow = workflows[names.index(name) if name is not None else 0]
    values = read_context(context)
    with open_executor(store, config, workflows) as executor:
        _finish(executor.submit(workflow, values, key=key), as_json)


@app.command("list")
def list_runs(
    workflow: Annotated[
        str | None, typer.Option(help="Only runs of this workflow.", show_default=False)
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only runs in this state.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """List runs, the newest first."""
    from test_rig.cli.workflow_text import listed

    if status is not None:
        status = _state(status)
    with open_ledger(store, config) as ledger:
        runs = ledger.list(workflow=workflow, status=status, limit=limit)
    if as_json:
        plain = [
            {key: value for key, value in run.as_dict().items() if key != "task_results"}
            for run in runs
        ]
        typer.echo(json.dumps(plain, indent=2))
    else:
        typer.echo(listed(runs), nl=False)


@app.command()
def show(
    run_id: Run,
    tracebacks: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of each failed attempt.")
    ] = False,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Show a run: every task, every attempt, and why what waits is waiting."""
    from test_rig.cli.workflow_text import told

    with open_ledger(store, config) as ledger:
        found = ledger.describe(ledger.find(run_id))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        typer.echo(told(found, with_tracebacks=tracebacks), nl=False)


@app.command()
def graph(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE", help="A run, with its states, or a workflow's file."),
    ],
    svg: Annotated[
        Path | None, typer.Option(help="Write a picture to this file.", show_default=False)
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Which one of the file's.", show_default=False)
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Draw the graph of a workflow, or of a run with the states of its tasks."""
    from test_rig.errors import UnknownName
    from test_rig.workflow import graph_svg, graph_text

    drawn: list[tuple[dict[str, Any], dict[str, str] | None]]
    if Path(what).exists():
        by_name = {each.name: each for each in load_workflows([what])}
        if workflow is not None and workflow not in by_name:
            raise UnknownName("workflow", workflow, list(by_name), where=what)
        if workflow is None and svg is not None and len(by_name) > 1:
            raise UnknownName("single workflow to draw", what, list(by_name), where="--workflow")
        wanted = by_name.values() if workflow is None else [by_name[workflow]]
        drawn = [(each.facts(), None) for each in wanted]
    else:
        with open_ledger(store, config) as ledger:
            found = ledger.describe(ledger.find(what))
            facts = ledger.graph(found.run.workflow, found.run.version)
        drawn = [(facts, {task.key: task.status.value for task in found.tasks})]
    if svg is not None:
        svg.write_text(graph_svg(*drawn[0]), encoding="utf-8")
    if as_json:
        plain = [{**facts, "status": status} for facts, status in drawn]
        typer.echo(json.dumps(plain, indent=2))
    elif svg is None:
        typer.echo("\n".join(graph_text(*each) for each in drawn), nl=False)


@app.command()
def resume(
    run_id: Run,
    file: Code = None,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Go on with a run that was paused, or whose process died."""
    if file is None:
        _later(run_id, store, config, is_again=False)
        return
    with open_executor(store, config, load_workflows([file])) as executor:
        _finish(executor.resume(executor.find(run_id)), as_json)


@app.command()
def retry(
    run_id: Run,
    file: Code = None,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Run again what failed, was skipped or was cancelled in a run; what is completed stays."""
    if file is None:
        _later(run_id, store, config, is_again=True)
        return
    with open_executor(store, config, load_workflows([file])) as executor:
        _finish(executor.retry(executor.find(run_id)), as_json)


@app.command()
def move(
    run_id: Run,
    file: Annotated[str, typer.Argument(help="The file or module with the other version.")],
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="What a completed task is called there; may be repeated.",
            show_default=False,
        ),
    ] = None,
    store: Store = None,
    config: ConfigFiles = None,
) -> None:
    """Let a run that rests go on with another version of its workflow; what is completed stays."""
    from test_rig.errors import UnknownName, UsageError

    renamed = {}
    for each in rename or []:
        old, is_given, new = each.partition("=")
        if not is_given or not old or not new:
            raise UsageError("it says no OLD=NEW", where=f"--rename {each}")
        renamed[old] = new
    by_name = {workflow.name: workflow for workflow in load_workflows([file])}
    with open_ledger(store, config) as ledger:
        found = ledger.find(run_id)
        name = ledger.get(found).workflow
        if name not in by_name:
            raise UnknownName("workflow", name, list(by_name), where=file)
        ledger.move(found, by_name[name], renamed=renamed)
        status = ledger.get(found).status
    typer.echo(f"{found} has version {by_name[name].version} now, and is {status}")


@app.command()
def cancel(run_id: Run, store: Store = None, config: ConfigFiles = None) -> None:
    """End a run; exit code 1 when it was over already."""
    with open_ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_cancelled = ledger.cancel(found)
    typer.echo(f"{found} {'is being cancelled' if is_cancelled else 'was over already'}")
    raise typer.Exit(0 if is_cancelled else 1)


@app.command()
def pause(run_id: Run, store: Store = None, config: ConfigFiles = None) -> None:
    """Let what runs come to its end, and start nothing more until `resume`."""
    with open_ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_paused = ledger.pause(found)
    typer.echo(f"{found} {'is being paused' if is_paused else 'cannot be paused'}")
    raise typer.Exit(0 if is_paused else 1)


@app.command()
def signal(
    run_id: Run,
    event: Annotated[str, typer.Argument(help="The event's name.")],
    payload: Annotated[str, typer.Argument(help="What the run gets with it: JSON.")] = "null",
    store: Store = None,
    config: ConfigFiles = None,
) -> None:
    """Send an event to a run; exit code 1 when there was one of this name before."""
    value = read_json(payload, "the payload")
    with open_ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_first = ledger.signal(found, event, value)
    typer.echo(f"{found} {'has' if is_first else 'had already'} the event {event}")
    raise typer.Exit(0 if is_first else 1)


@app.command()
def prune(
    older_than: Annotated[
        str,
        typer.Option(metavar="AGE", help="How long ago they ended: 90s, 45m, 12h, 30d, 8w."),
    ],
    status: Annotated[
        list[str] | None,
        typer.Option(help="Only runs in this final state; may be repeated.", show_default=False),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only runs of this workflow.", show_default=False)
    ] = None,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell how many would go.")
    ] = False,
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Delete runs that are over, with their tasks, attempts and large values.

    A run goes with its children, and only when all of them are over. Workers go on meanwhile.
    """
    age_s = _age_s(older_than)
    statuses = None if status is None else [_state(each) for each in status]
    with open_ledger(store, config) as ledger:
        pruned = ledger.prune(
            older_than=age_s, statuses=statuses, workflow=workflow, is_dry_run=is_dry_run
        )
    if as_json:
        counts = {"runs": pruned.runs, "results": pruned.results, "values": pruned.values}
        typer.echo(json.dumps({**counts, "is_dry_run": is_dry_run}, indent=2))
    elif is_dry_run:
        typer.echo(f"{pruned.runs} runs would go, with {pruned.results} results of tasks")
    else:
        typer.echo(
            f"{pruned.runs} runs are gone, with {pruned.results} results of tasks and "
            f"{pruned.values} large values"
        )


@app.command()
def worker(files: Files, store: Store = None, config: ConfigFiles = None) -> None:
    """Work on the runs of these workflows, and on their schedules, until interrupted."""
    import threading

    workflows = load_workflows(files)
    with open_executor(store, config, workflows) as executor:
        names = ", ".join(workflow.name for workflow in workflows)
        typer.echo(f"worker {executor.engine.worker} serves {names}", err=True)
        threading.Event().wait()


#: Seconds by the letter of a unit.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _age_s(given: str) -> float:
    from test_rig.errors import UsageError

    number, unit = given[:-1], given[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS:
        todo = "a number and a unit, such as 90s, 45m, 12h, 30d or 8w"
        raise UsageError(f"{given!r} is no time", where="--older-than", todo=todo)
    return float(int(number) * _UNITS[unit])


def _state(given: str) -> str:
    from test_rig.errors import UnknownName
    from test_rig.workflow import RunStatus

    by_name = {state.value.lower(): state.value for state in RunStatus}
    if given.lower() not in by_name:
        raise UnknownName("state", given, list(by_name.values()))
    return by_name[given.lower()]


def _later(run_id: str, store: str | None, config: ConfigFiles, *, is_again: bool) -> None:
    with open_ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_revived = ledger.resume_later(found, is_again=is_again)
        status = ledger.get(found).status
    goes_on = status.value in ("Pending", "Running") and not is_again
    if is_revived or goes_on:
        typer.echo(f"{found} {'is worked on' if status == 'Running' else 'waits for a worker'}")
        return
    typer.echo(f"{found} is {status.value}: it has nothing to go on with")
    raise typer.Exit(1)


def _finish(handle: RunHandle, as_json: bool) -> None:
    """Wait for a run and tell its result; an interrupted one goes on when somebody resumes it."""
    typer.echo(f"run {handle.run_id}", err=True)
    result: WorkflowResult = handle.result()
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        typer.echo(f"{result.status.value}  {result.run_id}")
        if result.error_message:
            typer.echo(result.error_message)
        typer.echo(json.dumps(result.final_context, indent=2, ensure_ascii=False))
    raise typer.Exit(0 if result.is_completed else 1)
