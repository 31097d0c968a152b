"""What the embedded dialects share: scratch databases in folders, and no server to ask.

A scratch database lies in a folder beside the file under test, so that the file system is the one
that the person asks about; the named file itself is never opened for writing.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from test_rig.targets.dialect import Ask, BlockedView
from test_rig.targets.leftovers import private_folder
from test_rig.targets.statements import quote_double, upsert_standard
from test_rig.targets.url import TargetUrl

__all__ = ["Embedded", "scratch_file"]


class Embedded:
    """The parts of a dialect that are the same for every database in the rig's own process."""

    placeholder = "?"
    begin = "BEGIN"

    def private_place(self, url: TargetUrl) -> tuple[TargetUrl, Callable[[], object]]:
        """Return a place for a target whose URL names none, and what removes it."""
        folder, remove = private_folder()
        return replace(url, path=str(folder / "private.db")), remove

    def check_place(self, url: TargetUrl) -> None:
        """Raise `FileNotFoundError` where the folder of the database's file does not exist."""
        folder = Path(url.path or "").absolute().parent
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the folder of the database file does not exist")

    def quote(self, identifier: str) -> str:
        return quote_double(identifier)

    def upsert(self, table: str, key: str, column: str, *, appends: bool = False) -> str:
        return upsert_standard(table, key, column, appends=appends, mark=self.placeholder)

    def prepare_waiting(self, ask: Ask) -> None:
        del ask  # it never waits

    def blocked_view(self, ask: Ask) -> BlockedView | None:
        del ask  # nobody ever waits: a conflict is an error at once
        return None

    def create_scratch(self, ask: Ask, url: TargetUrl, name: str) -> TargetUrl:
        del ask
        file = scratch_file(url, name)
        Path(file).parent.mkdir(mode=0o700)  # an existing one is an error: it is not ours
        return replace(url, path=file)

    def drop_scratch(self, ask: Ask, scratch: TargetUrl, name: str) -> None:
        del ask
        folder = Path(scratch.path or "").parent
        if folder.name != name:
            raise ValueError(f"{folder} is not the scratch folder {name}")
        shutil.rmtree(folder, ignore_errors=True)

    def kill_statement(self, backend_id: int) -> str | None:
        del backend_id  # there is no server that could
        return None


def scratch_file(url: TargetUrl, name: str) -> str:
    """Return the database file of a private place: in a folder beside the target's own."""
    parent = Path(url.path).absolute().parent if url.path else Path(tempfile.gettempdir())
    return str(parent / name / "scratch.db")
