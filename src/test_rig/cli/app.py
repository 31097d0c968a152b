"""Which commands there are."""

from __future__ import annotations

import typer

from test_rig.cli.actions import app as actions_app
from test_rig.cli.audit import audit
from test_rig.cli.campaign import app as campaign_app
from test_rig.cli.check import check
from test_rig.cli.config import app as config_app
from test_rig.cli.connect import connect
from test_rig.cli.history import app as history_app
from test_rig.cli.imports import app as imports_app
from test_rig.cli.new import app as new_app
from test_rig.cli.replay import replay
from test_rig.cli.report import report
from test_rig.cli.run import run
from test_rig.cli.scenario import app as scenario_app
from test_rig.cli.workflow import app as workflow_app
from test_rig.cli.workload import app as workload_app

__all__ = ["app"]

app = typer.Typer(
    name="test-rig",
    help="Find out, with evidence, what a SQL database really does.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"test-rig {version('test-rig')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
) -> None:
    del version  # its callback has done the work


app.command()(audit)
app.command()(check)
app.command()(connect)
app.command()(replay)
app.command()(report)
app.command()(run)
app.add_typer(actions_app, name="actions")
app.add_typer(campaign_app, name="campaign")
app.add_typer(config_app, name="config")
app.add_typer(imports_app, name="import")
app.add_typer(history_app, name="history")
app.add_typer(new_app, name="new")
app.add_typer(scenario_app, name="scenario")
app.add_typer(workload_app, name="workload")
app.add_typer(workflow_app, name="workflow")
