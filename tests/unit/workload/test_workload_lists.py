"""The judge of list-append: planted anomalies are named, serial histories never accused."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.history import OpType
from test_rig.workload import BUILT_IN, Done, Plan, Request, Shown
from test_rig.workload.cycles import components
from test_rig.workload.list_judge import ListJudge

OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO


def txn(*mops: tuple[Any, ...], kind: OpType = OK) -> Done:
    """Return an ended transaction."""
    asked = tuple((f, key, value if f == "append" else None) for f, key, value in mops)
    return Done(0, Request("txn", asked), kind, mops, 0, 1)


def a(key: int, value: int) -> tuple[str, int, int]:
    """An append."""
    return ("append", key, value)


def r(key: int, *found: int) -> tuple[str, int, tuple[int, ...]]:
    """A read."""
    return ("r", key, found)


def found(history: list[Done], window: int = 6000) -> dict[str, int]:
    """Return what the judge finds."""
    judge = ListJudge(window)
    for each in history:
        judge.feed(each)
    return {shown.flaw.anomaly: shown.count for shown in judge.shown()}


FINAL = [txn(r(1, 1, 2), r(2, 1, 2))]
PLANTED: dict[str, tuple[list[Done], set[str]]] = {
    "writes in two orders": (
        [txn(a(1, 1), a(2, 2)), txn(a(1, 2), a(2, 1)), *FINAL],
        {"G0"},
    ),
    "each read the other's write": (
        [txn(a(1, 1), r(2, 1)), txn(a(2, 1), r(1, 1))],
        {"G1c"},
    ),
    "a read of what failed": ([txn(a(1, 1), kind=FAIL), txn(r(1, 1))], {"G1a"}),
    "a read of what fails later": ([txn(r(1, 1)), txn(a(1, 1), kind=FAIL)], {"G1a"}),
    "a read of the middle": ([txn(a(1, 1), a(1, 2)), txn(r(1, 1)), txn(r(1, 1, 2))], {"G1b"}),
    "half of a transaction seen": (
        [txn(a(1, 1), a(2, 1)), txn(r(1), r(2, 1)), txn(r(1, 1))],
        {"G-single"},
    ),
    "an update lost": (
        [txn(r(1), a(1, 1)), txn(r(1), a(1, 2)), txn(r(1, 1, 2))],
        {"lost update", "G-single"},
    ),
    "write skew": (
        [txn(r(1), a(2, 1)), txn(r(2), a(1, 1)), txn(r(1, 1), r(2, 1))],
        {"G2-item"},
    ),
    "a long fork": (
        [txn(a(1, 1)), txn(a(2, 1)), txn(r(1, 1), r(2)), txn(r(1), r(2, 1)), txn(r(1, 1), r(2, 1))],
        {"G-nonadjacent"},
    ),
    "an own append that is not read": ([txn(a(1, 1), r(1))], {"internal"}),
    "two orders of one key": (
        [txn(a(1, 1)), txn(a(1, 2)), txn(r(1, 1, 2)), txn(r(1, 2, 1))],
        {"incompatible order"},
    ),
}

NEAR_MISSES = {
    "writes in one order": [txn(a(1, 1), a(2, 1)), txn(a(1, 2), a(2, 2)), *FINAL],
    "a failed read of what failed": [txn(a(1, 1), kind=FAIL), txn(r(1, 1), kind=FAIL)],
    "a read of what nobody knows": [txn(a(1, 1), kind=INFO), txn(r(1, 1))],
    "the whole of a transaction": [txn(a(1, 1), a(1, 2)), txn(r(1, 1, 2))],
    "its own middle": [txn(a(1, 1), r(1, 1), a(1, 2), r(1, 1, 2)), txn(r(1, 1, 2))],
    "one after the other": [txn(r(1), a(1, 1)), txn(r(1, 1), a(1, 2)), txn(r(1, 1, 2))],
    "a blind append after a read": [txn(r(1), a(1, 1)), txn(a(1, 2)), txn(r(1, 1, 2))],
    "one skewed side refused": [txn(r(1), a(2, 1)), txn(r(2), a(1, 1), kind=FAIL), txn(r(2, 1))],
    "two reads before both writes": [
        txn(a(1, 1)),
        txn(a(2, 1)),
        txn(r(1, 1), r(2)),
        txn(r(1), r(2)),
    ],
    "an order of what may have failed": [
        txn(a(1, 1)),
        txn(a(1, 2), kind=INFO),
        txn(a(1, 3)),
        txn(r(1, 1, 2)),
        txn(r(1, 1, 3)),
    ],
}


@pytest.mark.parametrize(("history", "names"), PLANTED.values(), ids=PLANTED)
def test_a_planted_anomaly_is_named(history: list[Done], names: set[str]) -> None:
    """It is found once, and nothing else is found."""
    assert found(history) == dict.fromkeys(names, 1)


@pytest.mark.parametrize("history", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_passes(history: list[Done]) -> None:
    """What some serial order explains, or nobody can know, is not accused."""
    assert found(history) == {}


def serial(seed: int, count: int) -> list[Done]:
    """Return a history that a database made that does one transaction at a time."""
    random = Random(seed)
    generator = BUILT_IN["list-append"].generator(Plan(seed=seed, keys=3, writes_per_key=6), random)
    lists: dict[int, list[int]] = {}
    history = []
    for _ in range(count):
        kind = random.choices([OK, FAIL, INFO], [8, 2, 1])[0]
        takes_effect = kind is OK or (kind is INFO and random.random() < 0.5)
        mops, before = [], {key: list(each) for key, each in lists.items()}
        for f, key, value in generator.request().value:
            own = lists.setdefault(key, [])
            if f == "append":
                own.append(value)
            mops.append((f, key, value if f == "append" else tuple(own)))
        lists = lists if takes_effect else before
        history.append(txn(*mops, kind=kind))
    return history


@given(seed=st.integers(0, 2**32), window=st.sampled_from([20, 50, 6000]))
def test_a_serial_history_is_never_accused(seed: int, window: int) -> None:
    """Whatever the size of the window, the failures and the lost answers."""
    assert found(serial(seed, 150), window) == {}


@given(seed=st.integers(0, 2**32))
def test_write_skew_anywhere_in_a_serial_history_is_found(seed: int) -> None:
    """Two transactions that each miss the other's append lie on a cycle, among many others."""
    history = serial(seed, 60)
    at = Random(seed).randrange(len(history))
    skew = [txn(r(901), a(902, 1)), txn(r(902), a(901, 1))]
    history[at:at] = skew
    history.append(txn(r(901, 1), r(902, 1)))
    assert found(history) == {"G2-item": 1}


