"""Judges: each finds the fault that was planted, by its name, and passes the near miss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from test_rig.history import OpType
from test_rig.isolation import Level
from test_rig.workload import BUILT_IN, Done, Flaw, Plan, Request, Shown
from test_rig.workload.flaws import LOST_ELEMENT, PHANTOM_SKEW, READ_SKEW, STALE_ELEMENT
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.judging import weakest_violated

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
    return {shown.flaw.anomaly: shown.count for shown in shown_by(name, history)}


def shown_by(name: str, history: Iterable[Done]) -> tuple[Shown, ...]:
    """Return what a workload's judge shows of a history."""
    judge = BUILT_IN[name].judge(PLAN)
    for each in history:
        judge.feed(each)
    if isinstance(judge, HistoryJudge):
        judge.take({}, is_over=True)
    return judge.shown()


def claim(side: int, value: Any, **more: Any) -> Done:
    """Return one side's try to claim round 1 of pair 0."""
    return done("claim", (0, 1, side), value, process=side, **more)


FREE, TAKEN = (0, 0), (1, 0)


def update(new: int, old: int, **more: Any) -> Done:
    """Return an update of row 1 by a process of its own."""
    return done("update", (1, new), old, process=new, **more)


def fork(f: str, asked: Any, value: Any, process: int, end: int = 9) -> Done:
    """Return a write or read of rows 4 and 5."""
    return done(f, asked, value, at=(0, end), process=process)


FORK = [fork("write", 4, 4, 1), fork("write", 5, 5, 2)]


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
        [*FORK, fork("read", (4, 5), (1, None), 3), fork("read", (4, 5), (None, 1), 4)],
        "G-nonadjacent",
    ),
    "an element that is gone": (
        "set",
        [added(7, (0, 1)), done("read-last", 1, (), at=(2, 3))],
        "lost-element",
    ),
    "an element that comes late": (
        "set",
        [added(7, (0, 1)), done("read", 1, (), at=(2, 3)), done("read", 1, (7,), at=(4, 5))],
        "stale-read",
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
        "monotonic-reads",
    ),
    "an increment that is gone": (
        "monotonic",
        [done("increment", 1, 1), done("read-last", 1, (0, 0))],
        "lost-update",
    ),
    "an increment that was refused": (
        "monotonic",
        [done("increment", 1, 1, kind=FAIL), done("read-last", 1, (1, 1))],
        "G1a",
    ),
    "both rows claimed": ("write-skew", [claim(0, FREE), claim(1, FREE)], "G2-item"),
    "both absences ended": ("write-skew-predicate", [claim(0, True), claim(1, True)], "G2"),
    "a refused value read later": (
        "lost-update",
        [update(5, 0, kind=FAIL), update(6, 5, at=(2, 3))],
        "G1a",
    ),
    "a value read and refused later": (
        "lost-update",
        [update(6, 5), update(5, 0, kind=FAIL)],
        "G1a",
    ),
}

