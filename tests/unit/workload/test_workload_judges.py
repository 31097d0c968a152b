"""Judges: each finds the fault that was planted, by its name, and passes the near miss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from test_rig.history import OpType
from test_rig.isolation import Level
from test_rig.workload import BUILT_IN, Done, Plan, Request

OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO
PLAN = Plan(keys=2)


def done(
    f: str, asked: Any, value: Any = None, *, at: tuple[int, int] = (0, 1), **more: Any
) -> Done:
    """Return an ended operation of process 0, ok unless told otherwise."""
    kind, process = more.get("kind", OK), more.get("process", 0)
    return Done(process, Request(f, asked), kind, value, at[0], at[1])


def found(name: str, history: Iterable[Done]) -> dict[str, int]:
    """Return what a workload's judge finds in a history."""
    judge = BUILT_IN[name].judge(PLAN)
    for each in history:
        judge.feed(each)
    return {shown.flaw.anomaly: shown.count for shown in judge.shown()}


def claim(side: int, value: bool, **more: Any) -> Done:
    """Return one side's try to claim round 1 of pair 0."""
    return done("claim", (0, 1, side), value, **more)


def added(element: int, at: tuple[int, int], kind: OpType = OK) -> Done:
    """Return an addition to set 1."""
    return done("add", (1, element), (1, element), at=at, kind=kind)


PLANTED = {
    "a total that money left": ("bank", [done("read", (1, 2), ((1, 95), (2, 100)))], "G-single"),
    "a total that money came into": (
        "bank",
        [done("read-each", (1, 2), ((1, 100), (2, 105)))],
        "G-single",
    ),
    "opposite orders of two writes": (
        "long-fork",
        [done("read", (4, 5), (1, None)), done("read", (4, 5), (None, 1))],
        "long fork",
    ),
    "an element that is gone": (
        "set",
        [added(7, (0, 1)), done("read-last", 1, (), at=(2, 3))],
        "lost element",
    ),
    "an element that comes late": (
        "set",
        [added(7, (0, 1)), done("read", 1, (), at=(2, 3)), done("read", 1, (7,), at=(4, 5))],
        "stale read",
    ),
    "an element that was refused, read before": (
        "set",
        [done("read", 1, (7,)), added(7, (0, 2), FAIL)],
        "G1a",
    ),
    "an element that was refused, read after": (
        "set",
        [added(7, (0, 1), FAIL), done("read", 1, (7,), at=(2, 3))],
        "G1a",
    ),
    "a counter that shrinks in a transaction": ("monotonic", [done("read", 1, (5, 4))], "OTV"),
    "a counter that grows in a transaction": ("monotonic", [done("read", 1, (4, 5))], "G-single"),
    "a counter that shrinks in a session": (
        "monotonic",
        [done("read", 1, (5, 5)), done("read", 1, (4, 4))],
        "monotonic reads",
    ),
    "an increment that is gone": (
        "monotonic",
        [done("increment", 1, 1), done("read-last", 1, (0, 0))],
        "lost update",
    ),
    "an increment that was refused": (
        "monotonic",
        [done("increment", 1, 1, kind=FAIL), done("read-last", 1, (1, 1))],
        "G1a",
    ),
    "both rows claimed": ("write-skew", [claim(0, True), claim(1, True)], "G2-item"),
    "both absences ended": ("write-skew-predicate", [claim(0, True), claim(1, True)], "G2"),
    "one value overwritten twice": (
        "lost-update",
        [done("update", (1, 5), 3), done("update", (1, 6), 3)],
        "lost update",
    ),
    "a refused value read later": (
        "lost-update",
        [done("update", (1, 5), 0, kind=FAIL), done("update", (1, 6), 5)],
        "G1a",
    ),
    "a value read and refused later": (
        "lost-update",
        [done("update", (1, 6), 5), done("update", (1, 5), 0, kind=FAIL)],
        "G1a",
    ),
    "two reads of one row": ("internal", [done("look", (1, 9), (3, 4, 9))], "G-single"),
    "a write that is not read": ("internal", [done("look", (1, 9), (3, 3, 8))], "internal"),
}

