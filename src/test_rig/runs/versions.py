"""The versions that a run was made with, told without importing what they belong to."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions"]

#: What can change a result: the rig, and the drivers that are installed.
_PACKAGES = ("test-rig", "duckdb", "psycopg", "PyMySQL")


def versions() -> dict[str, str]:
    """Return the versions of the rig, Python, the system, SQLite and the installed drivers."""
    told = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
    }
    for package in _PACKAGES:
        try:
            told[package] = version(package)
        except PackageNotFoundError:
            continue  # not installed: it cannot have played a part
    return told