NEAR_MISSES = {
    "a total of a refused read": ("bank", [done("read", (1, 2), ((1, 0), (2, 0)), kind=FAIL)]),
    "money moved": ("bank", [done("read", (1, 2), ((1, 0), (2, 200)))]),
    "the same order twice": (
        "long-fork",
        [*FORK, *(fork("read", (4, 5), each, 3 + n) for n, each in enumerate([(1, None)] * 2))],
    ),
    "opposite orders of different groups": (
        "long-fork",
        [
            *FORK,
            fork("write", 6, 6, 3),
            fork("write", 7, 7, 4),
            fork("read", (4, 5), (1, None), 5),
            fork("read", (6, 7), (None, 1), 6),
        ],
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
    "one side only": ("write-skew", [claim(0, FREE), claim(1, TAKEN, at=(2, 3))]),
    "one side refused": ("write-skew", [claim(0, FREE), claim(1, None, kind=FAIL)]),
    "one absence ended": ("write-skew-predicate", [claim(0, True), claim(1, False)]),
    "one absence unanswered": (
        "write-skew-predicate",
        [claim(0, True), claim(1, True, kind=INFO)],
    ),
    "a value read by one that was refused": (
        "lost-update",
        [update(5, 0), update(6, 0, kind=FAIL)],
    ),
    "an unanswered value that was read": (
        "lost-update",
        [update(5, 0, kind=INFO), update(6, 5, at=(2, 3))],
    ),
    "reads that repeat": (
        "internal",
        [done("look", (1, 3), (0, 0, 3)), done("look", (1, 9), (3, 3, 9), at=(2, 3))],
    ),
}


@pytest.mark.parametrize(("name", "history", "anomaly"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_found(name: str, history: list[Done], anomaly: str) -> None:
    """It is named exactly, counted once, and nothing else is found."""
    assert found(name, history) == {anomaly: 1}


@pytest.mark.parametrize(("name", "history"), NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_passes(name: str, history: list[Done]) -> None:
    """What is right, or cannot be known, accuses nobody."""
    assert found(name, history) == {}


def test_one_value_overwritten_twice_is_an_update_lost() -> None:
    """By whoever wrote last; the two make a cycle as well, whose class depends on the order."""
    names = found("lost-update", [update(5, 0), update(6, 0), update(7, 6, at=(20, 21))])
    assert names["lost-update"] == 1
    assert set(names) - {"lost-update"} <= {"G-single", "G2-item"}


def test_two_reads_of_one_row_that_differ_are_told() -> None:
    """As an older state, where that is what came second."""
    first = done("look", (1, 3), (0, 0, 3))
    later = done("look", (1, 9), (3, 0, 9), at=(0, 9), process=1)
    assert "OTV" in found("internal", [first, later])


def test_a_write_that_is_not_read_is_told() -> None:
    """A transaction that wrote 9 and then reads what another wrote before."""
    first = done("look", (1, 3), (0, 0, 3))
    names = found("internal", [first, done("look", (1, 9), (3, 3, 3), at=(2, 3), process=1)])
    assert names == {"internal": 1}


def test_every_judge_has_planted_faults_and_near_misses() -> None:
    """No built-in judge is without either."""
    judged = {name for name in BUILT_IN if name not in ("list-append", "rw-register")}
    assert {name for name, *_ in PLANTED.values()} | {"internal"} == judged
    assert {name for name, *_ in NEAR_MISSES.values()} == judged


@pytest.mark.parametrize(
    ("name", "history", "forbidding"),
    [
        ("write-skew-predicate", [claim(0, True), claim(1, True)], {Level.SERIALIZABLE}),
        ("set", PLANTED["an element that comes late"][1], set()),
    ],
)
def test_the_levels_that_forbid_a_flaw_are_told(
    name: str, history: list[Done], forbidding: set[Level]
) -> None:
    """What no level forbids breaks no claim."""
    (shown,) = shown_by(name, history)
    assert shown.flaw.forbidden_by == forbidding
    assert shown.witnesses


def moved(payer: int, payee: int, amount: int, at: tuple[int, int]) -> Done:
    """Return a transfer by process 1, of accounts that had 100 each."""
    made = ((payer, 100, 100 - amount), (payee, 100, 100 + amount))
    return done("transfer", (payer, payee, amount), made, at=at, process=1)


EXPLAINED = {
    "a transfer in part, answered later": (
        "bank",
        [done("read-each", (1, 2), ((1, 100), (2, 105)), at=(0, 8)), moved(1, 2, 5, (1, 9))],
        {"before", "0", "1"},
    ),
    "a transfer in part, answered before": (
        "bank",
        [moved(2, 1, 5, (1, 3)), done("read-each", (1, 2), ((1, 100), (2, 95)), at=(0, 8))],
        {"before", "0", "1"},
    ),
    "a counter that grew between two reads": (
        "monotonic",
        [
            done("increment", 1, 5, at=(1, 3), process=1),
            done("increment", 1, 6, at=(1, 4), process=2),
            done("read", 1, (4, 6), at=(0, 9)),
        ],
        {"before", "0", "1", "2"},
    ),
    "a counter that shrank between two reads": (
        "monotonic",
        [done("increment", 1, 5, at=(1, 3), process=1), done("read", 1, (5, 4), at=(0, 9))],
        {"before", "0", "1"},
    ),
    "a counter that shrank in a session": (
        "monotonic",
        [
            done("increment", 1, 5, at=(1, 3), process=1),
            done("read", 1, (5, 5), at=(4, 5)),
            done("read", 1, (4, 4), at=(6, 7)),
        ],
        {"before", "0", "1"},
    ),
    "an element that was refused": (
        "set",
        [added(7, (0, 1), FAIL), done("read", 1, (7,), at=(2, 3), process=1)],
        {"0", "1"},
    ),
    "an element that is gone": (
        "set",
        [added(7, (0, 1)), done("read-last", 1, (), at=(2, 3), process=1)],
        {"0", "1"},
    ),
    "two absences ended": ("write-skew-predicate", [claim(0, True), claim(1, True)], {"0", "1"}),
}


@pytest.mark.parametrize(("name", "history", "processes"), EXPLAINED.values(), ids=EXPLAINED)
def test_a_finding_tells_who_read_what_of_whom(
    name: str, history: list[Done], processes: set[str]
) -> None:
    """Its smallest history has edges around a cycle, or the one that should not be."""
    (shown,) = shown_by(name, history)
    witness = shown.evidence()
    assert witness is not None
    assert {each.process for each in witness.transactions} <= processes
    assert {"0"} < {each.process for each in witness.transactions}
    assert witness.edges
    assert witness.why


def test_what_nobody_is_known_to_have_done_is_told_in_words_alone() -> None:
    """Money that no transfer moved, and a counter that nobody made grow."""
    for name, history in (
        ("bank", [done("read-each", (1, 2), ((1, 100), (2, 105)), at=(0, 8))]),
        ("monotonic", [done("read", 1, (4, 5), at=(0, 9))]),
    ):
        (shown,) = shown_by(name, history)
        assert shown.evidence() is None
        assert shown.witnesses


@pytest.mark.parametrize(
    ("flaws", "violated"),
    [
        ([PHANTOM_SKEW], ("serializable",)),
        ([LOST_ELEMENT], ("read uncommitted",)),
        ([PHANTOM_SKEW, READ_SKEW], ("consistent view",)),
        ([STALE_ELEMENT], ()),
    ],
)
def test_the_weakest_level_violated_is_known_of_every_flaw(
    flaws: list[Flaw], violated: tuple[str, ...]
) -> None:
    """Of what histories show, and of what only a judge of its own kind has a name for."""
    shown = [Shown(flaw=each, count=1, witnesses=()) for each in flaws]
    assert weakest_violated(shown, None) == violated
