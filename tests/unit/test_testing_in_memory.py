"""The in-memory stand-in says what it is, and is private."""

from __future__ import annotations

from test_rig.targets import Target
from test_rig.testing import InMemoryTarget


def test_it_is_named_as_a_stand_in() -> None:
    """No report can take it for the database that was meant."""
    with InMemoryTarget() as target:
        assert "stand-in" in target.info.product


def test_its_sessions_share_one_database() -> None:
    """What one session commits the other sees, also after all had been closed."""
    with InMemoryTarget() as target:
        with target.connect("a") as one:
            one.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (5)")
        with target.connect("b") as two:
            assert two.execute_query("SELECT n FROM t") == [{"n": 5}]


def test_two_targets_share_nothing() -> None:
    """Each target has a database of its own, which ends with it."""
    with Target.open("memory://") as one, InMemoryTarget() as two:
        with one.connect() as session:
            session.execute("CREATE TABLE t (n INT)")
        with two.connect() as session:
            session.execute("CREATE TABLE t (n INT)")
    with one.connect() as session:
        assert session.execute_query("SELECT name FROM sqlite_schema") == []
