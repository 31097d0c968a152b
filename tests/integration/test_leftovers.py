"""Private places of a rig that was killed are removed by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from test_rig.targets import Target

TARGETS = ["postgres_url", "mariadb_url", "sqlite_file"]
#: Makes a private place, with a table in it, and is killed.
IS_KILLED = """
import os, sys
from test_rig.targets import Target

with Target.open(sys.argv[1]) as target, target.scratch() as scratch:
    with scratch.connect("one") as session:
        session.query_drop("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    print(scratch.name, flush=True)
    if sys.argv[2:] == ["wait"]:
        sys.stdin.read()
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def sqlite_file(tmp_path: Path) -> str:
    """A database file of the test's own."""
    return f"sqlite:///{tmp_path / 'a.db'}"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own: others' leftovers stay."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def start(url: str, *more: str) -> subprocess.Popen[str]:
    """Start a rig that makes a private place."""
    return subprocess.Popen(
        [sys.executable, "-c", IS_KILLED, url, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def places(url: str, tmp_path: Path) -> set[str]:
    """Return the names of all private places that there are."""
    if url.startswith("sqlite"):
        return {each.name for each in tmp_path.glob("test_rig_*")}
    with Target.open(url) as target, target.connect() as session:
        rows = session.execute_query("SELECT schema_name AS n FROM information_schema.schemata")
        return {row["n"] for row in rows}


def name_of(process: subprocess.Popen[str]) -> str:
    """Return the name that the process told."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("target", TARGETS)
def test_the_next_rig_removes_what_a_killed_one_left(
    target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """And keeps nothing in mind of it."""
    url = request.getfixturevalue(target)
    with start(url) as killed:
        left = name_of(killed)
    assert left in places(url, tmp_path)
    with Target.open(url) as opened, opened.scratch() as scratch:
        found = places(url, tmp_path)
        assert scratch.name in found
        assert left not in found
    assert scratch.name not in places(url, tmp_path)
    assert not list((tmp_path / "home").rglob("*.json"))


def test_the_place_of_a_rig_that_lives_is_left_alone(tmp_path: Path, sqlite_file: str) -> None:
    """Its note is locked."""
    with start(sqlite_file, "wait") as living:
        name = name_of(living)
        with Target.open(sqlite_file) as opened, opened.scratch():
            assert name in places(sqlite_file, tmp_path)
        assert living.stdin is not None
        living.stdin.close()


def test_where_nothing_can_be_remembered_the_rig_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_file: str
) -> None:
    """A home that is a file."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with Target.open(sqlite_file) as opened, opened.scratch() as scratch:
        assert scratch.name in places(sqlite_file, tmp_path)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.mark.parametrize("url", ["sqlite://", "duckdb://"])
def test_the_folder_of_a_killed_rig_is_removed(url: str, temporary: Path) -> None:
    """Where the URL names no file, it is among the temporary ones."""
    with start(url) as killed:
        name_of(killed)
    (left,) = temporary.iterdir()
    with Target.open("sqlite://"):
        assert left not in set(temporary.iterdir())
    assert not list(temporary.iterdir())


def test_the_folder_of_a_rig_that_lives_is_left_alone(temporary: Path) -> None:
    """Another rig holds its lock, or this one itself."""
    with start("sqlite://", "wait") as living:
        name_of(living)
        with Target.open("sqlite://"):
            there = set(temporary.iterdir())
            with Target.open("duckdb://"):
                assert len(there) == 2
                assert there < set(temporary.iterdir())
        assert living.stdin is not None
        living.stdin.close()


def test_other_folders_among_the_temporary_ones_stay(temporary: Path, tmp_path: Path) -> None:
    """One without an owner's file, and a link to one with it."""
    (temporary / "test-rig-mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".owner").write_text("")
    (temporary / "test-rig-link").symlink_to(tmp_path / "elsewhere")
    with Target.open("sqlite://"):
        pass
    assert {each.name for each in temporary.iterdir()} == {"test-rig-mine", "test-rig-link"}
    assert (tmp_path / "elsewhere" / ".owner").exists()
