"""The one place where errors are told apart.

How to think of it: an exception is first asked where it comes from (the top module of its class,
or the `family` argument), then for its code, and the code is looked up in `codes`. No driver is
imported: codes are attributes that any object may carry.

| family | code read from |
|---|---|
| postgresql | `sqlstate` |
| mysql (MariaDB, TiDB, seekdb too) | `errno`, or an integer in `args[0]`; then `sqlstate` |
| sqlite | `sqlite_errorcode` |
| duckdb | none: see below |
| the operating system | `errno` |
| the rig itself | `failure` of a `TargetError` |

Neither classes nor words of a message are evidence, with two exceptions, because there is no
other evidence:

- DuckDB's exceptions carry a message and nothing else (2.0; no attribute, no second argument).
  They are told by the name of their class.
- An error that a driver raises by itself, without asking the server, may carry no code. Then the
  kind of PEP 249 class that the driver chose tells a link that is gone (`OperationalError`,
  `InterfaceError`) from a call that was never sent (`ProgrammingError` and the others).

What it does not do: decide what an error means at a COMMIT (`outcomes`) or whether to try again
(`retry`).
"""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

from test_rig.errors import (
    CircuitBreakerOpen,
    ErrorCategory,
    Failure,
    FailureKind,
    Outcome,
    RigError,
    TargetError,
    UsageError,
)
from test_rig.resilience import codes
from test_rig.resilience.codes import Meaning
from test_rig.resilience.secrets import clean_message

__all__ = ["classify", "classify_error", "family_of"]

_FAMILIES = {
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "asyncpg": "postgresql",
    "pymysql": "mysql",
    "MySQLdb": "mysql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "asyncmy": "mysql",
    "aiomysql": "mysql",
    "sqlite3": "sqlite",
    "duckdb": "duckdb",
    "_duckdb": "duckdb",
}
#: What callers may say for `family`, which are schemes of target URLs too.
_SPELLINGS = {"mariadb": "mysql", "tidb": "mysql", "postgres": "postgresql"}

_ERRNO = {
    **dict.fromkeys(
        (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN), codes.CONNECT
    ),
    **dict.fromkeys(
        (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN, errno.ETIMEDOUT),
        codes.LOST,
    ),
    **dict.fromkeys((errno.ENOENT, errno.EADDRNOTAVAIL), codes.CONNECT_UNKNOWN),
    **dict.fromkeys((errno.EACCES, errno.EPERM), codes.PERMISSION),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN), codes.RESOURCE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), codes.DISK_FULL),
    errno.EROFS: codes.READ_ONLY,
}
# Python's own mapping of errno to class, backwards: an error raised by hand has no number.
_BUILTIN_ERRNO: tuple[tuple[type[OSError], int], ...] = (
    (ConnectionRefusedError, errno.ECONNREFUSED),
    (ConnectionError, errno.ECONNRESET),
    (PermissionError, errno.EACCES),
    (FileNotFoundError, errno.ENOENT),
)
_IN_DOUBT_TIMEOUT = Meaning(FailureKind.TIMEOUT, ErrorCategory.TRANSIENT, Outcome.INFO)
_CODELESS = {
    "OperationalError": codes.LOST,
    "InterfaceError": codes.LOST,
    "NotSupportedError": codes.UNSUPPORTED,
    "IntegrityError": codes.CONSTRAINT,
    "DataError": codes.DATA,
    "ProgrammingError": codes.REFUSED,
}


def classify_error(exc: BaseException) -> ErrorCategory:
    """Return whether doing again what raised `exc` can help."""
    return classify(exc).category


def classify(
    exc: BaseException,
    *,
    family: str | None = None,
    sqlstate: str | None = None,
    connecting: bool = False,
) -> Failure:
    """Return what `exc` says, by its codes.

    Args:
        exc: Any exception: a driver's, the operating system's, the rig's own.
        family: The kind of database, where the exception's module does not tell it.
        sqlstate: The code, where the caller learned it otherwise than from `exc`.
        connecting: No session existed yet: whatever went wrong had no effect.
    """
    if isinstance(exc, TargetError):
        return replace(exc.failure, outcome=exc.outcome)
    if isinstance(exc, RigError):
        return _of_rig(exc)
    found = family_of(exc) if family is None else _SPELLINGS.get(family, family)
    failure = _read(exc, found, sqlstate)
    return _while_connecting(failure, exc) if connecting else failure


def family_of(exc: BaseException) -> str | None:
    """Return the kind of database whose driver raised `exc`, None where no driver did."""
    for cls in type(exc).__mro__:
        family = _FAMILIES.get(cls.__module__.partition(".")[0])
        if family is not None:
            return family
    return None


def _of_rig(exc: RigError) -> Failure:
    # An open breaker kept the operation from running: nothing happened, later may be better.
    if isinstance(exc, CircuitBreakerOpen):
        return _failure(exc, codes.RESOURCE)
    known = codes.CONFIGURATION if isinstance(exc, UsageError) else codes.NOT_UNDERSTOOD
    return _failure(exc, known)


