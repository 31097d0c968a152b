"""A stand-in for TiDB: MySQL's real protocol, and of TiDB what its documentation says.

No TiDB can be had from a package registry. This server speaks the wire protocol (mysql-mimic) and
answers what the rig asks of a TiDB: its version, its two levels and the error for the other two,
64-bit connection numbers, KILL TIDB, and the lock views with the columns that TiDB documents (kept
in an SQLite, so that the rig's queries are really run). It stores no tables and proves nothing
about TiDB's transactions.

`imports` are its import jobs (`SHOW IMPORT JOBS`, `SHOW IMPORT JOB n`), which advance by a step
every time that they are shown, with the columns of the version that is stood in for.

`answers` is where a test adds statements: a pattern of the whole text, and a function that gets
the match and returns (rows, column names).
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from mysql_mimic import MysqlServer
from mysql_mimic import Session as MimicSession
from mysql_mimic.control import KillKind
from mysql_mimic.errors import ErrorCode, MysqlError
from mysql_mimic.results import ResultColumn
from mysql_mimic.types import ColumnType, ServerStatus

VERSION = "8.0.11-TiDB-v8.5.3"
#: TiDB's own numbers have more bits than the greeting of the protocol can carry.
ID_BASE = 1 << 40

Answer = tuple[Sequence[Sequence[Any]], Sequence[str | ResultColumn]]
_NOTHING: Answer = ((), ())
# TiDB documentation: TIDB_TRX (CLUSTER_TIDB_TRX adds INSTANCE) and DATA_LOCK_WAITS.
_VIEWS = """
ATTACH ':memory:' AS information_schema;
CREATE TABLE information_schema.CLUSTER_TIDB_TRX (
    INSTANCE, ID, START_TIME, CURRENT_SQL_DIGEST, CURRENT_SQL_DIGEST_TEXT, STATE,
    WAITING_START_TIME, MEM_BUFFER_KEYS, MEM_BUFFER_BYTES, SESSION_ID, USER, DB, ALL_SQL_DIGESTS,
    RELATED_TABLE_IDS, WAITING_TIME);
CREATE TABLE information_schema.DATA_LOCK_WAITS (
    KEY, KEY_INFO, TRX_ID, CURRENT_HOLDING_TRX_ID, SQL_DIGEST, SQL_DIGEST_TEXT);
