"""One life of a worker: its process, from the start to a certain end."""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from test_rig.plugins.worker_answer import Answer, Call, Outcome, WorkerPlan
from test_rig.plugins.worker_output import OutputReader

__all__ = ["WorkerProcess"]

_CHILD = Path(__file__).with_name("worker_child.py")
_PASSED = ("PATH", "HOME", "LANG", "TZ")
_END_S = 10.0
_NO_END_S = 1e6
_RETURNED = Answer(outcome=Outcome.RETURNED)
_DUMP_MOST = 16_000
_FRAME_MOST = 256 << 20


class WorkerProcess:
    """A started worker that has loaded nothing yet. Not for several threads at a time.

    Args:
        plan: What it runs in.
        on_line: Given what is printed, line by line, on another thread.

    Raises:
        OSError: Python cannot be started.
    """

    def __init__(self, plan: WorkerPlan, on_line: Callable[[str], None]) -> None:
        self._plan = plan
        self._dump = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._stamp_file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._stamp_file.truncate(4096)
        self._map = mmap.mmap(self._stamp_file.fileno(), 4096)
        self._sock, theirs = socket.socketpair()
        self._life, their_life = socket.socketpair()
        reading, writing = os.pipe()
        handed = (theirs.fileno(), their_life.fileno(), self._dump.fileno())
        fds = (*handed, self._stamp_file.fileno())
        given = self._input()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the Python that the settings name
                [plan.python or sys.executable, "-I", str(_CHILD), *map(str, fds)],
                stdin=given or subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=fds,
                env=_environment(plan),
                cwd=plan.working_dir,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            self._map.close()
            for each in (self._sock, self._life, self._dump, self._stamp_file):
                each.close()
            raise
        finally:
            os.close(writing)
            if given is not None:
                given.close()
            theirs.close()
            their_life.close()
        self.output = OutputReader(reading, on_line, bytes_per_s=plan.limits.output_bytes_per_s)
        self._number = 0
        self._received = bytearray()
        self._code: int | None = None
        self._is_configured = False
        self.is_spent = False

    def _input(self) -> IO[bytes] | None:
        text = self._plan.standard_input
        if text is None:
            return None
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the child's
        file.write(text)
        file.seek(0)
        return file

    @property
    def is_alive(self) -> bool:
        """Whether it can take calls; learns of an end that came between calls."""
        if not self.is_spent:
            ready, _, _ = select.select([self._life, self._sock], [], [], 0)
            if ready:  # between calls it has nothing to say
                self.is_spent = True
        return not self.is_spent

    def run(
        self, calls: Sequence[Call], *, limit_s: float, budget_s: float | None = None
    ) -> list[Answer]:
        """Run calls in turn; the first that ends the worker is the last that is begun.

        Args:
            calls: What to call.
            limit_s: The limit of each.
            budget_s: No call is begun after this time.
        """
        self._number += 1
        answers: list[Answer | None] = [None] * len(calls)
        frame = self._frame(calls, limit_s, budget_s)
        self._sock.settimeout(limit_s + self._plan.limits.grace_s + 30.0)
        with suppress(OSError):  # its end is told below
            self._sock.sendall(frame)
        sent = time.monotonic()
        while True:
            problem = self._wait(sent, limit_s)
            done = self._take_answers(answers)
            if done:
                return self._completed(answers)
            if problem is not None:
                return self._broken(answers, problem, limit_s)

    def interrupt(self) -> None:
        """Have the process killed; whoever waits for it learns of it. For any thread."""
        with suppress(OSError):
            self._life.send(b"k")

    def kill(self) -> None:
        """End the process and all that it started."""
        self.is_spent = True
        if self._code is None:
            with suppress(OSError):
                self._life.send(b"k")
            self._learn_code(_END_S)

    def close(self) -> None:
        """End the process, if it has not ended, and let go of everything."""
        self.kill()
        with suppress(OSError):
            self._life.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.output.join(_END_S)
        self._sock.close()
        self._map.close()
        self._dump.close()
        self._stamp_file.close()

    # -- what is under way -----------------------------------------------------------------------

    def _frame(self, calls: Sequence[Call], limit_s: float, budget_s: float | None) -> bytes:
        budget_s = _NO_END_S if budget_s is None else max(0.0, budget_s)
        parts = [f'{{"id":{self._number},"limit":{max(limit_s, 0.001):.6f}'.encode()]
        parts.append(f',"budget":{budget_s:.6f}'.encode())
        if not self._is_configured:
            self._is_configured = True
            parts.append(b',"configure":' + msgspec.json.encode(_configuration(self._plan)))
        parts.append(b',"calls":[')
        names = {name: msgspec.json.encode(name) for name in {call.function for call in calls}}
        listed = [b"[" + b",".join((names[name], *arguments)) + b"]" for name, arguments in calls]
        parts += [b",".join(listed), b"]}"]
        body = b"".join(parts)
        return struct.pack("!I", len(body)) + body

    def _wait(self, sent: float, limit_s: float) -> str | None:
        """Wait for something to read; return what went wrong, where something did."""
        ready, _, _ = select.select([self._sock, self._life], [], [], self._left_s(sent, limit_s))
        if self._sock in ready:
            try:
                chunk = self._sock.recv(1 << 20)
            except OSError:
                chunk = b""
            if chunk:
                self._received += chunk
                return None
            return "ended"
        if self._life in ready:
            self._learn_code(0)
            self._drain()
            return "ended"
        return "late" if self._left_s(sent, limit_s) <= 0 else None

    def _left_s(self, sent: float, limit_s: float) -> float:
        number, _, since_ns = self._stamp()
        began = max(sent, since_ns / 1e9) if number == self._number else sent
        until = began + limit_s + self._plan.limits.grace_s
        return max(0.0, until - time.monotonic())

    def _stamp(self) -> tuple[int, int, int]:
        number, call, since_ns = struct.unpack_from("=QQQ", self._map)
        return number, call, since_ns

    def _drain(self) -> None:
        self._sock.settimeout(0)
        with suppress(OSError):
            while chunk := self._sock.recv(1 << 20):
                self._received += chunk

    def _take_answers(self, answers: list[Answer | None]) -> bool:
        """Read what has arrived; return whether the request is answered."""
        buffer = self._received
        while len(buffer) >= 4:
            (size,) = struct.unpack_from("!I", buffer)
            if size > _FRAME_MOST or len(buffer) < 4 + size:
                break
            body = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            try:
                message = msgspec.json.decode(body)
                if message["id"] != self._number:
                    continue
                if "kind" in message:
                    answers[message["call"]] = self._failed(message)
                    continue
                values = dict(message["results"])
                for index, took_us in enumerate(message["took_us"][: message["done"]]):
                    answers[index] = answers[index] or Answer(
                        outcome=Outcome.RETURNED,
                        value=values.get(index),
                        duration_s=took_us / 1e6,
                    )
            except (msgspec.DecodeError, LookupError, TypeError):
                self.is_spent = True  # the script wrote into the socket itself
                return False
            return True
        return False

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

    def _completed(self, answers: Sequence[Answer | None]) -> list[Answer]:
        if self.is_spent:
            self.kill()
        return [each or Answer(outcome=Outcome.NOT_RUN) for each in answers]

    # -- the end -----------------------------------------------------------------------------

    def _broken(self, answers: list[Answer | None], problem: str, limit_s: float) -> list[Answer]:
        number, call, since_ns = self._stamp()
        took_s = time.monotonic() - since_ns / 1e9
        if problem == "late":
            self._ask_where()
        self.kill()
        self._drain()
        self._take_answers(answers)
        told = self._told(problem, limit_s)
        if number != self._number and problem == "ended":
            # It was gone before it came to the first call, which is not that one's fault.
            unreached = Answer(outcome=Outcome.NOT_RUN, error=told.error, detail=told.detail)
            return [unreached] * len(answers)
        guilty = max(0, call - 1) if number == self._number else 0
        told = msgspec.structs.replace(told, duration_s=took_s)
        made = [each or _RETURNED for each in answers[:guilty]]
        made.append(answers[guilty] or told)
        return made + [Answer(outcome=Outcome.NOT_RUN) for _ in answers[guilty + 1 :]]

    def _told(self, problem: str, limit_s: float) -> Answer:
        dump = self._dumped()
        if problem == "late":
            error = f"no answer within {limit_s:g} s; the process was killed"
            return Answer(outcome=Outcome.TIMED_OUT, error=error, detail=dump, is_fresh_after=True)
        code = self._code
        if code is not None and code < 0 and -code != signal.SIGKILL:
            with suppress(ValueError):
                error = f"the process was ended by {signal.Signals(-code).name}"
                return Answer(
                    outcome=Outcome.CRASHED, error=error, detail=dump, is_fresh_after=True
                )
        if code == 70 or code == -signal.SIGKILL:
            error = "the process was killed, or closed the connection to the rig"
        else:
            error = f"the process ended with exit code {code}"
        return Answer(outcome=Outcome.CRASHED, error=error, detail=dump, is_fresh_after=True)

    def _ask_where(self) -> None:
        """Have the worker write where it stands."""
        before = os.fstat(self._dump.fileno()).st_size
        with suppress(OSError):
            self._life.send(b"d")
        until, size = time.monotonic() + self._plan.limits.dump_s, before
        while time.monotonic() < until:
            time.sleep(0.005)
            now = os.fstat(self._dump.fileno()).st_size
            if now > before and now == size:
                return
            size = now

    def _dumped(self) -> str:
        self._dump.seek(0)
        text = self._dump.read(_DUMP_MOST).decode("utf-8", "replace")
        mine = str(_CHILD)
        return "\n".join(line for line in text.splitlines() if mine not in line)

    def _learn_code(self, timeout_s: float) -> None:
        self._life.settimeout(timeout_s or 0.001)
        try:
            told = self._life.recv(64)
        except OSError:
            self._process.kill()
            return
        self._code = int(told) if told.lstrip(b"-").isdigit() else -int(signal.SIGKILL)


def _environment(plan: WorkerPlan) -> dict[str, str]:
    wanted = (*_PASSED, *plan.pass_env)
    made = {name: os.environ[name] for name in wanted if name in os.environ}
    if plan.python:
        made["PATH"] = os.pathsep.join(
            [str(Path(plan.python).parent), made.get("PATH", os.defpath)]
        )
    return made


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
