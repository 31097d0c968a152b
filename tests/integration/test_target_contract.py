"""The target contract on every database that is there."""

from __future__ import annotations

import pytest

from test_rig.errors import FailureKind
from test_rig.testing import TargetContract

_COUNT = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"
_RECURSIVE = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) "
    "SELECT count(*) FROM n"
)


class _SqliteClaims(TargetContract):
    """What SQLite claims: it has no decimals and no dates, and its code for a mistake is one."""

    slow_sql = _RECURSIVE
    auto_key = "INTEGER PRIMARY KEY"
    decimal_type = None
    date_type = None
    blocks = False
    unknown_table = FailureKind.SYNTAX


class TestSqlite(_SqliteClaims):
    """SQLite on a private file."""

    url = "sqlite://"


class TestMemory(_SqliteClaims):
    """The in-memory stand-in, which keeps readers out while it writes."""

    url = "memory://"
    reads_during_writes = False


class TestDuckdb(TargetContract):
    """DuckDB on a private file."""

    url = "duckdb://"
    slow_sql = _COUNT
    blocks = False
    error_aborts = True


class TestPostgresql(TargetContract):
    """The running PostgreSQL."""

    slow_sql = "SELECT pg_sleep(60)"
    running_sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = {id} AND state = 'active'"
    warning = ("DROP TABLE IF EXISTS nothing_here", "nothing_here")
    error_aborts = True

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def server(cls, postgres_url: str) -> None:
        """Use the running server."""
        cls.url = postgres_url


class _MysqlClaims(TargetContract):
    """What the servers of MySQL's protocol claim."""

    slow_sql = "SELECT SLEEP(60)"
    running_sql = (
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = {id} AND COMMAND = 'Query'"
    )
    auto_key = "INT AUTO_INCREMENT PRIMARY KEY"
    warning = ("DROP TABLE IF EXISTS nothing_here", "nothing_here")


class TestMariadb(_MysqlClaims):
    """The running MariaDB."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def server(cls, mariadb_url: str) -> None:
        """Use the running server."""
        cls.url = mariadb_url


class TestMysql(_MysqlClaims):
    """A real MySQL, where one was fetched."""

    # Not SLEEP: MySQL answers a killed one with a row and no error.
    slow_sql = (
        "SELECT COUNT(*) FROM information_schema.COLLATIONS a, information_schema.COLLATIONS b, "
        "information_schema.COLLATIONS c, information_schema.COLLATIONS d"
    )

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def server(cls, mysql_url: str) -> None:
        """Use a server of the run's own."""
        cls.url = mysql_url


class TestSeekdb(_MysqlClaims):
    """seekdb, where one was fetched: OceanBase's engine, whose conflicts are refused."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def server(cls, seekdb_url: str) -> None:
        """Use a server of the run's own."""
        cls.url = seekdb_url
