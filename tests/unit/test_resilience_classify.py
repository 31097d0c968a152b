"""Errors are told apart by code: every code that matters, and nothing by words."""

from __future__ import annotations

import errno
import socket
import sqlite3
from pathlib import Path

import duckdb
import psycopg
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import (
    CircuitBreakerOpen,
    ErrorCategory,
    FailureKind,
    Outcome,
    Problem,
    SettingsError,
    StatementFailed,
)
from test_rig.resilience import classify, classify_error, family_of, outcome_of, without_passwords

TRANSIENT, PERMANENT, UNKNOWN = (
    ErrorCategory.TRANSIENT,
    ErrorCategory.PERMANENT,
    ErrorCategory.UNKNOWN,
)


def postgresql(state: str) -> Exception:
    """Return an error as psycopg raises it."""
    return psycopg.errors.lookup(state)("some words")


def mysql(number: int) -> Exception:
    """Return an error as PyMySQL raises it."""
    # One class for all: it must not matter.
    return pymysql.err.OperationalError(number, "some words")


def sqlite(number: int) -> Exception:
    """Return an error as sqlite3 raises it."""
    error = sqlite3.OperationalError("some words")
    error.sqlite_errorcode = number
    return error


@pytest.mark.parametrize(
    ("error", "kind", "category", "ends_transaction"),
    [
        (postgresql("40001"), FailureKind.SERIALIZATION, TRANSIENT, True),
        (postgresql("40P01"), FailureKind.DEADLOCK, TRANSIENT, True),
        (postgresql("55P03"), FailureKind.LOCK_TIMEOUT, TRANSIENT, True),
        (postgresql("57014"), FailureKind.CANCELLED, TRANSIENT, True),
        (postgresql("57P03"), FailureKind.SERVER_STARTING, TRANSIENT, True),
        (postgresql("53300"), FailureKind.TOO_MANY_CONNECTIONS, TRANSIENT, True),
        (postgresql("53100"), FailureKind.DISK_FULL, TRANSIENT, True),
        (postgresql("25P02"), FailureKind.TRANSACTION_ABORTED, PERMANENT, True),
        (postgresql("25006"), FailureKind.READ_ONLY, PERMANENT, True),
        (postgresql("28P01"), FailureKind.AUTHENTICATION, PERMANENT, True),
        (postgresql("3D000"), FailureKind.UNKNOWN_DATABASE, PERMANENT, True),
        (postgresql("42601"), FailureKind.SYNTAX, PERMANENT, True),
        (postgresql("42P01"), FailureKind.UNKNOWN_OBJECT, PERMANENT, True),
        (postgresql("42501"), FailureKind.PERMISSION, PERMANENT, True),
        (postgresql("23505"), FailureKind.CONSTRAINT, PERMANENT, True),
        (postgresql("22012"), FailureKind.DATA, PERMANENT, True),
        (mysql(1213), FailureKind.DEADLOCK, TRANSIENT, True),
        (mysql(1205), FailureKind.LOCK_TIMEOUT, TRANSIENT, False),
        (mysql(1020), FailureKind.SERIALIZATION, TRANSIENT, True),
        (mysql(3101), FailureKind.SERIALIZATION, TRANSIENT, True),
        (mysql(1040), FailureKind.TOO_MANY_CONNECTIONS, TRANSIENT, False),
        (mysql(1047), FailureKind.SERVER_STARTING, TRANSIENT, False),
        (mysql(1045), FailureKind.AUTHENTICATION, PERMANENT, False),
        (mysql(1044), FailureKind.PERMISSION, PERMANENT, False),
        (mysql(1049), FailureKind.UNKNOWN_DATABASE, PERMANENT, False),
        (mysql(1064), FailureKind.SYNTAX, PERMANENT, False),
        (mysql(1146), FailureKind.UNKNOWN_OBJECT, PERMANENT, False),
        (mysql(1062), FailureKind.CONSTRAINT, PERMANENT, False),
        (mysql(1792), FailureKind.READ_ONLY, PERMANENT, False),
        (mysql(1235), FailureKind.UNSUPPORTED, PERMANENT, False),
        (mysql(1317), FailureKind.CANCELLED, TRANSIENT, False),
        (mysql(1969), FailureKind.TIMEOUT, TRANSIENT, False),
        (mysql(3024), FailureKind.TIMEOUT, TRANSIENT, False),
        (mysql(1114), FailureKind.DISK_FULL, TRANSIENT, False),
        (mysql(2003), FailureKind.CONNECT, TRANSIENT, False),
        (mysql(2013), FailureKind.CONNECTION_LOST, TRANSIENT, True),
        (mysql(8002), FailureKind.SERIALIZATION, TRANSIENT, True),
        (mysql(8022), FailureKind.SERIALIZATION, TRANSIENT, True),
        (mysql(8028), FailureKind.SERIALIZATION, TRANSIENT, True),
        (mysql(9007), FailureKind.SERIALIZATION, TRANSIENT, True),
        (mysql(9003), FailureKind.RESOURCE, TRANSIENT, False),
        (mysql(8004), FailureKind.RESOURCE, PERMANENT, True),
        (mysql(8501), FailureKind.INDETERMINATE, UNKNOWN, True),
        (mysql(6235), FailureKind.SERIALIZATION, TRANSIENT, False),
        (sqlite(5), FailureKind.BUSY, TRANSIENT, False),
        (sqlite(261), FailureKind.BUSY, TRANSIENT, False),
        (sqlite(517), FailureKind.SERIALIZATION, TRANSIENT, False),
        (sqlite(6), FailureKind.BUSY, TRANSIENT, False),
        (sqlite(262), FailureKind.BUSY, TRANSIENT, False),
        (sqlite(8), FailureKind.READ_ONLY, PERMANENT, False),
        (sqlite(1032), FailureKind.CONFIGURATION, PERMANENT, False),
        (sqlite(13), FailureKind.DISK_FULL, TRANSIENT, False),
        (sqlite(2067), FailureKind.CONSTRAINT, PERMANENT, False),
        (sqlite(9), FailureKind.CANCELLED, TRANSIENT, False),
        (sqlite(778), FailureKind.OTHER, UNKNOWN, False),
        (sqlite(14), FailureKind.CONNECT, UNKNOWN, False),
        (sqlite(26), FailureKind.CONFIGURATION, PERMANENT, False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), FailureKind.CONNECT, TRANSIENT, False),
        (OSError(errno.EHOSTUNREACH, "no"), FailureKind.CONNECT, TRANSIENT, False),
        (ConnectionResetError(errno.ECONNRESET, "x"), FailureKind.CONNECTION_LOST, TRANSIENT, True),
        (ConnectionRefusedError(), FailureKind.CONNECT, TRANSIENT, False),
        (ConnectionError(), FailureKind.CONNECTION_LOST, TRANSIENT, True),
        (TimeoutError(), FailureKind.TIMEOUT, TRANSIENT, False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), FailureKind.CONNECT, TRANSIENT, False),
        (socket.gaierror(socket.EAI_NONAME, "x"), FailureKind.CONNECT, UNKNOWN, False),
        (OSError(errno.ENOSPC, "no"), FailureKind.DISK_FULL, TRANSIENT, False),
        (ValueError("boom"), FailureKind.OTHER, UNKNOWN, False),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else "",
)
def test_codes(error, kind, category, ends_transaction) -> None:
    """Each code has its kind, its category, and says what became of the transaction."""
    failure = classify(error)
    assert (failure.kind, failure.category) == (kind, category)
    assert failure.ends_transaction is ends_transaction
    assert classify_error(error) is category


