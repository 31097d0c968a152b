"""What a database must tell the rig: the port that one dialect file per database fills.

A `Wire` is one driver connection with the driver's own manners hidden; a `Dialect` knows how to
make wires, what its levels are called and promise, and how to ask its server who waits for whom.
Wires raise their drivers' own exceptions, which the session turns into the rig's. A dialect that
asks its server something is given an `Ask`, a session's `execute`: so its questions have deadlines
too, and fail with the rig's errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from test_rig.isolation import Level
from test_rig.targets.url import TargetUrl

__all__ = [
    "Ask",
    "BlockedView",
    "Dialect",
    "LevelSpec",
    "NoticingWire",
    "Params",
    "Result",
    "Table",
    "Wire",
]

#: Positional values for a statement's placeholders, in the driver's own style.
Params = Sequence[Any] | Mapping[str, Any] | None
#: A table's name in parts: its own last, before it the schema's or database's.
Table = tuple[str, ...]


#: A driver's cursor keeps its last answer; one of more rows a wire lets go of.
KEPT_ROWS = 1_000


class Result(NamedTuple):
    """What a statement gave: all of it, fetched. One is made for every statement: a cheap value."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    #: Rows affected or returned, where the server told.
    row_count: int | None = None
    #: Notices and warnings that came with it.
    notices: tuple[str, ...] = ()
    #: Further result sets, of a procedure or of several statements in one text.
    more: tuple[Result, ...] = ()
    last_insert_id: int | None = None
    #: The server answered COMMIT by rolling back, since the transaction had failed before.
    rolled_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSpec:
    """An isolation level (or a mode that acts as one) as one database spells it."""

    #: For command lines and file names: "repeatable-read", "wal-deferred".
    key: str
    #: For tables: the server's own spelling.
    name: str
    #: What the manual promises, and where it does.
    claim: Level
    claim_source: str
    #: Sent once when a session of this level is opened.
    session_setup: tuple[str, ...] = ()
    #: Starts a transaction in such a session.
    begin: tuple[str, ...] = ("BEGIN",)
    #: Starts one transaction of this level in any session.
    begin_once: tuple[str, ...] = ("BEGIN",)
    #: Asks for the level from within a transaction; None where the database cannot be asked.
    read_back: str | None = None
    #: What the answer is if the level holds, in lower case with blanks for hyphens.
    read_back_value: str | None = None
    #: Options that the connection itself needs (embedded modes).
    options: tuple[tuple[str, str], ...] = ()


class Wire(Protocol):
    """One driver connection. One thread uses it; `cancel` and `sever` come from any thread."""

    #: The server's own number of this connection, by which others name it.
    backend_id: int

    def run(self, sql: str, params: Params) -> Result:
        """Send one text, fetch everything it gives, and return it."""

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run one statement for each row the driver's fastest way; return the rows affected."""

    def load(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Load rows the fastest way this database has; return how many."""

    def in_transaction(self) -> bool:
        """Return whether a transaction is open, as far as the protocol tells."""

    def cancel(self, timeout_s: float) -> bool:
        """Ask the server, through a second connection, to stop the running statement.

        Never raises; returns whether the server could be told.
        """

    def sever(self) -> None:
        """Cut the connection from outside, so that a blocked read returns at once."""

    def close(self) -> None:
        """Close for good; never raises."""


@runtime_checkable
class NoticingWire(Protocol):
    """A wire whose protocol sends notices while a statement runs."""

    def listen(self, listener: Callable[[str], None]) -> None:
        """Tell each notice as it arrives, on the thread that runs the statement."""


class Ask(Protocol):
    """Sends one SQL text within a deadline; raises the rig's own errors."""

    def __call__(self, sql: str, params: Params = None) -> Result:
        """Return everything that the text gave."""


#: Who waits for whom among the connections asked for: waiting id -> ids it waits for (maybe
#: none told). Raises a `TargetError` where the server does not say.
BlockedView = Callable[[Sequence[int]], Mapping[int, tuple[int, ...]]]


class Dialect(Protocol):
    """One kind of database."""

    #: As reports name it.
    product: str
    #: Which tables of error codes apply: "postgresql", "mysql", "sqlite", "duckdb".
    family: str
    #: How a value's place is marked in SQL text.
    placeholder: str
    #: Starts a transaction of the server's default level.
    begin: str
    #: Asks for the current database in one value; embedded ones answer with their file.
    which_database: str
    #: What may stand behind the ? of a URL.
    url_options: tuple[str, ...]

    def connect(self, url: TargetUrl, timeout_s: float) -> Wire:
        """Open a connection in autocommit mode within the time limit."""

    def recognise(self, ask: Ask) -> tuple[Dialect, str]:
        """Ask the server what it is; return its dialect, which may be another, and version."""

    def levels(self) -> tuple[LevelSpec, ...]:
        """Return the levels the server has, weakest first."""

    def quote(self, identifier: str) -> str:
        """Return the identifier quoted."""

    def upsert(self, table: str, key: str, column: str, *, appends: bool = False) -> str:
        """Return an INSERT of a key and a value that, where the key is there, changes its row.

        Args:
            table: The table, and with `key` and `column` its columns: names that need no quotes.
            key: The primary key.
            column: What is set; or, with `appends`, a text to which the value is added behind a
                comma.
            appends: Whether to append.
        """

    def prepare_waiting(self, ask: Ask) -> None:
        """Make a session fit for scenarios: deadlocks found soon, locks refused soon."""

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        """Return a way to ask who waits, or None where nothing ever waits."""

    def create_scratch(self, ask: Ask, url: TargetUrl, name: str) -> TargetUrl:
        """Make a private namespace and return the URL that leads into it."""

    def drop_scratch(self, ask: Ask, scratch: TargetUrl, name: str) -> None:
        """Remove what `create_scratch` made, and nothing else."""

    def kill_statement(self, backend_id: int) -> str | None:
        """Return SQL that ends another connection, or None where there is no such thing."""
