"""What is told of SQL texts by looking at them, and what a failure of one leaves behind."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import ErrorCategory, Failure, FailureKind, Outcome
from test_rig.targets.statements import (
    first_words,
    insert_statement,
    outcome_after,
    quote_backtick,
    quote_double,
)


def _failure(kind: FailureKind, outcome: Outcome) -> Failure:
    return Failure(
        category=ErrorCategory.TRANSIENT, kind=kind, outcome=outcome, ends_transaction=True
    )


LOST = _failure(FailureKind.CONNECTION_LOST, Outcome.INFO)
REFUSED = _failure(FailureKind.SYNTAX, Outcome.FAIL)
DUPLICATE = _failure(FailureKind.CONSTRAINT, Outcome.FAIL)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", ()),
        (" ; ;", ()),
        ("-- COMMIT", ()),
        ("/* x; */ commit", ("COMMIT",)),
        ("-- x\nCOMMIT;", ("COMMIT",)),
        ("SELECT ';COMMIT'; END", ("SELECT", "END")),
        ("SELECT 'it''s; COMMIT'", ("SELECT",)),
        ('SELECT "a;COMMIT"', ("SELECT",)),
        ("SELECT `a;COMMIT`", ("SELECT",)),
        ("DO $x$ BEGIN; COMMIT; $x$; SELECT 1", ("DO", "SELECT")),
        ("(SELECT 1)", ("SELECT",)),
    ],
)
def test_the_first_word_of_each_statement_is_found(sql: str, words: tuple[str, ...]) -> None:
    """Comments and quoted text hide nothing and add nothing."""
    assert first_words(sql) == words


def test_a_backslash_escapes_a_quote_on_mysql_only() -> None:
    r"""In `'a\''` the string goes on for MySQL and ends elsewhere."""
    sql = r"INSERT INTO t VALUES ('a\'; COMMIT; '); SELECT 1"
    assert first_words(sql, family="mysql") == ("INSERT", "SELECT")
    assert "COMMIT" in first_words(sql, family="sqlite")


@pytest.mark.parametrize("family", ["postgresql", "mysql", "sqlite", "duckdb"])
@pytest.mark.parametrize(
    ("sql", "failure", "in_transaction", "outcome"),
    [
        ("COMMIT", LOST, True, Outcome.INFO),
        ("/* hi */ COMMIT", LOST, True, Outcome.INFO),
        ("END", LOST, True, Outcome.INFO),
        ("COMMIT", DUPLICATE, True, Outcome.FAIL),
        ("UPDATE t SET a = 1", LOST, True, Outcome.FAIL),
        ("UPDATE t SET a = 1", LOST, False, Outcome.INFO),
        ("UPDATE t SET a = 1", DUPLICATE, False, Outcome.FAIL),
        ("UPDATE t SET a = 1; COMMIT", LOST, True, Outcome.INFO),
        # The COMMIT may have passed before the statement behind it was refused.
        ("COMMIT; INSERT INTO t VALUES (1)", DUPLICATE, True, Outcome.INFO),
    ],
)
def test_the_outcome_says_what_is_known_of_the_effect(
    family: str, sql: str, failure: Failure, in_transaction: bool, outcome: Outcome
) -> None:
    """A lost COMMIT is info; what a transaction did before it fails; a refusal has no effect."""
    assert outcome_after(failure, sql, family=family, in_transaction=in_transaction) is outcome


@pytest.mark.parametrize(
    ("family", "outcome"),
    [("postgresql", Outcome.FAIL), ("mysql", Outcome.INFO), ("sqlite", Outcome.INFO)],
)
def test_the_statements_before_a_refused_one_have_taken_effect(
    family: str, outcome: Outcome
) -> None:
    """Several statements of one text are one transaction on PostgreSQL alone."""
    sql = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)"
    assert outcome_after(DUPLICATE, sql, family=family, in_transaction=False) is outcome


def test_a_statement_that_commits_implicitly_is_a_commit_on_mysql() -> None:
    """DDL in a transaction commits it on MySQL, and only there."""
    for sql in ("CREATE TABLE u (a INT)", "BEGIN", "START TRANSACTION", "TRUNCATE t"):
        assert outcome_after(LOST, sql, family="mysql", in_transaction=True) is Outcome.INFO
        assert outcome_after(LOST, sql, family="postgresql", in_transaction=True) is Outcome.FAIL
    sql = "SELECT CASE WHEN 1 THEN 2 END"
    assert outcome_after(LOST, sql, family="mysql", in_transaction=True) is Outcome.FAIL


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_a_quoted_name_is_that_name(name: str) -> None:
    """Whatever a name holds, quoted it is one identifier, with nothing behind it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    connection = sqlite3.connect(":memory:")
    for quote in (quote_double, quote_backtick):
        found = connection.execute(f"SELECT 1 AS {quote(name)}").description[0][0]
        assert found == name
    connection.close()


def test_an_insert_survives_hostile_names() -> None:
    """A `%` of a name is no placeholder where the driver formats the text."""
    sql = insert_statement(("s", "t%s"), ("a`b", "c%"), quote=quote_backtick, mark="%s")
    assert sql % (1, 2) == "INSERT INTO `s`.`t%s` (`a``b`, `c%`) VALUES (1, 2)"
