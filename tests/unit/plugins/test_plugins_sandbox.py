"""A script in a sandbox has what it is granted, and no way back to the rest."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_rig.actions import create_driver
from test_rig.actions.driver import TellsStatus
from test_rig.errors import PluginError, SettingsError
from test_rig.plugins import Outcome, Sandbox, Script, Worker, WorkerPlan

LIMIT_S = 60.0
SCRIPT = """
import ctypes, os, socket
from pathlib import Path

def read(path): return Path(path).read_text()
def write(path): return Path(path).write_text("x")
def processes(): return os.listdir("/proc")
def remount():
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.mount(b"none", b"/", b"none", 0x1000 | 0x20, None)
    return [done, ctypes.get_errno()]
def interfaces(): return [name for _, name in socket.if_nameindex()]
def start(): return __import__("subprocess").check_output(["echo", "started"]).decode()
"""


def is_given() -> bool:
    """Whether the system lets a process have a user namespace."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return sys.platform == "linux" and subprocess.run(command, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not is_given(), reason="the system gives no user namespaces")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker that may write in one folder, without network."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "granted").mkdir()
    plan = WorkerPlan(
        script=Script(path=tmp_path / "script.py"),
        sandbox=Sandbox(writable=[str(tmp_path / "granted")], network=False),
    )
    with Worker(plan) as made:
        yield made


def test_files_can_be_read_and_not_written(worker: Worker, tmp_path: Path) -> None:
    """But in the folders that are granted."""
    assert worker.call("read", str(tmp_path / "script.py"), timeout_s=LIMIT_S).value == SCRIPT
    for place in (tmp_path / "no", Path("/dev") / "shm" / "no", Path.home() / "test-rig-no"):
        answer = worker.call("write", str(place), timeout_s=LIMIT_S)
        assert answer.outcome is Outcome.RAISED
        assert "Read-only file system" in answer.error
    assert worker.call("write", str(tmp_path / "granted" / "yes"), timeout_s=LIMIT_S).is_ok
    assert (tmp_path / "granted" / "yes").read_text() == "x"


def test_the_rigs_environment_is_out_of_reach(worker: Worker) -> None:
    """Nothing of other processes is seen."""
    assert worker.call("processes", timeout_s=LIMIT_S).value == []
    answer = worker.call("read", f"/proc/{os.getpid()}/environ", timeout_s=LIMIT_S)
    assert answer.outcome is Outcome.RAISED


def test_there_is_no_way_back(worker: Worker) -> None:
    """It has no right to mount anything."""
    assert worker.call("remount", timeout_s=LIMIT_S).value == [-1, 1]


def test_the_network_is_off_unless_it_is_granted(worker: Worker, tmp_path: Path) -> None:
    """Only its own loopback is there."""
    assert worker.call("interfaces", timeout_s=LIMIT_S).value == ["lo"]
    plan = WorkerPlan(script=worker.plan.script, sandbox=Sandbox())
    with Worker(plan) as granted:
        there = granted.call("interfaces", timeout_s=LIMIT_S).value
    assert there == os_interfaces()


def os_interfaces() -> list[str]:
    """Return what this process has."""
    import socket

    return [name for _, name in socket.if_nameindex()]


def test_programs_can_be_started_in_it(worker: Worker) -> None:
    """With the same rights."""
    assert worker.call("start", timeout_s=LIMIT_S).value == "started\n"


def test_the_driver_grants_what_its_options_say(tmp_path: Path) -> None:
    """And options of a sandbox without one are refused."""
    (tmp_path / "granted").mkdir()
    text = f"def get_status(): return [write({str(tmp_path / 'granted' / 'x')!r}), interfaces()]\n"
    (tmp_path / "script.py").write_text(SCRIPT + text)
    given = {
        "script_path": str(tmp_path / "script.py"),
        "sandbox_network": False,
        "sandbox_writable": [str(tmp_path / "granted")],
    }
    with pytest.raises(SettingsError, match="need sandbox = true"):
        create_driver("python", given)
    driver = create_driver("python", {**given, "sandbox": True})
    assert isinstance(driver, TellsStatus)

    async def ask() -> object:
        await driver.start()
        try:
            return (await driver.status())["python_status"]
        finally:
            await driver.stop(timeout_s=30)

    assert asyncio.run(ask()) == [1, ["lo"]]


def test_a_refused_sandbox_is_a_clear_error(tmp_path: Path) -> None:
    """The script is not run without it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    sandbox = Sandbox(writable=[str(tmp_path / "missing")])
    plan = WorkerPlan(script=Script(path=tmp_path / "script.py"), sandbox=sandbox)
    with Worker(plan) as worker, pytest.raises(PluginError, match=r"refuses the sandbox: .*mount"):
        worker.start()
