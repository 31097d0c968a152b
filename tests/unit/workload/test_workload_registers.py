"""The judge of registers: planted anomalies are named, what is not known accuses nobody."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.history import OpType
from test_rig.workload import BUILT_IN, Done, Plan, Request

OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO
REGISTER = BUILT_IN["rw-register"]


def txn(*mops: tuple[str, int, int | None], kind: OpType = OK) -> Done:
    """Return an ended transaction."""
    asked = tuple((f, key, value if f == "w" else None) for f, key, value in mops)
    return Done(0, Request("txn", asked), kind, mops, 0, 1)


def w(key: int, value: int) -> tuple[str, int, int]:
    """A write."""
    return ("w", key, value)


def r(key: int, value: int | None = None) -> tuple[str, int, int | None]:
    """A read."""
    return ("r", key, value)


def found(history: list[Done]) -> dict[str, int]:
    """Return what the judge finds."""
    judge = REGISTER.judge(Plan())
    for each in history:
        judge.feed(each)
    return {shown.flaw.anomaly: shown.count for shown in judge.shown()}


PLANTED: dict[str, tuple[list[Done], set[str]]] = {
    "a read of what failed": ([txn(w(1, 1), kind=FAIL), txn(r(1, 1))], {"G1a"}),
    "a read of the middle": ([txn(w(1, 1), w(1, 2)), txn(r(1, 1))], {"G1b"}),
    "each read the other's write": ([txn(w(1, 1), r(2, 1)), txn(w(2, 1), r(1, 1))], {"G1c"}),
    "half of a transaction seen": ([txn(w(1, 1), w(2, 1)), txn(r(1), r(2, 1))], {"G-single"}),
    "an own write that is not read": ([txn(w(1, 2), r(1, 1))], {"internal"}),
    "write skew": ([txn(r(1), w(2, 1)), txn(r(2), w(1, 1))], {"G2-item"}),
    "an update lost": (
        [txn(w(1, 9)), txn(r(1, 9), w(1, 1)), txn(r(1, 9), w(1, 2))],
        {"lost update", "G2-item"},
    ),
}

NEAR_MISSES = {
    "one after the other": [txn(w(1, 9)), txn(r(1, 9), w(1, 1)), txn(r(1, 1), w(1, 2))],
    "the whole of a transaction": [txn(w(1, 1), w(2, 1)), txn(r(1, 1), r(2, 1))],
    "a value before and another after, in no known order": [
        txn(w(1, 1), w(2, 1)),
        txn(w(1, 2), w(2, 2)),
        txn(r(1, 1), r(2, 2)),
    ],
    "its own write": [txn(r(1), w(1, 1), r(1, 1), w(1, 2), r(1, 2))],
    "one skewed side unanswered": [txn(r(1), w(2, 1)), txn(r(2), w(1, 1), kind=INFO)],
}


@pytest.mark.parametrize(("history", "names"), PLANTED.values(), ids=PLANTED)
def test_a_planted_anomaly_is_named(history: list[Done], names: set[str]) -> None:
    """It is found once, and nothing else is found."""
    assert found(history) == dict.fromkeys(names, 1)


@pytest.mark.parametrize("history", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_passes(history: list[Done]) -> None:
    """What some serial order explains is not accused."""
    assert found(history) == {}


@given(seed=st.integers(0, 2**32))
def test_a_serial_history_is_never_accused(seed: int) -> None:
    """Whatever failed and whichever answers were lost."""
    random = Random(seed)
    generator = REGISTER.generator(Plan(seed=seed, keys=3, writes_per_key=6), random)
    now: dict[int, Any] = {}
    history = []
    for _ in range(150):
        kind = random.choices([OK, FAIL, INFO], [8, 2, 1])[0]
        state, mops = dict(now), []
        for f, key, value in generator.request().value:
            if f == "w":
                state[key] = value
            mops.append((f, key, value if f == "w" else state.get(key)))
        if kind is OK or (kind is INFO and random.random() < 0.5):
            now = state
        history.append(txn(*mops, kind=kind))
    assert found(history) == {}


def test_an_anomaly_has_the_smallest_history_of_what_the_judge_remembers() -> None:
    """Reads of values whose writers are forgotten are left out, reads of nothing are not."""
    judge = REGISTER.judge(Plan())
    for process, mops in enumerate([(r(1), r(9, 5), w(2, 1)), (r(2), w(1, 1), w(8, 1))]):
        done = txn(*mops)
        judge.feed(Done(process, done.request, OK, done.value, 0, 1))
    (only,) = judge.shown()
    witness = only.evidence()
    assert witness is not None
    assert [
        [(mop.f, mop.key, mop.value) for mop in each.mops] for each in witness.transactions
    ] == [
        [("r", 1, None), ("w", 2, 1)],
        [("r", 2, None), ("w", 1, 1)],
    ]
