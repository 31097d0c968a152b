"""`test-rig workflow schedule`: workflows that run when the clock says so."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from test_rig.cli.options import ConfigFiles
from test_rig.cli.outputs import AsJson
from test_rig.cli.workflow_store import Store, open_ledger, read_context

__all__ = ["app"]

app = typer.Typer(help="Run workflows when the clock says so.", no_args_is_help=True)


@app.command("add")
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
    values = read_context(context)
    with open_ledger(store, config, make=True) as ledger:
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


@app.command("list")
def list_schedules(
    store: Store = None, as_json: AsJson = False, config: ConfigFiles = None
) -> None:
    """List the schedules, the one that is due next first."""
    with open_ledger(store, config) as ledger:
        found = [each.as_dict() for each in ledger.schedules()]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    for each in [] if as_json else found:
        parts = ("name", "workflow", "cron", "time_zone", "catch_up")
        typer.echo("  ".join([*(str(each[part]) for part in parts), f"next {each['next_due']}"]))


@app.command("remove")
def remove_schedule(
    name: Annotated[str, typer.Argument(help="The schedule's name.")],
    store: Store = None,
    config: ConfigFiles = None,
) -> None:
    """Remove a schedule; runs that it started go on."""
    from test_rig.errors import UnknownName

    with open_ledger(store, config) as ledger:
        if not ledger.unschedule(name):
            known = [each.name for each in ledger.schedules()]
            raise UnknownName("schedule", name, known)
    typer.echo(f"{name} is removed")
