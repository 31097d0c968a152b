"""Telling a run that goes on from one whose process is gone.

A process number would not do: numbers are used again. The system drops a file lock when the process
that holds it ends, however it ends. Where there are no such locks, every run without an end counts
as interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

__all__ = ["is_locked", "lock"]


def lock(file: IO[bytes]) -> None:
    """Lock `file` until it is closed; where the file system knows no locks, do nothing."""
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # the run is worth more than the knowledge that it goes on


def is_locked(path: Path) -> bool:
    """Return whether some process, this one included, holds the lock of the file at `path`."""
    if sys.platform != "win32":
        import fcntl

        try:
            with path.open("rb") as file:
                # Closing the file at the end of the block drops the lock again.
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
