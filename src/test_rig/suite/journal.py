"""What a handler had done when its process ended: memory that outlives the process.

A worker that is killed tells nothing any more, and what it had done is asked for most then. So each
statement is also noted in memory that the conductor shares with it: it costs no call of the system,
and nothing is lost with the process. Of very many notes the first are kept, and the last.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time

__all__ = ["Journal"]

#: Bytes of each of the three parts: the first notes, and two that are filled in turns.
_PART = 2 * 1024 * 1024
_WORD = 8
#: How many notes there were, which part is being filled, and how much of each is.
_COUNT, _CURRENT, _USED = 0, 1, 2
#: When the writer last showed that it lives; monotonic nanoseconds, the same for both processes.
_LIFE = 5
_HEAD = _WORD * 6
_SIZE = _HEAD + 3 * _PART
_write_size = struct.Struct("<Q").pack_into


class Journal:
    """Notes that two processes share. One of them writes; the other reads once that has ended.

    Args:
        descriptor: The memory's file descriptor, as the other process has it; None: new memory.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _new_memory() if descriptor is None else descriptor
        self._memory = mmap.mmap(self.descriptor, _SIZE)
        self._words = memoryview(self._memory)[:_HEAD].cast("Q")
        # What the writer last wrote into the head.
        self._count = self._part = self._used = 0

    def begin(self) -> None:
        """Forget all notes: another handler begins."""
        self._count = self._part = self._used = 0
        for place in range(_LIFE):
            self._words[place] = 0

    def note(self, text: bytes) -> None:
        """Keep a note. Thread-safe only under the caller's lock."""
        words, size = self._words, len(text) + _WORD
        self._count = words[_COUNT] = self._count + 1
        if self._used + size > _PART:
            if size > _PART:
                return
            self._part = words[_CURRENT] = 2 if self._part == 1 else 1
            self._used = words[_USED + self._part] = 0
        start = _HEAD + self._part * _PART + self._used
        _write_size(self._memory, start, len(text))
        self._memory[start + _WORD : start + size] = text
        # Last: what was written half does not count.
        self._used = words[_USED + self._part] = self._used + size

    def read(self) -> tuple[int, list[bytes]]:
        """Return how many notes there were, and those that were kept, in order.

        The process that has ended may have written over all of it: then there may be none.
        """
        words = self._words
        is_whole = words[_CURRENT] <= 2 and all(words[_USED + part] <= _PART for part in range(3))
        current = words[_CURRENT] if is_whole else 0
        order = [0] if current == 0 else [0, 3 - current, current]
        notes = [text for part in order for text in self._notes(part)]
        return words[_COUNT] if is_whole else len(notes), notes

    def _notes(self, part: int) -> list[bytes]:
        place = _HEAD + part * _PART
        end, notes = place + min(self._words[_USED + part], _PART), list[bytes]()
        while place < end:
            size = int.from_bytes(self._memory[place : place + _WORD], "little")
            if size == 0 or place + _WORD + size > end:
                break
            notes.append(self._memory[place + _WORD : place + _WORD + size])
            place += _WORD + size
        return notes

    def show_life(self) -> None:
        """Show that the writer lives."""
        self._words[_LIFE] = time.monotonic_ns()

    def silent_s(self) -> float:
        """Return for how many seconds the writer has not shown that it lives."""
        return (time.monotonic_ns() - self._words[_LIFE]) / 1e9

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.close()
        os.close(self.descriptor)


def _new_memory() -> int:
    """Return memory as a file that has no name: what statements say stays between two processes."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("test-rig-journal")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _SIZE)
    return descriptor
