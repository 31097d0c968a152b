"""What came of a step, in words."""

from __future__ import annotations

from dataclasses import dataclass

from test_rig.report.shown import shown
from test_rig.verdict import ResultSet, StepRecord, StepStatus

__all__ = ["Grid", "grids", "told", "waiting_told"]

#: More rows than a reader of a witness looks at are counted, not shown.
ROWS_SHOWN = 12
CELL_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A result set, fit to be shown; NULL is None still."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    #: How many rows are left out.
    hidden: int = 0


def grids(step: StepRecord) -> tuple[Grid, ...]:
    """Return the result sets of a step; an empty one has columns and no row."""
    first = (ResultSet(columns=step.columns, rows=step.rows),) if step.columns else ()
    return tuple(_grid(result) for result in (*first, *step.more) if result.columns)


def told(step: StepRecord) -> str:
    """Return what came of the step apart from its rows: "1 row", an error, or nothing to tell."""
    if step.status is StepStatus.ERROR:
        return ": ".join(shown(text) for text in (step.error, step.message) if text) or "an error"
    if step.status is StepStatus.UNFINISHED:
        return "did not end within the limit"
    if step.status is StepStatus.SKIPPED:
        return "not sent: the transaction was over"
    if step.columns or step.row_count is None:
        return ""
    if not step.row_count and not _changes_rows(step.sql):
        return ""  # some servers count the rows of a COMMIT, too
    return f"{step.row_count} row{'s' * (step.row_count != 1)}"


def _changes_rows(sql: str) -> bool:
    verb, *_ = sql.upper().split(None, 1) or [""]
    return verb in ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "WITH")


def waiting_told(step: StepRecord) -> str:
    """Return for whom a step waits, as the server told it."""
    if not step.blocked:
        return "takes its time"
    blockers = " and ".join(shown(name) for name in step.blocked_by)
    return f"waits for {blockers}" if blockers else "waits"


def _grid(result: ResultSet) -> Grid:
    return Grid(
        columns=tuple(shown(column, limit=CELL_LIMIT) for column in result.columns),
        rows=tuple(
            tuple(None if value is None else shown(value, limit=CELL_LIMIT) for value in row)
            for row in result.rows[:ROWS_SHOWN]
        ),
        hidden=max(0, len(result.rows) - ROWS_SHOWN),
    )
