"""A batch as one statement of PostgreSQL: arrays that `unnest` makes rows of.

One statement is one round trip and one commit, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from test_rig.workflow.payload import lightened
from test_rig.workflow.records import Batch
from test_rig.workflow.sql.schema import STEP_COLUMNS
from test_rig.workflow.sql.statements import RUN_COLUMNS, run_values

__all__ = ["batch_statement"]

_RUN_KINDS = (
    *("text", "text", "text", "text", "text", "float8", "int", "text", "text", "text", "int"),
    *("float8", "float8", "text", "text", "text", "float8", "float8"),
)
_STEP_KINDS = ["text", "text", "text", "int", "text", "text", "float8", "float8", "text"]
_ATTEMPT_COLUMNS = "run_id, key, attempt, status, error, started, finished, worker, next_at"
_ATTEMPT_KINDS = ["text", "text", "int", "text", "text", "float8", "float8", "text", "float8"]
_FINISH_KINDS = ["text", "text", "text", "text", "float8"]

_RUNS = (
    f"INSERT INTO wf_run ({RUN_COLUMNS}) SELECT u.* FROM {{rows}} AS u, alive"
    " ON CONFLICT DO NOTHING"
)
_STEPS = (
    f"INSERT INTO wf_step ({STEP_COLUMNS}) SELECT u.* FROM {{rows}} AS u, alive"
    " ON CONFLICT DO NOTHING"
)
_ATTEMPTS = (
    f"INSERT INTO wf_attempt ({_ATTEMPT_COLUMNS}) SELECT u.* FROM {{rows}} AS u, alive"
    " ON CONFLICT (run_id, key, attempt) DO UPDATE SET status = excluded.status,"
    " error = excluded.error, finished = excluded.finished, next_at = excluded.next_at,"
    " worker = excluded.worker"
)
_PAYLOADS = (
    "INSERT INTO wf_payload (sha256, codec, body) SELECT u.* FROM {rows} AS u, alive"
    " ON CONFLICT DO NOTHING"
)
_ENDED = (
    "DELETE FROM wf_attempt a USING {rows} AS u (run_id, key, attempt), alive WHERE"
    " a.run_id = u.run_id AND a.key = u.key AND a.attempt = u.attempt AND a.status = 'Running'"
)
_FINISHES = (
    "UPDATE wf_run r SET status = u.status, output = u.output, error = u.error,"
    " finished = u.finished, owner = NULL, wanted = NULL"
    " FROM {rows} AS u (id, status, output, error, finished), alive"
    " WHERE r.id = u.id AND r.owner = %s"
)


def batch_statement(worker: str, batch: Batch) -> tuple[str, list[Any]]:
    """Return the statement that records a batch if the worker lives; it gives 1 then, else 0."""
    batch, payloads = lightened(batch)
    sql = (
        "WITH alive AS MATERIALIZED (SELECT 1 FROM wf_worker WHERE id = %s AND lost = 0 FOR SHARE)"
    )
    values: list[Any] = [worker]
    steps = [
        (s.run_id, s.key, s.status.value, s.attempt, s.delta, s.error, s.started, s.finished,
         s.worker)
        for s in batch.steps
    ]  # fmt: skip
    attempts = [
        (a.run_id, a.key, a.attempt, a.status.value, a.error, a.started, a.finished, a.worker,
         a.next_at)
        for a in batch.attempts
    ]  # fmt: skip
    finishes = [(f.run_id, f.status.value, f.output, f.error, f.finished) for f in batch.finishes]
    heavy = [(each.sha256, each.codec, each.body) for each in payloads]
    for name, text, kinds, rows in (
        ("payloads", _PAYLOADS, ["text", "text", "bytea"], heavy),
        ("runs", _RUNS, _RUN_KINDS, [run_values(run) for run in batch.runs]),
        ("steps", _STEPS, _STEP_KINDS, steps),
        ("ended", _ENDED, ["text", "text", "int"], batch.ended),
        ("attempts", _ATTEMPTS, _ATTEMPT_KINDS, attempts),
        ("finishes", _FINISHES, _FINISH_KINDS, finishes),
    ):
        if rows:
            sql += f", {name} AS ({text.format(rows=_unnest(kinds))})"
            values += _columns(rows)
            if name == "finishes":
                values.append(worker)
    return f"{sql} SELECT count(*) FROM alive", values


def _unnest(kinds: Sequence[str]) -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