@given(st.text())
def test_words_are_no_evidence(words: str) -> None:
    """Whatever the message says, the code decides."""
    failure = classify(pymysql.err.IntegrityError(1213, words))
    assert (failure.kind, failure.code) == (FailureKind.DEADLOCK, "1213")


def test_unlisted_codes_are_told_by_their_sqlstate() -> None:
    """An errno that no table lists is read by the SQLSTATE that came with it."""
    error = mysql(4999)
    assert classify_error(error) is UNKNOWN
    error.sqlstate = "23000"
    assert classify(error).kind is FailureKind.CONSTRAINT
    assert classify(postgresql("23514")).sqlstate == "23514"


def test_a_driver_is_told_by_its_module() -> None:
    """The family comes from the exception's module, also of a subclass made elsewhere."""

    class Mine(pymysql.err.DatabaseError):
        pass

    assert family_of(Mine(1213, "x")) == "mysql"
    assert family_of(duckdb.Error()) == "duckdb"
    assert family_of(ValueError()) is None
    assert classify(Mine(1213, "x")).kind is FailureKind.DEADLOCK


def test_the_family_can_be_given() -> None:
    """An exception from nowhere is read by the family that its caller knows."""

    class StrangeError(Exception):
        errno = 1213

    assert classify(StrangeError()).category is UNKNOWN
    assert classify(StrangeError(), family="tidb").kind is FailureKind.DEADLOCK


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("selec", FailureKind.SYNTAX),
        ("select * from nowhere", FailureKind.UNKNOWN_OBJECT),
        ("insert into t values (1)", FailureKind.CONSTRAINT),
        ("select 'a'::int", FailureKind.DATA),
        ("commit", FailureKind.SERIALIZATION),
    ],
)
def test_duckdb_is_told_by_class(sql: str, kind: FailureKind) -> None:
    """DuckDB's own exceptions, raised by DuckDB, each ending the transaction."""
    with duckdb.connect() as connection:
        connection.execute("create table t (a int primary key)")
        connection.execute("insert into t values (1)")
        with pytest.raises(duckdb.Error) as caught:
            connection.execute(sql)
    failure = classify(caught.value)
    assert (failure.kind, failure.ends_transaction) == (kind, True)


