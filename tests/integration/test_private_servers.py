"""The servers that tests own: they start, hang, die and come back, and nothing of them stays."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.private import PrivateMariadb, PrivatePostgres
from servers.process import NotHereError, PrivateServer, sweep

TESTS = Path(__file__).parents[1]
_DIES_HOLDING_ONE = """
import os, signal
from servers.private import {kind}
server = {kind}().start()
print(server._process.pid, server.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module", params=[PrivatePostgres, PrivateMariadb])
def server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """Each product that a test can own wherever the suite runs."""
    try:
        with request.param() as server:
            yield server
    except NotHereError as missing:
        pytest.skip(str(missing))


def test_it_comes_back_with_its_data_after_a_stop_and_after_a_kill(server: PrivateServer) -> None:
    """Stopped or killed, nobody is served; started again, the same server answers."""
    version = server.version()
    for end in (server.stop, server.kill):
        end()
        assert not server.is_running
        with pytest.raises(ConnectionError):
            server.version()
        assert server.start().version() == version


def test_a_frozen_one_is_silent_until_it_is_thawed(server: PrivateServer) -> None:
    """It accepts connections, as the kernel does for it, and says nothing."""
    server.freeze()
    assert server.is_running
    with pytest.raises(ConnectionError):
        server.version()
    server.thaw()
    assert server.version()


def test_a_frozen_one_can_be_stopped(server: PrivateServer) -> None:
    """A test that fails while its server is frozen leaves nothing behind."""
    server.freeze()
    server.stop()
    assert not server.is_running
    server.start()


def test_a_killed_postgresql_leaves_no_shared_memory_and_no_folder() -> None:
    """The kernel keeps a dead server's segment for ever, unless somebody removes it."""
    with PrivatePostgres() as server:
        segment = (server.data / "postmaster.pid").read_text().split()[-2]
        assert segment in _shared_memory()
        server.kill()
    assert segment not in _shared_memory()
    assert not server.folder.exists()


def _shared_memory() -> set[str]:
    segments = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in segments}


@pytest.mark.parametrize("kind", ["PrivatePostgres", "PrivateMariadb"])
def test_it_does_not_outlive_a_killed_test_run(kind: str) -> None:
    """The kernel ends the server, and the next test run removes its folder."""
    run = subprocess.run(
        [sys.executable, "-c", _DIES_HOLDING_ONE.format(kind=kind)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    pid, folder = run.stdout.split()
    assert _ends(int(pid))
    sweep()
    assert not Path(folder).exists()


def _ends(pid: int) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
