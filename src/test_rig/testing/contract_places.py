"""Contract: scratch namespaces."""

from __future__ import annotations

from pathlib import Path

from test_rig.targets import Scratch
from test_rig.testing.contract_base import ContractBase, Running

__all__ = ["PlaceContract"]

_SCHEMAS = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{name}'"


class PlaceContract(ContractBase):
    """Scratch namespaces are private, and gone afterwards."""

    def exists(self, scratch: Scratch) -> bool:
        """Return whether a namespace is there."""
        with self.target.connect() as session:
            if not self.target.url.is_embedded:
                return bool(session.execute(_SCHEMAS.format(name=scratch.name)).rows[0][0])
            place = session.connection_info["database"] or ""
            return (Path(place).absolute().parent / scratch.name).exists()

    def test_two_namespaces_know_nothing_of_each_other(self) -> None:
        """Tables of one name in both are two tables."""
        with self.target.scratch() as one, self.target.scratch() as two:
            for number, scratch in enumerate((one, two)):
                with scratch.connect("x") as session:
                    session.execute("CREATE TABLE t (n INT)")
                    session.execute(f"INSERT INTO t VALUES ({number})")
            with one.connect("x") as session:
                assert session.execute("SELECT n FROM t").rows == ((0,),)

    def test_a_namespace_is_gone_after_its_block(self) -> None:
        """With everything in it."""
        with self.target.scratch() as scratch, scratch.connect("x") as session:
            session.execute("CREATE TABLE t (n INT)")
            if self.target.url.scheme != "memory":
                assert self.exists(scratch), "the check can see one"
        assert not self.exists(scratch)

    def test_a_namespace_is_gone_after_an_error_with_sessions_left_open(self) -> None:
        """Open transactions, and statements that run, do not keep it from going."""
        with self.fails(ZeroDivisionError), self.target.scratch() as scratch:
            idle, busy = scratch.connect("idle"), scratch.connect("busy")
            idle.execute("CREATE TABLE t (n INT)")
            idle.start_transaction()
            idle.execute("INSERT INTO t VALUES (1)")
            running = Running(lambda: busy.execute(self.slow_sql))
            assert self.until(lambda: busy.is_busy)
            raise ZeroDivisionError
        assert not self.exists(scratch)
        assert running.has_ended()
        assert not idle.is_usable
        assert not busy.is_usable
