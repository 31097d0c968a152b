"""A worker's process, as the conductor holds it: messages out, output out, an end for certain."""

from __future__ import annotations

import os
import queue
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from test_rig.processes import ended_how, kill_group, kill_marked, start_own_code
from test_rig.suite.journal import Journal
from test_rig.suite.order import Message, Order

__all__ = ["Child", "Ended"]

#: So much of what a handler prints is kept, from its end.
KEPT_OUTPUT = 64 * 1024
_LAST_WORDS_S = 5.0
_REAP_S = 10.0
#: A worker in which nothing moved for so long does not end anything itself any more.
_STUCK_S = 2.0
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A worker tells no more."""

    #: What became of it, to stand behind "the process".
    told: str
    #: It was ended, because it was too late.
    is_late: bool
    #: Seconds since its last message.
    after_s: float


class Child:
    """One worker. A context manager: it is gone when the block is left.

    Args:
        order: What it is to do.
        on_output: Given what is printed, as it comes.
    """

    def __init__(self, order: Order, on_output: Callable[[str], None]) -> None:
        self._on_output = on_output
        self._marker, self._process_mark = secrets.token_hex(8), secrets.token_hex(8)
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._printed = bytearray()
        self._parts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.journal = Journal()
        memory = self.journal.descriptor
        reading, writing = os.pipe()
        self._process = start_own_code(
            "test_rig.suite.worker",
            "work_and_exit",
            [str(writing), str(memory)],
            descriptors=[writing, memory],
            output=subprocess.PIPE,
            mark=self._process_mark,
        )
        os.close(writing)
        self._output_thread = threading.Thread(target=self._read_output, daemon=True)
        self._output_thread.start()
        threading.Thread(target=self._read_messages, args=(reading,), daemon=True).start()
        text = msgspec.json.encode(replace(order, marker=self._marker))
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None  # noqa: S101 - it was asked for
            self._process.stdin.write(text + b"\n")
            self._process.stdin.flush()

    def next_message(self, limit_s: float, slack_s: float) -> Message | Ended:
        """Wait for the next message; a worker that is too late is ended.

        A worker that lives ends what is too late itself, and cleans up; for that it has the slack.
        One in which nothing moves any more cannot.
        """
        started = time.monotonic()
        is_late, has_ended = False, False
        while True:
            try:
                message = self._messages.get(timeout=_LOOK_S)
                break
            except queue.Empty:
                if has_ended:  # all that it told was read: what it left behind holds the pipe
                    message = None
                    break
                has_ended = self._process.poll() is not None
                spent_s = time.monotonic() - started
                is_stuck = self.journal.silent_s() > _STUCK_S
                if spent_s >= limit_s + slack_s or (is_stuck and spent_s >= limit_s + _STUCK_S):
                    message, is_late = None, True
                    self.kill()
                    break
        if message is not None:
            return message
        after_s = time.monotonic() - started
        return Ended(told=self._end(is_late, after_s), is_late=is_late, after_s=after_s)

    def _end(self, is_late: bool, after_s: float) -> str:
        try:
            code = self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        if is_late:
            return f"the process did not come back within {after_s:.1f} s and was killed"
        return f"the process {ended_how(code)}"

    def output(self) -> str:
        """Return what was printed since the last call."""
        if self._process.poll() is not None:
            self._output_thread.join(_LAST_WORDS_S)
            return self._take() if self._parts.empty() else self._parts.get()
        try:
            return self._parts.get(timeout=_LAST_WORDS_S)
        except queue.Empty:
            return self._take()

    def kill(self) -> None:
        """End the process and all that it started."""
        kill_group(self._process.pid)

    def _read_messages(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as stream:
            for line in stream:
                try:
                    self._messages.put(msgspec.json.decode(line, type=Message))
                except msgspec.DecodeError:
                    break  # killed within a line, or the handler wrote there itself
        self._messages.put(None)

    def _read_output(self) -> None:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - it was asked for
        end = f"\0{self._marker}\n".encode()
        while chunk := os.read(stream.fileno(), 65536):
            self._printed += chunk
            while (place := self._printed.find(end)) >= 0:
                part = bytes(self._printed[:place])
                del self._printed[: place + len(end)]
                self._parts.put(_text(part))
            del self._printed[: -KEPT_OUTPUT - len(end)]
            self._on_output(_text(chunk.replace(end, b"")))

    def _take(self) -> str:
        part = bytes(self._printed)
        self._printed.clear()
        return _text(part)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self._process.wait()
        kill_marked(self._process_mark)
        self.journal.close()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._output_thread.join(_LAST_WORDS_S)
        # A process that the worker started and that outlives it may hold the other end.
        if self._process.stdout is not None and not self._output_thread.is_alive():
            self._process.stdout.close()


def _text(part: bytes) -> str:
    return part[-KEPT_OUTPUT:].decode("utf-8", "replace")
