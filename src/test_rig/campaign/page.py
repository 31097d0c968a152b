"""A campaign's summary as one HTML page, beside the folders of its runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from test_rig.campaign.planned import RunOutcome, Standing
from test_rig.campaign.summary import Finding, Place, Summary
from test_rig.campaign.text import headline, place_word
from test_rig.report import duration, page_template

__all__ = ["render_html"]

#: What the style sheet knows.
_KINDS = {
    Standing.VALID: "valid",
    Standing.INVALID: "invalid",
    Standing.UNKNOWN: "unknown",
    Standing.ERROR: "unknown",
    Standing.TIMED_OUT: "unknown",
}


def render_html(summary: Summary) -> str:
    """Return the summary as the text of one HTML file, to be written in UTF-8."""
    page = {
        "headline": headline(summary),
        "verdict": ("valid", "invalid", "unknown", "unknown")[summary.exit_code],
        "name": summary.name,
        "id": summary.id,
        "description": summary.description,
        "started": summary.started,
        "took": duration(summary.duration_s),
        "checks": list(dict.fromkeys(place.check for place in summary.places)),
        "targets": list(_targets(summary)),
        "findings": [_finding(each) for each in summary.findings],
        "not_judged": [
            _run(outcome)
            for place in summary.worst
            for outcome in place.outcomes
            if outcome.standing not in (Standing.VALID, Standing.INVALID)
        ],
        "differing": [
            {"place": _place(each), "told": each.differences} for each in summary.differing
        ],
        "left_out": summary.left_out,
        "changes": summary.changes,
        "new": [_finding(each) for each in (summary.changes.new if summary.changes else ())],
        "gone": [_finding(each) for each in (summary.changes.gone if summary.changes else ())],
    }
    return page_template("campaign.html.j2").render(page=page)


def _targets(summary: Summary) -> Iterator[dict[str, Any]]:
    by_key = {(place.target, place.level, place.check): place for place in summary.places}
    checks = dict.fromkeys(place.check for place in summary.places)
    for target in dict.fromkeys(place.target for place in summary.places):
        levels = dict.fromkeys(place.level for place in summary.places if place.target == target)
        rows = []
        for level in levels:
            cells = [_cell(by_key.get((target, level, check))) for check in checks]
            rows.append({"level": level or "all levels", "cells": cells})
        yield {"name": target, "product": summary.targets.get(target, ""), "rows": rows}


def _cell(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {"kind": "", "word": "", "runs": []}
    runs = [_run(outcome) for outcome in place.outcomes]
    return {"kind": _KINDS[place.standing], "word": place_word(place), "runs": runs}


def _run(outcome: RunOutcome) -> dict[str, Any]:
    words = [level.comparison for level in outcome.levels]
    return {
        "id": outcome.planned.id,
        "seed": outcome.planned.seed,
        "kind": _KINDS[outcome.standing],
        "word": outcome.standing.value,
        "link": _link(outcome.folder),
        "why": outcome.error or "; ".join(words),
        "took": duration(outcome.duration_s),
    }


def _finding(each: Finding) -> dict[str, Any]:
    return {
        "place": " / ".join(part for part in (each.target, each.level, each.check) if part),
        "what": each.what,
        "count": each.count,
        "seeds": ", ".join(map(str, each.seeds)),
        "told": each.told,
        "link": _link(each.folder),
    }


def _place(place: Place) -> str:
    return " / ".join(part for part in (place.target, place.level, place.check) if part)


def _link(folder: str | None) -> str:
    """Return the address of a run's page from the campaign's; empty where it is elsewhere."""
    if folder is None or folder.startswith("/"):
        return ""
    return quote(f"{folder}/report.html")
