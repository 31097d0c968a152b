"""What each database's error codes mean, as tables.

How to think of it: a `Meaning` is a `Failure` without its particulars. A few dozen of them, named
below, are all that the rig tells apart; each table leads from a code to one of them. Adding a
code is adding a line, with its source where it is not the server's own manual.

Where the outcome is INFO, the code itself says that the answer may be lost. What that means at a
COMMIT or inside a transaction is decided in `outcomes`, not here.

Sources: PostgreSQL manual, appendix A; MySQL and MariaDB error references; TiDB manual, "Error
codes and troubleshooting"; sqlite.org/rescode.html. Confirmed on running servers: PostgreSQL
40001 and 40P01; MariaDB 1020 (which rolls the whole transaction back), 1205, 1213, 1792, 1969;
SQLite 5 and 517; that DuckDB aborts the open transaction at any error.
"""

from __future__ import annotations

from dataclasses import dataclass

from test_rig.errors import ErrorCategory, FailureKind, Outcome

__all__ = [
    "AUTHENTICATION",
    "CONFIGURATION",
    "CONNECT",
    "CONNECT_UNKNOWN",
    "CONSTRAINT",
    "DATA",
    "DISK_FULL",
    "DUCKDB",
    "LOST",
    "MYSQL",
    "MYSQL_STATES",
    "NOT_UNDERSTOOD",
    "PERMISSION",
    "POSTGRESQL",
    "POSTGRESQL_CLASSES",
    "READ_ONLY",
    "REFUSED",
    "RESOURCE",
    "SQLITE",
    "STATEMENT_TIMEOUT",
    "UNSUPPORTED",
    "Meaning",
]

