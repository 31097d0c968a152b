"""Runs commands as a user would: in a process of their own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]

#: Handlers for the rig, not tests for pytest.
collect_ignore_glob = ["handlers/*"]

_COMMAND = [sys.executable, "-m", "test_rig"]


def command_environment(extra: dict[str, str]) -> dict[str, str]:
    """The caller's environment without settings of its own that would reach the rig."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("TEST_RIG_", "TIDB_")) and key not in ("SHOW_SQL", "REAL_DB")
    }
    source = Path(__file__).parents[2] / "src"
    # Enough for a table; the tests of workloads say themselves how long.
    kept["TEST_RIG_AUDIT_WORKLOAD_TIME_SECS"] = "0.2"
    return {**kept, "PYTHONPATH": str(source), "NO_COLOR": "1", "COLUMNS": "100", **extra}


@pytest.fixture
def rig(tmp_path: Path) -> Run:
    """Run `test-rig` with arguments in an empty folder and return what came of it."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, timeout: float = 100
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_COMMAND, *arguments],
            cwd=tmp_path,
            env=command_environment(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def start_rig(tmp_path: Path) -> Start:
    """Start `test-rig` with arguments in an empty folder and return the running process."""

    def start(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*_COMMAND, *arguments],
            cwd=tmp_path,
            env=command_environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def only_run(tmp_path: Path) -> Callable[[], Path]:
    """Return the one run folder that a command made."""

    def find() -> Path:
        (folder,) = [path for path in (tmp_path / "test-rig-runs").iterdir() if path.is_dir()]
        return folder

    return find
