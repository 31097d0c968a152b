"""What a worker prints: read as it comes, handed on as lines, bounded."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["OutputReader"]

_LINE_MOST = 8192
_KEPT_LINES = 200


class OutputReader:
    """Drains a pipe, so that printing never holds a script up.

    Args:
        fd: The reading end, which becomes this object's to close.
        on_line: Given each line, on the reader's thread; must not raise.
        bytes_per_s: More than this within a second is dropped, and counted in one line.
    """

    def __init__(self, fd: int, on_line: Callable[[str], None], *, bytes_per_s: int) -> None:
        self._fd, self._on_line, self._most = fd, on_line, bytes_per_s
        self._rest = b""
        self._second, self._taken, self._dropped = 0, 0, 0
        #: The newest lines.
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._thread = threading.Thread(target=self._read, name="worker output", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the output."""
        self._thread.join(timeout_s)

    def _read(self) -> None:
        with os.fdopen(self._fd, "rb", buffering=0) as stream:
            while chunk := stream.read(65536):
                self._take(chunk)
        if self._rest:
            self._line(self._rest)
        self._tell_dropped()

    def _take(self, chunk: bytes) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
            self._tell_dropped()
        room = max(0, self._most - self._taken)
        self._taken += min(room, len(chunk))
        self._dropped += len(chunk) - min(room, len(chunk))
        *lines, self._rest = (self._rest + chunk[:room]).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LINE_MOST:
            self._line(self._rest)
            self._rest = b""

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._say(f"... {self._dropped} bytes of output dropped")
            self._dropped = 0

    def _line(self, line: bytes) -> None:
        self._say(line[:_LINE_MOST].decode("utf-8", "replace").rstrip("\r"))

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self._on_line(line)
