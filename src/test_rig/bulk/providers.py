"""Where each database shows its bulk loads.

| database | where | what there is |
|---|---|---|
| TiDB | `SHOW IMPORT JOBS` | jobs with their history; rows, size, phase, the error |
| PostgreSQL 14 | `pg_stat_progress_copy` | `COPY FROM`s that run; rows, bytes |
| MariaDB | process list, InnoDB's transactions | `LOAD DATA`s that run; rows, fraction |
| MySQL | process list, InnoDB's transactions | `LOAD DATA`s that run; rows |

A look goes through a session's `execute`, so it has a deadline and the rig's errors. The session
must not be the one that loads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from test_rig.bulk.job import ImportJob, JobState
from test_rig.bulk.tidb import read_jobs
from test_rig.errors import FailureKind, StatementFailed, UsageError
from test_rig.targets import Result, Session, first_words

__all__ = ["JobProvider", "Look", "provider_of"]

Ask = Callable[[str], Result]
_NO_VIEW = (FailureKind.UNKNOWN_OBJECT, FailureKind.PERMISSION)
_COPY = """\
SELECT p.*, CASE WHEN p.datname = current_database() THEN p.relid::regclass::text
    ELSE p.datname || ', relation ' || p.relid END AS table_name,
  a.query_start, extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS elapsed_s,
  a.wait_event_type, a.wait_event
FROM pg_stat_progress_copy AS p JOIN pg_stat_activity AS a ON a.pid = p.pid
WHERE p.command = 'COPY FROM' ORDER BY a.query_start, p.pid"""
_LOADS = """\
SELECT p.*{rows} FROM information_schema.PROCESSLIST AS p{join}
WHERE p.INFO LIKE '%LOAD%DATA%' AND p.ID <> CONNECTION_ID() ORDER BY p.ID"""
_ROWS = ", t.trx_rows_modified"
_JOIN = " LEFT JOIN information_schema.INNODB_TRX AS t ON t.trx_mysql_thread_id = p.ID"
_LOAD_TABLE = re.compile(r"\bINTO\s+TABLE\s+((?:`(?:[^`]|``)*`|[\w$.])+)", re.IGNORECASE)
_LOAD_FILE = re.compile(r"\b(LOCAL\s+)?INFILE\s+'((?:[^'\\]|\\.|'')*)'", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The jobs that a server showed at one moment."""

    jobs: tuple[ImportJob, ...]


class JobProvider(Protocol):
    """Knows where one kind of server shows its bulk loads."""

    #: Whether jobs that have ended are shown as well.
    has_history: bool
    #: Looking more often shows nothing new.
    shortest_interval_s: float

    def look(self, ids: Sequence[str] = ()) -> Look:
        """Return the jobs, or those named."""


def provider_of(session: Session) -> JobProvider:
    """Return what asks this server about its bulk loads.

    Raises:
        UsageError: It shows none.
    """
    dialect, ask = session.dialect, session.execute
    if dialect.product == "TiDB":
        return _Tidb(ask)
    if dialect.family == "postgresql":
        return _Copy(ask)
    if dialect.family == "mysql":
        return _Loads(ask)
    raise UsageError(
        f"{dialect.product} shows no bulk loads to other connections",
        where=session.address,
        todo="TiDB, PostgreSQL, MariaDB and MySQL do",
    )


class _Tidb:
    has_history, shortest_interval_s = True, 0.0

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def look(self, ids: Sequence[str] = ()) -> Look:
        texts = [f"SHOW IMPORT JOB {_job_number(each)}" for each in ids] or ["SHOW IMPORT JOBS"]
        (answer,) = self._ask("SELECT NOW(6)").rows
        now = answer[0] if isinstance(answer[0], datetime) else None
        if now is None:
            now = datetime.fromisoformat(str(answer[0]))
        jobs: list[ImportJob] = []
        for text in texts:
            result = self._ask(text)
            jobs += read_jobs(result.columns, result.rows, now.replace(tzinfo=None))
        return Look(jobs=tuple(jobs))


