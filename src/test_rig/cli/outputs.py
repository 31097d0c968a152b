"""What a command prints as JSON, and the files that it writes beside what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from test_rig.report import Report

__all__ = ["AsJson", "Html", "Junit", "check_folders", "near", "write_report"]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", help="Also write JUnit XML to this file.", show_default=False),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", help="Also write the HTML page to this file.", show_default=False),
]


def check_folders(*files: Path | None) -> None:
    """Refuse a file that could not be written before anything is done."""
    from test_rig.errors import UsageError

    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError("its folder does not exist", where=str(file))


def write_report(report: Report, junit: Path | None, html: Path | None) -> None:
    """Write the report's other forms where they are asked for."""
    from test_rig.report import render_html, render_junit

    if junit is not None:
        junit.write_text(render_junit(report), encoding="utf-8")
    if html is not None:
        html.write_text(render_html(report), encoding="utf-8")


def near(path: Path) -> Path:
    """Return the path as short as it can be from here."""
    here, absolute = Path.cwd(), path.absolute()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
