"""The page that every run leaves in its folder."""

from __future__ import annotations

from pathlib import Path

from test_rig.report import Report, render_html
from test_rig.runs import RunFolder

__all__ = ["write_page"]


def write_page(folder: Path) -> tuple[Report, Path]:
    """Write the HTML page of a finished run, and return its report and where the page is."""
    report = Report.of(RunFolder.open(folder))
    html = folder / "report.html"
    html.write_text(render_html(report), encoding="utf-8")
    return report, html
