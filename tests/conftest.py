"""Servers for tests, and what every test run says of itself."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
from hypothesis import settings

from servers.private import (
    NotHereError,
    PrivateMariadb,
    PrivateMysql,
    PrivatePostgres,
    PrivateSeekdb,
    PrivateServer,
    fetched_versions,
)
from servers.version import server_version

settings.register_profile("rig", deadline=None, database=None)
settings.register_profile("ci", parent=settings.get_profile("rig"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "rig")

#: Of each product: the variable that names a running server, and where one usually runs.
POSTGRES = ("TEST_RIG_PG_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
MARIADB = ("TEST_RIG_MARIADB_URL", "mysql://root@127.0.0.1:3306/test")


def _is_missing(why: str) -> NoReturn:
    if os.environ.get("TEST_RIG_REQUIRE_SERVERS"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def _running(place: tuple[str, str], own: type[PrivateServer]) -> Iterator[str]:
    """Find a running server, or start one for the whole run; skip, or fail where it must be."""
    variable, usual = place
    try:
        server_version(os.environ.get(variable, usual))
    except ConnectionError as error:
        if variable in os.environ:
            _is_missing(f"no {own.name} answers at {variable}: {error}")
        with _own(own) as server:
            yield server.url
    else:
        yield os.environ.get(variable, usual)


@contextmanager
def _own(server: type[PrivateServer]) -> Iterator[PrivateServer]:
    try:
        instance = server()
    except NotHereError as missing:
        _is_missing(str(missing))
    with instance:
        yield instance


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL, for whose user nothing is forbidden; others use it at the same time."""
    yield from _running(POSTGRES, PrivatePostgres)


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A MariaDB, for whose root nothing is forbidden; others use it at the same time."""
    yield from _running(MARIADB, PrivateMariadb)


def _fetched(server: type[PrivateServer]) -> Iterator[str]:
    """Start a server for the whole run; skip where it was not fetched: nobody must have it."""
    try:
        instance = server()
    except NotHereError as missing:
        pytest.skip(str(missing))
    with instance:
        yield instance.url


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[str]:
    """A real MySQL, where `make servers` could fetch one."""
    yield from _fetched(PrivateMysql)


@pytest.fixture(scope="session")
def seekdb_url() -> Iterator[str]:
    """A seekdb, where `make servers` could fetch one."""
    yield from _fetched(PrivateSeekdb)


@pytest.fixture
def private_postgres() -> Iterator[PrivateServer]:
    """A running PostgreSQL that the test may stop, freeze and kill."""
    with _own(PrivatePostgres) as server:
        yield server


@pytest.fixture
def private_mariadb() -> Iterator[PrivateServer]:
    """A running MariaDB that the test may stop, freeze and kill."""
    with _own(PrivateMariadb) as server:
        yield server


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed here, so that the header can tell it, and a run can be repeated."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = random.randrange(2**32)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Tell the versions, the servers and the seed of this run."""
    packages = ("duckdb", "psycopg", "PyMySQL", "pyarrow", "pydantic", "typer", "hypothesis")
    versions = [f"{name} {_version(name)}" for name in packages]
    running = {"PostgreSQL": POSTGRES, "MariaDB": MARIADB}
    servers = [f"{name} {_asked(place)}" for name, place in running.items()]
    servers += [f"{name} {found or 'not fetched'}" for name, found in fetched_versions().items()]
    seed = "derandomized" if settings().derandomize else config.option.hypothesis_seed
    return [
        f"python {platform.python_version()}, sqlite {sqlite3.sqlite_version}, "
        + ", ".join(versions),
        f"servers: {', '.join(servers)}",
        f"seed: {seed} (again: --hypothesis-seed=N)",
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _asked(place: tuple[str, str]) -> str:
    try:
        return server_version(os.environ.get(*place))
    except ConnectionError:
        return "does not answer"
