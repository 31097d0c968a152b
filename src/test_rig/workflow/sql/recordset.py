"""A batch as one statement of PostgreSQL: JSON that `json_to_recordset` makes rows of.

One statement is one round trip and one commit, however many rows there are. A row is encoded as it
is, its fields by their names; the server takes those that the statement names. It reads one text of
JSON faster than an array for each column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from test_rig.workflow.payload import lightened
from test_rig.workflow.records import Batch
from test_rig.workflow.sql.schema import STEP_COLUMNS
from test_rig.workflow.sql.statements import ATTEMPT_COLUMNS, RUN_COLUMNS

__all__ = ["INSERT_PAYLOAD", "batch_statement"]

#: The types of the columns that are not text.
_KINDS = {
    **dict.fromkeys(("priority", "recoveries", "attempt"), "int"),
    **dict.fromkeys(("created", "started", "finished"), "float8"),
    **dict.fromkeys(("not_before", "deadline", "next_at"), "float8"),
}


def _rows(columns: str) -> str:
    """Return what gives the rows `u` of a JSON array, with these columns."""
    kinds = (f"{name} {_KINDS.get(name, 'text')}" for name in columns.split(", "))
    return f"json_to_recordset(%s::json) AS u({', '.join(kinds)})"


def _insert(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}) SELECT u.* FROM {_rows(columns)}, alive"


_RUNS = f"{_insert('wf_run', RUN_COLUMNS)} ON CONFLICT DO NOTHING"
_STEPS = f"{_insert('wf_step', STEP_COLUMNS)} ON CONFLICT DO NOTHING"
_ATTEMPTS = (
    f"{_insert('wf_attempt', ATTEMPT_COLUMNS)}"
    " ON CONFLICT (run_id, key, attempt) DO UPDATE SET status = excluded.status,"
    " error = excluded.error, finished = excluded.finished, next_at = excluded.next_at,"
    " worker = excluded.worker"
)
_ENDED = (
    f"DELETE FROM wf_attempt a USING {_rows('run_id, key, attempt')}, alive WHERE"
    " a.run_id = u.run_id AND a.key = u.key AND a.attempt = u.attempt AND a.status = 'Running'"
)
_FINISHES = (
    "UPDATE wf_run r SET status = u.status, output = u.output, error = u.error,"
    " finished = u.finished, owner = NULL, wanted = NULL"
    f" FROM {_rows('run_id, status, output, error, finished')}, alive"
    " WHERE r.id = u.run_id AND r.owner = %s"
)
# One that is there already is the same; it is locked, lest somebody deletes it as not used.
_LOCKING = "ON CONFLICT (sha256) DO UPDATE SET codec = excluded.codec"
INSERT_PAYLOAD = f"INSERT INTO wf_payload (sha256, codec, body) VALUES (?, ?, ?) {_LOCKING}"
_PAYLOADS = (
    "INSERT INTO wf_payload (sha256, codec, body)"
    f" SELECT u.* FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS u, alive {_LOCKING}"
)
_USES = f"{_insert('wf_use', 'run_id, sha256')} ON CONFLICT DO NOTHING"


def batch_statement(worker: str, batch: Batch) -> tuple[str, list[Any]]:
    """Return the statement that records a batch if the worker lives; it gives 1 then, else 0."""
    batch, payloads, uses = lightened(batch)
    sql = (
        "WITH alive AS MATERIALIZED (SELECT 1 FROM wf_worker WHERE id = %s AND lost = 0 FOR SHARE)"
    )
    values: list[Any] = [worker]
    heavy = [(each.sha256, each.codec, each.body) for each in payloads]
    if heavy:
        sql += f", payloads AS ({_PAYLOADS})"
        values += [list(column) for column in zip(*heavy, strict=True)]
    ended = [{"run_id": run, "key": key, "attempt": attempt} for run, key, attempt in batch.ended]
    parts: tuple[tuple[str, str, Sequence[object]], ...] = (
        ("uses", _USES, [{"run_id": run_id, "sha256": sha256} for run_id, sha256 in uses]),
        ("runs", _RUNS, batch.runs),
        ("steps", _STEPS, batch.steps),
        ("ended", _ENDED, ended),
        ("attempts", _ATTEMPTS, batch.attempts),
        ("finishes", _FINISHES, batch.finishes),
    )
    for name, text, rows in parts:
        if rows:
            sql += f", {name} AS ({text})"
            values.append(msgspec.json.encode(rows).decode())
    if batch.finishes:
        values.append(worker)
    return f"{sql} SELECT count(*) FROM alive", values
