"""`test-rig campaign`: many runs from one file, gone on with after a kill, and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from test_rig.cli.options import CommonOptions, ConfigFiles, load_config
from test_rig.cli.outputs import AsJson, Html, Junit

if TYPE_CHECKING:
    from test_rig.campaign import Opened, PlannedRun, RunOutcome, Summary
    from test_rig.settings import AppConfig

__all__ = ["app"]

app = typer.Typer(
    help="Run a matrix of targets, levels, workloads and seeds, and compare what they show.",
    no_args_is_help=True,
)

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where its progress is recorded; a file in its folder if not given.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Do the runs on this cluster of Dask, such as tcp://host:8786.",
        show_default=False,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="CAMPAIGN",
        help="Tell what changed since an earlier one: its folder or id, or `last`.",
        show_default=False,
    ),
]
Name = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Its folder, its id, its name, or `last`.")
]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="The campaign's file (TOML).")],
    is_new: Annotated[
        bool, typer.Option("--new", help="Begin anew, though one of this file was interrupted.")
    ] = False,
    against: Against = None,
    cluster: Address = None,
    store: Store = None,
    as_json: AsJson = False,
    junit: Junit = None,
    html: Html = None,
    config: ConfigFiles = None,
) -> None:
    """Run a campaign; one of the same file that was interrupted is gone on with.

    Exit code 0 when every run is valid, 1 when one found something, 2 for wrong use, 3 when
    something could not be judged.
    """
    from test_rig.campaign import open_campaign
    from test_rig.cli.outputs import check_folders

    check_folders(junit, html)
    settings = _settings(store, config)
    opened = open_campaign(file, settings, is_new=is_new, against=against)
    summary = _run(opened, settings, config, cluster, against)
    _finish(summary, as_json, junit, html)


@app.command()
def resume(
    name: Name = "last",
    against: Against = None,
    cluster: Address = None,
    store: Store = None,
    as_json: AsJson = False,
    junit: Junit = None,
    html: Html = None,
    config: ConfigFiles = None,
) -> None:
    """Go on with a campaign that was interrupted; what has ended is not run again."""
    from test_rig.campaign import reopen_campaign
    from test_rig.cli.outputs import check_folders

    check_folders(junit, html)
    settings = _settings(store, config)
    opened = reopen_campaign(name, settings, against=against)
    summary = _run(opened, settings, config, cluster, against)
    _finish(summary, as_json, junit, html)


@app.command("list")
def list_campaigns(
    store: Store = None, as_json: AsJson = False, config: ConfigFiles = None
) -> None:
    """List the campaigns, the newest first."""
    from test_rig.campaign import list_campaigns as found_in

    settings = _settings(store, config)
    rows = []
    for folder in found_in(Path(settings.campaigns.folder)):
        record = folder.record()
        state = "finished" if record.finished else "running" if folder.is_worked_on else "left"
        rows.append(
            {
                "id": folder.id,
                "name": record.plan.name,
                "started": record.started.isoformat(timespec="seconds"),
                "state": state,
                "runs": len(record.plan.runs),
                "folder": str(folder.path),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    for row in [] if as_json else rows:
        typer.echo("  ".join(str(row[key]) for key in ("id", "started", "state", "name", "runs")))


@app.command()
def show(
    name: Name = "last",
    against: Against = None,
    store: Store = None,
    as_json: AsJson = False,
    junit: Junit = None,
    html: Html = None,
    config: ConfigFiles = None,
) -> None:
    """Show what a campaign came to so far; also while it runs."""
    from test_rig.campaign import find_campaign, summary_of
    from test_rig.cli.outputs import check_folders

    check_folders(junit, html)
    settings = _settings(store, config)
    folder = find_campaign(Path(settings.campaigns.folder), name)
    _print(summary_of(folder, settings, against), as_json, junit, html)


def _settings(store: str | None, config: ConfigFiles) -> AppConfig:
    from test_rig.cli import logs
    from test_rig.settings import OptionValue

    extra = {} if store is None else {"campaigns.url": OptionValue(store, "--store")}
    settings = load_config(CommonOptions(config=config or []), extra=extra)
    logs.mask(*settings.secrets())
    return settings


class _Progress:
    """Tells on standard error how a campaign goes on."""

    def began(self, planned: PlannedRun, attempt: int) -> None:
        if attempt > 1:
            typer.echo(f"{planned.id}: attempt {attempt}", err=True)

    def ended(self, outcome: RunOutcome, done: int, total: int) -> None:
        from test_rig.campaign import outcome_line

        typer.echo(outcome_line(outcome, done, total), err=True)


def _run(
    opened: Opened,
    settings: AppConfig,
    config: ConfigFiles,
    cluster: str | None,
    against: str | None,
) -> Summary:
    from test_rig.campaign import run_campaign

    total = len(opened.folder.record().plan.runs)
    runs = f"{total} run{'s' * (total != 1)}"
    begins = runs if opened.done is None else f"{opened.done} of {total} runs are done"
    typer.echo(f"campaign {opened.folder.id}: {begins}; {opened.folder.path}", err=True)
    for each in opened.ready.plan.left_out:
        what = f", {each.what}" if each.what else ""
        typer.echo(f"left out: {each.target}{what}: {each.why}", err=True)
    return run_campaign(
        opened,
        settings,
        teller=_Progress(),
        config_files=config or (),
        cluster=cluster,
        against=against,
    )


def _finish(summary: Summary, as_json: bool, junit: Path | None, html: Path | None) -> None:
    _print(summary, as_json, junit, html)
    raise typer.Exit(summary.exit_code)


def _print(summary: Summary, as_json: bool, junit: Path | None, html: Path | None) -> None:
    from test_rig.campaign import render_html, render_junit, render_text
    from test_rig.runs import encode_json

    if junit is not None:
        junit.write_text(render_junit(summary), encoding="utf-8")
    if html is not None:
        html.write_text(render_html(summary), encoding="utf-8")
    text = encode_json(summary, pretty=True).decode() if as_json else render_text(summary)
    typer.echo(text.rstrip())
