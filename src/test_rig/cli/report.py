"""`test-rig report`: a run, or a campaign, told again from its folder alone."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from test_rig.cli.options import CommonOptions, ConfigFiles, load_config
from test_rig.errors import UsageError

if TYPE_CHECKING:
    from test_rig.campaign import CampaignFolder
    from test_rig.report import Report
    from test_rig.settings import AppConfig

__all__ = ["ReportFormat", "as_text", "report"]

#: Columns where nobody has a terminal.
_PIPE_WIDTH = 100


class ReportFormat(Enum):
    """The forms of a report."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


_BY_SUFFIX = {
    ".txt": ReportFormat.TEXT,
    ".json": ReportFormat.JSON,
    ".xml": ReportFormat.JUNIT,
    ".html": ReportFormat.HTML,
    ".htm": ReportFormat.HTML,
}


def report(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's folder, its short id or the beginning of it, or `last`; or a campaign's "
            "folder, id or name."
        ),
    ] = "last",
    report_format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="The form; that of the file's name, else text."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to write; standard output if not given."),
    ] = None,
    config: ConfigFiles = None,
) -> None:
    """Tell a run or a campaign again, as text, JSON, JUnit XML or one HTML page.

    Exit code 0 when the report could be made, whatever the run found, and 2 when there is no such
    run or it cannot be read.
    """
    form = _form(report_format, output, as_json)
    text = _told(load_config(CommonOptions(config=config)), run, form, is_file=output is not None)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"cannot be written: {exc.strerror}", where=str(output)) from exc
    typer.echo(f"wrote {output}", err=True)


def as_text(report: Report, *, page: Path | None = None) -> str:
    """Return the report as text that fits the terminal behind standard output, if there is one.

    Args:
        report: What to tell.
        page: Where the HTML page is, to be named at the end.
    """
    from rich.console import Console

    from test_rig.report import render_text

    console = Console()
    encoding = console.encoding
    text = render_text(
        report,
        width=console.width if console.is_terminal else _PIPE_WIDTH,
        color=console.is_terminal and not console.no_color,
        unicode=encoding.startswith("utf"),
        page=page,
    )
    # What a database said can hold characters that this terminal has no way to show.
    return text.encode(encoding, "replace").decode(encoding)


def _form(wanted: ReportFormat | None, output: Path | None, as_json: bool) -> ReportFormat:
    if as_json and wanted not in (None, ReportFormat.JSON):
        raise UsageError("--json and another --format", todo="leave one of them away")
    named = None if output is None else _BY_SUFFIX.get(output.suffix.lower())
    if output is not None and named is None and wanted is None and not as_json:
        raise UsageError(
            f"no form of a report goes by {output.suffix or 'no ending'}",
            where=str(output),
            todo=f"end it in {', '.join(_BY_SUFFIX)}, or say --format",
        )
    return (ReportFormat.JSON if as_json else wanted) or named or ReportFormat.TEXT


def _told(settings: AppConfig, name: str, form: ReportFormat, *, is_file: bool) -> str:
    """Return what is told of the run, or else of the campaign, that a name means."""
    from test_rig.campaign import CampaignFolder, find_campaign
    from test_rig.report import Report
    from test_rig.runs import find_run

    if (Path(name) / "campaign.json").is_file():
        return _summarised(CampaignFolder(Path(name).absolute()), settings, form)
    try:
        return _rendered(Report.of(find_run(settings.runs.folder, name)), form, is_file=is_file)
    except UsageError:
        if name == "last":
            raise
        try:
            campaign = find_campaign(Path(settings.campaigns.folder), name)
        except UsageError:
            campaign = None  # then a run was meant
        if campaign is None:
            raise
    return _summarised(campaign, settings, form)


def _summarised(folder: CampaignFolder, settings: AppConfig, form: ReportFormat) -> str:
    from test_rig.campaign import render_html, render_junit, render_text, summary_of
    from test_rig.runs import encode_json

    summary = summary_of(folder, settings)
    if form is ReportFormat.JSON:
        text = encode_json(summary, pretty=True).decode()
    else:
        renderers = {
            ReportFormat.TEXT: render_text,
            ReportFormat.JUNIT: render_junit,
            ReportFormat.HTML: render_html,
        }
        text = renderers[form](summary)
    return f"{text.rstrip()}\n"


def _rendered(report: Report, form: ReportFormat, *, is_file: bool = False) -> str:
    from test_rig.report import render_html, render_json, render_junit, render_text

    if form is ReportFormat.TEXT:
        return render_text(report) if is_file else as_text(report, page=_page(report))
    renderers = {
        ReportFormat.JSON: render_json,
        ReportFormat.JUNIT: render_junit,
        ReportFormat.HTML: render_html,
    }
    text = renderers[form](report)
    return text if text.endswith("\n") else f"{text}\n"


def _page(report: Report) -> Path | None:
    """Return the HTML page that the run itself has left in its folder, if it has."""
    page = report.path / "report.html"
    return page if page.is_file() else None
