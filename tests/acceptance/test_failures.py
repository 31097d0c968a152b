"""Databases that cannot be reached, used, or that die: one clear message, exit code 3, in time."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.private import PrivateServer
from test_rig.targets import Target, TargetUrl

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that a command ended with 3, said each of the words, and showed no traceback."""
    assert result.returncode == 3, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_host_that_never_answers_is_given_up_within_the_time_limit(
    rig: Run, silent_port: int, scheme: str
) -> None:
    """The limit is `database.timeout_secs`; the message names the address."""
    started = time.monotonic()
    result = rig(
        "audit",
        f"{scheme}://u@127.0.0.1:{silent_port}/x",
        env={"TEST_RIG_DATABASE_TIMEOUT_SECS": "3"},
    )
    assert time.monotonic() - started < 25
    refused(result, f"127.0.0.1:{silent_port}")


@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
def test_an_unknown_database_is_named(
    rig: Run, request: pytest.FixtureRequest, server: str
) -> None:
    """The message names the database and says what to do."""
    url = TargetUrl.parse(request.getfixturevalue(server))
    missing = f"{url.scheme}://{url.user}@{url.host}:{url.port}/no_such_database"
    refused(rig("audit", missing), "no_such_database", "create the database")


def test_a_wrong_password_on_postgresql_is_told_as_one(
    rig: Run, private_postgres: PrivateServer
) -> None:
    """The server's refusal is recognised by its code, so the advice is about the password."""
    with Target.open(private_postgres.url) as target, target.connect() as admin:
        admin.query_drop("CREATE ROLE guest LOGIN PASSWORD 'right'")
    url = f"postgresql://guest:wrong@127.0.0.1:{private_postgres.port}/postgres"
    refused(rig("audit", url), "check user and password")


def test_a_user_who_may_only_read_is_told_what_is_needed(
    rig: Run, private_postgres: PrivateServer
) -> None:
    """No schema can be made, so nothing is tried; the message says which right is missing."""
    with Target.open(private_postgres.url) as target, target.connect() as admin:
        admin.query_drop(
            "CREATE ROLE reader LOGIN PASSWORD 'r'; REVOKE ALL ON SCHEMA public FROM reader"
        )
    url = f"postgresql://reader:r@127.0.0.1:{private_postgres.port}/postgres"
    refused(rig("audit", url), "permission denied", "right to create a schema")


def test_a_user_who_may_only_read_is_told_so_on_mariadb_too(rig: Run, mariadb_url: str) -> None:
    """The right that is missing there is that to create a database."""
    url, name = TargetUrl.parse(mariadb_url), f"reader_{secrets.token_hex(4)}"
    with Target.open(mariadb_url) as target, target.connect() as admin:
        admin.query_drop(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'r'")
        try:
            admin.query_drop(f"GRANT SELECT ON {url.database}.* TO '{name}'@'%'")
            result = rig("audit", f"mysql://{name}:r@{url.host}:{url.port}/{url.database}")
        finally:
            admin.query_drop(f"DROP USER '{name}'@'%'")
    refused(result, "denied", "right to create")


def test_a_server_that_dies_in_the_middle_leaves_the_levels_that_were_judged(
    start_rig: Start, tmp_path: Path, private_postgres: PrivateServer
) -> None:
    """The run says why it stopped, and its report has what was found before."""
    process = start_rig("audit", private_postgres.url)
    until = time.monotonic() + 30
    while time.monotonic() < until and not list(tmp_path.glob("test-rig-runs/*/results.json")):
        time.sleep(0.01)
    private_postgres.kill()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert "Traceback" not in errors
    (results,) = tmp_path.glob("test-rig-runs/*/results.json")
    (target,) = json.loads(results.read_text())["audit"]["targets"]
    judged = [level for level in target["levels"] if level["cells"]]
    assert 1 <= len(judged) < len(target["levels"]) == 4
    assert {level["verdict"] for level in target["levels"][len(judged) :]} == {"unknown"}
    assert target["error"]
    assert "READ UNCOMMITTED" in output


def test_a_missing_driver_names_the_extra_that_brings_it(tmp_path: Path) -> None:
    """Without psycopg, PostgreSQL is refused before anything else, with the way to install it."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from test_rig.cli import main\n"
        "main(['audit', 'postgresql://postgres@127.0.0.1/test'])\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": source, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "pip install 'test-rig[postgresql]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_one_dead_target_does_not_stop_the_others(rig: Run) -> None:
    """The report has the live one's table and says why the dead one is missing."""
    result = rig("audit", "sqlite://", "postgresql://postgres@127.0.0.1:1/x", "--json")
    assert result.returncode == 3
    alive, dead = json.loads(result.stdout)["audit"]["targets"]
    assert alive["verdict"] == "valid"
    assert "127.0.0.1:1" in dead["error"]


def test_a_target_that_cannot_be_used_is_on_record_all_the_same(rig: Run, tmp_path: Path) -> None:
    """JSON, JUnit and the run folder tell the error: what reads them need not read stderr."""
    result = rig("audit", "postgresql://u@127.0.0.1:1/x", "--json", "--junit", "out.xml")
    refused(result, "127.0.0.1:1")
    (target,) = json.loads(result.stdout)["audit"]["targets"]
    assert "127.0.0.1:1" in target["error"]
    assert 'errors="1"' in (tmp_path / "out.xml").read_text()
    assert len(list(tmp_path.glob("test-rig-runs/*/results.json"))) == 1
