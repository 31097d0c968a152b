"""Asks a server for its version with the plain driver: what is under test takes no part in it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

__all__ = ["server_version"]

_PATIENCE_S = 2


def server_version(url: str) -> str:
    """Return what the server at a URL calls its version.

    Raises:
        ConnectionError: No session there; the message says why, without the password.
    """
    parts = urlsplit(url)
    if parts.scheme.startswith("postgres"):
        return _postgresql(url)
    return _mysql(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
    )


def _postgresql(url: str) -> str:
    try:
        with psycopg.connect(url, connect_timeout=_PATIENCE_S) as connection:
            return connection.info.parameter_status("server_version") or "?"
    except psycopg.Error as error:
        raise ConnectionError(str(error)) from error


def _mysql(*, host: str, port: int, user: str, password: str) -> str:
    try:
        connection = pymysql.connect(
            host=host,
            port=port,
            user=user,
            password=password,
            connect_timeout=_PATIENCE_S,
            read_timeout=_PATIENCE_S,
        )
    except (pymysql.Error, RuntimeError) as error:
        raise ConnectionError(str(error)) from error
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        return str(cursor.fetchone()[0])  # type: ignore[index]  # VERSION() has one row
