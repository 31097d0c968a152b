"""What can be told of an SQL text without understanding it.

How to think of it: the rig sends people's text as it is. It looks at it for three reasons only: to
know whether a failed text may have committed something, to put names into texts of its own, and to
cut a text where a driver takes one statement at a time. Where the look is not certain, the answer
leans to the side that claims less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from test_rig.errors import Failure, Outcome
from test_rig.resilience import outcome_of

__all__ = [
    "delete_statement",
    "first_words",
    "insert_statement",
    "outcome_after",
    "quote_backtick",
    "quote_double",
    "upsert_standard",
]

#: Statements that end the open transaction by committing it.
COMMITS = frozenset({"COMMIT", "END"})
# MySQL manual, 15.3.3, Statements That Cause an Implicit Commit; CALL and XA may commit inside.
_COMMITS_FIRST = frozenset(
    {
        *("ALTER", "ANALYZE", "BEGIN", "CACHE", "CALL", "CHANGE", "CHECK", "CREATE", "DROP"),
        *("FLUSH", "GRANT", "IMPORT", "INSTALL", "LOAD", "LOCK", "OPTIMIZE", "PURGE", "RENAME"),
        *("REPAIR", "RESET", "REVOKE", "SET", "START", "STOP", "TRUNCATE", "UNINSTALL", "UNLOCK"),
        "XA",
    }
)

_STRING = r"'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|\\.|'')*'"
_PIECES = r"""
    --[^\n]* | /\*.*?\*/
  | {string} | [eE]'(?:[^'\\]|\\.|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
  | (?P<end>;)
  | (?P<word>[A-Za-z_]\w*)
"""
_PLAIN = re.compile(_PIECES.format(string=_STRING), re.DOTALL | re.VERBOSE)
_BACKSLASHED = re.compile(_PIECES.format(string=_ESCAPED), re.DOTALL | re.VERBOSE)


def first_words(sql: str, *, family: str = "") -> tuple[str, ...]:
    """Return the first word of each statement of a text, in capitals.

    Comments and quoted text are passed over; MySQL's backslash escapes are known by `family`.
    """
    words: list[str] = []
    is_open = False
    for piece in (_BACKSLASHED if family == "mysql" else _PLAIN).finditer(sql):
        if piece["end"]:
            is_open = False
        elif piece["word"] and not is_open:
            words.append(piece["word"].upper())
            is_open = True
    return tuple(words)


def outcome_after(failure: Failure, sql: str, *, family: str, in_transaction: bool) -> Outcome:
    """Return what is known of the effect of a text that ended in a failure.

    Args:
        failure: What the codes say.
        sql: The text that was in flight: one statement or several.
        family: Whose rules about implicit commits hold.
        in_transaction: A transaction was open when it was sent.
    """
    words = first_words(sql, family=family)
    commits = any(word in COMMITS for word in words)
    if family == "mysql" and in_transaction:
        commits = commits or any(word in _COMMITS_FIRST for word in words)
    # PostgreSQL runs several statements of one text as one transaction; elsewhere each stands
    # alone, and those before the failed one have taken effect.
    alone = not in_transaction and family != "postgresql"
    if len(words) > 1 and (commits or alone):
        return Outcome.INFO
    return outcome_of(failure, at_commit=commits, in_transaction=in_transaction)


def quote_double(identifier: str) -> str:
    """Quote an identifier the SQL standard's way."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_backtick(identifier: str) -> str:
    """Quote an identifier MySQL's way."""
    return "`" + identifier.replace("`", "``") + "`"


def insert_statement(
    table: Sequence[str],
    columns: Sequence[str],
    *,
    quote: Callable[[str], str],
    mark: str,
    returning: str | None = None,
) -> str:
    """Return an INSERT with a placeholder for each column.

    Args:
        table: The table's name in parts, the last one its own.
        columns: Their names.
        quote: How the database quotes.
        mark: How its driver marks a value's place; with `%s` the names' own `%` are doubled.
        returning: A column to give back.
    """
    names = ", ".join(quote(column) for column in columns)
    head = f"INSERT INTO {'.'.join(quote(part) for part in table)} ({names}) VALUES"
    tail = "" if returning is None else f" RETURNING {quote(returning)}"
    if mark == "%s":
        head, tail = head.replace("%", "%%"), tail.replace("%", "%%")
    return f"{head} ({', '.join(mark for _ in columns)}){tail}"


def delete_statement(
    table: Sequence[str], key: str, *, quote: Callable[[str], str], mark: str
) -> str:
    """Return a DELETE of the row whose key has the value of the placeholder."""
    place = ".".join(quote(part) for part in table)
    head = " ".join(("DELETE FROM", place, "WHERE", quote(key), "="))
    return f"{head.replace('%', '%%') if mark == '%s' else head} {mark}"


def upsert_standard(table: str, key: str, column: str, *, appends: bool, mark: str) -> str:
    """Return an upsert as PostgreSQL, SQLite and DuckDB spell it; see `Dialect.upsert`."""
    new = f"{table}.{column} || ',' || excluded.{column}" if appends else f"excluded.{column}"
    return (
        f"INSERT INTO {table} ({key}, {column}) VALUES ({mark}, {mark}) "  # noqa: S608 - our names
        f"ON CONFLICT ({key}) DO UPDATE SET {column} = {new}"
    )