"""

#: Its clock is not UTC's.
TIME_ZONE = timedelta(hours=8)
#: Up to v8.5.0, and those of v9 (TiDB documentation, SHOW IMPORT JOB).
OLD_IMPORT_COLUMNS = (
    *("Job_ID", "Data_Source", "Target_Table", "Table_ID", "Phase", "Status", "Source_File_Size"),
    *("Imported_Rows", "Result_Message", "Create_Time", "Start_Time", "End_Time", "Created_By"),
)
NEW_IMPORT_COLUMNS = (
    *("Job_ID", "Group_Key", *OLD_IMPORT_COLUMNS[1:], "Last_Update_Time", "Cur_Step"),
    *("Cur_Step_Processed_Size", "Cur_Step_Total_Size", "Cur_Step_Progress_Pct"),
    *("Cur_Step_Speed", "Cur_Step_ETA"),
)
#: What a job goes through: status, phase, step, imported rows, time left.
_IMPORT_STEPS = (
    ("pending", "", None, None, None),
    ("running", "global-sorting", "encode", None, "00:00:30"),
    ("running", "importing", "ingest", 400, "00:00:20"),
    ("running", "importing", "ingest", 800, "00:00:10"),
    ("running", "validating", "post-process", 1000, None),
)


@dataclass(slots=True)
class StandinImport:
    """One import job, which ends as it was told to."""

    number: int
    table: str = "`test`.`orders`"
    end: str = "finished"
    message: str = ""
    step: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))

    def advance(self) -> None:
        """Go a step further."""
        self.step = min(self.step + 1, len(_IMPORT_STEPS))

    def shown(self) -> dict[str, Any]:
        """Return its row, by the names of all columns there are."""
        is_over = self.step >= len(_IMPORT_STEPS)
        status, phase, step, rows, left = (
            (self.end, "", None, 1000 if self.end == "finished" else 400, None)
            if is_over
            else _IMPORT_STEPS[self.step]
        )
        begin = self.began + TIME_ZONE
        return {
            "Job_ID": self.number,
            "Group_Key": None,
            "Data_Source": f"s3://bucket/{self.number}.csv",
            "Target_Table": self.table,
            "Table_ID": 100 + self.number,
            "Phase": phase,
            "Status": status,
            "Source_File_Size": "1.5GiB",
            "Imported_Rows": rows,
            "Result_Message": self.message if is_over else "",
            "Create_Time": begin.isoformat(" "),
            "Start_Time": None if status == "pending" else begin.isoformat(" "),
            "End_Time": (begin + timedelta(seconds=40)).isoformat(" ") if is_over else None,
            "Created_By": "root@%",
            "Last_Update_Time": begin.isoformat(" "),
            "Cur_Step": step,
            "Cur_Step_Processed_Size": "4.55GB" if step else None,
            "Cur_Step_Total_Size": "298GB" if step else None,
            "Cur_Step_Progress_Pct": "1" if step else None,
            "Cur_Step_Speed": "10.96MB/s" if step else None,
            "Cur_Step_ETA": left,
        }


class TidbStandin:
    """The server, on a port and a thread of its own; a context manager.

    Args:
        import_columns: The columns of its import jobs: those of a version.
    """

    def __init__(self, *, import_columns: Sequence[str] = OLD_IMPORT_COLUMNS) -> None:
        self.imports: list[StandinImport] = []
        self.import_columns = import_columns
        self.views = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.views.executescript(_VIEWS)
        self.statements: list[str] = []
        self.answers: list[tuple[str, Callable[[re.Match[str]], Answer]]] = []
        self.sessions: dict[int, _Session] = {}
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"tidb://root@127.0.0.1:{self.port}/test"

    def block(self, waiting: int, holder: int) -> None:
        """Let the lock views say that one connection waits for another."""
        for state, session in (("LockWaiting", waiting), ("Idle", holder)):
            self.views.execute(
                "INSERT INTO information_schema.CLUSTER_TIDB_TRX (ID, STATE, SESSION_ID) "
                "VALUES (?, ?, ?)",
                (session * 10, state, session),
            )
        self.views.execute(
            "INSERT INTO information_schema.DATA_LOCK_WAITS (TRX_ID, CURRENT_HOLDING_TRX_ID) "
            "VALUES (?, ?)",
            (waiting * 10, holder * 10),
        )

    async def _serve(self) -> None:
        server = MysqlServer(session_factory=lambda: _Session(self))
        await server.start_server(host="127.0.0.1", port=0)
        self.port = server.sockets()[0].getsockname()[1]
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._over.wait()
        server.close()
        for session in list(self.sessions.values()):
            session.connection.kill(KillKind.CONNECTION)
        await asyncio.sleep(0.05)  # the connections' tasks end

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the stand-in did not start")
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self.views.close()


class _Session(MimicSession):
    """One connection."""

    def __init__(self, server: TidbStandin) -> None:
        super().__init__()
        self._server = server
        self._level = "REPEATABLE-READ"
        self.interrupted = asyncio.Event()

    @property
    def number(self) -> int:
        """The connection's number, as TiDB tells it."""
        return ID_BASE + int(self.connection.connection_id)

    async def init(self, connection: Any) -> None:
        await super().init(connection)
        self._server.sessions[self.number] = self

    async def close(self) -> None:
        self._server.sessions.pop(self.number, None)
        await super().close()

    async def handle_query(self, sql: str, attrs: dict[str, str]) -> Any:
        self._server.statements.append(sql)
        for pattern, given in self._server.answers:
            if match := re.fullmatch(pattern, sql, re.IGNORECASE | re.DOTALL):
                return given(match)
        for pattern, own in _OWN:
            if match := re.fullmatch(pattern, sql, re.IGNORECASE | re.DOTALL):
                return await own(self, match)
        return await super().handle_query(sql, attrs)

    async def _version(self, match: re.Match[str]) -> Answer:
        return ((VERSION,),), ("VERSION()",)

    async def _connection_id(self, match: re.Match[str]) -> Answer:
        return ((self.number,),), ("CONNECTION_ID()",)

    async def _set_level(self, match: re.Match[str]) -> Answer:
        name = match["level"].upper()
        if name in ("SERIALIZABLE", "READ UNCOMMITTED"):
            raise MysqlError(
                f"The isolation level '{name.replace(' ', '-')}' is not supported. Set "
                "tidb_skip_isolation_level_check=1 to skip this error",
                cast("ErrorCode", 8048),
            )
        if match["scope"]:
            self._level = name.replace(" ", "-")
        return _NOTHING

    async def _get_level(self, match: re.Match[str]) -> Answer:
        return ((self._level,),), ("@@SESSION.transaction_isolation",)

    async def _begin(self, match: re.Match[str]) -> Answer:
        self.connection.status_flags |= ServerStatus.SERVER_STATUS_IN_TRANS
        return _NOTHING

    async def _end(self, match: re.Match[str]) -> Answer:
        self.connection.status_flags &= ~ServerStatus.SERVER_STATUS_IN_TRANS
        return _NOTHING

    async def _sleep(self, match: re.Match[str]) -> Answer:
        self.interrupted.clear()
        try:
            await asyncio.wait_for(self.interrupted.wait(), float(match["seconds"]))
        except TimeoutError:
            return ((0,),), ("SLEEP",)
        raise MysqlError("Query execution was interrupted", cast("ErrorCode", 1317))

    async def _kill(self, match: re.Match[str]) -> Answer:
        victim = self._server.sessions.get(int(match["number"]))
        if victim is None:
            raise MysqlError(f"Unknown thread id: {match['number']}", cast("ErrorCode", 1094))
        if match["query"]:
            victim.interrupted.set()
        else:
            victim.connection.kill(KillKind.CONNECTION)
        return _NOTHING

    async def _now(self, match: re.Match[str]) -> Answer:
        now = datetime.now(UTC).replace(tzinfo=None) + TIME_ZONE
        return ((now.isoformat(" "),),), ("NOW(6)",)

    async def _imports(self, match: re.Match[str]) -> Answer:
        jobs = self._server.imports
        if match["number"]:
            jobs = [job for job in jobs if job.number == int(match["number"])]
            if not jobs:
                raise MysqlError(f"Job ID {match['number']} doesn't exist", cast("ErrorCode", 8171))
        names = self._server.import_columns
        rows = [[job.shown()[name] for name in names] for job in jobs]
        for job in jobs:
            job.advance()
        return rows, [ResultColumn(name, ColumnType.VAR_STRING) for name in names]

    async def _view(self, match: re.Match[str]) -> Answer:
        cursor = self._server.views.execute(match.string)
        # Two columns may share a name, which the library's own guessing of types does not expect.
        columns = [ResultColumn(column[0], ColumnType.LONGLONG) for column in cursor.description]
        return cursor.fetchall(), columns


_OWN: tuple[tuple[str, Callable[[_Session, re.Match[str]], Awaitable[Answer]]], ...] = (
    (r"select version\(\)", _Session._version),
    (r"select connection_id\(\)", _Session._connection_id),
    (
        r"set (?P<scope>session )?transaction isolation level (?P<level>[\w ]+)",
        _Session._set_level,
    ),
    (r"select @@session\.transaction_isolation", _Session._get_level),
    (r"begin|start transaction", _Session._begin),
    (r"commit|rollback", _Session._end),
    (r"select sleep\((?P<seconds>[\d.]+)\)", _Session._sleep),
    (r"kill tidb (?P<query>query )?(?P<number>\d+)", _Session._kill),
    (r"select now\(6\)", _Session._now),
    (r"show import jobs?(?: (?P<number>\d+))?", _Session._imports),
    (r"select .*\sfrom\s+information_schema\..*", _Session._view),
)