NEAR_MISSES = {
    "a total of a refused read": ("bank", [done("read", (1, 2), ((1, 0), (2, 0)), kind=FAIL)]),
    "money moved": ("bank", [done("read", (1, 2), ((1, 0), (2, 200)))]),
    "the same order twice": (
        "long-fork",
        [done("read", (4, 5), value) for value in ((1, None), (1, 1), (None, None), (1, None))],
    ),
    "opposite orders of different groups": (
        "long-fork",
        [done("read", (4, 5), (1, None)), done("read", (6, 7), (None, 1))],
    ),
    "an element added while it was read": (
        "set",
        [added(7, (0, 3)), done("read-last", 1, (), at=(2, 4))],
    ),
    "an element whose answer was lost": (
        "set",
        [added(7, (0, 1), INFO), done("read-last", 1, (), at=(2, 3))],
    ),
    "an unanswered element that is there": (
        "set",
        [added(7, (0, 1), INFO), done("read-last", 1, (7,), at=(2, 3))],
    ),
    "another session's older state": (
        "monotonic",
        [done("read", 1, (5, 5)), done("read", 1, (4, 4), process=1)],
    ),
    "an unanswered increment, there or not": (
        "monotonic",
        [
            done("increment", 1, 1, kind=INFO),
            done("read-last", 1, (1, 1), process=1),
            done("read-last", 2, (0, 0)),
        ],
    ),
    "one side only": ("write-skew", [claim(0, True), claim(1, False)]),
    "one side refused": ("write-skew", [claim(0, True), claim(1, True, kind=FAIL)]),
    "one side unanswered": ("write-skew-predicate", [claim(0, True), claim(1, True, kind=INFO)]),
    "one value on two rows": (
        "lost-update",
        [done("update", (1, 5), 3), done("update", (2, 6), 3)],
    ),
    "a value read by one that was refused": (
        "lost-update",
        [done("update", (1, 5), 3), done("update", (1, 6), 3, kind=FAIL)],
    ),
    "an unanswered value that was read": (
        "lost-update",
        [done("update", (1, 5), 3, kind=INFO), done("update", (1, 6), 5)],
    ),
    "reads that repeat": ("internal", [done("look", (1, 9), (3, 3, 9))]),
}


@pytest.mark.parametrize(("name", "history", "anomaly"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_found(name: str, history: list[Done], anomaly: str) -> None:
    """It is named exactly, counted once, and nothing else is found."""
    assert found(name, history) == {anomaly: 1}


@pytest.mark.parametrize(("name", "history"), NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_passes(name: str, history: list[Done]) -> None:
    """What is right, or cannot be known, accuses nobody."""
    assert found(name, history) == {}


def test_every_judge_has_planted_faults_and_near_misses() -> None:
    """No built-in judge is without either."""
    judged = {name for name in BUILT_IN if name not in ("list-append", "rw-register")}
    assert {name for name, *_ in PLANTED.values()} == judged
    assert {name for name, *_ in NEAR_MISSES.values()} | {"write-skew-predicate"} == judged


@pytest.mark.parametrize(
    ("name", "history", "forbidding"),
    [
        (
            "write-skew",
            [claim(0, True), claim(1, True)],
            {Level.REPEATABLE_READ, Level.SERIALIZABLE},
        ),
        ("write-skew-predicate", [claim(0, True), claim(1, True)], {Level.SERIALIZABLE}),
        (
            "long-fork",
            PLANTED["opposite orders of two writes"][1],
            {Level.REPEATABLE_READ, Level.SNAPSHOT, Level.SERIALIZABLE},
        ),
        ("set", PLANTED["an element that comes late"][1], set()),
    ],
)
def test_the_levels_that_forbid_a_flaw_are_told(
    name: str, history: list[Done], forbidding: set[Level]
) -> None:
    """What no level forbids breaks no claim."""
    judge = BUILT_IN[name].judge(PLAN)
    for each in history:
        judge.feed(each)
    (shown,) = judge.shown()
    assert shown.flaw.forbidden_by == forbidding
    assert shown.witnesses
