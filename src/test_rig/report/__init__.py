"""A run told to people and to machines: text, JSON, JUnit XML and one HTML page.

Every renderer is a pure function of a `Report`, which is what the run folder holds; it opens no
file, knows no database and can be run again at any time. What a database said is shown, never
acted upon: see `test_rig.report.shown`.
"""

from test_rig.report.content import Report
from test_rig.report.cycle_picture import cycle_picture
from test_rig.report.html import page_template, render_html, render_picture
from test_rig.report.jsonform import render_json
from test_rig.report.junit import render_junit
from test_rig.report.shown import shown as shown_text
from test_rig.report.text import render_text
from test_rig.report.timeline_picture import timeline_picture
from test_rig.report.words import duration, headline
from test_rig.report.workloads import refused_lines

__all__ = [
    "Report",
    "cycle_picture",
    "duration",
    "headline",
    "page_template",
    "refused_lines",
    "render_html",
    "render_json",
    "render_junit",
    "render_picture",
    "render_text",
    "shown_text",
    "timeline_picture",
]