def _read(exc: BaseException, family: str | None, sqlstate: str | None) -> Failure:
    if family == "postgresql":
        return _postgresql(exc, sqlstate or _text(getattr(exc, "sqlstate", None)))
    if family == "mysql":
        return _mysql(exc, sqlstate)
    if family == "sqlite":
        return _sqlite(exc)
    if family == "duckdb":
        return _duckdb(exc)
    return _of_system(exc)


def _postgresql(exc: BaseException, state: str | None) -> Failure:
    if state is None:
        return _without_code(exc)
    found = codes.POSTGRESQL.get(state) or codes.POSTGRESQL_CLASSES.get(
        state[:2], codes.NOT_UNDERSTOOD
    )
    failure = _failure(exc, found, sqlstate=state)
    # Any error makes PostgreSQL refuse all but ROLLBACK (to a savepoint, if there is one).
    return replace(failure, ends_transaction=True)


def _mysql(exc: BaseException, sqlstate: str | None) -> Failure:
    first = exc.args[0] if exc.args else None
    number = getattr(exc, "errno", None)
    if not isinstance(number, int):
        number = first if isinstance(first, int) else None
    state = sqlstate or _text(getattr(exc, "sqlstate", None))
    found = None if number is None else codes.MYSQL.get(number)
    if found is None and state is not None:
        found = codes.MYSQL_STATES.get(state) or codes.MYSQL_STATES.get(state[:2])
    if found is None and number is None:
        return _without_code(exc)
    code = None if number is None else str(number)
    return _failure(exc, found or codes.NOT_UNDERSTOOD, code=code, sqlstate=state)


def _sqlite(exc: BaseException) -> Failure:
    number = getattr(exc, "sqlite_errorcode", None)
    if not isinstance(number, int):
        return _without_code(exc, codes.REFUSED)
    found = codes.SQLITE.get(number) or codes.SQLITE.get(number & 0xFF, codes.NOT_UNDERSTOOD)
    name = _text(getattr(exc, "sqlite_errorname", None))
    return _failure(exc, found, code=name or str(number))


def _duckdb(exc: BaseException) -> Failure:
    for cls in type(exc).__mro__:
        if cls.__name__ in codes.DUCKDB:
            failure = _failure(exc, codes.DUCKDB[cls.__name__], code=cls.__name__)
            return replace(failure, ends_transaction=True)
    return replace(_without_code(exc), ends_transaction=True)


def _without_code(exc: BaseException, known: Meaning | None = None) -> Failure:
    if isinstance(exc.__cause__, OSError):
        return _of_system(exc.__cause__)
    if known is not None:
        return _failure(exc, known)
    for cls in type(exc).__mro__:
        if cls.__name__ in _CODELESS:
            return _failure(exc, _CODELESS[cls.__name__])
    return _failure(exc, codes.NOT_UNDERSTOOD)


def _of_system(exc: BaseException) -> Failure:
    if isinstance(exc, socket.gaierror):
        # A name that is not there may be misspelt or not yet published; EAI_AGAIN will pass.
        again = exc.errno == socket.EAI_AGAIN
        return _failure(exc, codes.CONNECT if again else codes.CONNECT_UNKNOWN, code=_errno(exc))
    if isinstance(exc, OSError) and hasattr(exc, "verify_code"):
        return _failure(exc, codes.CONFIGURATION)  # TLS: the certificate is not trusted
    if isinstance(exc, OSError) and hasattr(exc, "library"):
        return _failure(exc, codes.LOST)  # TLS errors number differently from errno
    if isinstance(exc, TimeoutError) and exc.errno is None:
        return _failure(exc, _IN_DOUBT_TIMEOUT)
    if isinstance(exc, OSError):
        number = exc.errno or next((n for cls, n in _BUILTIN_ERRNO if isinstance(exc, cls)), None)
        found = codes.NOT_UNDERSTOOD if number is None else _ERRNO.get(number, codes.NOT_UNDERSTOOD)
        return _failure(exc, found, code=_errno(exc))
    return _failure(exc, codes.NOT_UNDERSTOOD)


def _while_connecting(failure: Failure, exc: BaseException) -> Failure:
    kind, category = failure.kind, failure.category
    pgconn = getattr(exc, "pgconn", None)
    if pgconn is not None and failure.sqlstate is None:
        # libpq reports a refusal by the server and an unreachable one alike, in words only.
        asked = getattr(pgconn, "needs_password", False)
        kind = FailureKind.AUTHENTICATION if asked else FailureKind.CONNECT
        category = ErrorCategory.PERMANENT if asked else ErrorCategory.UNKNOWN
    elif kind in (FailureKind.CONNECTION_LOST, FailureKind.TIMEOUT, FailureKind.OTHER):
        kind = FailureKind.CONNECT
    return replace(failure, kind=kind, category=category, outcome=Outcome.FAIL, ends_session=True)


def _failure(
    exc: BaseException, meaning: Meaning, *, code: str | None = None, sqlstate: str | None = None
) -> Failure:
    return Failure(
        category=meaning.category,
        kind=meaning.kind,
        outcome=meaning.outcome,
        ends_transaction=meaning.ends_transaction,
        ends_session=meaning.ends_session,
        code=code,
        sqlstate=sqlstate,
        message=clean_message(exc),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _errno(exc: OSError) -> str | None:
    return None if exc.errno is None else errno.errorcode.get(exc.errno, str(exc.errno))
