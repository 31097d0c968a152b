"""Loops over registers say the same however they are run: compiled or not, at once or in pieces."""

from __future__ import annotations

import random

import numpy as np
import pytest
from test_registers import OK, PLANTED, Planted, history, judged, r, serial, w

from test_rig.checker import (
    compiling,
    register,
    register_atomic,
    register_causal,
    register_first,
    register_known,
)
from test_rig.checker.register_index import index_registers
from test_rig.checker.register_known import Overwrites
from test_rig.checker.register_order import Windows
from test_rig.verdict import Verdict


def broken(rng: random.Random, count: int) -> list[Planted]:
    """Return a serial execution in which every other read sees any value of its key, or nothing."""
    planted = serial(rng, count)
    values: dict[int, list[int | None]] = {key: [None] for key in range(5)}
    for *_, mops in planted:
        for f, key, value in mops:
            if f == "w":
                values[int(key)].append(value)
    return [
        (
            *each[:4],
            [
                r(int(key), rng.choice(values[int(key)]))
                if f == "r" and each[1] is OK and rng.random() < 0.5
                else (f, key, value)
                for f, key, value in each[4]
            ],
        )
        for each in planted
    ]


def test_compiled_loops_say_what_plain_ones_say() -> None:
    """A history that is large enough to be compiled for shows what its planted part shows."""
    noise = [
        (f"noise {n % 7}", OK, 1000 + 10 * n, 1009 + 10 * n, [r(n % 90), w(n % 90 + 100, n)])
        for n in range(31_000)
    ]
    parts, expected = [], set()
    for number, (planted, names) in enumerate(PLANTED.values()):
        expected |= names
        for process, kind, start, end, mops in planted:
            moved = [(f, int(key) + 1000 * (number + 1), value) for f, key, value in mops]
            parts.append((f"{number} {process}", kind, start, end, moved))
    found = judged([*parts, *noise])
    assert {each.anomaly for each in found.seen} == expected
    near = [
        (*each[:4], [(f, int(key) + 1000, value) for f, key, value in each[4]])
        for each in PLANTED["near a stale read"][0]
    ]
    assert judged([*near, *noise]).verdict is Verdict.VALID


def test_a_loop_is_compiled_once_for_histories_of_any_size() -> None:
    """Another type of an array would have it compiled again, which takes seconds."""
    with compiling.compiling_now(lambda _: True):
        for planted, _ in PLANTED.values():
            judged(planted)
    test_compiled_loops_say_what_plain_ones_say()
    compiled = {
        kernel.__qualname__: len(loaded.signatures)
        for kernel, loaded in compiling._LOADED.items()
        if hasattr(loaded, "signatures") and ".register" in kernel.__module__
    }
    assert len(compiled) > 10 or not compiled  # none where Numba is not installed
    assert set(compiled.values()) <= {1}, compiled


@pytest.mark.parametrize("seed", range(20))
def test_what_is_found_piece_by_piece_is_what_is_found_at_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece that has no room for all that a transaction shows is made again, larger."""
    planted = broken(random.Random(seed), 60)
    at_once = judged(planted)
    monkeypatch.setattr(register_atomic, "_ROOM", 1)
    monkeypatch.setattr(register_causal, "_ROOM", 1)
    monkeypatch.setattr(register_known, "_AT_ONCE", 1)
    assert at_once.seen
    assert judged(planted) == at_once


@pytest.mark.parametrize("seed", range(20))
def test_levels_are_proved_in_turns_as_at_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles of an order of versions are looked for until nothing is left that it could prove."""
    planted = broken(random.Random(seed), 25)
    at_once = judged(planted)
    monkeypatch.setattr(register, "_FIRST_TURN", 0.01)
    monkeypatch.setattr(register, "_LARGER", 1)
    assert judged(planted) == at_once


def test_where_witnesses_are_far_to_find_one_of_each_anomaly_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The verdict does not depend on how long is looked for the ways between transactions."""
    planted = broken(random.Random(1), 150)
    whole = judged(planted)
    monkeypatch.setattr(register_first, "_STEPS", 0)
    some = judged(planted)
    assert len(some.seen) < len(whole.seen)
    assert {each.anomaly for each in some.seen} == {each.anomaly for each in whole.seen}


def _unseen(count: int) -> list[Planted]:
    """Return transactions one after another: writes of a key, and reads that find nothing."""
    return [
        (str(n % 5), OK, 2 * n, 2 * n + 1, [w(0, n + 1) if n % 2 else r(0), r(1 + n % 3)])
        for n in range(count)
    ]


def test_many_reads_of_nothing_show_what_few_do() -> None:
    """They are held against fewer writes each, so that the work stays linear."""
    few, many = judged(_unseen(30)), judged(_unseen(920))
    assert {each.anomaly for each in many.seen} == {each.anomaly for each in few.seen}
    assert many.weakest_broken == few.weakest_broken
    registers = index_registers(history(_unseen(920)))
    edges = Overwrites(registers).edges(Windows(of=np.zeros(920, dtype=np.int32), count=1))
    assert 10_000 < len(edges.source) <= 200_000
