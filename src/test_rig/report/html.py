"""The report as one HTML page that needs nothing but itself.

How to think of it: `test_rig.report.page` turns a report into plain values, the templates lay them
out, and two guards stand between what a database said and the reader's browser: every printed text
passes `shown` (no invisible, turning or endless text) and then jinja's escaping. The page has no
script, asks nobody for anything, and its Content-Security-Policy forbids it to: the one style sheet
is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from test_rig.report.content import Report
from test_rig.report.page import Script, page_of
from test_rig.report.picture import Picture
from test_rig.report.shown import shown
from test_rig.report.suite_page import suite_page_of

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["page_template", "render_html", "render_picture"]


def render_html(report: Report) -> str:
    """Return the report as the text of one HTML file, to be written in UTF-8."""
    if report.suite is not None:
        return page_template("suite.html.j2").render(page=suite_page_of(report))
    return page_template("page.html.j2").render(page=page_of(report))


def render_picture(picture: Picture) -> str:
    """Return a picture as the text of an SVG file, to be written in UTF-8."""
    return page_template("picture.svg.j2").render(picture=picture)


def _style(*names: str) -> str:
    folder = files("test_rig.report") / "templates"
    return "".join((folder / name).read_text("utf-8") for name in names)


@cache
def page_template(name: str) -> Template:
    """Return a page of this room, with the guards that stand before what it prints."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def fit(value: object) -> object:
        """Make what is about to be printed fit to be shown; the escaping comes after."""
        if isinstance(value, str) and not isinstance(value, Markup | Script):
            return shown(value)
        return value

    environment = Environment(
        loader=PackageLoader("test_rig.report"),
        autoescape=True,
        finalize=fit,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _style("page.css", "picture.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The only texts that are not escaped are our own files.
    environment.globals["style"] = Markup(style)  # noqa: S704 - see above
    alone = _style("picture_alone.css", "picture.css")
    environment.globals["picture_style"] = Markup(alone)  # noqa: S704 - see above
    environment.globals["style_hash"] = f"sha256-{digest}"
    return environment.get_template(name)
