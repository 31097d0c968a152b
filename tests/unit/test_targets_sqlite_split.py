"""SQLite's texts are cut into statements where SQLite itself ends them."""

from __future__ import annotations

import pytest

from test_rig.targets import Target


@pytest.mark.parametrize(
    ("sql", "answers"),
    [
        ("SELECT 1", [1]),
        ("SELECT 1;", [1]),
        ("SELECT 1; SELECT 2", [1, 2]),
        ("SELECT ';'; SELECT 2;;  ; -- SELECT 3;\n", [";", 2]),
        ("/* a; b */ SELECT 1; SELECT 2 -- end", [1, 2]),
    ],
)
def test_each_statement_gives_its_rows(sql: str, answers: list[object]) -> None:
    """Every statement of a text runs, once, and comments are no statements."""
    with Target.open("sqlite://") as target, target.connect() as session:
        result = session.execute(sql)
        assert [one.rows[0][0] for one in (result, *result.more)] == answers


def test_a_trigger_is_one_statement() -> None:
    """The semicolons of a trigger's body end nothing."""
    with Target.open("sqlite://") as target, target.connect() as session:
        session.execute(
            "CREATE TABLE t (a); CREATE TABLE log (a);"
            "CREATE TRIGGER r AFTER INSERT ON t BEGIN"
            "  INSERT INTO log VALUES (1); INSERT INTO log VALUES (2); END;"
            "INSERT INTO t VALUES (0)"
        )
        assert session.execute("SELECT count(*) FROM log").rows == ((2,),)


@pytest.mark.parametrize("sql", ["", "  ", ";", "-- nothing"])
def test_a_text_without_a_statement_gives_nothing(sql: str) -> None:
    """It is no error, and it has no rows."""
    with Target.open("sqlite://") as target, target.connect() as session:
        assert session.execute_query(sql) == []
