"""Tables and rows for a test: gone afterwards, whatever happened, and nothing else with them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from test_rig import TestDataFactory, batch_insert, temp_table, unique_name
from test_rig.errors import StatementFailed, UsageError
from test_rig.targets import Session, Target


@pytest.fixture(params=["sqlite", "duckdb", "postgresql", "mariadb"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each database in turn."""
    if request.param in ("sqlite", "duckdb"):
        url = f"{request.param}://"
    else:
        name = "postgres_url" if request.param == "postgresql" else "mariadb_url"
        url = str(request.getfixturevalue(name))
    with Target.open(url) as opened:
        yield opened


@pytest.fixture
def session(target: Target) -> Iterator[Session]:
    """A session of it."""
    with target.connect() as opened:
        yield opened


def _is_there(target: Target, table: str) -> bool:
    with target.connect("looks") as other:
        try:
            other.execute(f"SELECT 1 FROM {table}")
        except StatementFailed:
            return False
        return True


def test_a_table_is_gone_after_its_block(target: Target, session: Session) -> None:
    """And others see it within, as they would not see a temporary one."""
    with temp_table(session, "(id INT)", prefix="orders") as table:
        assert table.startswith("orders_")
        session.query_drop(f"INSERT INTO {table} VALUES (1)")
        assert _is_there(target, table)
    assert not _is_there(target, table)


def test_a_table_is_gone_after_a_failure(target: Target, session: Session) -> None:
    """Within a transaction that the error aborted, too; the error is the one to tell."""

    def fails() -> None:
        session.start_transaction()
        session.query_drop(f"INSERT INTO {table} VALUES (1)")
        session.query_drop("SELECT * FROM nowhere_to_be_found")

    with pytest.raises(StatementFailed, match="nowhere"), temp_table(session, "(id INT)") as table:
        fails()
    assert not _is_there(target, table)


def test_a_table_is_gone_after_the_connection_was_lost(target: Target, session: Session) -> None:
    """Another connection drops it, once the server has noticed."""

    def dies() -> None:
        session.start_transaction()
        session.query_drop(f"INSERT INTO {table} VALUES (1)")
        session.close()
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError), temp_table(session, "(id INT)") as table:
        dies()
    assert not _is_there(target, table)


def test_a_transaction_must_not_reach_over_a_tables_end(target: Target, session: Session) -> None:
    """Nor over its beginning: making a table would commit it on some databases."""
    opened = pytest.raises(UsageError, match="a transaction is open")
    session.start_transaction()
    with opened, temp_table(session, "(id INT)"):
        pass
    session.rollback()
    left = pytest.raises(UsageError, match="left open: it was rolled back")
    with left, temp_table(session, "(id INT)") as table:
        session.start_transaction()
        session.query_drop(f"INSERT INTO {table} VALUES (1)")
    assert not _is_there(target, table)


def test_names_are_unique_and_plain() -> None:
    """And short enough for every database."""
    names = {unique_name("x" * 40) for _ in range(100)}
    assert len(names) == 100
    assert max(map(len, names)) <= 63
    for wrong in ("", "1a", "a b", 'a"', "x" * 41):
        with pytest.raises(UsageError):
            unique_name(wrong)


def test_rows_are_inserted_in_batches(session: Session) -> None:
    """Quotes in values and names do no harm; rows may come from a generator."""
    with temp_table(session, '("a%b" INT, note VARCHAR(50))'.replace('"', _mark(session))) as table:
        rows = ((number, f"it's {number}") for number in range(2_500))
        assert session.batch_insert(table, ["a%b", "note"], rows) == 2_500
        (found,) = session.execute(f"SELECT count(*), max(note) FROM {table}").rows
        assert found == (2_500, "it's 999")


def _mark(session: Session) -> str:
    return session.dialect.quote("x")[0]


def test_a_batch_that_fails_leaves_nothing(session: Session) -> None:
    """Those before it are gone, too; an open transaction stays the caller's."""
    with temp_table(session, "(id INT PRIMARY KEY)") as table:
        rows = [(1,), (2,), (3,), (3,)]
        with pytest.raises(StatementFailed):
            batch_insert(session, table, ["id"], rows, batch_size=2)
        assert session.execute(f"SELECT count(*) FROM {table}").rows == ((0,),)
        session.start_transaction()
        assert batch_insert(session, table, ["id"], rows[:3], batch_size=2) == 3
        session.rollback()
        assert session.execute(f"SELECT count(*) FROM {table}").rows == ((0,),)
    with pytest.raises(UsageError):
        batch_insert(session, "t", [], [])


_KEY = {
    "postgresql": "id SERIAL PRIMARY KEY",
    "mysql": "id INT AUTO_INCREMENT PRIMARY KEY",
    "sqlite": "id INTEGER PRIMARY KEY",
}


class _Users(TestDataFactory):
    """As a script writes one."""

    table = ""

    def create_test_user(self, name: str) -> int:
        return int(self.insert(self.table, {"name": name}))


@pytest.fixture
def users(session: Session) -> Iterator[_Users]:
    """A factory with a table of its own; a row is there that it did not make."""
    if session.dialect.family == "duckdb":
        sequence = f"seq_{secrets.token_hex(4)}"
        session.query_drop(f"CREATE SEQUENCE {sequence}")
        key = f"id INTEGER PRIMARY KEY DEFAULT nextval('{sequence}')"
    else:
        key = _KEY[session.dialect.family]
    with temp_table(session, f"({key}, name VARCHAR(50))") as table:
        session.query_drop(f"INSERT INTO {table} (name) VALUES ('tester')")
        made = _Users(session)
        made.table = table
        yield made


def _names(users: _Users) -> list[str]:
    rows = users.connection.execute(f"SELECT name FROM {users.table} ORDER BY id").rows
    return [name for (name,) in rows]


def test_only_what_a_factory_made_is_deleted(users: _Users) -> None:
    """Names that look alike stay; values are bound, not put into the text."""
    with users:
        first = users.create_test_user("test_1")
        second = users.create_test_user("'); DROP TABLE x; --")
        assert first != second
        assert [row.value for row in users.created] == [first, second]
        assert _names(users) == ["tester", "test_1", "'); DROP TABLE x; --"]
    assert _names(users) == ["tester"]
    assert users.created == ()


def test_what_was_made_is_gone_after_a_failure(users: _Users) -> None:
    """The block's own error is told; the open transaction is rolled back."""

    def fails() -> None:
        users.create_test_user("kept by autocommit")
        users.connection.start_transaction()
        users.create_test_user("rolled back")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError), users:
        fails()
    assert _names(users) == ["tester"]


def test_keys_may_be_given(users: _Users) -> None:
    """And rows that were made otherwise be tracked."""
    with users:
        assert users.insert(users.table, {"id": 77, "name": "seven"}) == 77
        users.connection.query_drop(f"INSERT INTO {users.table} (id, name) VALUES (78, 'eight')")
        users.track(users.table, 78)
        assert len(_names(users)) == 3
    assert _names(users) == ["tester"]
