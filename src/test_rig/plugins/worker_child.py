"""The worker's own file: runs in any Python from 3.8 on, with nothing but the standard library.

Theory of operation: `python -I worker_child.py LIFELINE`, an inherited descriptor. The process is
the guardian, in which nothing of the script is ever loaded. It obeys the lifeline: `b` comes with
four descriptors (socket, dump, stamp, output) and has it fork a worker, `d` asks where the worker
stands, `k` kills it, and so does the end of the line, which ends the guardian too. It adopts
whatever the script leaves behind (subreaper); when the worker is gone it kills all descendants,
tells the exit status and waits for the next `b`: a fork takes a millisecond where an interpreter
takes a hundred on a busy machine. The worker reads requests from its socket (four bytes of length,
then JSON), runs the calls in turn and answers. Standard output is never the protocol.

The stamp is memory that the rig reads too: which request, which call of it, since when. So the
guilty call is known however the worker ends.
"""

from __future__ import annotations

import _socket  # without the classes of `socket`, which the worker need not have
import ctypes
import faulthandler
import json
import mmap
import os
import resource
import select
import signal
import struct
import sys
import time
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Tuple

try:
    from msgspec.json import decode as _decode  # three times as fast, where the venv has it
except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not needed
    _decode = json.loads  # type: ignore[assignment]  # takes bytes as well

_SUBREAPER, _DEATH_SIGNAL = 36, 1
_RAISE_AGAIN_S = 0.05
_TRACEBACK_MOST = 16_000
_SPARE_BYTES = 1 << 20
_NS = 1_000_000_000
_TEXT = json.JSONEncoder(default=str, allow_nan=False).encode
#: The exit code of a process that was refused its sandbox.
NO_SANDBOX = 71
_NEW_USER, _NEW_MOUNTS, _NEW_IPC, _NEW_NETWORK = 0x10000000, 0x20000, 0x8000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_DROP_BOUND, _NO_NEW_PRIVILEGES, _CAPABILITY_VERSION = 24, 38, 0x20080522
#: Places in the stamp.
_REQUEST, _CALL, _SINCE, _SECOND, _FORKS = range(5)


class CallTimedOut(BaseException):
    """Raised in the script when its time is over. No `Exception`: `except Exception` lets it by."""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    """Guard one worker after the other, each a fork of this process as it was in the beginning."""
    life = _socket.socket(fileno=int(sys.argv[1]))
    _prctl(_SUBREAPER, 1)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    guardian = os.getpid()
    nothing = os.open(os.devnull, os.O_RDWR)
    while True:
        sock, dump, stamp, output = _next_life(life)
        worker = os.fork()
        if worker == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(output, 1)
            os.dup2(output, 2)
            life.close()
            for each in (reading, writing, nothing, output):
                os.close(each)
            _work(guardian, sock, dump, stamp)
        for each in (1, 2):  # until here they told why there is no guardian
            os.dup2(nothing, each)
        for each in (sock, dump, stamp, output):
            os.close(each)
        code = _guard(worker, life, reading)
        _kill_descendants()
        try:
            life.send(str(code).encode())
        except OSError:
            os._exit(0)  # nobody is there any more


def _work(guardian: int, sock: int, dump: int, stamp: int) -> None:
    """Be the worker, to the end of the process."""
    os.setsid()
    for each in (sock, dump, stamp):  # whatever the script starts need not have them
        os.set_inheritable(each, False)
    os.lseek(0, 0, os.SEEK_SET)  # a worker before may have read it
    _prctl(_SUBREAPER, 0)
    if len(sys.argv) > 2:
        _enter_sandbox(json.loads(sys.argv[2]), dump)
    _prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() == guardian:
        Work(sock, dump, stamp).run()
    os._exit(0)


# -- the sandbox ---------------------------------------------------------------------------------