_TRANSIENT, _PERMANENT = ErrorCategory.TRANSIENT, ErrorCategory.PERMANENT
_UNKNOWN = ErrorCategory.UNKNOWN
_FAIL, _INFO = Outcome.FAIL, Outcome.INFO


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code says, whatever the statement was."""

    kind: FailureKind
    category: ErrorCategory
    outcome: Outcome = Outcome.FAIL
    ends_transaction: bool = False
    ends_session: bool = False


# The server gave the transaction up: doing the whole of it again is right.
DEADLOCK = Meaning(FailureKind.DEADLOCK, _TRANSIENT, ends_transaction=True)
SERIALIZATION = Meaning(FailureKind.SERIALIZATION, _TRANSIENT, ends_transaction=True)
# Only the statement was undone: whoever repeats must roll back first.
SNAPSHOT_STALE = Meaning(FailureKind.SERIALIZATION, _TRANSIENT)
LOCK_TIMEOUT = Meaning(FailureKind.LOCK_TIMEOUT, _TRANSIENT)
BUSY = Meaning(FailureKind.BUSY, _TRANSIENT)
CANCELLED = Meaning(FailureKind.CANCELLED, _TRANSIENT)
STATEMENT_TIMEOUT = Meaning(FailureKind.TIMEOUT, _TRANSIENT)
# Nobody can tell whether it took effect.
TIMEOUT_IN_DOUBT = Meaning(FailureKind.TIMEOUT, _TRANSIENT, _INFO)
IN_DOUBT = Meaning(FailureKind.INDETERMINATE, _UNKNOWN, _INFO, ends_transaction=True)
LOST = Meaning(
    FailureKind.CONNECTION_LOST, _TRANSIENT, _INFO, ends_transaction=True, ends_session=True
)
NOT_SENT = Meaning(
    FailureKind.CONNECTION_LOST, _TRANSIENT, _FAIL, ends_transaction=True, ends_session=True
)
# No session was made.
CONNECT = Meaning(FailureKind.CONNECT, _TRANSIENT, ends_session=True)
CONNECT_UNKNOWN = Meaning(FailureKind.CONNECT, _UNKNOWN, ends_session=True)
STARTING = Meaning(FailureKind.SERVER_STARTING, _TRANSIENT, ends_session=True)
TOO_MANY = Meaning(FailureKind.TOO_MANY_CONNECTIONS, _TRANSIENT, ends_session=True)
AUTHENTICATION = Meaning(FailureKind.AUTHENTICATION, _PERMANENT, ends_session=True)
NOT_READY = Meaning(FailureKind.SERVER_STARTING, _TRANSIENT)
RESOURCE = Meaning(FailureKind.RESOURCE, _TRANSIENT)
TOO_LARGE = Meaning(FailureKind.RESOURCE, _PERMANENT, ends_transaction=True)
DISK_FULL = Meaning(FailureKind.DISK_FULL, _TRANSIENT)
# The statement can never work as it stands.
PERMISSION = Meaning(FailureKind.PERMISSION, _PERMANENT)
READ_ONLY = Meaning(FailureKind.READ_ONLY, _PERMANENT)
NO_DATABASE = Meaning(FailureKind.UNKNOWN_DATABASE, _PERMANENT)
NO_OBJECT = Meaning(FailureKind.UNKNOWN_OBJECT, _PERMANENT)
SYNTAX = Meaning(FailureKind.SYNTAX, _PERMANENT)
UNSUPPORTED = Meaning(FailureKind.UNSUPPORTED, _PERMANENT)
CONSTRAINT = Meaning(FailureKind.CONSTRAINT, _PERMANENT)
DATA = Meaning(FailureKind.DATA, _PERMANENT)
CONFIGURATION = Meaning(FailureKind.CONFIGURATION, _PERMANENT)
ABORTED = Meaning(FailureKind.TRANSACTION_ABORTED, _PERMANENT, ends_transaction=True)
#: The statement was refused before anything was sent or done.
REFUSED = Meaning(FailureKind.OTHER, _PERMANENT)
IO = Meaning(FailureKind.OTHER, _UNKNOWN, _INFO)
#: Nothing is known of it, so nothing is claimed.
NOT_UNDERSTOOD = Meaning(FailureKind.OTHER, _UNKNOWN, _INFO)

#: By SQLSTATE. PostgreSQL aborts the open transaction at every error; `classify` adds that.
POSTGRESQL: dict[str, Meaning] = {
    "08001": CONNECT,
    "08004": CONNECT,
    "08007": IN_DOUBT,  # transaction_resolution_unknown
    "08P01": Meaning(FailureKind.CONNECTION_LOST, _UNKNOWN, _INFO, True, True),
    "25006": READ_ONLY,
    "25P02": ABORTED,
    "25P03": NOT_SENT,  # idle_in_transaction_session_timeout: nothing was in flight
    "25P04": NOT_SENT,
    "2D000": SYNTAX,
    "3D000": NO_DATABASE,
    "3F000": NO_OBJECT,
    "40001": SERIALIZATION,
    "40002": CONSTRAINT,
    "40003": IN_DOUBT,  # statement_completion_unknown
    "40P01": DEADLOCK,
    "42501": PERMISSION,
    "42602": SYNTAX,
    "42703": NO_OBJECT,
    "42704": NO_OBJECT,
    "42883": NO_OBJECT,
    "42P01": NO_OBJECT,
    "42P02": NO_OBJECT,
    "42P07": CONSTRAINT,  # duplicate_table and its like: the name is taken
    "42701": CONSTRAINT,
    "42710": CONSTRAINT,
    "42723": CONSTRAINT,
    "42P04": CONSTRAINT,
    "42P06": CONSTRAINT,
    "53100": DISK_FULL,
    "53300": TOO_MANY,
    "53400": CONFIGURATION,
    "54000": TOO_LARGE,
    "55000": REFUSED,
    "55006": BUSY,
    "55P03": LOCK_TIMEOUT,
    "57014": CANCELLED,
    "57P01": LOST,
    "57P02": LOST,
    "57P03": STARTING,
    "57P04": Meaning(FailureKind.UNKNOWN_DATABASE, _PERMANENT, _INFO, True, True),
    "57P05": NOT_SENT,  # idle_session_timeout
    "72000": SERIALIZATION,  # snapshot_too_old
    "F0000": CONFIGURATION,
}

#: By the first two characters, where the whole SQLSTATE is not listed.
POSTGRESQL_CLASSES: dict[str, Meaning] = {
    "08": LOST,
    "0A": UNSUPPORTED,
    "21": DATA,
    "22": DATA,
    "23": CONSTRAINT,
    "25": REFUSED,
    "26": NO_OBJECT,
    "28": AUTHENTICATION,
    "34": NO_OBJECT,
    "3B": NO_OBJECT,
    "40": SERIALIZATION,
    "42": SYNTAX,
    "44": CONSTRAINT,
    "53": RESOURCE,
    "54": TOO_LARGE,
    "55": REFUSED,
    "58": IO,
    "P0": REFUSED,  # raised by the schema's own code
}

#: MySQL, MariaDB, TiDB and seekdb by errno: their numbers do not collide.
MYSQL: dict[int, Meaning] = {
    0: NOT_SENT,  # a driver's own "this connection is closed"
    1007: CONSTRAINT,
    1008: NO_DATABASE,
    1020: SERIALIZATION,
    1021: DISK_FULL,
    1022: CONSTRAINT,
    1030: IO,
    1036: READ_ONLY,
    1037: RESOURCE,
    1038: RESOURCE,
    1040: TOO_MANY,
    1041: RESOURCE,
    1043: CONNECT,
    1044: PERMISSION,
    1045: AUTHENTICATION,
    1046: NO_DATABASE,
    1047: NOT_READY,  # Galera: "WSREP has not yet prepared node for application use"
    1048: CONSTRAINT,
    1049: NO_DATABASE,
    1050: CONSTRAINT,
    1051: NO_OBJECT,
    1053: LOST,
    1054: NO_OBJECT,
    1062: CONSTRAINT,
    1064: SYNTAX,
    1065: SYNTAX,
    1091: NO_OBJECT,
    1094: NO_OBJECT,
    1105: NOT_UNDERSTOOD,
    1109: NO_OBJECT,
    1114: DISK_FULL,
    1129: AUTHENTICATION,  # the host is blocked after too many failed connects
    1130: AUTHENTICATION,
    1142: PERMISSION,
    1143: PERMISSION,
    1146: NO_OBJECT,
    1149: SYNTAX,
    1152: LOST,
    1153: Meaning(FailureKind.DATA, _PERMANENT, _FAIL, True, True),  # packet too large
    1158: LOST,
    1159: LOST,
    1160: LOST,
    1161: LOST,
    1184: LOST,
    1203: TOO_MANY,
    1205: LOCK_TIMEOUT,  # only the statement, unless innodb_rollback_on_timeout is on
    1206: RESOURCE,
    1213: DEADLOCK,
    1216: CONSTRAINT,
    1217: CONSTRAINT,
    1226: TOO_MANY,
    1227: PERMISSION,
    1231: DATA,
    1235: UNSUPPORTED,
    1290: READ_ONLY,
    1305: NO_OBJECT,
    1317: CANCELLED,
    1370: PERMISSION,
    1396: CONSTRAINT,
    1422: SYNTAX,
    1451: CONSTRAINT,
    1452: CONSTRAINT,
    1568: REFUSED,
    1613: SERIALIZATION,
    1614: DEADLOCK,
    1637: RESOURCE,
    1689: LOCK_TIMEOUT,
    1698: AUTHENTICATION,
    1792: READ_ONLY,
    1836: READ_ONLY,
    1927: LOST,  # MariaDB: connection was killed
    1969: STATEMENT_TIMEOUT,
    2002: CONNECT,
    2003: CONNECT,
    2005: CONNECT_UNKNOWN,
    2006: LOST,
    2012: CONNECT_UNKNOWN,
    2013: LOST,
    2014: Meaning(FailureKind.CONNECTION_LOST, _UNKNOWN, _INFO, True, True),  # out of sync
    2026: CONNECT_UNKNOWN,
    2027: LOST,
    2055: LOST,
    2059: CONFIGURATION,
    2061: AUTHENTICATION,
    3024: STATEMENT_TIMEOUT,
    3100: CONSTRAINT,
    3101: SERIALIZATION,  # group replication: certification refused the commit
    3118: AUTHENTICATION,
    3140: DATA,
    3159: CONFIGURATION,
    3572: LOCK_TIMEOUT,
    3579: LOCK_TIMEOUT,
    3819: CONSTRAINT,
    4025: CONSTRAINT,
    4031: NOT_SENT,  # disconnected for inactivity
    # OceanBase and its embedded seekdb.
    6002: SERIALIZATION,
    6225: IN_DOUBT,
    6235: SNAPSHOT_STALE,
    # TiDB.
    8001: RESOURCE,
    8002: SERIALIZATION,
    8003: IO,
    8004: TOO_LARGE,
    8005: SERIALIZATION,
    8022: SERIALIZATION,
    8027: SERIALIZATION,
    8028: SERIALIZATION,
    8048: UNSUPPORTED,  # an isolation level that TiDB does not have
    8175: RESOURCE,
    8501: IN_DOUBT,
    9001: TIMEOUT_IN_DOUBT,
    9002: TIMEOUT_IN_DOUBT,
    9003: RESOURCE,
    9004: LOCK_TIMEOUT,
    9005: TIMEOUT_IN_DOUBT,
    9006: SERIALIZATION,
    9007: SERIALIZATION,
}

#: By SQLSTATE or its class, for an errno that is not listed.
MYSQL_STATES: dict[str, Meaning] = {
    "08": LOST,
    "0A": UNSUPPORTED,
    "21": DATA,
    "22": DATA,
    "23": CONSTRAINT,
    "25": REFUSED,
    "28": AUTHENTICATION,
    "3D": NO_DATABASE,
    "40": SERIALIZATION,
    "42": SYNTAX,
    "42S01": CONSTRAINT,
    "42S02": NO_OBJECT,
    "42S22": NO_OBJECT,
    "44": CONSTRAINT,
    "70": CANCELLED,
}

#: SQLite by extended result code, then by the primary one (its low byte).
SQLITE: dict[int, Meaning] = {
    1: SYNTAX,  # SQLITE_ERROR: a syntax error or an unknown object; the code says no more
    2: NOT_UNDERSTOOD,
    3: PERMISSION,
    4: Meaning(FailureKind.CANCELLED, _TRANSIENT, ends_transaction=True),
    5: BUSY,
    6: BUSY,
    7: RESOURCE,
    8: READ_ONLY,
    9: CANCELLED,
    10: IO,
    11: IO,
    13: DISK_FULL,
    14: CONNECT_UNKNOWN,
    15: BUSY,
    17: NOT_READY,  # the schema changed under a prepared statement
    18: DATA,
    19: CONSTRAINT,
    20: DATA,
    21: REFUSED,
    22: UNSUPPORTED,
    23: PERMISSION,
    25: REFUSED,
    26: CONFIGURATION,  # not a database file
    257: SYNTAX,
    261: BUSY,
    262: BUSY,
    513: BUSY,
    516: Meaning(FailureKind.CANCELLED, _TRANSIENT, ends_transaction=True),
    # Another connection wrote since this one's snapshot: it can read on, but never write.
    517: SNAPSHOT_STALE,
    769: SNAPSHOT_STALE,
    1032: CONFIGURATION,  # the database file was moved away
    773: BUSY,
    1294: CONNECT_UNKNOWN,
    2826: BUSY,
    3082: RESOURCE,
}

#: DuckDB by the name of the class, since it has no codes (see `classify`).
DUCKDB: dict[str, Meaning] = {
    "BinderException": NO_OBJECT,
    "CatalogException": NO_OBJECT,
    "ConnectionException": NOT_SENT,
    "ConstraintException": CONSTRAINT,
    "ConversionException": DATA,
    "DependencyException": CONSTRAINT,
    "FatalException": Meaning(FailureKind.OTHER, _UNKNOWN, _INFO, True, True),
    "HTTPException": IO,
    "IOException": IO,
    "InternalException": NOT_UNDERSTOOD,
    "InterruptException": CANCELLED,
    "InvalidInputException": DATA,
    "InvalidTypeException": DATA,
    "NotImplementedException": UNSUPPORTED,
    "OutOfMemoryException": RESOURCE,
    "OutOfRangeException": DATA,
    "ParserException": SYNTAX,
    "PermissionException": PERMISSION,
    "ResourceInUseException": BUSY,
    "SequenceException": DATA,
    "SerializationException": SERIALIZATION,
    "SyntaxException": SYNTAX,
    # A write conflict in the main; also a misplaced BEGIN or COMMIT, which DuckDB does not mark.
    "TransactionException": SERIALIZATION,
    "TypeMismatchException": DATA,
}
