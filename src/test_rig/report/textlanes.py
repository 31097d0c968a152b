"""A witness for a terminal: sessions side by side, time downwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from test_rig.report.diagram import Diagram, Moment, MomentKind
from test_rig.report.outcome import Grid, grids, told, waiting_told
from test_rig.report.shown import shown
from test_rig.report.textmatrix import Symbols
from test_rig.verdict import StepStatus

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["lanes"]

_TIME_WIDTH = 8


def lanes(diagram: Diagram, width: int, symbols: Symbols) -> Iterator[RenderableType]:
    """Yield the picture as a table without lines, whose parts wrap within their lanes."""
    from rich.table import Table
    from rich.text import Text

    count = max(1, len(diagram.sessions))
    lane_width = (width - _TIME_WIDTH - 2 * (count + 1)) // count
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", width=_TIME_WIDTH, justify="right", style="dim")
    for session in diagram.sessions:
        table.add_column(Text(shown(session)), width=lane_width, overflow="fold")
    for moment in diagram.moments:
        cells = [Text("") for _ in range(count)]
        for lane in moment.waiting:
            cells[lane] = Text(symbols.waits, style="yellow")
        cells[moment.lane] = _told(moment, symbols)
        table.add_row(Text(f"{moment.time_ns / 1e6:.1f} ms"), *cells)
    yield table
    if diagram.after:
        after = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        after.add_column("", width=_TIME_WIDTH, justify="right", style="dim")
        after.add_column("", width=width - _TIME_WIDTH - 2, overflow="fold")
        for moment in diagram.after:
            after.add_row(Text("after"), _told(moment, symbols))
        yield after


def _told(moment: Moment, symbols: Symbols) -> Text:
    from rich.text import Text

    sql = " ".join(shown(moment.step.sql.strip()).split())
    text = Text()
    if moment.kind is MomentKind.SKIPPED:
        return text.append(f"{sql} ({told(moment.step)})", style="dim")
    if moment.kind is MomentKind.ANSWERED:
        text.append(f"{symbols.waits} ", style="yellow")
        text.append("goes on", style="yellow")
    else:
        text.append(sql)
    if moment.kind is MomentKind.SENT:
        return text.append(f"\n{symbols.waits} {waiting_told(moment.step)}", style="yellow")
    is_error = moment.step.status in (StepStatus.ERROR, StepStatus.UNFINISHED)
    for grid in grids(moment.step):
        text.append(f"\n{symbols.gives} {_rows(grid)}", style="cyan")
    if told(moment.step):
        style = "red" if is_error else "cyan"
        text.append(f"\n{symbols.gives} {told(moment.step)}", style=style)
    return text


def _rows(grid: Grid) -> str:
    if not grid.rows:
        return "no row"
    rows = [", ".join("NULL" if value is None else value for value in row) for row in grid.rows]
    text = " | ".join(rows) if len(grid.columns) == 1 else " ".join(f"({row})" for row in rows)
    return text + (f" and {grid.hidden} more" if grid.hidden else "")
