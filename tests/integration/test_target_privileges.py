"""Users who may do less: what they are told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from test_rig.errors import FailureKind, StatementFailed
from test_rig.targets import Target, TargetUrl


@pytest.fixture
def name() -> str:
    """A name that nobody else uses."""
    return f"test_rig_user_{secrets.token_hex(4)}"


@pytest.fixture
def mariadb_reader(mariadb_url: str, name: str) -> Iterator[TargetUrl]:
    """A user of MariaDB without any privilege but to connect."""
    with Target.open(mariadb_url) as target, target.connect() as root:
        root.execute(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'pw'")
        try:
            yield replace(TargetUrl.parse(mariadb_url), user=name, password="pw", database=None)
        finally:
            root.execute(f"DROP USER {name}@'127.0.0.1'")


@pytest.fixture
def postgres_reader(postgres_url: str, name: str) -> Iterator[TargetUrl]:
    """A user of PostgreSQL without any privilege but to connect."""
    with Target.open(postgres_url) as target, target.connect() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
        try:
            yield replace(TargetUrl.parse(postgres_url), user=name, password="pw")
        finally:
            admin.execute(f"DROP ROLE {name}")


def test_who_may_not_see_the_lock_views_is_told_so(mariadb_reader: TargetUrl) -> None:
    """Without PROCESS nobody is ever said to wait, and the reason names the privilege."""
    with Target.open(mariadb_reader) as target:
        observer = target.observer()
        with target.connect("a") as session:
            assert observer.blocked([session]) == {}
        assert (observer.can_block, observer.can_tell) == (True, False)
        assert "PROCESS" in (observer.why_not or "")
        observer.close()


def test_postgresql_needs_no_privilege_to_see_who_waits(postgres_reader: TargetUrl) -> None:
    """Anybody may ask which of his own sessions wait."""
    with Target.open(postgres_reader) as target:
        observer = target.observer()
        with target.connect("a") as session:
            assert observer.blocked([session]) == {}
        assert observer.can_tell
        observer.close()


@pytest.mark.parametrize("reader", ["mariadb_reader", "postgres_reader"])
def test_a_user_who_may_make_nothing_gets_no_scratch_place(
    request: pytest.FixtureRequest, reader: str
) -> None:
    """The error says that a right is missing and which would do."""
    url = request.getfixturevalue(reader)
    with pytest.raises(StatementFailed) as caught, Target.open(url) as target, target.scratch():
        pass
    assert caught.value.failure.kind is FailureKind.PERMISSION
    assert "right to create" in (caught.value.todo or "")


def test_a_scenario_session_needs_no_superuser(postgres_reader: TargetUrl, name: str) -> None:
    """Where the deadlock time cannot be set, the session is opened all the same."""
    admin_url = replace(postgres_reader, user="postgres", password=None)
    database = f"{name}_db"
    with Target.open(admin_url) as target, target.connect() as admin:
        admin.execute(f"CREATE DATABASE {database} OWNER {name}")
        try:
            with (
                Target.open(replace(postgres_reader, database=database)) as own,
                own.scratch() as scratch,
                scratch.connect("a") as session,
            ):
                session.execute("CREATE TABLE t (n INT)")
        finally:
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
