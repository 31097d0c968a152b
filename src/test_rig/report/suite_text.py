"""A run of handlers for a terminal: a table, and what is to be known of those that did not pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from test_rig.report.shown import shown, shown_sql
from test_rig.report.suite_words import STATUS_WORDS, remarks_told, statement_told
from test_rig.verdict import HandlerResult, ResultStatus, SuiteResult, SuiteVerdict

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["suite_parts"]

STYLES = {
    ResultStatus.PASSED: "green",
    ResultStatus.FAILED: "bold red",
    ResultStatus.ERROR: "bold red",
    ResultStatus.TIMED_OUT: "bold red",
    ResultStatus.SKIPPED: "yellow",
}
#: Of a handler that did not pass the last statements are shown.
LAST_STATEMENTS = 5
_LAST_OUTPUT = 2000


def suite_parts(suite: SuiteVerdict, *, width: int) -> Iterator[RenderableType]:
    """Yield the parts of the report below its headline."""
    from rich.text import Text

    for target in suite.targets:
        yield ""
        name = f"{shown(target.target.product)} {shown(target.target.version)}"
        yield Text(f"{name}  {shown(target.target.url)}", style="bold")
        if target.error:
            yield Text(f"  {shown(target.error)}", style="yellow")
        if target.handlers:
            yield _table(target, width)
        for problem in target.problems:
            yield Text(f"not loaded: {shown(problem)}", style="bold red")
        for result in target.handlers:
            yield from _told(result)


def _table(target: SuiteResult, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("handler", overflow="fold", max_width=width // 2)
    table.add_column("file", overflow="fold")
    table.add_column("result", no_wrap=True)
    table.add_column("statements", justify="right")
    table.add_column("time", justify="right")
    for each in target.handlers:
        word = STATUS_WORDS[each.status] + (", doubtful" if each.is_doubtful else "")
        style = "yellow" if each.is_doubtful else STYLES[each.status]
        table.add_row(
            Text(shown(each.handler)),
            Text(f"{shown(Path(each.file).name)}:{each.line}"),
            Text(word, style=style),
            Text(str(each.statement_count)),
            Text(f"{each.duration_s:.2f} s"),
        )
    return table


def _told(result: HandlerResult) -> Iterator[RenderableType]:
    from rich.text import Text

    remarks = list(remarks_told(result))
    if result.status is ResultStatus.PASSED and not remarks:
        return
    yield ""
    style = "yellow" if result.is_doubtful else STYLES[result.status]
    yield Text(f"{STATUS_WORDS[result.status]}  ", style=style).append(
        f"{shown(result.handler)}  {shown(result.file)}:{result.line}", style="bold"
    )
    if result.reason:
        yield Text(f"  {shown(result.reason)}")
    for remark in remarks:
        yield Text(f"  {remark}", style="yellow")
    if result.status in (ResultStatus.PASSED, ResultStatus.SKIPPED):
        return
    yield Text(f"  way: {' > '.join(shown(visit.state) for visit in result.visits)}", style="dim")
    for each in result.statements[-LAST_STATEMENTS:]:
        sql = " ".join(shown_sql(each.sql, limit=300).split())
        line = f"  {each.session} {each.duration_s * 1000:8.1f} ms  {sql}  {statement_told(each)}"
        yield Text(line.rstrip(), style="red" if each.error else "")
    if result.output.strip():
        yield Text("  printed:", style="dim")
        for line in result.output[-_LAST_OUTPUT:].strip().splitlines():
            yield Text(f"    {shown(line)}")
