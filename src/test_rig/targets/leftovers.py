"""Private places of rigs that were killed: remembered on this machine, removed by the next one.

Who makes a private place writes a note before and removes it afterwards, and holds a lock on the
note meanwhile. The system lets go of the lock when the process ends, however it does; so a note
that can be locked is that of a rig that is gone, and its place is nobody's. Notes hold a name and
an address, no user and no password. Where no note can be written, nothing is remembered.

The folder of an embedded database that has no path of its own holds such a lock itself, in the
system's folder for temporary files. Who makes one looks there for those of the same user that can
be locked; a folder without a lock's file is somebody else's and stays.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

_HAS_LOCKS: bool
try:
    from fcntl import LOCK_EX, LOCK_NB, flock

    _HAS_LOCKS = True
except ImportError:  # not on this system
    _HAS_LOCKS = False

__all__ = ["Leftover", "private_folder", "remembered", "remove_leftovers"]

_NAME = re.compile(r"test_rig_[0-9a-f]{10}")
_PREFIX, _OWNER = "test-rig-", ".owner"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A private place."""

    #: The namespace's name on the server, or of the folder.
    name: str
    #: Where the target is, without user or password.
    address: str


@contextmanager
def remembered(place: Leftover) -> Iterator[None]:
    """Remember a place for the time of a block."""
    note, file = _folder() / f"{place.name}.json", None
    with suppress(OSError):
        file = _new_note(place, note)
    try:
        yield
    finally:
        if file is not None:
            note.unlink(missing_ok=True)
            file.close()


def remove_leftovers(address: str, remove: Callable[[Leftover], bool]) -> None:
    """Remove the places of rigs that are gone.

    Args:
        address: Where the target is; other targets' places stay.
        remove: Removes one, and returns whether it need not be remembered any more.
    """
    for note in sorted(_folder().glob("test_rig_*.json")):
        with suppress(OSError, ValueError, TypeError), note.open("r+") as file:
            place = Leftover(**json.load(file))
            is_ours = place.address == address and _NAME.fullmatch(place.name) is not None
            if is_ours and _can_lock(file) and remove(place):
                note.unlink(missing_ok=True)


def private_folder() -> tuple[Path, Callable[[], None]]:
    """Make a folder for temporary files; return it, and what removes it.

    Those of rigs that are gone are removed first.
    """
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_abandoned(left)
    folder, owner = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)), None
    with suppress(OSError):
        owner = _locked_file(folder / _OWNER)

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if owner is not None:
            owner.close()

    return folder, remove


def _remove_abandoned(folder: Path) -> None:
    """Remove a private folder if it is this user's and its owner is gone."""
    if not _HAS_LOCKS:
        return
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        return
    with (folder / _OWNER).open("r+") as owner:
        if _can_lock(owner):
            shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    return Path.home() / ".local" / "state" / "test-rig" / "scratch"


def _new_note(place: Leftover, note: Path) -> IO[str] | None:
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _locked_file(note, json.dumps(asdict(place)))


def _locked_file(path: Path, text: str = "") -> IO[str] | None:
    """Make a file that this process holds locked; None where there are no locks."""
    if not _HAS_LOCKS:
        return None
    # Locked before it has its name: nobody finds it between the two.
    hidden = path.with_name(f"{path.name}.new")
    file = hidden.open("x")
    if not _can_lock(file):
        file.close()
        return None
    file.write(text)
    file.flush()
    hidden.rename(path)
    return file


def _can_lock(file: IO[str]) -> bool:
    if not _HAS_LOCKS:
        return False
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True