def test_a_cycle_in_the_overlap_of_two_windows_is_counted_once() -> None:
    """Looking twice at the same transactions tells nothing twice."""
    history = serial(1, 30)
    history += [txn(r(901), a(902, 1)), txn(r(902), a(901, 1)), txn(r(901, 1), r(902, 1))]
    history += [txn(r(903)) for _ in range(20)]
    assert found(history, window=20) == {"G2-item": 1}


def test_memory_is_bounded() -> None:
    """However long it runs, no more than a window of transactions is kept."""
    judge = ListJudge(window=100)
    for each in serial(3, 3000):
        judge.feed(each)
    assert len(judge._txns) <= 100
    assert len(judge._failed) <= 10 * 100 * 5


def test_a_cycle_is_told_in_words() -> None:
    """Who read or appended what, around the cycle."""
    judge = ListJudge()
    for each in PLANTED["write skew"][0]:
        judge.feed(each)
    (shown,) = judge.shown()
    (witness,) = shown.witnesses
    assert "T1 (process 0) read key 1 without 1, which T2 (process 0) appended" in witness


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
def test_components_are_those_that_reach_each_other(edges: list[tuple[int, int]]) -> None:
    """As told by following every way."""
    graph: dict[int, list[int]] = {}
    for before, after in edges:
        graph.setdefault(before, []).append(after)

    def reach(start: int) -> set[int]:
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            for after in graph.get(waiting.pop(), ()):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return seen

    reached = {node: reach(node) for node in range(13)}
    expected = {
        frozenset(other for other in range(13) if other in reached[node] and node in reached[other])
        for node in range(13)
    }
    expected = {group for group in expected if len(group) > 1}
    assert {frozenset(group) for group in components(graph)} == expected


def test_an_anomaly_has_the_smallest_history_of_what_the_judge_remembers() -> None:
    """Others' transactions, and what those of the anomaly did besides, are left out."""
    skew = [
        at(0, r(1, 7), r(9), a(2, 5), end=20),
        at(1, r(2), a(1, 4), a(8, 1), end=21),
        at(2, r(1, 7, 4), r(2, 5), end=30),
    ]
    noise = [at(3, r(key), end=5 + key) for key in range(50, 60)]
    (only,) = shown_by([*noise, *skew])
    witness = only.evidence()
    assert witness is not None
    assert [len(each.mops) for each in witness.transactions] == [2, 2]
    assert {mop.key for each in witness.transactions for mop in each.mops} == {1, 2}


def test_an_aborted_read_has_the_transaction_that_failed() -> None:
    """The witness of G1a is the reader and whom it read, who was rolled back."""
    (only,) = shown_by([txn(a(1, 1), kind=FAIL), at(1, r(1, 1), end=9)])
    witness = only.evidence()
    assert witness is not None
    assert sorted(each.type for each in witness.transactions) == ["fail", "ok"]


def at(process: int, *mops: tuple[Any, ...], end: int) -> Done:
    """Return a transaction of a session that was committed at a time."""
    done = txn(*mops)
    return Done(process, done.request, OK, done.value, end - 4 if process == 3 else 1, end)


def shown_by(history: list[Done]) -> tuple[Shown, ...]:
    """Return what the judge shows."""
    judge = ListJudge()
    for each in history:
        judge.feed(each)
    return judge.shown()
