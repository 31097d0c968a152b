"""One pipe's file on disk: what must not be lost, and what could not be delivered.

How to think of it: one SQLite file for each driver, so that no driver waits for another's disk. A
batch is one transaction, and a transaction is on the disk when `append` returns (write-ahead log,
`synchronous=FULL`). Rows of delivered events go with the next transaction: after a kill some events
are delivered again, under the same id.

Only the running host gives out row numbers. Another process (`test-rig actions dlq replay`) puts
what shall be sent again into a table of its own, from where the host fetches it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from test_rig.actions.backlog import Parcel
from test_rig.actions.event import Event, decode_event, encode_event, is_urgent
from test_rig.errors import UsageError

__all__ = ["DeadLetter", "DeadLetters", "Spool", "spool_path"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (
    seq INTEGER PRIMARY KEY, urgent INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    redrives INTEGER NOT NULL DEFAULT 0, event BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, died_s REAL NOT NULL,
    final INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, attempts INTEGER NOT NULL,
    redrives INTEGER NOT NULL, event BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS again (
    number INTEGER PRIMARY KEY AUTOINCREMENT, redrives INTEGER NOT NULL, event BLOB NOT NULL);
"""
_INSERT = "INSERT INTO spool (seq, urgent, attempts, redrives, event) VALUES (?, ?, ?, ?, ?)"
_DEAD = (
    "INSERT INTO dead (id, died_s, final, reason, detail, attempts, redrives, event) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that was given up, with the reason."""

    #: Counts from 1 in each driver's file.
    number: int
    id: str
    #: Unix time.
    died_s: float
    #: The receiver refused it; otherwise the attempts were used up.
    is_final: bool
    reason: str
    detail: str
    attempts: int
    #: How often it was sent again after it had been given up.
    redrives: int
    event: Event


def spool_path(folder: Path, name: str) -> Path:
    """Return the file of a driver."""
    return folder / f"{name}.sqlite3"


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: transactions are begun by hand, so that it is plain what one of them holds.
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error as exc:
        connection.close()
        raise UsageError(f"this is no spool: {exc}", where=str(path)) from exc
    return connection


class Spool:
    """The file of a running pipe; used by the pipe's thread only."""

    def __init__(self, path: Path) -> None:
        self._connection = _connect(path)
        row = self._connection.execute("SELECT coalesce(max(seq), 0), count(*) FROM spool")
        self._seq: int
        self.depth: int
        self._seq, self.depth = row.fetchone()
        self.dead_count: int = self._connection.execute("SELECT count(*) FROM dead").fetchone()[0]
        self._delivered: list[int] = []

    def append(self, parcels: Sequence[Parcel]) -> None:
        """Write parcels down, and give each its row; they are on the disk afterwards."""
        rows = []
        for parcel in parcels:
            self._seq += 1
            parcel.seq = self._seq
            rows.append(_row(parcel))
        with self._transaction():
            self._connection.executemany(_INSERT, rows)
            self._remove_delivered()
        self.depth += len(rows)

    def delivered(self, parcels: Iterable[Parcel]) -> None:
        """Note that rows are not needed any more; `append` or `settle` removes them."""
        self._delivered += [parcel.seq for parcel in parcels if parcel.seq]

    @property
    def unsettled(self) -> int:
        """How many rows wait for their removal."""
        return len(self._delivered)

    @property
    def waiting(self) -> int:
        """How many events wait for their delivery."""
        return self.depth - len(self._delivered)

    def settle(self) -> None:
        """Remove the rows of what was delivered."""
        if self._delivered:
            with self._transaction():
                self._remove_delivered()

    def load(self, *, after: int, limit: int, urgent: bool, now_ns: int) -> list[Parcel]:
        """Return the next parcels of a lane from the disk, in their order.

        Args:
            after: The row to begin after.
            limit: How many, at most.
            urgent: Which lane.
            now_ns: The clock's time, from which on they wait in memory.
        """
        rows = self._connection.execute(
            "SELECT seq, attempts, redrives, event FROM spool "
            "WHERE seq > ? AND urgent = ? ORDER BY seq LIMIT ?",
            (after, int(urgent), limit),
        )
        return [
            Parcel(
                event=decode_event(body),
                born_ns=now_ns,
                seq=seq,
                attempts=attempts,
                redrives=redrives,
            )
            for seq, attempts, redrives, body in rows
        ]

    def bury(self, letters: Sequence[tuple[Parcel, str, str, bool]], *, limit: int) -> None:
        """Make dead letters of parcels.

        Args:
            letters: Each with reason, detail, and whether the receiver refused it for good.
            limit: How many dead letters are kept; the oldest go first.
        """
        now_s = time.time()
        with self._transaction():
            self._connection.executemany(
                _DEAD,
                [
                    (
                        parcel.event.id,
                        now_s,
                        int(final),
                        reason,
                        detail,
                        parcel.attempts,
                        parcel.redrives,
                        encode_event(parcel.event),
                    )
                    for parcel, reason, detail, final in letters
                ],
            )
            self.delivered(parcel for parcel, *_ in letters)
            self._remove_delivered()
            self._connection.execute(
                "DELETE FROM dead WHERE number <= (SELECT max(number) FROM dead) - ?", (limit,)
            )
        self._count_dead()

    def redrive(self, *, limit: int) -> int:
        """Put dead letters that were given up, not refused, back in line; return how many.

        Args:
            limit: A letter that was sent again this often stays dead.
        """
        with self._transaction():
            self._connection.execute(
                "INSERT INTO again (redrives, event) SELECT redrives + 1, event FROM dead "
                "WHERE final = 0 AND redrives < ? ORDER BY number",
                (limit,),
            )
            done = self._connection.execute(
                "DELETE FROM dead WHERE final = 0 AND redrives < ?", (limit,)
            ).rowcount
        self._count_dead()
        return done

    def fetch_again(self) -> int:
        """Take over what shall be sent again; return how many there were."""
        if self._connection.execute("SELECT 1 FROM again LIMIT 1").fetchone() is None:
            return 0
        with self._transaction():
            rows = self._connection.execute("SELECT redrives, event FROM again ORDER BY number")
            parcels = [
                Parcel(event=decode_event(body), born_ns=0, redrives=redrives)
                for redrives, body in rows.fetchall()
            ]
            for parcel in parcels:
                self._seq += 1
                parcel.seq = self._seq
            self._connection.executemany(_INSERT, [_row(parcel) for parcel in parcels])
            self._connection.execute("DELETE FROM again")
        self.depth += len(parcels)
        self._count_dead()
        return len(parcels)

    def drop_oldest(self, count: int, *, beyond: int) -> int:
        """Remove the oldest measurements after row `beyond`; return how many there were."""
        with self._transaction():
            done = self._connection.execute(
                "DELETE FROM spool WHERE seq IN (SELECT seq FROM spool "
                "WHERE urgent = 0 AND seq > ? ORDER BY seq LIMIT ?)",
                (beyond, count),
            ).rowcount
        self.depth -= done
        return done

    def close(self) -> None:
        """Remove what was delivered and let go of the file."""
        try:
            self.settle()
        finally:
            self._connection.close()

    def _count_dead(self) -> None:
        self.dead_count = self._connection.execute("SELECT count(*) FROM dead").fetchone()[0]

    def _remove_delivered(self) -> None:
        removed = 0
        for first, last in _ranges(self._delivered):
            removed += self._connection.execute(
                "DELETE FROM spool WHERE seq BETWEEN ? AND ?", (first, last)
            ).rowcount
        self._delivered.clear()
        self.depth -= removed

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


class _Transaction:
    """All of it, or none."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        self._connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._connection.execute("COMMIT" if exc is None else "ROLLBACK")


class DeadLetters:
    """The dead letters of a driver, for people: beside a running host or without one."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError("no such driver has a file here", where=str(path))
        self._path = path

    def newest(self, *, limit: int = 100) -> list[DeadLetter]:
        """Return the newest letters, oldest first."""
        return self._read("ORDER BY number DESC LIMIT ?", (limit,))[::-1]

    def show(self, number: int) -> DeadLetter | None:
        """Return one letter."""
        return next(iter(self._read("WHERE number = ?", (number,))), None)

    def depth(self) -> int:
        """Return how many events wait on the disk for delivery."""
        with closing(_connect(self._path)) as connection:
            row = connection.execute("SELECT (SELECT count(*) FROM spool) + count(*) FROM again")
            return int(row.fetchone()[0])

    def count(self) -> int:
        """Return how many letters there are."""
        with closing(_connect(self._path)) as connection:
            return int(connection.execute("SELECT count(*) FROM dead").fetchone()[0])

    def replay(self, number: int | None = None) -> int:
        """Have one letter, or all, sent again by the host, now or when it runs; return how many."""
        chosen, values = _chosen(number)
        with closing(_connect(self._path)) as connection, _Transaction(connection):
            connection.execute(
                "INSERT INTO again (redrives, event) "  # noqa: S608 -- one of two constants
                f"SELECT 0, event FROM dead {chosen} ORDER BY number",
                values,
            )
            return connection.execute(f"DELETE FROM dead {chosen}", values).rowcount  # noqa: S608 -- as above

    def purge(self, number: int | None = None) -> int:
        """Forget one letter, or all; return how many there were."""
        chosen, values = _chosen(number)
        with closing(_connect(self._path)) as connection:
            return connection.execute(f"DELETE FROM dead {chosen}", values).rowcount  # noqa: S608 -- one of two constants

    def _read(self, how: str, values: Sequence[int]) -> list[DeadLetter]:
        with closing(_connect(self._path)) as connection:
            rows = connection.execute(
                "SELECT number, id, died_s, final, reason, detail, attempts, redrives, event "  # noqa: S608 -- a constant of this class
                f"FROM dead {how}",
                tuple(values),
            )
            return [
                DeadLetter(
                    number=number,
                    id=id,
                    died_s=died_s,
                    is_final=bool(final),
                    reason=reason,
                    detail=detail,
                    attempts=attempts,
                    redrives=redrives,
                    event=decode_event(body),
                )
                for number, id, died_s, final, reason, detail, attempts, redrives, body in rows
            ]


def _chosen(number: int | None) -> tuple[str, tuple[int, ...]]:
    return ("", ()) if number is None else ("WHERE number = ?", (number,))


def _row(parcel: Parcel) -> tuple[int, int, int, int, bytes]:
    urgent = int(is_urgent(parcel.event))
    return parcel.seq, urgent, parcel.attempts, parcel.redrives, encode_event(parcel.event)


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return numbers as ranges of neighbours: one statement instead of hundreds."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
