"""The checker's loops are compiled once for an installation, by two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import test_append
import test_registers

from test_rig.checker import check, compiling, prepare, ready

_SCRIPT = """
import sys
from test_rig.checker import ready
print(ready._was_compiled(sys.argv[1]))
ready.compile_half()
print(ready._was_compiled(sys.argv[1]))
"""
MODELS = ["list-append", "rw-register"]


@pytest.mark.parametrize("model", MODELS)
def test_what_the_other_process_compiles_is_found_in_the_cache(model: str, tmp_path: Path) -> None:
    """Before it did so nothing is, and it is seen that nothing is."""
    told = subprocess.run(
        [sys.executable, "-c", _SCRIPT, model],
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


@pytest.mark.parametrize("model", MODELS)
def test_where_no_process_can_be_started_nothing_is_lost(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox may forbid it: then judging compiles."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(ready.compiling, "SMALL", 1)
    monkeypatch.setattr(ready, "_was_compiled", lambda _: False)
    monkeypatch.setattr(ready, "start_own_code", refuse)
    prepare(ready._sample(model), model=model)


def test_both_processes_judge_what_has_cycles() -> None:
    """So that every loop of the search is needed, and compiled."""
    assert any(each.edges for each in check(ready._sample("list-append")).seen)
    assert check(ready._sample("rw-register"), model="rw-register").seen


@pytest.mark.parametrize(
    ("model", "planted"),
    [("list-append", test_append.PLANTED), ("rw-register", test_registers.PLANTED)],
    ids=MODELS,
)
def test_what_is_judged_first_needs_every_loop_of_its_model(
    model: str, planted: dict[str, tuple[list[Any], set[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is left to compile for the histories after it."""
    asked: list[str] = []

    def note(kernel: Any) -> Any:
        asked.append(kernel.__qualname__)
        return kernel

    monkeypatch.setattr(compiling, "_LOADED", {})
    monkeypatch.setattr(compiling, "_compiled", note)
    with compiling.compiling_now(lambda _: True):
        check(ready._sample(model), model=model)
        before = set(asked)
        for each, _ in planted.values():
            check(test_append.history(each), model=model)
    assert set(asked) == before
    assert {kernel.__qualname__ for kernel in ready._OTHERS[model]} < before
