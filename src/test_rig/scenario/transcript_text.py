"""Transcripts as text: as the isolation tester prints them, and as SQL to replay by hand.

Both are pure functions. What the tester prints can be compared with its expected files; the SQL is
for a person with one client for each session.
"""

from __future__ import annotations

from collections.abc import Iterable

from test_rig.verdict import (
    ResultSet,
    StepPhase,
    StepRecord,
    StepReport,
    StepStatus,
    Transcript,
)

__all__ = ["isolationtester_text", "replay_sql", "table_text"]

_NUMBER_SIGNS = frozenset("0123456789.eE -")


def isolationtester_text(transcript: Transcript) -> str:
    """Return one permutation's story as PostgreSQL's isolation tester prints it."""
    lines = ["", f"starting permutation: {transcript.scenario}"]
    lines += map(table_text, transcript.before)
    for report in transcript.reports:
        lines += _report_lines(transcript.steps[report.index], report)
    lines += map(table_text, transcript.after)
    if transcript.problem is not None:
        kind = "impossible permutation" if transcript.is_impossible else "limit reached"
        lines.append(f"{kind}: {transcript.problem}")
    return "\n".join([*lines, ""])


def _report_lines(step: StepRecord, report: StepReport) -> Iterable[str]:
    if report.phase is StepPhase.NOTICE:
        return [f"{step.session}: {report.text}"]
    if report.phase is StepPhase.WAITING:
        return [f"step {step.step}: {step.sql} <waiting ...>"]
    is_first = report.phase is StepPhase.ENDED
    lines = [f"step {step.step}: {step.sql if is_first else '<... completed>'}"]
    if step.message is not None and step.status is not StepStatus.OK:
        return [*lines, f"ERROR:  {step.message}"]
    first = [ResultSet(columns=step.columns, rows=step.rows)] if step.columns else []
    return [*lines, *map(table_text, (*first, *step.more))]


def table_text(table: ResultSet) -> str:
    """Return rows as a table: columns of numbers to the right, the count of rows, a blank line."""
    texts = [[value or "" for value in row] for row in table.rows]
    columns = list(zip(*texts, strict=True)) or [() for _ in table.columns]
    widths = [
        max(len(name), *map(len, column)) if column else len(name)
        for name, column in zip(table.columns, columns, strict=True)
    ]
    to_right = [all(_is_number(value) for value in column if value) for column in columns]
    rule = "+".join("-" * width for width in widths)
    body = [_aligned(row, widths, to_right) for row in [list(table.columns), *texts]]
    count = len(texts)
    return "\n".join([body[0], rule, *body[1:], f"({count} row{'s' * (count != 1)})", ""])


def _is_number(text: str) -> bool:
    return set(text) <= _NUMBER_SIGNS and text[0] not in "eE" and text[-1].isdigit()


def _aligned(row: list[str], widths: list[int], to_right: list[bool]) -> str:
    cells = (
        value.rjust(width) if is_right else value.ljust(width)
        for value, width, is_right in zip(row, widths, to_right, strict=True)
    )
    return "|".join(cells)


def replay_sql(transcript: Transcript) -> str:
    """Return what a person sends to see the same: statements in order, each with its session.

    Everything but SQL stands in comments, so that the text is harmless in a client as it is.
    """
    sessions = dict.fromkeys(
        [
            *(name for name, _ in transcript.session_setup),
            *(step.session for step in transcript.steps),
        ]
    )
    level = f", {transcript.level}" if transcript.level else ""
    lines = [
        f"-- {transcript.scenario}{level}",
        f"-- Open a client for each of {', '.join(sessions)}, and send each statement in its own.",
        "",
    ]
    lines += [_statement(sql, "any client, first") for sql in transcript.setup]
    for name, setup in transcript.session_setup:
        lines += [_statement(sql, name) for sql in setup]
    lines.append("")
    for step in transcript.steps:
        if step.status is not StepStatus.SKIPPED:
            lines.append(_statement(step.sql, f"{step.session}{_outcome(step)}"))
    lines.append("")
    for name, teardown in transcript.session_teardown:
        lines += [_statement(sql, name) for sql in teardown]
    lines += [_statement(sql, "any client, last") for sql in transcript.teardown]
    return "\n".join([*lines, ""])


def _statement(sql: str, remark: str) -> str:
    text = sql.strip()
    ended = text if text.endswith(";") or not text else f"{text};"
    if "\n" in ended or "--" in ended:
        return f"-- {remark}:\n{ended}"
    return f"{ended}  -- {remark}".lstrip()


def _outcome(step: StepRecord) -> str:
    """Return what came of a step, as a remark."""
    remarks = []
    if step.blocked:
        others = " and ".join(step.blocked_by)
        remarks.append(f"waits for {others}" if others else "waits")
    if step.status is StepStatus.UNFINISHED:
        remarks.append("does not end; cancelled")
    elif step.error is not None:
        remarks.append(f"{step.error}: {' '.join((step.message or '').split())}")
    elif step.columns:
        rows = "; ".join(", ".join("NULL" if v is None else v for v in row) for row in step.rows)
        # A value must not end the comment: it came from the database.
        remarks.append(f"gives {' '.join(rows.split())}" if step.rows else "gives no row")
    elif step.row_count is not None and step.row_count >= 0 and _changes(step):
        remarks.append(f"changes {step.row_count} row{'s' * (step.row_count != 1)}")
    return "".join(f", {remark}" for remark in remarks)


def _changes(step: StepRecord) -> bool:
    return step.sql.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE")
