"""`file`: one JSON object a line, in files that rotate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from pydantic import Field

from test_rig.actions.delivery import DELIVERED, Delivery
from test_rig.actions.driver import DriverContext, DriverType
from test_rig.actions.event import Event
from test_rig.actions.options import Options, Size

__all__ = ["DRIVER", "FileDriver", "FileOptions"]


#: How much is read at a time to find the beginning of the last line.
_TAIL = 1 << 16


class FileOptions(Options):
    """Where the lines go."""

    path: str = Field(
        min_length=1,
        description="The file that is appended to; its folder is made where it is missing.",
    )
    max_bytes: Size = Field(
        default=0,
        description="Begin a new file when this one would grow larger, in bytes; 0: never.",
    )
    keep: Size = Field(
        default=5,
        description="How many full files stay, as `path.1` (the newest), `path.2`, ...",
    )
    sync: bool = Field(
        default=False,
        description="Whether a batch is on the disk (fsync) before it counts as delivered.",
    )


class FileDriver:
    """Appends events to a file, a batch at a time."""

    def __init__(self, options: FileOptions) -> None:
        self._options = options
        self._path = Path(options.path)
        self._encoder = msgspec.json.Encoder(enc_hook=str)
        self._file: BinaryIO | None = None
        self._size = 0

    async def start(self) -> None:
        """Open the file."""
        self._open()

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Append a line for each event."""
        text = b"".join(self._encoder.encode(event) + b"\n" for event in batch)
        limit = self._options.max_bytes
        if limit and self._size and self._size + len(text) > limit:
            self._rotate()
        file = self._file or self._open()
        try:
            file.write(text)
            file.flush()
            if self._options.sync:
                os.fsync(file.fileno())
        except OSError:
            # Half a batch may stand there: what comes next must not continue a torn line.
            self._mend(file)
            raise
        self._size += len(text)
        return [DELIVERED] * len(batch)

    async def stop(self, *, timeout_s: float) -> None:
        """Close the file."""
        del timeout_s
        if self._file is not None:
            self._file.close()
            self._file = None

    async def status(self) -> Mapping[str, Any]:
        """Tell the file and its size."""
        return {"path": str(self._path), "bytes": self._size, "is_open": self._file is not None}

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what was not written must not come out later, on close.
        self._file = self._path.open("ab", buffering=0)
        self._end_torn_line(self._file)
        self._size = self._path.stat().st_size
        return self._file

    def _end_torn_line(self, file: BinaryIO) -> None:
        """Take away half a line that a kill left: its event comes again, and needs a line."""
        with self._path.open("rb") as reader:
            size = reader.seek(0, os.SEEK_END)
            tail, at = b"", size
            while at > 0 and b"\n" not in tail:
                at = max(0, at - _TAIL)
                reader.seek(at)
                tail = reader.read(size - at)
        line = tail.rpartition(b"\n")[2]
        if not line:
            return
        try:
            msgspec.json.decode(line)
        except msgspec.DecodeError:
            file.truncate(size - len(line))
        else:
            file.write(b"\n")

    def _mend(self, file: BinaryIO) -> None:
        file.truncate(self._size)

    def _rotate(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        keep = self._options.keep
        for number in range(keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        if keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _make(options: FileOptions, context: DriverContext) -> FileDriver:
    del context
    return FileDriver(options)


DRIVER = DriverType(
    name="file",
    about="One JSON object a line, in files that rotate.",
    options=FileOptions,
    make=_make,
    batch_size=1024,
)
