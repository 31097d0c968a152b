"""Private places of rigs that were killed: remembered on this machine, removed by the next one.

Who makes a private place writes a note before and removes it afterwards, and holds a lock on the
note meanwhile. The system lets go of the lock when the process ends, however it does; so a note
that can be locked is that of a rig that is gone, and its place is nobody's. Notes hold a name and
an address, no user and no password. Where no note can be written, nothing is remembered.
"""

from __future__ import annotations

import json
import re
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

__all__ = ["Leftover", "remembered", "remove_leftovers"]

_NAME = re.compile(r"test_rig_[0-9a-f]{10}")


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


def _folder() -> Path:
    return Path.home() / ".local" / "state" / "test-rig" / "scratch"


def _new_note(place: Leftover, note: Path) -> IO[str] | None:
    if not _HAS_LOCKS:
        return None
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Locked before it has its name: nobody finds it between the two.
    hidden = note.with_name(f".{note.name}")
    file = hidden.open("x")
    if not _can_lock(file):
        file.close()
        return None
    json.dump(asdict(place), file)
    file.flush()
    hidden.rename(note)
    return file


def _can_lock(file: IO[str]) -> bool:
    if not _HAS_LOCKS:
        return False
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True
