"""One server process that a test owns: started, stopped, frozen, killed, and gone for sure.

How to think of it: a `PrivateServer` is a temporary folder and at most one running process tree on
a free loopback port. `start` and `stop` are what an administrator does, `kill` is a power cut,
`freeze` and `thaw` are a machine that hangs; the data outlive all of these. `remove` ends it.

Three nets hold what a test drops:

- leaving the `with` block removes the server, whatever happened inside;
- the server gets a parent-death signal: if the test run is killed, the kernel kills the server. The
  signal hangs on the thread that called `start`: start servers on a thread that stays;
- folders that a killed run left behind are removed by the next server that is made.

What a product needs to be made, run and asked is in `private.py`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Self

from servers.version import server_version

__all__ = ["NotHereError", "PrivateServer", "free_port"]

_PREFIX = "test-rig-server-"
_START_S = 60.0
_STOP_S = 20.0
_PR_SET_PDEATHSIG = 1


class NotHereError(Exception):
    """The server's program is not on this machine; the message says what is missing."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateServer(ABC):
    """One server process on a port of its own; a context manager that starts and removes it."""

    #: What it is called in messages.
    name: str
    #: The system user to run as where the tests run as root.
    user: str | None = None
    #: The signal that asks the server to end in order.
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        sweep()
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "owner").write_text(_identity(os.getpid()))
        try:
            if self._is_other_user:
                shutil.chown(self.folder, self.user)
            self.initialize()
        except BaseException:
            self.remove()
            raise

    @abstractmethod
    def initialize(self) -> None:
        """Make the data folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of its administrator."""

    def version(self) -> str:
        """Ask the server for its version; raise `ConnectionError` while it serves nobody."""
        return server_version(self.url)

    @property
    def is_running(self) -> bool:
        """Whether the process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until clients are served; nothing where it runs already."""
        if self.is_running:
            return self
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._as_user(self.command()),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        until = time.monotonic() + _START_S
        while (why_not := self._refusal()) is not None:
            if not self.is_running or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"{self.name} did not start: {why_not}\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """End it in order, as an administrator would; its data stay, and it can start again."""
        if self.is_running:
            self.thaw()
            self._signal(self.stop_signal, only_root=True)
            with suppress(subprocess.TimeoutExpired):
                self._tree_root().wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """End all its processes at once, as a power cut would; its data stay as they are."""
        if self._process is None:
            return
        self._signal(signal.SIGSTOP)  # nobody forks any more
        family = self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        until = time.monotonic() + _STOP_S
        while any(_is_alive(pid) for pid in family):
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name} does not die: {family}")
            time.sleep(0.005)

    def freeze(self) -> None:
        """Stop all its processes where they are; connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Kill it and remove its data; nothing of it is left."""
        self.kill()
        _remove(self.folder)

    def log_tail(self) -> str:
        """Return the end of what the server printed."""
        log = self.folder / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def run_tool(self, *command: str) -> None:
        """Run one of the server's tools to its end."""
        done = subprocess.run(
            self._as_user(list(command)), cwd=self.folder, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')[-2000:]}")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *exc: object) -> None:
        self.remove()

    @property
    def _is_other_user(self) -> bool:
        return self.user is not None and os.geteuid() == 0

    def _as_user(self, command: list[str]) -> list[str]:
        if not self._is_other_user:
            return command
        # A change of user clears the parent-death signal unless it is kept.
        who = [f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        return ["setpriv", *who, "--pdeathsig=keep", *command]

    def _refusal(self) -> ConnectionError | None:
        """Return why clients are not served: an open port is not enough while it recovers."""
        try:
            self.version()
        except ConnectionError as error:
            return error
        return None

    def _tree_root(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process

    def _signal(self, number: signal.Signals, *, only_root: bool = False) -> list[int]:
        """Send a signal to its processes; return their ids."""
        root = self._tree_root().pid
        family = [root] if only_root else _family(root)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return family


def sweep() -> None:
    """Remove servers whose test run is gone: it was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            owner = (folder / "owner").read_text()
            if owner != _identity(int(owner.split()[0])):
                for pid in _processes_that_name(folder):
                    os.kill(pid, signal.SIGKILL)
                _remove(folder)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _status(pid: int) -> list[str]:
    """Return the fields of a process's status from its state on; none where it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name in brackets may hold anything


def _is_alive(pid: int) -> bool:
    return _status(pid)[:1] not in ([], ["Z"])


def _identity(pid: int) -> str:
    """Return what tells a process from a later one of the same number: when it began."""
    fields = _status(pid)
    return f"{pid} {fields[19]}" if fields else ""


def _family(pid: int) -> list[int]:
    """Return a process and its descendants: PostgreSQL's children leave its process group."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*"):
        if fields := _status(int(status.name)):
            children.setdefault(int(fields[1]), []).append(int(status.name))
    family = [pid]
    for one in family:
        family += children.get(one, [])
    return family


def _processes_that_name(folder: Path) -> list[int]:
    """Return the processes whose command line holds the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"{folder}/".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


def _remove(folder: Path) -> None:
    """Remove a server's folder, and the shared memory that a killed PostgreSQL leaves."""
    with suppress(OSError, IndexError):
        segment = (folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
        subprocess.run(["ipcrm", "--shmem-id", segment], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
