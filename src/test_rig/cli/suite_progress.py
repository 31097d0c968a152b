"""Live progress of a run of handlers on standard error: a line for each that has ended."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from test_rig.report import shown_text
from test_rig.suite import FileDone, HandlerBegan, HandlerDone, SuiteEvent
from test_rig.verdict import HandlerResult, ResultStatus, TargetInfo

__all__ = ["SuiteProgress"]

#: The whole of it is in the report.
_LONGEST_REASON = 500
#: Evidence has no longer ones.
_LONGEST_SQL = 4000

_WORDS = {
    ResultStatus.PASSED: ("passed", "green"),
    ResultStatus.FAILED: ("failed", "bold red"),
    ResultStatus.ERROR: ("error", "bold red"),
    ResultStatus.TIMED_OUT: ("timed out", "bold red"),
    ResultStatus.SKIPPED: ("skipped", "yellow"),
}


class SuiteProgress:
    """Shows events as they come.

    Args:
        console: Where.
        show_sql: Show every statement of a handler once it has ended.
        show_output: Show what handlers print, while they do.
        verbose: Show the traceback of each that did not pass.
    """

    def __init__(
        self, console: Console, *, show_sql: bool, show_output: bool, verbose: bool
    ) -> None:
        self._console, self._show_sql, self._show_output = console, show_sql, show_output
        self._verbose = verbose
        self._status: Status | None = None
        if console.is_terminal and not show_output:
            self._status = console.status("starting")
        self._target: TargetInfo | None = None
        self._running: dict[str, str] = {}

    def tell(self, target: TargetInfo, event: SuiteEvent) -> None:
        """Show an event."""
        if target is not self._target:
            self._target = target
            self._print(Text(f"{target.product} {target.version}  {target.url}", style="bold"))
        if isinstance(event, HandlerBegan):
            self._running[event.source] = event.handler
        elif isinstance(event, HandlerDone):
            self._running.pop(event.source, None)
            self._print(_line(event.result))
            if self._verbose and event.result.traceback:
                for line in event.result.traceback.splitlines():
                    self._print(Text(shown_text(line)))
            if self._show_sql:
                self._print_statements(event.result)
        elif isinstance(event, FileDone):
            for problem in event.problems:
                self._print(Text("  not loaded  ", style="bold red").append(problem, style=""))
        if self._status is not None:
            self._status.update(Text(f"  {', '.join(self._running.values())}"))

    def show_output(self, text: str) -> None:
        """Show what a handler printed, where that is wanted."""
        if self._show_output and text:
            self._console.out(text, end="", highlight=False)

    def _print_statements(self, result: HandlerResult) -> None:
        for each in result.statements:
            end = each.error or ("" if each.row_count is None else f"{each.row_count} rows")
            sql = shown_text(" ".join(each.sql.split()), limit=_LONGEST_SQL)
            line = f"SQL [{each.session}] {each.duration_s * 1000:8.2f} ms  {sql}  {end}"
            self._print(Text(line.rstrip()))
        if result.statement_count > len(result.statements):
            left_out = result.statement_count - len(result.statements)
            self._print(Text(f"SQL ({left_out} more)"))

    def _print(self, text: Text) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()


def _line(result: HandlerResult) -> Text:
    word, style = _WORDS[result.status]
    line = Text(f"  {word:<9} ", style=style)
    line.append(f"{result.handler}  {result.duration_s:.2f} s", style="not bold default")
    if result.is_doubtful:
        line.append("  doubtful", style="yellow")
    if result.reason:
        reason = shown_text(" ".join(result.reason.split()), limit=_LONGEST_REASON)
        line.append(f"  {reason}", style="not bold default")
    return line