def _enter_sandbox(granted: Dict[str, Any], dump: int) -> None:
    """Take from this process what it is not granted, for good; end it where that is refused.

    A user namespace of its own, in which every mount is read-only but the folders granted, /proc is
    empty (there the rig's own environment could be read), and there is no network unless granted.
    Then all capabilities are given up: nothing of it can be undone.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def must(result: int, what: str) -> None:
        if result != 0:
            raise OSError(
                ctypes.get_errno(), "{}: {}".format(what, os.strerror(ctypes.get_errno()))
            )

    def mount(source: str, place: str, kind: str, flags: int) -> None:
        result = libc.mount(source.encode(), place.encode(), kind.encode(), flags, None)
        must(result, "mount {}".format(place))

    def set_readonly(place: str, is_readonly: bool) -> None:
        # mount_setattr(2): attr_set, attr_clr, propagation, userns_fd; of "/" for all below it.
        both = (1, 0) if is_readonly else (0, 1)
        wanted = struct.pack("=QQQQ", both[0], both[1], 0, 0)
        flags = _AT_RECURSIVE if is_readonly else 0
        call = (_MOUNT_SETATTR, _AT_FDCWD, place.encode(), flags, wanted, len(wanted))
        must(libc.syscall(*call), "mount {} read-only".format(place))

    try:
        user, group = os.geteuid(), os.getegid()
        spaces = _NEW_USER | _NEW_MOUNTS | _NEW_IPC | (0 if granted["network"] else _NEW_NETWORK)
        must(libc.unshare(spaces), "a user namespace")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", "{0} {0} 1".format(user)),
            ("gid_map", "{0} {0} 1".format(group)),
        ):
            with open("/proc/self/" + name, "w") as file:
                file.write(text)
        mount("none", "/", "none", _MS_REC | _MS_PRIVATE)
        for place in granted["writable"]:
            mount(place, place, "none", _MS_BIND)
        mount("none", "/proc", "tmpfs", 0)
        set_readonly("/", True)
        for place in granted["writable"]:
            set_readonly(place, False)
        # The working folder was opened before: without this it would be the old mount.
        os.chdir(os.getcwd())  # noqa: PTH109 - nothing more is imported
        for capability in range(64):
            libc.prctl(_DROP_BOUND, capability, 0, 0, 0)
        must(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
        none = struct.pack("=6I", 0, 0, 0, 0, 0, 0)
        must(libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), none), "no capabilities")
    except (OSError, AttributeError) as error:
        os.write(dump, str(error).encode())
        os._exit(NO_SANDBOX)


# -- the guardian --------------------------------------------------------------------------------


def _next_life(life: _socket.socket) -> Tuple[int, ...]:
    """Wait until a worker is wanted, and return its descriptors; end with the line."""
    size = struct.calcsize("4i")
    while True:
        told, given, _, _ = life.recvmsg(64, _socket.CMSG_SPACE(size))
        if not told:
            os._exit(0)
        for _, _, packed in given:  # what is told without them came late, for the one before
            return struct.unpack("4i", packed[:size])


def _guard(worker: int, life: _socket.socket, reading: int) -> int:
    """Wait for the worker's end, and return its status: an exit code, or minus a signal."""
    while True:
        code = _reap(worker)
        if code is not None:
            return code
        ready, _, _ = select.select([life.fileno(), reading], [], [])
        if reading in ready:
            os.read(reading, 4096)
        if life.fileno() in ready:
            told = life.recv(64)
            if b"d" in told:
                os.kill(worker, signal.SIGUSR1)
            if not told or b"k" in told:
                os.kill(worker, signal.SIGKILL)


def _reap(worker: int) -> Optional[int]:
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == worker:
            found = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _kill_descendants() -> None:
    """Kill what the worker started, until nothing is left: orphans become the guardian's own."""
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            for child in _descendants(os.getpid()):
                try:
                    os.kill(child, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.001)


def _descendants(pid: int) -> List[int]:
    try:
        with open("/proc/{0}/task/{0}/children".format(pid)) as file:
            children = [int(each) for each in file.read().split()]
    except OSError:
        return []
    return children + [each for child in children for each in _descendants(child)]


# -- the worker ----------------------------------------------------------------------------------