def test_duckdb_write_conflict() -> None:
    """Two writers of one row: the loser is told to do it again."""
    with duckdb.connect() as one, one.cursor() as two:
        one.execute("create table t (a int)")
        one.execute("insert into t values (1)")
        one.execute("begin")
        two.execute("begin")
        one.execute("update t set a = 2")
        with pytest.raises(duckdb.Error) as caught:
            two.execute("update t set a = 3")
    assert classify(caught.value).kind is FailureKind.SERIALIZATION


def test_sqlite_is_told_by_its_own_codes(tmp_path: Path) -> None:
    """SQLite's own exceptions: a locked file, and a snapshot that can no more write."""
    path = tmp_path / "a.db"
    one = sqlite3.connect(path, isolation_level=None, timeout=0)
    two = sqlite3.connect(path, isolation_level=None, timeout=0)
    one.execute("pragma journal_mode=wal")
    one.execute("create table t (a int)")
    one.execute("begin immediate")
    with pytest.raises(sqlite3.Error) as busy:
        two.execute("begin immediate")
    one.execute("rollback")
    two.execute("begin")
    two.execute("select * from t").fetchall()
    one.execute("insert into t values (1)")
    with pytest.raises(sqlite3.Error) as stale:
        two.execute("insert into t values (2)")
    one.close()
    two.close()
    assert classify(busy.value).label() == "busy (SQLITE_BUSY)"
    assert classify(stale.value).label() == "serialization failure (SQLITE_BUSY_SNAPSHOT)"


def test_a_driver_error_without_a_code_is_a_lost_link() -> None:
    """Libpq reports a broken link without a SQLSTATE: the answer may be lost."""
    failure = classify(psycopg.OperationalError("server closed the connection"))
    assert (failure.kind, failure.outcome) == (FailureKind.CONNECTION_LOST, Outcome.INFO)
    assert failure.ends_session
    assert classify(pymysql.err.InterfaceError(0, "")).kind is FailureKind.CONNECTION_LOST
    # A call that the driver refused was never sent.
    assert classify(psycopg.ProgrammingError("placeholders")).outcome is Outcome.FAIL
    assert classify(sqlite3.ProgrammingError("closed")).category is PERMANENT


def test_while_connecting_nothing_can_have_happened() -> None:
    """Whatever goes wrong before there is a session has no effect and ends it."""
    for error in (psycopg.OperationalError("x"), mysql(2013), TimeoutError(), OSError(5, "x")):
        failure = classify(error, connecting=True)
        assert (failure.kind, failure.outcome) == (FailureKind.CONNECT, Outcome.FAIL)
        assert failure.ends_session
    told = classify(psycopg.OperationalError("x"), sqlstate="28P01", connecting=True)
    assert (told.kind, told.category) == (FailureKind.AUTHENTICATION, PERMANENT)


