"""The tables, and how those of an older release become those of this one.

One text serves both databases. Every change of the tables is a further entry of `MIGRATIONS`; an
entry that was released is never edited. A store remembers how many of them it has.
"""

from __future__ import annotations

from test_rig.errors import WorkflowError
from test_rig.workflow.payload import MARK, references
from test_rig.workflow.sql.saying import Say

__all__ = ["INSERT_USE", "MIGRATIONS", "STEP_COLUMNS", "check_version", "note_uses"]

#: Version 1 is the first entry, and so on.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE wf_run (
            id TEXT PRIMARY KEY, workflow TEXT NOT NULL, version TEXT NOT NULL,
            status TEXT NOT NULL, input TEXT NOT NULL, created DOUBLE PRECISION NOT NULL,
            priority INTEGER NOT NULL DEFAULT 0, output TEXT, error TEXT, owner TEXT,
            recoveries INTEGER NOT NULL DEFAULT 0, not_before DOUBLE PRECISION,
            deadline DOUBLE PRECISION, parent TEXT, parent_task TEXT, wanted TEXT,
            started DOUBLE PRECISION, finished DOUBLE PRECISION)""",
        "CREATE INDEX wf_run_created ON wf_run (created)",
        "CREATE INDEX wf_run_workflow ON wf_run (workflow, created)",
        # SQLite takes a partial index where a query says the same words.
        "CREATE INDEX wf_run_pending ON wf_run (priority DESC, created) WHERE status = 'Pending'",
        "CREATE INDEX wf_run_status ON wf_run (status, created)",
        "CREATE INDEX wf_run_owner ON wf_run (owner) WHERE owner IS NOT NULL",
        "CREATE INDEX wf_run_parent ON wf_run (parent) WHERE parent IS NOT NULL",
        """CREATE TABLE wf_step (
            run_id TEXT NOT NULL, key TEXT NOT NULL, status TEXT NOT NULL,
            attempt INTEGER NOT NULL, delta TEXT, error TEXT, started DOUBLE PRECISION,
            finished DOUBLE PRECISION, worker TEXT, PRIMARY KEY (run_id, key))""",
        """CREATE TABLE wf_attempt (
            run_id TEXT NOT NULL, key TEXT NOT NULL, attempt INTEGER NOT NULL,
            status TEXT NOT NULL, error TEXT, started DOUBLE PRECISION,
            finished DOUBLE PRECISION, worker TEXT, next_at DOUBLE PRECISION,
            PRIMARY KEY (run_id, key, attempt))""",
        """CREATE TABLE wf_signal (
            run_id TEXT NOT NULL, name TEXT NOT NULL, payload TEXT NOT NULL,
            created DOUBLE PRECISION NOT NULL, PRIMARY KEY (run_id, name))""",
        """CREATE TABLE wf_worker (
            id TEXT PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL,
            lock_key BIGINT NOT NULL, lost INTEGER NOT NULL DEFAULT 0,
            started DOUBLE PRECISION NOT NULL, heartbeat DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE wf_schedule (
            name TEXT PRIMARY KEY, workflow TEXT NOT NULL, cron TEXT NOT NULL,
            time_zone TEXT NOT NULL, input TEXT NOT NULL, catch_up TEXT NOT NULL,
            enabled INTEGER NOT NULL DEFAULT 1, next_due DOUBLE PRECISION NOT NULL,
            created DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE wf_fire (
            schedule TEXT NOT NULL, due DOUBLE PRECISION NOT NULL, run_id TEXT NOT NULL,
            PRIMARY KEY (schedule, due))""",
        """CREATE TABLE wf_definition (
            workflow TEXT NOT NULL, version TEXT NOT NULL, graph TEXT NOT NULL,
            created DOUBLE PRECISION NOT NULL, PRIMARY KEY (workflow, version))""",
    ),
    (
        # SQLite stores what it is given; a type that it does not know is no hindrance.
        """CREATE TABLE wf_payload (
            sha256 TEXT PRIMARY KEY, codec TEXT NOT NULL, body BYTEA NOT NULL)""",
    ),
    (
        # Which runs have a large value: it is deleted with the last of them.
        """CREATE TABLE wf_use (
            run_id TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (run_id, sha256))""",
        "CREATE INDEX wf_use_sha256 ON wf_use (sha256)",
        "CREATE INDEX wf_fire_run ON wf_fire (run_id)",
    ),
)
INSERT_USE = "INSERT INTO wf_use (run_id, sha256) VALUES (?, ?) ON CONFLICT DO NOTHING"
#: The version from which on uses of large values are noted.
_NOTES_USES = 3
STEP_COLUMNS = "run_id, key, status, attempt, delta, error, started, finished, worker"


def note_uses(say: Say, found: int) -> None:
    """Note which runs of a store of an older release have which large values."""
    if found >= _NOTES_USES:
        return
    for table, run_id, text in (
        ("wf_run", "id", "input"),
        ("wf_run", "id", "output"),
        ("wf_step", "run_id", "delta"),
    ):
        heavy = f"SELECT {run_id}, {text} FROM {table} WHERE substr({text}, 1, 1) = ?"
        for run, given in say(heavy, (MARK,)):
            for sha256 in references(given):
                say(INSERT_USE, (run, sha256))


def check_version(found: int, place: str) -> None:
    """Refuse the tables of a newer release: what they mean is not known here.

    Raises:
        WorkflowError: They are newer.
    """
    if found > len(MIGRATIONS):
        raise WorkflowError(
            f"the workflow store has version {found}, this release knows versions up to "
            f"{len(MIGRATIONS)}",
            where=place,
            todo="upgrade test-rig, or use another store",
        )
