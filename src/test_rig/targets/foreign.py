"""Statements that only some databases have: what is not there cannot fail.

A server answers a statement of another product with a syntax error, as it does a typing mistake.
By its first words it can be told which of the two it is.
"""

from __future__ import annotations

import re

__all__ = ["foreign_to"]

_MYSQL = ("mysql",)
_PG = ("postgresql",)
_TIDB = ("TiDB",)
#: The beginning of a statement, and who has it: families of dialects, or products.
_HOMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"IMPORT\s+INTO", _TIDB),
    (r"(SHOW|CANCEL)\s+IMPORT\s+JOBS?", _TIDB),
    (r"ADMIN\s+(SHOW|CHECK|CANCEL|CHECKSUM|RECOVER|CLEANUP)", _TIDB),
    (r"(FLASHBACK|SPLIT|BATCH|BACKUP|RESTORE)\s", _TIDB),
    (r"SHOW\s+(STATS_\w+|PLACEMENT|CONFIG|TABLE\s+\S+\s+REGIONS)", _TIDB),
    (r"LOAD\s+DATA", _MYSQL),
    (r"SHOW\s+TABLES", ("mysql", "duckdb")),
    (r"SHOW\s+DATABASES", ("mysql", "duckdb")),
    (
        r"SHOW\s+(FULL|CREATE|COLUMNS|FIELDS|INDEX|INDEXES|KEYS|TABLE|PROCEDURE|FUNCTION|TRIGGERS|"
        r"EVENTS|ENGINES?|WARNINGS|ERRORS|GRANTS|PROCESSLIST|VARIABLES|STATUS|GLOBAL|SESSION|"
        r"COLLATION|CHARACTER|CHARSET|SCHEMAS|PLUGINS|PRIVILEGES)\b",
        _MYSQL,
    ),
    (r"USE\s", ("mysql", "duckdb")),
    (r"(LOCK|UNLOCK)\s+TABLES?\b", ("mysql", "postgresql")),
    (r"(OPTIMIZE|REPAIR|RENAME|FLUSH|HANDLER|KILL)\b", _MYSQL),
    (r"SET\s+(@|GLOBAL\b|NAMES\b)", ("mysql",)),
    (r"SET\s+(SESSION\s+|LOCAL\s+)?TRANSACTION\b", ("mysql", "postgresql")),
    (r"(CREATE|DROP|ALTER)\s+(DATABASE|SCHEMA)\b", ("mysql", "postgresql", "duckdb")),
    (r"(CREATE|DROP|ALTER|SET)\s+(USER|ROLE)\b", ("mysql", "postgresql")),
    (r"(GRANT|REVOKE)\b", ("mysql", "postgresql")),
    (
        r"CREATE\s+(OR\s+REPLACE\s+)?(DEFINER\s*=\s*\S+\s+)?(PROCEDURE|FUNCTION|EVENT)\b",
        ("mysql", "postgresql"),
    ),
    (r"(SAVEPOINT|RELEASE|ROLLBACK\s+TO)\b", ("mysql", "postgresql", "sqlite")),
    (r"CALL\b", ("mysql", "postgresql", "duckdb")),
    (r"TRUNCATE\b", ("mysql", "postgresql", "duckdb")),
    (r"(LISTEN|NOTIFY|UNLISTEN|CLUSTER|REINDEX\s+(SYSTEM|SCHEMA))\b", _PG),
    (r"COPY\b", ("postgresql", "duckdb")),
    (r"DO\s+\$", _PG),
    (r"PRAGMA\b", ("sqlite", "duckdb")),
    (r"(ATTACH|DETACH)\b", ("sqlite", "duckdb")),
)
_TABLE = tuple((re.compile(pattern, re.IGNORECASE), homes) for pattern, homes in _HOMES)
_LEADING = re.compile(r"(\s+|--[^\n]*\n|#[^\n]*\n|/\*.*?\*/)*", re.DOTALL)


def foreign_to(sql: str, *, family: str, product: str) -> str | None:
    """Return the beginning of a statement that this database does not have; None for all others.

    >>> foreign_to("import into orders from 'x'", family="mysql", product="MariaDB")
    'IMPORT INTO'
    >>> foreign_to("SELECT 1 FORM orders", family="mysql", product="MariaDB") is None
    True

    Args:
        sql: The statement.
        family: The dialect's family: "mysql", "postgresql", "sqlite", "duckdb".
        product: What the server says it is.
    """
    start = _LEADING.match(sql)
    text = sql[start.end() if start else 0 :]
    for pattern, homes in _TABLE:
        found = pattern.match(text)
        if found is not None:
            is_here = family in homes or product in homes
            return None if is_here else " ".join(found.group().upper().split())
    return None