def test_a_refused_postgresql_port_is_unknown() -> None:
    """Libpq tells a refused port and a refused database alike, so neither is claimed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(psycopg.Error) as caught:
            psycopg.connect(host="127.0.0.1", port=taken.getsockname()[1], connect_timeout=2)
    failure = classify(caught.value, connecting=True)
    assert (failure.kind, failure.category) == (FailureKind.CONNECT, UNKNOWN)


def test_the_rigs_own_errors() -> None:
    """A target's error answers for itself; wrong settings are permanent; a breaker will pass."""
    failure = classify(mysql(2013))
    error = StatementFailed("lost", failure=failure, outcome=Outcome.FAIL)
    assert classify(error).kind is FailureKind.CONNECTION_LOST
    assert classify(error).outcome is Outcome.FAIL
    assert classify_error(SettingsError([Problem(where="a", what="b")])) is PERMANENT
    assert classify_error(CircuitBreakerOpen("x", retry_after_s=1)) is TRANSIENT


def test_messages_carry_no_password() -> None:
    """A password in a driver's message does not reach the failure."""
    for text in (
        "cannot reach mysql://ann:s3cret@host/db",
        "bad conninfo: host=h password=s3cret user=ann",
        'bad {"password": "s3cret"}',
        "mysql://ann:s3c@ret@host:1",
        "see postgresql://h/db?password=s3cret&x=1",
    ):
        assert "s3c" not in classify(pymysql.err.OperationalError(2003, text)).message
    kept = "Access denied for user 'a'@'h' (using password: YES)"
    assert classify(pymysql.err.OperationalError(1045, kept)).message == kept


@given(st.from_regex(r"[a-z]{2,8}", fullmatch=True), st.text("XYZ019!$%&()+,;=~:/?#@", min_size=8))
def test_a_url_never_shows_its_password(user: str, password: str) -> None:
    """Whatever characters a password has, the masked URL does not hold it."""
    assert password not in without_passwords(f"no way to postgresql://{user}:{password}@host/db")


@pytest.mark.parametrize(
    ("error", "alone", "before_commit", "at_commit"),
    [
        (mysql(2013), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
        (mysql(1213), Outcome.FAIL, Outcome.FAIL, Outcome.FAIL),
        (mysql(1020), Outcome.FAIL, Outcome.FAIL, Outcome.FAIL),
        (mysql(9005), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
        (mysql(8501), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
        (mysql(9007), Outcome.FAIL, Outcome.FAIL, Outcome.FAIL),
        (mysql(1317), Outcome.FAIL, Outcome.FAIL, Outcome.INFO),
        (mysql(1114), Outcome.FAIL, Outcome.FAIL, Outcome.INFO),
        (postgresql("40001"), Outcome.FAIL, Outcome.FAIL, Outcome.FAIL),
        (postgresql("23503"), Outcome.FAIL, Outcome.FAIL, Outcome.FAIL),
        (postgresql("57P01"), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
        (postgresql("57014"), Outcome.FAIL, Outcome.FAIL, Outcome.INFO),
        (postgresql("40003"), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
        (sqlite(5), Outcome.FAIL, Outcome.FAIL, Outcome.FAIL),
        (sqlite(10), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
        (ValueError("boom"), Outcome.INFO, Outcome.FAIL, Outcome.INFO),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else "",
)
def test_outcomes(error, alone, before_commit, at_commit) -> None:
    """What is known of the effect depends on what was in flight."""
    failure = classify(error)
    assert outcome_of(failure, at_commit=False, in_transaction=False) is alone
    assert outcome_of(failure, at_commit=False, in_transaction=True) is before_commit
    assert outcome_of(failure, at_commit=True, in_transaction=True) is at_commit


@pytest.mark.parametrize("text", ["/etc/passwd: cannot open it", r"C:\\passwd: no such file"])
def test_the_name_of_a_file_is_no_password(text: str) -> None:
    """What follows a file called passwd says what went wrong."""
    assert without_passwords(text) == text
