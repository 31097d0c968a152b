"""Witnesses: the smallest part of a history that shows an anomaly."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_append import PLANTED, Planted, a, history, r

from test_rig.checker import Reduced, check, reduce
from test_rig.checker.reduction import _projected
from test_rig.history import History, Mop, OpType, validate

SHOWING = [name for name, (_, expected) in PLANTED.items() if expected]


def serial(rng: random.Random, count: int, keys: range, start: int) -> list[Planted]:
    """Return transactions of a few sessions, one after the other, on lists that always agree."""
    lists: dict[int, list[int]] = {key: [] for key in keys}
    planted: list[Planted] = []
    for number in range(count):
        mops: list[Mop] = []
        for key in rng.choices(keys, k=rng.randint(1, 4)):
            if rng.random() < 0.5:
                lists[key].append(len(lists[key]))
                mops.append(a(key, lists[key][-1]))
            else:
                mops.append(r(key, *lists[key]))
        at = start + 10 * number
        planted.append((f"noise {number % 7}", OpType.OK, at, at + 9, mops))
    return planted


def weak(rng: random.Random, count: int) -> History:
    """Return transactions that read any beginning of three lists: all kinds of cycles."""
    lists: dict[int, list[int]] = {1: [], 2: [], 3: []}
    planted: list[Planted] = []
    for number in range(count):
        mops: list[Mop] = []
        for key in rng.sample((1, 2, 3), rng.randint(1, 3)):
            if rng.random() < 0.5:
                lists[key].append(number)
                mops.append(a(key, number))
            else:
                mops.append(r(key, *lists[key][: rng.randint(0, len(lists[key]))]))
        planted.append((str(number % 3), OpType.OK, 10 * number, 10 * number + 9, mops))
    return history(planted)


def names(whole: History) -> set[str]:
    """Return what a history shows."""
    return {each.anomaly for each in check(whole).seen}


def less_by_one(whole: History) -> list[History]:
    """Return the histories with one micro-operation less."""
    masks = ~np.eye(whole.mop_count, dtype=bool)
    return [_projected(whole, mask) for mask in masks]


@pytest.mark.parametrize("name", SHOWING)
def test_a_planted_anomaly_is_all_that_is_left_of_much_noise(name: str) -> None:
    """Whatever surrounds it, the witness has transactions of the planted anomaly alone."""
    planted, _ = PLANTED[name]
    rng = random.Random(name)
    before, after = serial(rng, 300, range(100, 150), 0), serial(rng, 300, range(200, 250), 9000)
    shifted = [(f"p{p}", kind, at + 5000, end + 5000, mops) for p, kind, at, end, mops in planted]
    whole = history([*before, *shifted, *after])
    for seen in check(whole).seen:
        found = reduce(whole, seen)
        assert set(found.origin) <= set(range(300, 300 + len(planted)))
        assert found.seen.anomaly == seen.anomaly
        assert found.is_minimal


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 30))
def test_a_witness_is_a_history_that_shows_the_anomaly_and_nothing_can_be_taken(
    seed: int, count: int
) -> None:
    """It is well formed, shows what the whole shows, and without any part it does not."""
    whole = weak(random.Random(seed), count)
    for seen in check(whole).seen[:4]:
        found: Reduced = reduce(whole, seen)
        validate(found.history)
        assert seen.anomaly in names(found.history)
        assert found.is_minimal
        assert all(seen.anomaly not in names(less) for less in less_by_one(found.history))


def test_a_history_has_one_witness_of_an_anomaly() -> None:
    """The same history gives the same witness."""
    whole = weak(random.Random(5), 40)
    seen = check(whole).seen[0]
    first, second = reduce(whole, seen), reduce(whole, seen)
    assert first.origin == second.origin
    assert first.history.element.tolist() == second.history.element.tolist()


def test_the_work_is_limited_and_the_witness_says_so() -> None:
    """A search that was ended still gives a history that shows the anomaly."""
    whole = weak(random.Random(7), 40)
    seen = check(whole).seen[0]
    found = reduce(whole, seen, limit=1)
    assert not found.is_minimal
    assert seen.anomaly in names(found.history)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_a_part_of_an_innocent_history_is_innocent(seed: int, data: st.DataObject) -> None:
    """Leaving out micro-operations makes no anomaly: what a witness shows was there."""
    whole = history(serial(random.Random(seed), 30, range(1, 5), 0))
    kept = data.draw(st.lists(st.booleans(), min_size=whole.mop_count, max_size=whole.mop_count))
    assert names(_projected(whole, np.array(kept, dtype=bool))) == set()


def weak_registers(rng: random.Random, count: int) -> History:
    """Return transactions that read any of the last values of three registers, or none."""
    values: dict[int, list[int]] = {1: [], 2: [], 3: []}
    planted: list[Planted] = []
    for number in range(1, count + 1):
        mops: list[Mop] = []
        for key in rng.sample((1, 2, 3), rng.randint(1, 3)):
            mops.append(("r", key, rng.choice([None, *values[key][-3:]])))
            if rng.random() < 0.5:
                values[key].append(number)
                mops.append(("w", key, number))
        planted.append((str(number % 3), OpType.OK, 10 * number, 10 * number + 9, mops))
    return history(planted)


@pytest.mark.parametrize("seed", range(6))
def test_a_witness_of_registers_is_a_history_that_shows_the_anomaly(seed: int) -> None:
    """A read goes with the write of its value; what is left is well formed and shows the same."""
    whole = weak_registers(random.Random(seed), 14)
    for seen in check(whole).seen[:3]:
        found = reduce(whole, seen)
        validate(found.history)
        assert seen.anomaly in names(found.history)
        assert found.is_minimal
