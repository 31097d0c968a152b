"""Databases under test: targets, sessions, pools, and who waits for whom.

`Target.open(url)` names a database, `target.connect()` gives a `Session`, and `target.scratch()` a
private namespace to work in. One dialect file per database says what differs.
"""

from test_rig.targets.connection import ConnectionConfig
from test_rig.targets.dialect import Dialect, LevelSpec, Result
from test_rig.targets.door import SqlEvent, SqlListener
from test_rig.targets.foreign import foreign_to
from test_rig.targets.opened import observe_sessions
from test_rig.targets.pool import ConnectionPool, PoolConfig
from test_rig.targets.row import Row
from test_rig.targets.scratch import Observer, Scratch
from test_rig.targets.session import Session
from test_rig.targets.statements import delete_statement, first_words, insert_statement
from test_rig.targets.tables import batch_insert, temp_table, unique_name
from test_rig.targets.target import Target
from test_rig.targets.url import TargetUrl

__all__ = [
    "ConnectionConfig",
    "ConnectionPool",
    "Dialect",
    "LevelSpec",
    "Observer",
    "PoolConfig",
    "Result",
    "Row",
    "Scratch",
    "Session",
    "SqlEvent",
    "SqlListener",
    "Target",
    "TargetUrl",
    "batch_insert",
    "delete_statement",
    "first_words",
    "foreign_to",
    "insert_statement",
    "observe_sessions",
    "temp_table",
    "unique_name",
]
