"""The loader, and connections, under the names that earlier scripts import them by.

`from test_rig.python_bindings import register_python_handler`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from test_rig.machine import load_python_handlers, register_python_handler
from test_rig.targets import Session, Target, TargetUrl

__all__ = ["load_python_handlers", "real_py_connection", "register_python_handler"]

#: As the earlier rig had them, where neither arguments nor settings say where to connect.
_USUAL = {"host": "localhost:4000", "username": "root", "database": "test"}


def real_py_connection(
    connection_info: Mapping[str, Any] | None = None,
    connection_id: str = "default",
    host: str | None = None,
    port: int | None = None,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
) -> Session:
    """Return a session for a script that runs by itself; earlier scripts say `RealPyConnection`.

    What the arguments leave open comes from the settings (`TIDB_HOST` and its like, files), and
    where those say nothing it is `localhost:4000`, root, database test. With `REAL_DB=no` it is the
    in-memory stand-in.

    Args:
        connection_info: The five arguments below as a dict; `user` is `username`.
        connection_id: The session's name.
        host: `host`, `host:port`, or a URL.
        port: Wins over a port within `host`.
        username: Who connects.
        password: Never printed.
        database: The database.

    Raises:
        ConnectFailed: It could not be opened.
    """
    given = dict(connection_info or {})
    named = {
        "host": host or given.get("host"),
        "port": port or given.get("port"),
        "username": username or given.get("username") or given.get("user"),
        "password": password or given.get("password"),
        "database": database or given.get("database"),
    }
    return Target.open(_url({key: value for key, value in named.items() if value})).connect(
        connection_id
    )


def _url(named: Mapping[str, Any]) -> TargetUrl:
    from test_rig.rig import target_urls
    from test_rig.settings import AppConfig, OptionValue

    options = {f"database.{key}": OptionValue(value, key) for key, value in named.items()}
    found = target_urls(AppConfig.from_sources(cli=options))
    if not found:
        usual = {f"database.{key}": OptionValue(value, key) for key, value in _USUAL.items()}
        found = target_urls(AppConfig.from_sources(cli={**usual, **options}))
    return found[0]
