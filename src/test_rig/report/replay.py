"""A transcript as a SQL script that a person replays by hand in several client windows.

Every line that belongs to a session starts with the session's name in a comment, so that it can be
copied as it stands. What came back stands behind it in a comment of one line: nothing that a
database said can break out of its comment and be run.
"""

from __future__ import annotations

from collections.abc import Iterator

from test_rig.report.diagram import Moment, MomentKind, draw
from test_rig.report.outcome import Grid, grids, told, waiting_told
from test_rig.report.shown import shown, shown_sql
from test_rig.verdict import Transcript

__all__ = ["replay_script"]

#: Where other products need no more than windows of their client.
_PLACES = {"DuckDB": "connections of one process, which is all that DuckDB lets write"}


def replay_script(transcript: Transcript, *, title: str, product: str = "") -> str:
    """Return the script.

    Args:
        transcript: What happened.
        title: What it shows, in a line.
        product: The database, where it asks for something else than client windows.
    """
    return "\n".join(_lines(transcript, title, _PLACES.get(product, "windows of a SQL client")))


def _lines(transcript: Transcript, title: str, place: str) -> Iterator[str]:
    diagram = draw(transcript)
    moments = diagram.moments + diagram.after
    sessions = dict.fromkeys([*diagram.sessions, *(moment.step.session for moment in moments)])
    names = ", ".join(shown(name) for name in sessions)
    yield f"-- {shown(title)}"
    yield f"-- Sessions: {names}, as {place}."
    yield "-- Run the lines from top to bottom, each in its session; where a line waits, go on with"
    yield "-- the next session."
    if transcript.setup:
        yield from ("", "-- before, in any session")
        yield from (_statement(sql) for sql in transcript.setup)
    if any(statements for _, statements in transcript.session_setup):
        yield from ("", "-- once in each session")
        for name, statements in transcript.session_setup:
            yield from (f"{_named(name)} {_statement(sql)}" for sql in statements)
    yield ""
    for moment in moments:
        yield from _moment(moment)
    if transcript.teardown:
        yield from ("", "-- afterwards, in any session")
        yield from (_statement(sql) for sql in transcript.teardown)
    yield ""


def _moment(moment: Moment) -> Iterator[str]:
    session = _named(moment.step.session)
    statement = _statement(moment.step.sql)
    came = f"  -- {_came(moment)}" if _came(moment) else ""
    if moment.kind is MomentKind.ANSWERED:
        yield f"{session} -- goes on: {_came(moment) or 'done'}"
    elif moment.kind is MomentKind.SKIPPED:
        yield f"{session} -- {_flat(statement)}  not sent: the transaction was over"
    elif moment.kind is MomentKind.SENT:
        yield f"{session} {statement}  -- {_flat(waiting_told(moment.step))}"
    else:
        yield f"{session} {statement}{came}"


def _came(moment: Moment) -> str:
    parts = [_rows(grid) for grid in grids(moment.step)] + [told(moment.step)]
    return _flat("; ".join(part for part in parts if part))


def _rows(grid: Grid) -> str:
    if not grid.rows:
        return "no row"
    rows = " | ".join(
        ", ".join("NULL" if value is None else value for value in row) for row in grid.rows
    )
    return rows + (f" | and {grid.hidden} more" if grid.hidden else "")


def _named(session: str) -> str:
    # Block comments nest in some databases: neither an end nor a beginning may stand in the name.
    name = shown(session).replace("*/", "* /").replace("/*", "/ *")
    return f"/* {name} */"


def _statement(sql: str) -> str:
    text = shown_sql(sql).rstrip()
    if text.endswith(";"):
        return text
    # Behind a comment of the statement's own the semicolon would be a part of it.
    return f"{text}\n;" if "--" in text.rpartition("\n")[2] else f"{text};"


def _flat(text: str) -> str:
    return " ".join(text.split())
