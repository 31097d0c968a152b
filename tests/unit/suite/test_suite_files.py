"""Which files a run of handlers takes, from paths, modules and suites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from test_rig.cli.choosing import chosen_files, read_values
from test_rig.errors import UsageError

SUITES: dict[str, Any] = {"mine": ["own_handlers.py", "src/ddl"], "one": "own_handlers.py"}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with a folder of tests, one file and a package."""
    monkeypatch.chdir(tmp_path)
    for name in ("src/ddl/test_names.py", "src/ddl/test_more.py", "own_handlers.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("class AHandler: ...")
    (tmp_path / "src/ddl/test_without.py").write_text("x = 1")


def names(*given: str, suite: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the chosen files."""
    return [Path(task.source).name for task in chosen_files(given, suite, only, suites=SUITES)]


def test_files_folders_and_modules_each_once() -> None:
    """In the order in which they were named."""
    assert names("own_handlers.py", "src/ddl", "./src/ddl/../ddl/test_more.py") == [
        "own_handlers.py",
        "test_more.py",
        "test_names.py",
    ]
    assert names("own_handlers") == ["own_handlers"]


def test_suites_of_the_settings_and_of_the_earlier_rig() -> None:
    """A list, a single path, a folder in src, in any case."""
    assert names(suite=("MINE",)) == ["own_handlers.py", "test_more.py", "test_names.py"]
    assert names(suite=("one", "ddl")) == ["own_handlers.py", "test_more.py", "test_names.py"]
    assert names(suite=("DDL",)) == ["test_more.py", "test_names.py"]


def test_a_file_of_a_folder_without_handlers_is_left_out_and_a_broken_one_is_not() -> None:
    """It costs no process; what is wrong is told. A file that was named is always run."""
    Path("src/ddl/test_broken.py").write_text("class (")
    assert names("src/ddl") == ["test_broken.py", "test_more.py", "test_names.py"]
    assert names("src/ddl/test_without.py") == ["test_without.py"]


def test_a_test_file_narrows_or_stands_for_itself() -> None:
    """With or without `.py`."""
    assert names(suite=("ddl",), only=("test_more.py",)) == ["test_more.py"]
    assert names(suite=("ddl",), only=("test_more",)) == ["test_more.py"]
    assert names(only=("own_handlers.py",)) == ["own_handlers.py"]


@pytest.mark.parametrize(
    ("given", "suite", "only", "told"),
    [
        ((), (), (), "nothing was named to run"),
        (("no/such/place",), (), (), "no such file or folder"),
        (("no_such_module_7",), (), (), "no such module"),
        ((), ("nowhere",), (), "there is no suite 'nowhere'"),
        (("src/ddl",), (), ("test_other.py",), "there is no file to run"),
    ],
)
def test_what_is_not_there_is_wrong_use(
    given: tuple[str, ...], suite: tuple[str, ...], only: tuple[str, ...], told: str
) -> None:
    """One clear error."""
    with pytest.raises(UsageError, match=told):
        names(*given, suite=suite, only=only)


def test_values_are_toml_or_text() -> None:
    """For all handlers, or for those of one class."""
    given = ["a=1", "b=two words", "c=[1, 2]", "X.d=true", "X.e=0.5", "f="]
    assert read_values(given) == {
        "a": 1,
        "b": "two words",
        "c": [1, 2],
        "X": {"d": True, "e": 0.5},
        "f": "",
    }
    with pytest.raises(UsageError, match="no NAME=VALUE"):
        read_values(["nonsense"])
