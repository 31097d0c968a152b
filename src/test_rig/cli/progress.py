"""Live progress of an audit on standard error: a line that moves in a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from test_rig.audit import (
    AuditEvent,
    CellDone,
    LevelDone,
    LevelStarted,
    PathTaken,
    TargetStarted,
    WorkloadStarted,
)
from test_rig.verdict import Occurrence, Verdict

__all__ = ["AuditProgress"]

_WORDS = {
    Verdict.VALID: ("holds", "green"),
    Verdict.INVALID: ("broken", "bold red"),
    Verdict.UNKNOWN: ("not judged", "yellow"),
}


class AuditProgress:
    """Shows audit events as they come; a context manager, and the callback itself."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._occurring = 0
        self._levels_left = 0

    def __enter__(self) -> Callable[[AuditEvent], None]:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: AuditEvent) -> None:
        """Show one event."""
        if isinstance(event, PathTaken):
            way = " > ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in event.states)
            self._say(Text(f"{event.target.url}  {way}", style="dim"))
        elif isinstance(event, TargetStarted):
            self._say(
                Text(f"{event.target.product} {event.target.version}", style="bold").append(
                    f"  {event.target.url}  "
                    f"{len(event.levels)} level{'s' * (len(event.levels) != 1)}, "
                    f"{event.scenarios} scenarios each",
                    style="not bold",
                )
            )
            self._levels_left = len(event.levels)
            self._task = self._progress.add_task(
                "", total=len(event.levels) * event.scenarios, now=""
            )
        elif isinstance(event, LevelStarted):
            self._occurring = 0
            self._update(description=event.level)
        elif isinstance(event, CellDone):
            self._occurring += event.cell.occurrence is Occurrence.OCCURS
            self._update(advance=1, now=event.cell.anomaly.value)
        elif isinstance(event, WorkloadStarted):
            self._update(now=event.workload)
        elif isinstance(event, LevelDone):
            word, style = _WORDS[event.row.verdict]
            line = Text(f"  {event.row.name:<34} {event.row.duration_s:5.1f} s  ")
            line.append(f"{self._occurring:2} anomalies occur  claim ")
            self._say(line.append(word, style=style))
            self._levels_left -= 1
            if not self._levels_left:
                self._finish()

    def _update(self, **fields: object) -> None:
        if self._task is not None:
            self._progress.update(self._task, **fields)  # type: ignore[arg-type]  # free fields

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def _say(self, text: Text) -> None:
        self._progress.console.print(text, highlight=False, soft_wrap=True)
