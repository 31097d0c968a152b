"""`test-rig workflow`: run workflows, look at their runs, and steer them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, ConfigFiles, load_config

if TYPE_CHECKING:
    from test_rig.settings import AppConfig
    from test_rig.workflow import Executor, Ledger, Progress, RunHandle, Workflow, WorkflowResult

__all__ = ["app"]

app = typer.Typer(
    help="Run durable graphs of tasks, and look at what became of them.", no_args_is_help=True
)

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where runs are recorded; the setting workflow.url if not given.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
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

    workflows = _load([file])
    names = [workflow.name for workflow in workflows]
    if name is None and len(workflows) != 1:
        raise UnknownName("single workflow", file, names)
    if name is not None and name not in names:
        raise UnknownName("workflow", name, names, where=file)
    workflow = workflows[names.index(name) if name is not None else 0]
    values = _read_context(context)
    with _executor(_settings(store, config), workflows) as executor:
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
    with _ledger(store, config) as ledger:
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

    with _ledger(store, config) as ledger:
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
    store: Store = None,
    as_json: AsJson = False,
    config: ConfigFiles = None,
) -> None:
    """Draw the graph of a workflow, or of a run with the states of its tasks."""
    from test_rig.workflow import graph_svg, graph_text

    drawn: list[tuple[dict[str, Any], dict[str, str] | None]]
    if Path(what).exists():
        drawn = [(workflow.facts(), None) for workflow in _load([what])]
    else:
        with _ledger(store, config) as ledger:
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
    with _executor(_settings(store, config), _load([file])) as executor:
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
    with _executor(_settings(store, config), _load([file])) as executor:
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
    by_name = {workflow.name: workflow for workflow in _load([file])}
    with _ledger(store, config) as ledger:
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
    with _ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_cancelled = ledger.cancel(found)
    typer.echo(f"{found} {'is being cancelled' if is_cancelled else 'was over already'}")
    raise typer.Exit(0 if is_cancelled else 1)


@app.command()
def pause(run_id: Run, store: Store = None, config: ConfigFiles = None) -> None:
    """Let what runs come to its end, and start nothing more until `resume`."""
    with _ledger(store, config) as ledger:
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
    value = _json(payload, "the payload")
    with _ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_first = ledger.signal(found, event, value)
    typer.echo(f"{found} {'has' if is_first else 'had already'} the event {event}")
    raise typer.Exit(0 if is_first else 1)


@app.command()
def worker(files: Files, store: Store = None, config: ConfigFiles = None) -> None:
    """Work on the runs of these workflows, and on their schedules, until interrupted."""
    import threading

    workflows = _load(files)
    with _executor(_settings(store, config), workflows) as executor:
        names = ", ".join(workflow.name for workflow in workflows)
        typer.echo(f"worker {executor.engine.worker} serves {names}", err=True)
        threading.Event().wait()


schedules = typer.Typer(help="Run workflows when the clock says so.", no_args_is_help=True)
app.add_typer(schedules, name="schedule")


@schedules.command("add")
def add_schedule(
    name: Annotated[str, typer.Argument(help="The schedule's name; its earlier one is replaced.")],
    workflow: Annotated[str, typer.Argument(help="The name of the workflow.")],
    cron: Annotated[str, typer.Argument(help="Minute, hour, day, month, weekday.")],
    time_zone: Annotated[str, typer.Option(help="Whose clock it means.")] = "UTC",
    catch_up: Annotated[
        str, typer.Option(help="Of times that were missed, run for: all, latest, none.")
    ] = "latest",
    context: Annotated[
        str | None,
        typer.Option(help="The input: a JSON object, or @FILE with one.", show_default=False),
    ] = None,
    store: Store = None,
    config: ConfigFiles = None,
) -> None:
    """Run a workflow by a cron expression; a worker that knows it starts the runs."""
    values = _read_context(context)
    with _ledger(store, config) as ledger:
        ledger.schedule(
            name,
            workflow,
            cron,
            time_zone=time_zone,
            context=values,
            catch_up=catch_up,  # type: ignore[arg-type]  # checked there
        )
        (made,) = [each for each in ledger.schedules() if each.name == name]
    typer.echo(f"{name}: next at {made.as_dict()['next_due']}")


@schedules.command("list")
def list_schedules(
    store: Store = None, as_json: AsJson = False, config: ConfigFiles = None
) -> None:
    """List the schedules, the one that is due next first."""
    with _ledger(store, config) as ledger:
        found = [each.as_dict() for each in ledger.schedules()]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    for each in [] if as_json else found:
        parts = ("name", "workflow", "cron", "time_zone", "catch_up")
        typer.echo("  ".join([*(str(each[part]) for part in parts), f"next {each['next_due']}"]))


@schedules.command("remove")
def remove_schedule(
    name: Annotated[str, typer.Argument(help="The schedule's name.")],
    store: Store = None,
    config: ConfigFiles = None,
) -> None:
    """Remove a schedule; runs that it started go on."""
    from test_rig.errors import UnknownName

    with _ledger(store, config) as ledger:
        if not ledger.unschedule(name):
            known = [each.name for each in ledger.schedules()]
            raise UnknownName("schedule", name, known)
    typer.echo(f"{name} is removed")


def _settings(store: str | None, config: ConfigFiles) -> AppConfig:
    from test_rig.settings import OptionValue

    extra = {} if store is None else {"workflow.url": OptionValue(store, "--store")}
    return load_config(CommonOptions(config=config or []), extra=extra)


def _ledger(store: str | None, config: ConfigFiles) -> Ledger:
    from test_rig.workflow import Ledger

    return Ledger.open(_settings(store, config).workflow.url)


@contextmanager
def _executor(settings: AppConfig, workflows: Sequence[Workflow]) -> Iterator[Executor]:
    from test_rig.rig import listening
    from test_rig.workflow import Emitting, Executor

    with listening(settings) as emit:
        emitting = Emitting(emit)

        def tell(progress: Progress) -> None:
            _show(progress)
            emitting(progress)

        with Executor(
            settings.workflow.url,
            workflows=workflows,
            on_progress=tell,
            max_tasks=settings.workflow.max_tasks,
            lease_s=settings.workflow.lease_secs,
        ) as executor:
            yield executor


def _show(progress: Progress) -> None:
    from test_rig.cli.workflow_text import progress_line

    typer.echo(progress_line(progress), err=True)


def _load(files: Sequence[str]) -> list[Workflow]:
    """Return the workflows of files; those of a file that names none are its marked tasks."""
    from test_rig.errors import UsageError
    from test_rig.plugins import load
    from test_rig.workflow import Workflow

    found: dict[str, Workflow] = {}
    for file in files:
        generation = load(file, _is_wanted)
        objects: list[Any] = [each.value for each in generation.require().found]
        own = [each for each in objects if isinstance(each, Workflow)]
        if not own and objects:
            own = [Workflow(Path(file).stem, objects)]
        if not own:
            raise UsageError("no workflow and no task in it", where=file, todo="mark with @task")
        for workflow in own:
            workflow.check()
            found[workflow.name] = workflow
    return list(found.values())


def _is_wanted(name: str, value: object) -> bool:
    from test_rig.workflow import Workflow, is_task

    del name
    return isinstance(value, Workflow) or is_task(value)


def _read_context(given: str | None) -> dict[str, Any]:
    from test_rig.errors import UsageError

    if given is None:
        return {}
    if given.startswith("@"):
        try:
            given = Path(given[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=given[1:]) from error
    value = _json(given, "--context")
    if not isinstance(value, dict):
        raise UsageError("the input is a JSON object, with a value for each key", where="--context")
    return value


def _json(text: str, where: str) -> Any:
    from test_rig.errors import UsageError

    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"is no JSON: {error}", where=where) from error


def _state(given: str) -> str:
    from test_rig.errors import UnknownName
    from test_rig.workflow import RunStatus

    by_name = {state.value.lower(): state.value for state in RunStatus}
    if given.lower() not in by_name:
        raise UnknownName("state", given, list(by_name.values()))
    return by_name[given.lower()]


def _later(run_id: str, store: str | None, config: ConfigFiles, *, is_again: bool) -> None:
    with _ledger(store, config) as ledger:
        found = ledger.find(run_id)
        is_revived = ledger.resume_later(found, is_again=is_again)
    rest = "waits for a worker" if is_revived else "has nothing to go on with"
    typer.echo(f"{found} {rest}")
    raise typer.Exit(0 if is_revived else 1)


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