def _job_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text!r} is no number of an import job")
    return int(text)


class _Copy:
    has_history, shortest_interval_s = False, 0.0

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def look(self, ids: Sequence[str] = ()) -> Look:
        try:
            result = self._ask(_COPY)
        except StatementFailed as error:
            if error.failure.kind is FailureKind.UNKNOWN_OBJECT:
                raise UsageError(
                    "this PostgreSQL has no view pg_stat_progress_copy",
                    where=error.address,
                    todo="version 14 and newer do",
                ) from error
            raise
        jobs = [_copy(dict(zip(result.columns, row, strict=True))) for row in result.rows]
        return Look(jobs=tuple(job for job in jobs if not ids or job.id in ids))


def _copy(raw: Mapping[str, Any]) -> ImportJob:
    by_client = raw.get("type") == "PIPE"
    return ImportJob(
        id=str(raw["pid"]),
        key=f"{raw['pid']}/{raw['query_start']}",
        table=raw["table_name"],
        source="the client" if by_client else str(raw.get("type", "")).lower() or None,
        state=JobState.RUNNING,
        phase=_copy_phase(raw),
        rows_done=int(raw["tuples_processed"]),
        bytes_done=int(raw["bytes_processed"]),
        # 0 stands for what the server does not know: the client sends as much as it likes.
        bytes_total=int(raw["bytes_total"]) or None,
        elapsed_s=raw["elapsed_s"],
        columns=tuple(raw.items()),
    )


def _copy_phase(raw: Mapping[str, Any]) -> str:
    if raw["wait_event_type"] == "Lock":
        return "waiting for a lock"
    return "waiting for the client" if raw["wait_event"] == "ClientRead" else "copying"


class _Loads:
    # InnoDB keeps what it showed for as long as somebody looks again within 0.1 s (MySQL manual,
    # Persistence and Consistency of InnoDB Transaction and Locking Information).
    has_history, shortest_interval_s = False, 0.25

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._text = _LOADS.format(rows=_ROWS, join=_JOIN)

    def look(self, ids: Sequence[str] = ()) -> Look:
        try:
            result = self._ask(self._text)
        except StatementFailed as error:
            plain = _LOADS.format(rows="", join="")
            if error.failure.kind not in _NO_VIEW or self._text == plain:
                raise
            # InnoDB's transactions are not everybody's to see: the loads still are.
            self._text = plain
            result = self._ask(plain)
        raws = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        jobs = [_load({name.lower(): value for name, value in raw.items()}, raw) for raw in raws]
        return Look(
            jobs=tuple(job for job in jobs if job is not None and (not ids or job.id in ids))
        )


def _load(given: Mapping[str, Any], raw: Mapping[str, Any]) -> ImportJob | None:
    text = str(given.get("info") or "")
    if first_words(text, family="mysql")[:1] != ("LOAD",):
        return None
    table, file = _LOAD_TABLE.search(text), _LOAD_FILE.search(text)
    elapsed_ms = given.get("time_ms")
    number = str(given["id"])
    return ImportJob(
        id=number,
        key=f"{number}/{given.get('query_id', text)}",
        table=None if table is None else table[1],
        source=None if file is None else ("the client: " if file[1] else "") + file[2],
        state=JobState.RUNNING,
        phase=str(given.get("state") or "") or None,
        rows_done=_whole(given.get("trx_rows_modified")),
        fraction=_fraction(given),
        elapsed_s=float(given.get("time") or 0) if elapsed_ms is None else float(elapsed_ms) / 1e3,
        columns=tuple(raw.items()),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _fraction(given: Mapping[str, Any]) -> float | None:
    """Return how much is done, where MariaDB tells: it does not of a client's file."""
    stages, progress = int(given.get("max_stage") or 0), float(given.get("progress") or 0)
    if not stages or not progress:
        return None
    stage = max(int(given.get("stage") or 1), 1)
    return min((stage - 1 + progress / 100) / stages, 1.0)
