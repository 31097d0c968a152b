"""The report for a terminal: the table, what each level gives, and the most telling witnesses.

It fits 100 columns and gets by with 60. Colours only underline what the symbols and words say.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from test_rig.isolation import Anomaly
from test_rig.report.content import Report
from test_rig.report.diagram import draw
from test_rig.report.shown import shown
from test_rig.report.standing import Standing, judged_cells
from test_rig.report.suite_text import suite_parts
from test_rig.report.telling import Witness, most_telling
from test_rig.report.textlanes import lanes
from test_rig.report.textmatrix import ASCII, NAME_WIDTH_MOST, STYLES, UNICODE, Symbols, matrix
from test_rig.report.words import (
    doubts,
    duration,
    headline,
    observed_words,
    product_name,
)
from test_rig.report.workloads import still_to_judge, workload_lines, workload_words
from test_rig.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["render_text"]

#: Narrower places get lines that the terminal breaks.
MIN_WIDTH = 60
#: Longer lines are hard to read.
MAX_WIDTH = 120

_LEGEND = (
    (Standing.PREVENTED, "prevented"),
    (Standing.PERMITTED, "occurs, permitted by the claim"),
    (Standing.FORBIDDEN, "occurs, forbidden by the claim"),
    (Standing.UNKNOWN, "not judged"),
    (Standing.NOT_APPLICABLE, "not applicable"),
)
_VERDICT_STYLES = {Verdict.VALID: "green", Verdict.INVALID: "bold red", Verdict.UNKNOWN: "yellow"}


def render_text(
    report: Report,
    *,
    width: int = 100,
    color: bool = False,
    unicode: bool = True,
    page: Path | None = None,
) -> str:
    """Return the report as lines for a terminal.

    Args:
        report: What to tell.
        width: Columns of the terminal.
        color: Whether to add escape sequences for colours.
        unicode: Whether the reader's encoding has more than ASCII.
        page: Where the HTML page is, to be named at the end.
    """
    from rich.console import Console
    from rich.text import Text

    out = StringIO()
    console = Console(
        file=out,
        width=max(MIN_WIDTH, min(width, MAX_WIDTH)),
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    for part in _parts(report, console.width, UNICODE if unicode else ASCII, page):
        console.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))
    lines = (line.rstrip() for line in out.getvalue().split("\n"))
    return "\n".join(lines).strip("\n") + "\n"


def _parts(
    report: Report, width: int, symbols: Symbols, page: Path | None
) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(headline(report), style=f"bold {_VERDICT_STYLES[report.verdict]}")
    if report.suite is not None:
        yield from suite_parts(report.suite, width=width)
    for line, verdict in workload_lines(report):
        yield Text(line, style=f"bold {_VERDICT_STYLES[verdict]}" if verdict else "")
    if any(target.levels for target in report.audit.targets):
        yield ""
        yield from matrix(report, width, symbols)
        yield ""
        yield from _legend(report, width, symbols)
        yield ""
        yield _comparison(report, width)
    for witness in most_telling(report):
        yield ""
        yield from _witness(witness, width, symbols)
    yield from _not_judged(report)
    yield from _still_to_judge(report)
    yield ""
    yield from _where(report, page)


def _legend(report: Report, width: int, symbols: Symbols) -> Iterator[RenderableType]:
    from rich.text import Text

    seen = {
        cell.anomaly
        for target in report.audit.targets
        for row in target.levels
        for cell in judged_cells(row)
        if cell.standing in (Standing.FORBIDDEN, Standing.PERMITTED)
    }
    line = Text()
    for standing, words in _LEGEND:
        if line and len(line) + len(words) + 5 > width:
            yield line
            line = Text()
        line.append("   " if line else "")
        line.append(symbols.marks[standing], style=STYLES[standing])
        line.append(f" {words}")
    yield line
    names = [f"{a.info.label} {a.info.title}" for a in Anomaly if a in seen]
    if names:
        yield Text(f"Seen: {'; '.join(names)}.", style="dim")


def _comparison(report: Report, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    rows = [row for target in report.audit.targets for row in target.levels]
    longest = max(len(shown(row.name)) for row in rows)
    level = min(longest, NAME_WIDTH_MOST, width // 3)
    # A level's longest word, "serializable", must not break.
    title = max(12, min(18, (width - level - 6) // 4))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    has_workload = any(row.workload for row in rows)
    beside = 18 if has_workload else 0
    if has_workload:
        level = min(level, width // 5)
    table.add_column("level", overflow="fold", width=level)
    table.add_column("claims", overflow="fold", width=title)
    table.add_column("scenarios show", overflow="fold", width=title)
    if has_workload:
        table.add_column("workload shows", overflow="fold", width=beside - 2)
    table.add_column("so the claim", overflow="fold", width=width - level - 2 * title - beside - 6)
    for target in report.audit.targets:
        if len(report.audit.targets) > 1 and target.levels:
            table.add_row(Text(product_name(target), style="bold"))
        for row in target.levels:
            table.add_row(
                Text(shown(row.name)),
                Text(row.claim.info.title),
                Text(observed_words(row.observed)),
                *([Text(workload_words(row.workload))] if has_workload else []),
                Text(shown(row.comparison), style=_VERDICT_STYLES[row.verdict]),
            )
    return table


def _witness(witness: Witness, width: int, symbols: Symbols) -> Iterator[RenderableType]:
    from rich.text import Text

    cell, target = witness.cell, witness.target
    title = Text(f"{symbols.marks[cell.standing]} ", style=STYLES[cell.standing])
    title.append(f"{cell.anomaly.info.label} {cell.anomaly.info.title}", style="bold")
    title.append(f" at {shown(witness.row.name)} of {product_name(target)}")
    yield title
    yield Text(f"{shown(cell.reason).rstrip('.')}.", style="italic")
    yield from lanes(draw(witness.transcript), width, symbols)


def _not_judged(report: Report) -> Iterator[RenderableType]:
    from rich.text import Text

    told = doubts(report)
    if told:
        yield ""
        yield Text("Not judged", style="bold yellow")
    for who, where, why in told:
        yield Text(f"  {who}, {where}: {why}")


def _still_to_judge(report: Report) -> Iterator[RenderableType]:
    from rich.text import Text

    commands = still_to_judge(report)
    if commands:
        yield ""
        yield Text("Kept, and still to be judged", style="bold yellow")
    for what, command in commands:
        yield Text(f"  {what}")
        # A command is copied: it stays on one line, however long.
        yield Text(f"  {command}", no_wrap=True)


def _where(report: Report, page: Path | None) -> Iterator[RenderableType]:
    from rich.text import Text

    record = report.record
    took = ""
    if record.finished is not None:
        took = f" in {duration((record.finished - record.started).total_seconds())}"
    yield Text(f"Run {record.id}{took}: {report.path}", style="dim", overflow="fold")
    if page is not None:
        yield Text(f"All of it, step by step: {page}", overflow="fold")
    else:
        yield Text(
            f"All of it as a page: test-rig report {record.id} --format html -o report.html",
            overflow="fold",
        )