class Work:
    """Runs calls until the socket ends."""

    def __init__(self, sock: int, dump: int, stamp: int) -> None:
        self._sock = sock
        self._map = mmap.mmap(stamp, 4096)
        self._stamp = memoryview(self._map).cast("Q")
        self._is_calling = False
        self._is_fork = self._is_armed = False
        #: After a lack of memory nothing is begun any more: the rig ends the process.
        self._is_over = False
        self._limit_ns = 0
        self._most_forks = 0
        self._most_reply = 1 << 20
        self._module: Optional[ModuleType] = None
        self._functions: Dict[str, Optional[Callable[..., Any]]] = {}
        self._spare: Optional[bytearray] = bytearray(_SPARE_BYTES)
        faulthandler.enable(dump)
        faulthandler.register(signal.SIGUSR1, dump, all_threads=True)
        os.register_at_fork(after_in_child=self._forked)

    def run(self) -> None:
        """Serve requests."""
        while not self._is_over:
            head = self._read(4)
            request = _decode(self._read(struct.unpack("!I", head)[0]))
            signal.signal(signal.SIGALRM, self._alarm)
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if "configure" in request:
                self._configure(request["configure"])
            self._serve(request)
        while True:
            time.sleep(60)

    def _serve(self, request: Dict[str, Any]) -> None:
        """Run calls: `[function, argument...]`, or for one `function` its arguments."""
        number, until, calls = request["id"], request["until"], request["calls"]
        only, function = request.get("function"), None
        self._limit_ns = int(request["limit"] * _NS)
        stamp, results, now = self._stamp, [], time.monotonic_ns
        stamp[_CALL], stamp[_SINCE] = 0, now()
        stamp[_REQUEST] = number
        done = 0
        begun: List[int] = []
        for index, call in enumerate(calls):
            since = now()
            if since > until:
                break
            begun.append(since)
            stamp[_SINCE] = since
            stamp[_CALL] = index + 1
            try:
                if only is None or function is None:
                    function = self._find(only or call[0])
                if not self._is_armed:
                    self._arm(self._limit_ns)
                self._is_calling = True
                value = function(*call[1:]) if only is None else function(call)
                self._is_calling = False
                if value is not None:
                    results.append("[{},{}]".format(index, self._text(value)))
            except BaseException as error:  # noqa: BLE001 - the door to people's code
                self._is_calling = False
                self._leave_if_forked()
                if not self._tell_error(number, index, error):
                    self._is_over = True
                    break
            if self._is_fork:
                os._exit(0)
            done = index + 1
        self._disarm()
        begun.append(now())
        stamp[_CALL], stamp[_SINCE] = 0, begun[-1]
        took_us = [(begun[at + 1] - begun[at]) // 1000 for at in range(len(begun) - 1)]
        head = '{{"id":{},"done":{},"took_us":{}'.format(number, done, json.dumps(took_us))
        self._write(head + ',"results":[' + ",".join(results) + "]}")

    def _arm(self, after_ns: int) -> None:
        # Not again for each call: when it rings, it looks how long the present call has taken.
        self._is_armed = True
        signal.setitimer(signal.ITIMER_REAL, max(after_ns / _NS, 0.0001), _RAISE_AGAIN_S)

    def _disarm(self) -> None:
        self._is_armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _leave_if_forked(self) -> None:
        if self._is_fork:  # a copy of the script came back to where only the worker belongs
            os._exit(0)

    def _forked(self) -> None:
        self._is_fork = True

    def _alarm(self, *_: Any) -> None:
        left_ns = self._limit_ns
        if self._is_calling:
            left_ns += self._stamp[_SINCE] - time.monotonic_ns()
        if left_ns <= 0:
            raise CallTimedOut("the time limit is over")
        self._arm(left_ns)

    def _find(self, name: str) -> Callable[..., Any]:
        found = self._functions.get(name)
        if found is None:
            if name == "?load":
                found = self._load
            elif name == "?has":
                found = self._has
            else:
                found = self._resolve(name)
            if found is None:
                raise LookupError("there is no function {!r}".format(name))
            self._functions[name] = found
        return found

    def _resolve(self, name: str) -> Optional[Callable[..., Any]]:
        found: Any = self._module
        for part in name.split("."):
            found = getattr(found, part, None)
        return found if callable(found) else None

    def _has(self, *names: str) -> List[str]:
        return [name for name in names if self._resolve(name) is not None]

    def _load(self, what: Dict[str, Any]) -> None:
        """Run a text as a module, or import one."""
        self._functions.clear()
        if what.get("module"):
            import importlib

            self._module = importlib.import_module(what["module"])
            return
        path, text, name = what["path"], what["text"], what["name"]
        code = compile(text, path, "exec", dont_inherit=True)
        import linecache

        lines = text.splitlines(True)
        linecache.cache[path] = (len(text), None, lines, path)
        module = ModuleType(name)
        module.__file__ = path
        self._module = sys.modules[name] = module
        exec(code, module.__dict__)  # noqa: S102 - that is its purpose, in a process of its own

    def _configure(self, options: Dict[str, Any]) -> None:
        """Limit what the process may take, and set its paths."""
        sys.argv = [options["name"]]
        sys.path[:0] = options["paths"]
        self._most_forks, self._most_reply = options["processes"], options["reply"]
        sys.addaudithook(self._audit)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        memory = options.get("memory")
        if memory:
            # The heap is what leaks; of the address space stacks and libraries take a multiple.
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
            resource.setrlimit(resource.RLIMIT_AS, (4 * memory, 4 * memory))

    def _audit(self, event: str, _: Any) -> None:
        """Bound new processes: so many within a second, by the script and all its copies."""
        if event in ("os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"):
            stamp, second = self._stamp, time.monotonic_ns() // _NS
            if stamp[_SECOND] != second:
                stamp[_SECOND], stamp[_FORKS] = second, 0
            stamp[_FORKS] += 1
            if stamp[_FORKS] > self._most_forks:
                raise RuntimeError(
                    "more than {} new processes in a second".format(self._most_forks)
                )

    # -- answers -----------------------------------------------------------------------------

    def _text(self, value: Any) -> str:
        """Return a value as JSON."""
        try:
            text = _TEXT(value)
        except (TypeError, ValueError, RecursionError):
            text = self._odd_text(value)
        if len(text) > self._most_reply:
            raise ValueError(
                "the returned value has {} bytes, more than {}".format(len(text), self._most_reply)
            )
        return text

    def _odd_text(self, value: Any) -> str:
        """Return as JSON what has no words there: no number is null, what has no end is text."""
        try:
            text = json.dumps(value, default=str)
        except (TypeError, ValueError, RecursionError):
            text = json.dumps(str(value))
        return json.dumps(json.loads(text, parse_constant=lambda _: None))

    def _tell_error(self, number: int, index: int, error: BaseException) -> bool:
        """Tell of an error at once; return whether the worker can go on."""
        self._disarm()
        kind = "raised"
        if isinstance(error, MemoryError):
            kind, self._spare = "memory", None
        elif isinstance(error, CallTimedOut):
            kind = "timed out"
        took_us = (time.monotonic_ns() - self._stamp[_SINCE]) // 1000
        told = {"id": number, "call": index, "kind": kind, "took_us": took_us}
        try:
            told["error"] = "{}: {}".format(type(error).__name__, error)[:4000]
        except BaseException:  # noqa: BLE001 - its own __str__ is the script's too
            told["error"] = type(error).__name__
        try:
            told["traceback"] = self._traceback(error)
        except BaseException:  # noqa: BLE001 - no memory, or no end
            told["traceback"] = ""
        error.__traceback__ = None
        self._write(json.dumps(told))
        return kind != "memory"

    def _traceback(self, error: BaseException) -> str:
        import traceback

        frames = error.__traceback__
        mine = __file__
        while frames is not None and frames.tb_frame.f_code.co_filename == mine:
            frames = frames.tb_next
        lines = traceback.format_exception(type(error), error, frames)
        text = "".join(lines)
        if len(text) > _TRACEBACK_MOST:
            half = _TRACEBACK_MOST // 2
            text = text[:half] + "\n...\n" + text[-half:]
        return text

    def _read(self, count: int) -> bytes:
        parts = []
        while count:
            try:
                part = os.read(self._sock, min(count, 1 << 20))
            except OSError:
                os._exit(70)
            if not part:
                os._exit(0)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _write(self, message: str) -> None:
        body = message.encode()
        left = memoryview(struct.pack("!I", len(body)) + body)
        while left:
            try:
                left = left[os.write(self._sock, left) :]
            except OSError:
                os._exit(70)  # the script closed it


if __name__ == "__main__":
    main()
