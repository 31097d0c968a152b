"""One life of a worker: its process, from the start to a certain end."""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import socket
import struct
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from test_rig.plugins.worker_answer import Answer, Answers, Call, Each, Outcome, WorkerPlan
from test_rig.plugins.worker_child import NO_SANDBOX
from test_rig.plugins.worker_guardian import CHILD, Guardian
from test_rig.plugins.worker_output import OutputReader
from test_rig.processes import ended_how

__all__ = ["WorkerProcess"]

_END_S = 10.0
_NEVER_NS = 1 << 62
#: How many calls go over at a time, and how many such parts lie ready for the worker.
_PART, _PARTS = 256, 2
_DUMP_MOST = 16_000
_FRAME_MOST = 256 << 20
_RETURNED = Answer(outcome=Outcome.RETURNED)
_BUFFER = 1 << 20
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


class _Part(NamedTuple):
    """Calls that the worker was given at once."""

    number: int
    first: int
    size: int


class WorkerProcess:
    """A started worker that has loaded nothing yet. Not for several threads at a time.

    Args:
        plan: What it runs in.
        on_line: Given what is printed, line by line, on another thread.
        guardian: One of the same plan that is free, which forks it; None: a new one.

    Raises:
        OSError: Python cannot be started.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        on_line: Callable[[str], None],
        guardian: Guardian | None = None,
    ) -> None:
        self._plan = plan
        reading, writing = os.pipe()
        try:
            self.guardian = guardian = guardian or Guardian(plan, writing)
            self._dump = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
            self._stamp_file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
            self._stamp_file.truncate(4096)
            self._map = mmap.mmap(self._stamp_file.fileno(), 4096)
            self._sock, theirs = socket.socketpair()
            self._sock.setblocking(False)
            for end in (self._sock, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            with theirs:
                handed = (theirs.fileno(), self._dump.fileno(), self._stamp_file.fileno(), writing)
                self.guardian.fork(handed)
        except BaseException:
            os.close(reading)
            if guardian is not None:
                guardian.close()
            raise
        finally:
            os.close(writing)
        #: What has something to read when it answers, and when it has ended.
        self._ends: list[socket.socket | Guardian] = [self._sock, self.guardian]
        self.output = OutputReader(reading, on_line, bytes_per_s=plan.limits.output_bytes_per_s)
        self._number = 0
        self._received, self._outgoing = bytearray(), bytearray()
        self._under_way: deque[_Part] = deque()
        #: When the worker was last given something to begin, or told an end.
        self._active_s = 0.0
        #: At which call it was asked where it stands, when, and how long the dump was before.
        self._asked: tuple[int, int] | None = None
        self._asked_s, self._dump_begins = 0.0, 0
        self._code: int | None = None
        self._is_configured = False
        self.is_spent = self._is_garbled = False

    @property
    def is_alive(self) -> bool:
        """Whether it can take calls; learns of an end that came between calls."""
        if not self.is_spent:
            ready, _, _ = select.select(self._ends, [], [], 0)
            if ready:  # between calls it has nothing to say
                self.is_spent = True
        return not self.is_spent

    def run(
        self, calls: Sequence[Call] | Each, *, limit_s: float, budget_s: float | None = None
    ) -> Answers:
        """Run calls in turn; the first that ends the worker is the last that is begun.

        They go over in parts. While the worker is at one part, the next lies ready for it.

        Args:
            calls: What to call.
            limit_s: The limit of each.
            budget_s: No call is begun after this time.
        """
        made = Answers(count := len(calls.values if isinstance(calls, Each) else calls))
        until_ns = _NEVER_NS
        if budget_s is not None:
            until_ns = time.monotonic_ns() + round(max(0.0, budget_s) * 1e9)
        self._under_way.clear()
        self._active_s = time.monotonic()
        given = 0
        while True:
            while given < count and len(self._under_way) < _PARTS:
                size = min(_PART, count - given)
                self._number += 1
                self._outgoing += self._frame(calls, given, size, limit_s, until_ns)
                self._under_way.append(_Part(self._number, given, size))
                given += size
            problem = self._wait(limit_s)
            if self._take_answers(made):
                given = count
                if self.is_spent:
                    self.kill()
                    return made
            if self._is_garbled:
                problem = "ended"
            if given == count and not self._under_way:
                return made
            if problem is not None:
                return self._broken(made, problem, limit_s)

    def interrupt(self) -> None:
        """Have the process killed; whoever waits for it learns of it. For any thread."""
        self.guardian.kill()

    def kill(self) -> None:
        """End the process and all that it started."""
        self.is_spent = True
        if self._code is None:
            self.guardian.kill()
            self._code = self.guardian.learn_code()

    def close(self) -> None:
        """End the process, if it has not ended, and let go of everything but the guardian."""
        self.kill()
        if not self.guardian.is_free:
            self.guardian.close()
        self.output.join(_END_S)
        self._sock.close()
        self._map.close()
        self._dump.close()
        self._stamp_file.close()

    # -- what is under way -----------------------------------------------------------------------

    def _frame(
        self, calls: Sequence[Call] | Each, first: int, size: int, limit_s: float, until_ns: int
    ) -> bytes:
        head = f'{{"id":{self._number},"limit":{max(limit_s, 0.001):.6f},"until":{until_ns}'
        parts = [head.encode()]
        if not self._is_configured:
            self._is_configured = True
            parts.append(b',"configure":' + msgspec.json.encode(_configuration(self._plan)))
        if isinstance(calls, Each):
            parts.append(b',"function":' + msgspec.json.encode(calls.function))
            parts.append(b',"calls":' + _ENCODE(list(calls.values[first : first + size])))
        else:
            listed = [
                b"[" + b",".join((msgspec.json.encode(name), *arguments)) + b"]"
                for name, arguments in calls[first : first + size]
            ]
            parts.append(b',"calls":[' + b",".join(listed) + b"]")
        parts.append(b"}")
        body = b"".join(parts)
        return struct.pack("!I", len(body)) + body

    def _wait(self, limit_s: float) -> str | None:
        """Wait for something to read; return what went wrong, where something did.

        What is to be sent goes out as there is room: a worker that reads nothing, since it hangs
        or writes itself, holds nobody up.
        """
        self._push()
        left_s, about = self._left_s(limit_s), self._stamp()[:2]
        if self._asked != about:  # half the grace is over: it can write where it stands meanwhile
            left_s = max(0.0, left_s - self._plan.limits.grace_s / 2)
            if left_s == 0:
                self._ask_where(about)
                return None
        writing = [self._sock] if self._outgoing else []
        ready, _, _ = select.select(self._ends, writing, [], left_s)
        if self._sock in ready:
            try:
                chunk = self._sock.recv(1 << 20)
            except BlockingIOError:
                return None
            except OSError:
                chunk = b""
            if chunk:
                self._received += chunk
                return None
            return "ended"
        if self.guardian in ready:
            self._code = self.guardian.learn_code()
            self._drain()
            return "ended"
        return "late" if self._left_s(limit_s) <= 0 else None

    def _push(self) -> None:
        if self._outgoing:
            try:
                sent = self._sock.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                sent = len(self._outgoing)  # its end is told by the other socket
            del self._outgoing[:sent]

    def _left_s(self, limit_s: float) -> float:
        number, _, since_ns = self._stamp()
        began = self._active_s
        if any(part.number == number for part in self._under_way):
            began = max(began, since_ns / 1e9)
        until = began + limit_s + self._plan.limits.grace_s
        return max(0.0, until - time.monotonic())

    def _stamp(self) -> tuple[int, int, int]:
        number, call, since_ns = struct.unpack_from("=QQQ", self._map)
        return number, call, since_ns

    def _drain(self) -> None:
        with suppress(OSError):
            while chunk := self._sock.recv(1 << 20):
                self._received += chunk

    def _take_answers(self, made: Answers) -> bool:
        """Read what has arrived; return whether the worker begins no more of these calls."""
        buffer, has_stopped = self._received, False
        while len(buffer) >= 4 and self._under_way and not self._is_garbled:
            (size,) = struct.unpack_from("!I", buffer)
            if size > _FRAME_MOST or len(buffer) < 4 + size:
                break
            body = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            try:
                has_stopped |= self._note_answer(made, _read(body))
            except (ValueError, LookupError, TypeError):
                self.is_spent = self._is_garbled = True  # the script wrote into the socket itself
                break
        return has_stopped

    def _note_answer(self, made: Answers, message: dict[str, Any]) -> bool:
        part = self._under_way[0]
        if message["id"] != part.number:
            return False
        if "kind" in message:
            made.odd[part.first + message["call"]] = self._failed(message)
            return False
        self._under_way.popleft()
        self._active_s = time.monotonic()
        done = message["done"]
        if made.done < part.first:
            return True  # the part before was not run to its end, so nothing of this one was begun
        made.done = part.first + done
        made.took_us += message["took_us"][:done]
        for place, value in message["results"]:
            at = part.first + place
            duration_s = made.duration_s(at)
            made.odd[at] = Answer(outcome=Outcome.RETURNED, value=value, duration_s=duration_s)
        if self.is_spent:
            last = max(made.odd)
            made.end_at(last, made.odd[last])
        return bool(done < part.size)

    def _failed(self, message: dict[str, Any]) -> Answer:
        outcome = {"memory": Outcome.MEMORY, "timed out": Outcome.TIMED_OUT}.get(
            message["kind"], Outcome.RAISED
        )
        if outcome is Outcome.MEMORY:
            self.is_spent = True
        return Answer(
            outcome=outcome,
            error=message["error"],
            detail=message.get("traceback", ""),
            is_fresh_after=self.is_spent,
            duration_s=message["took_us"] / 1e6,
        )

    # -- the end -----------------------------------------------------------------------------

    def _broken(self, made: Answers, problem: str, limit_s: float) -> Answers:
        number, call, since_ns = self._stamp()
        took_s = time.monotonic() - since_ns / 1e9
        if problem == "late":
            self._await_dump()
        self.kill()
        self._drain()
        self._take_answers(made)
        told = self._told(problem, limit_s)
        if not self._under_way:
            return made
        at = self._place(number, call)
        last = self._place(*self._stamp()[:2])
        if problem == "late" and at is not None and last is not None and last > at:
            # It came to an end all the same, and another call was begun before the kill.
            made.end_at(last - 1, made.odd.get(last - 1, _RETURNED))
        elif at is None and problem == "ended":
            # It was gone before it came to the first call, which is not that one's fault.
            made.rest = Answer(outcome=Outcome.NOT_RUN, error=told.error, detail=told.detail)
        else:
            guilty = self._under_way[0].first if at is None else at
            made.end_at(guilty, msgspec.structs.replace(told, duration_s=took_s))
        return made

    def _place(self, number: int, call: int) -> int | None:
        """Return which call a stamp means; None where it is none of those under way."""
        found = (part.first for part in self._under_way if part.number == number)
        first = next(found, None)
        return None if first is None else first + max(0, call - 1)

    def _told(self, problem: str, limit_s: float) -> Answer:
        dump = self._dumped()
        if problem == "late":
            error = f"no answer within {limit_s:g} s; the process was killed"
            return Answer(outcome=Outcome.TIMED_OUT, error=error, detail=dump, is_fresh_after=True)
        code = self._code
        if code == NO_SANDBOX:
            error = f"the system refuses the sandbox: {dump}"
            return Answer(outcome=Outcome.CRASHED, error=error, is_fresh_after=True)
        if code is None or code in (70, -signal.SIGKILL):
            error = "the process was killed, or closed the connection to the rig"
        else:
            error = f"the process {ended_how(code)}"
        return Answer(outcome=Outcome.CRASHED, error=error, detail=dump, is_fresh_after=True)

    def _ask_where(self, about: tuple[int, int]) -> None:
        """Have the worker write where it stands, at the call that the stamp is about."""
        self._asked, self._asked_s = about, time.monotonic()
        self._dump_begins = os.fstat(self._dump.fileno()).st_size
        self.guardian.ask_where()

    def _await_dump(self) -> None:
        """Wait for what was asked for, until it is there and grows no more."""
        until, size = self._asked_s + self._plan.limits.dump_s, self._dump_begins
        while True:
            now = os.fstat(self._dump.fileno()).st_size
            if now == size > self._dump_begins or time.monotonic() >= until:
                return
            size = now
            time.sleep(0.005)

    def _dumped(self) -> str:
        self._dump.seek(self._dump_begins)  # before that stands what was not the end
        text = self._dump.read(_DUMP_MOST).decode("utf-8", "replace")
        mine = str(CHILD)
        return "\n".join(line for line in text.splitlines() if mine not in line)


def _read(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:  # half a pair of surrogates, a number that has no end
        return json.loads(body)


def _configuration(plan: WorkerPlan) -> dict[str, Any]:
    path = plan.script.path
    own = [str(path.parent)] if path is not None else []
    return {
        "name": str(path or plan.script.name),
        "paths": [*own, *plan.python_paths],
        "processes": plan.limits.processes_per_s,
        "reply": plan.limits.reply_bytes,
        "memory": plan.limits.memory_bytes,
    }
