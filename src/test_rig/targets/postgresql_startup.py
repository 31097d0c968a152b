"""Why PostgreSQL refused a connection: the SQLSTATE that libpq keeps to itself.

Theory of operation. When a connection fails, libpq hands over a sentence and drops the code that
the server sent with it; a sentence in the server's language is no evidence. So the attempt is made
once more, with libpq itself (its authentication, its TLS checks), while its protocol trace is
written to a file in memory, where the ErrorResponse stands with its code. The trace may hold what
authentication sends: it is read once, never stored, and nothing but the code leaves this module.

Where the trace tells nothing, a bare connection tells whether anybody listens there at all.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time

import psycopg
from psycopg import pq

from test_rig.targets.url import TargetUrl

__all__ = ["open_bare", "refusal_sqlstate"]

# S and V are the severities, in the server's language and in English; C is the SQLSTATE.
_ERROR = re.compile(rb'^B\t\d+\tErrorResponse\t S "[^"]*" V "[^"]*" C "(\w{5})"', re.MULTILINE)
_TRACE_BYTES = 1 << 20


def refusal_sqlstate(conninfo: str, timeout_s: float) -> str | None:
    """Try to connect once more; return the code with which the server refuses.

    Returns:
        The SQLSTATE; None where the server sends none in time, lets the connection pass this
        time, or libpq cannot trace (before its version 18, or not on Linux).
    """
    trace = os.memfd_create("test-rig-startup")
    try:
        connection = pq.PGconn.connect_start(conninfo.encode())
        try:
            connection.trace(trace)
            connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            _finish(connection, time.monotonic() + timeout_s)
            connection.untrace()
        except psycopg.Error:
            return None
        finally:
            connection.finish()
        codes = _ERROR.findall(os.pread(trace, _TRACE_BYTES, 0))
    finally:
        os.close(trace)
    # With sslmode=prefer there are two attempts; the last is what the failure was about.
    return codes[-1].decode() if codes else None


def _finish(connection: pq.abc.PGconn, until: float) -> None:
    """Go through the start of a connection, up to its end or the time limit."""
    while (left_s := until - time.monotonic()) > 0:
        status = connection.connect_poll()
        if status == pq.PollingStatus.READING:
            select.select([connection.socket], [], [], left_s)
        elif status == pq.PollingStatus.WRITING:
            select.select([], [connection.socket], [], left_s)
        else:
            return


def open_bare(url: TargetUrl, timeout_s: float) -> None:
    """Open and close a socket to the server; raise the operating system's error if none opens."""
    host, port = url.host or "", url.port or 0
    if host.startswith("/"):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(timeout_s)
            plain.connect(f"{host}/.s.PGSQL.{port}")
    else:
        socket.create_connection((host, port), timeout_s).close()
