"""A password is nowhere to be found: not in output, run folder or process list."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from test_rig.targets import Target, TargetUrl

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def account(mariadb_url: str) -> Iterator[tuple[str, str, TargetUrl]]:
    """A user with a password, who may do what an audit needs; gone afterwards."""
    name, password = f"rig_{secrets.token_hex(4)}", f"s3cr{secrets.token_hex(8)}"
    url = TargetUrl.parse(mariadb_url)
    with Target.open(mariadb_url) as target, target.connect() as admin:
        admin.query_drop(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")
        try:
            admin.query_drop(f"GRANT ALL ON *.* TO '{name}'@'%'")
            yield name, password, url
        finally:
            admin.query_drop(f"DROP USER '{name}'@'%'")


def command_line(process: subprocess.Popen[str]) -> str:
    """What everybody on the machine can read of a process's arguments."""
    return Path(f"/proc/{process.pid}/cmdline").read_text().replace("\0", " ")


@pytest.mark.parametrize("way", ["option", "url", "environment"])
def test_a_password_shows_up_nowhere(
    start_rig: Start, tmp_path: Path, account: tuple[str, str, TargetUrl], way: str
) -> None:
    """However it was given, no output, file of the run or process list repeats it."""
    name, password, url = account
    arguments = ["audit", "--level", "repeatable-read", "--show-sql", "-v"]
    env: dict[str, str] = {}
    inner = f"{name}:{password}" if way == "url" else name
    arguments.append(f"mysql://{inner}@{url.host}:{url.port}/{url.database}")
    if way == "option":
        arguments += ["--password", password]
    elif way == "environment":
        env["TEST_RIG_DATABASE_PASSWORD"] = password
    process = start_rig(*arguments, env=env)
    time.sleep(0.5)  # long enough to be past the first milliseconds, which nobody can hide
    seen = command_line(process)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 1, errors
    assert password not in seen
    assert password not in output
    assert password not in errors
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if password.encode() in path.read_bytes()]


def test_a_wrong_password_is_told_without_repeating_it(
    start_rig: Start, account: tuple[str, str, TargetUrl]
) -> None:
    """The message says what to do; the exit code is 3."""
    name, _, url = account
    wrong = f"wr0ng{secrets.token_hex(6)}"
    process = start_rig("audit", f"mysql://{name}:{wrong}@{url.host}:{url.port}/test")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "password" in errors
    assert wrong not in output + errors
