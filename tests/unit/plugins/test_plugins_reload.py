"""Reloading: the last good version of each file serves until a better one is there."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_rig.plugins import Found, Generation, Host, has_mark, watch_files

TEXT = "from test_rig.plugins import mark\n@mark('x')\nclass {}:\n    version = {}\n"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A plugin file of version 1."""
    path = tmp_path / "reloaded.py"
    path.write_text(TEXT.format("Thing", 1))
    yield path
    sys.modules.pop("reloaded", None)


def versions(generation: Generation) -> list[object]:
    """Return the versions of what a generation serves."""
    return [getattr(each.value, "version", None) for each in generation.found]


def test_an_edit_takes_effect_whatever_the_dates_say(file: Path) -> None:
    """Of the same length, in the same second, with an older date."""
    host = Host(file, has_mark("x"))
    stamp = file.stat().st_mtime - 100
    for version in range(2, 9):
        file.write_text(TEXT.format("Thing", version))
        os.utime(file, (stamp, stamp))
        assert versions(host.reload()) == [version]


def test_a_broken_edit_is_told_and_the_last_good_version_serves(file: Path) -> None:
    """Until it is mended; what was taken from an earlier generation goes on."""
    host = Host(file, has_mark("x"))
    first: Found = host.generation.found[0]
    file.write_text("class Thing(:\n")
    generation = host.reload()
    assert (versions(generation), generation.kept) == ([1], (file,))
    assert "reloaded.py:1: not Python" in str(generation.problems[0])
    assert host.reload() is generation
    file.write_text(TEXT.format("Thing", 3))
    assert versions(host.reload()) == [3]
    assert host.generation.problems == ()
    assert getattr(first.value, "version", None) == 1


def test_nothing_is_loaded_where_nothing_has_changed(file: Path) -> None:
    """The generation is the same one."""
    host = Host(file, has_mark("x"))
    assert host.reload() is host.generation
    assert host.generation.number == 1


def test_a_failed_version_leaves_nothing_behind(file: Path) -> None:
    """Its module is not the one that imports find."""
    host = Host(file, has_mark("x"))
    good = sys.modules["reloaded"]
    file.write_text("version = 2\n1 / 0\n")
    assert "reloaded.py:2: ZeroDivisionError" in str(host.reload().problems[0])
    assert sys.modules["reloaded"] is good


def test_an_edited_neighbour_reloads_who_imports_it(tmp_path: Path) -> None:
    """And a broken one keeps the last good version of all of them."""
    neighbour = tmp_path / "neighbour3.py"
    neighbour.write_text("VERSION = 1\n")
    user = tmp_path / "test_user3.py"
    user.write_text("import neighbour3\n" + TEXT.format("Thing", "neighbour3.VERSION"))
    host = Host(tmp_path, has_mark("x"))
    neighbour.write_text("VERSION = 2\n")
    assert versions(host.reload()) == [2]
    neighbour.write_text("VERSION = \n")
    broken = host.reload()
    assert versions(broken) == [2]
    assert "neighbour3.py:1" in str(broken.problems[0])
    assert host.reload() is broken
    neighbour.write_text("VERSION = 4\n")
    assert versions(host.reload()) == [4]


def test_an_edited_base_in_another_plugin_file_reloads_its_heirs(tmp_path: Path) -> None:
    """Whichever of the two is loaded first."""
    (tmp_path / "test_base4.py").write_text("class Base:\n    version = 1\n")
    for name in ("test_a4.py", "test_z4.py"):
        text = TEXT.format("Thing(Base)", 0).replace("    version = 0\n", "    pass\n")
        (tmp_path / name).write_text("from test_base4 import Base\n" + text)
    host = Host(tmp_path, has_mark("x"))
    assert versions(host.generation) == [1, 1]
    (tmp_path / "test_base4.py").write_text("class Base:\n    version = 2\n")
    assert versions(host.reload()) == [2, 2]


def test_files_come_and_go(tmp_path: Path) -> None:
    """A new file joins, a file that is gone leaves, a broken file that is gone is no problem."""
    host = Host(tmp_path, has_mark("x"))
    assert host.generation.found == ()
    (tmp_path / "test_new5.py").write_text(TEXT.format("New", 1))
    (tmp_path / "test_bad5.py").write_text("(")
    assert (versions(host.reload()), len(host.generation.problems)) == ([1], 1)
    (tmp_path / "test_new5.py").unlink()
    (tmp_path / "test_bad5.py").unlink()
    assert (host.reload().found, host.generation.problems) == ((), ())


def test_many_reloads_leave_no_modules_behind(file: Path) -> None:
    """One module serves the file, however often it was edited."""
    host = Host(file, has_mark("x"))
    before = set(sys.modules)
    for version in range(100):
        file.write_text(TEXT.format("Thing", version) if version % 3 else "(")
        host.reload()
    assert set(sys.modules) == before


def test_a_watch_tells_of_what_was_saved(file: Path) -> None:
    """In a folder, also when an editor puts a new file in the place of the old one."""
    told, seen = threading.Event(), set[Path]()

    def on_change(files: frozenset[Path]) -> None:
        seen.update(files)
        told.set()

    with watch_files([file.parent], on_change) as watch:
        assert watch.wait_ready(30)
        beside = file.with_suffix(".tmp")
        beside.write_text(TEXT.format("Thing", 2))
        beside.replace(file)
        assert told.wait(30)
    assert file in seen
