"""The checker's loops are compiled once for an installation, by two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from test_rig.checker import check, prepare, ready

_SCRIPT = """
from test_rig.checker import ready
print(ready._was_compiled())
ready.compile_half()
print(ready._was_compiled())
"""


def test_what_the_other_process_compiles_is_found_in_the_cache(tmp_path: Path) -> None:
    """Before it did so nothing is, and it is seen that nothing is."""
    told = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.split() == ["False", "True"]


@pytest.mark.parametrize("model", ["list-append", "rw-register"])
def test_where_no_process_can_be_started_nothing_is_lost(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox may forbid it: then judging compiles."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(ready.compiling, "SMALL", 1)
    monkeypatch.setattr(ready, "_was_compiled", lambda: False)
    monkeypatch.setattr(ready, "start_own_code", refuse)
    prepare(ready._sample(model), model=model)


def test_both_processes_judge_what_has_cycles() -> None:
    """So that every loop of the search is needed, and compiled."""
    assert any(each.edges for each in check(ready._sample("list-append")).seen)
    assert check(ready._sample("rw-register"), model="rw-register").seen
