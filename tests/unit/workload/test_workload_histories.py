"""The judge of transactions of lists and registers while they run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.history import HistoryBuilder, HistoryFile, OpType, read_history, validate
from test_rig.isolation import Level
from test_rig.workload import BUILT_IN, Done, Plan, Request, Shown
from test_rig.workload.history_judge import HistoryJudge
from test_rig.workload.transactions import Transactions, as_asked
from test_rig.workload.window import Window

OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO
Mops = Sequence[tuple[Any, ...]]


def txn(place: int, *mops: tuple[Any, ...], kind: OpType = OK, process: int = 0) -> Done:
    """Return a transaction that ended as the one of that place."""
    asked = tuple((f, key, None if f == "r" else value) for f, key, value in mops)
    value = mops if kind is OK else asked
    return Done(process, Request("txn", asked), kind, value, 10 * place, 10 * place + 5)


def judged(judge: HistoryJudge, history: Sequence[Done], *, step: int = 10_000) -> HistoryJudge:
    """Feed a judge and ask it after every few transactions."""
    for place, each in enumerate(history, 1):
        judge.feed(each)
        if place % step == 0:
            judge.take({})
            judge.shown()
    judge.take({}, is_over=True)
    return judge


def found(judge: HistoryJudge, history: Sequence[Done], *, step: int = 10_000) -> dict[str, int]:
    """Return what a judge finds, and how often."""
    return {each.flaw.anomaly: each.count for each in judged(judge, history, step=step).shown()}


def serial(name: str, seed: int, count: int) -> list[Done]:
    """Return a history that a database made that does one transaction at a time."""
    random = Random(seed)
    generator = BUILT_IN[name].generator(Plan(seed=seed, keys=3, writes_per_key=6), random)
    is_list = name == "list-append"
    state: dict[int, Any] = {}
    history = []
    for place in range(count):
        kind = random.choices([OK, FAIL, INFO], [8, 2, 1])[0]
        takes_effect = kind is OK or (kind is INFO and random.random() < 0.5)
        mops, now = [], dict(state)
        for f, key, value in generator.request().value:
            if f != "r":
                now[key] = (*now.get(key, ()), value) if is_list else value
            seen = now.get(key, () if is_list else None)
            mops.append((f, key, seen if f == "r" else value))
        state = now if takes_effect else state
        # Its process ends with an answer that is lost.
        history.append(txn(place, *mops, kind=kind, process=place))
    return history


SKEW = {
    "list-append": (
        [("r", 901, ()), ("append", 902, 1)],
        [("r", 902, ()), ("append", 901, 1)],
        [("r", 901, (1,)), ("r", 902, (1,))],
    ),
    "rw-register": (
        [("r", 901, None), ("w", 902, 1)],
        [("r", 902, None), ("w", 901, 1)],
        [("r", 901, 1), ("r", 902, 1)],
    ),
}


def skewed(name: str, seed: int, count: int) -> list[Done]:
    """Return a serial history with a write skew somewhere in it."""
    history = serial(name, seed, count)
    at = Random(seed).randrange(count)
    first, second, last = SKEW[name]
    a, b = txn(at, *first, process=-1), txn(at, *second, process=-2)
    return [*history[:at], a, b, *history[at:], txn(count, *last, process=-3)]


@pytest.mark.parametrize("name", SKEW)
@given(seed=st.integers(0, 2**32), most=st.sampled_from([20, 50, 10_000]))
def test_a_serial_history_is_never_accused(name: str, seed: int, most: int) -> None:
    """Whatever has gone already, with the failures and the lost answers."""
    judge = HistoryJudge(name, most=most)
    assert found(judge, serial(name, seed, 100), step=34) == {}


@pytest.mark.parametrize("name", SKEW)
@given(seed=st.integers(0, 2**32))
def test_write_skew_anywhere_in_a_serial_history_is_found(name: str, seed: int) -> None:
    """Two transactions that each miss the other's write lie on a cycle, among many others."""
    assert found(HistoryJudge(name), skewed(name, seed, 60), step=25) == {"G2-item": 1}


@pytest.mark.parametrize("name", SKEW)
def test_what_has_gone_is_remembered(name: str) -> None:
    """Its count stays, and so does the smallest history that shows it."""
    history = skewed(name, 3, 30)
    later = [txn(100 + place, ("r", 5000, None), process=1000 + place) for place in range(100)]
    judge = judged(HistoryJudge(name, most=40), [*history, *later], step=10)
    (shown,) = judge.shown()
    assert shown.count == 1
    witness = shown.evidence()
    assert witness is not None
    keys = {mop.key for each in witness.transactions for mop in each.mops}
    assert keys == {901, 902}


@pytest.mark.parametrize("name", SKEW)
def test_what_a_window_cannot_show_the_whole_shows(name: str, tmp_path: Path) -> None:
    """Who takes part in a cycle may be far from the others; the whole is judged at the end."""
    first, second, last = SKEW[name]
    # They overlapped, but one of them ended long before the others.
    skewed = [txn(0, *first, process=0), txn(0, *second, process=1)]
    between = [txn(place, process=2) for place in range(2, 100)]
    history = [skewed[0], *between, skewed[1], txn(101, *last, process=3)]
    judge, file = HistoryJudge(name, most=40), HistoryFile(tmp_path / "whole.arrow")
    for place, each in enumerate(history):
        judge.feed(each)
        if place % 10 == 0:
            file.append(judge.take({}))
            judge.shown()
    file.append(judge.take({}, is_over=True))
    file.close()
    assert (judge.shown(), judge.gone > 0) == ((), True)
    judge.judge_whole(read_history(tmp_path / "whole.arrow"))
    assert ([each.flaw.anomaly for each in judge.shown()], judge.gone) == (["G2-item"], 0)


def test_memory_is_bounded() -> None:
    """However long it runs, no more transactions are kept than fit."""
    window = Window(most=100)
    for each in serial("list-append", 3, 1000):
        builder = HistoryBuilder()
        builder.record(str(each.process), each.type, each.value, start=each.start_ns, end=10**9)
        window.add(builder.take())
        if window.surplus:
            window.drop(window.surplus)
        assert len(window) <= 100
    assert window.gone == 1000 - len(window)


def test_what_nobody_in_a_window_wrote_is_not_read_there() -> None:
    """Values of lists and of registers go with their writers; what was nothing stays."""
    builder = HistoryBuilder()
    builder.record("0", OK, [("append", 1, 7), ("append", 1, 8)], start=0, end=1)
    builder.record("1", OK, [("append", 1, 9), ("r", 1, [7, 8, 9]), ("r", 2, [])], start=2, end=3)
    window = Window(most=2)
    window.add(builder.take())
    window.drop(1)
    history = window.history()
    assert [history.elements(mop) for mop in history.mops(0)] == [(), (9,), ()]


def begun(process: int, value: int) -> tuple[int, Request, int]:
    """Return the beginning of a write."""
    return process, Request("txn", (("w", 1, value),)), value


def ended(process: int, value: int, end: int, kind: OpType = OK) -> Done:
    """Return its end."""
    mops = (("w", 1, value),)
    return Done(process, Request("txn", mops), kind, mops, value, end)


def test_what_is_open_is_there_until_it_ends() -> None:
    """Who wrote what others read may not have ended yet; once it has, it is there once."""
    transactions, window = Transactions(as_asked), Window(most=100)
    transactions.begun(*begun(1, 10))
    transactions.begun(*begun(2, 20))
    transactions.ended(ended(1, 10, 30))
    window.add(transactions.take({}))
    first = window.history()
    assert [first.type.tolist(), first.value.tolist()] == [[0, 2], [10, 20]]
    transactions.ended(ended(2, 20, 40))
    transactions.begun(*begun(1, 35))
    window.add(transactions.take({}))
    second = window.history()
    assert [second.type.tolist(), second.value.tolist()] == [[0, 0, 2], [10, 20, 35]]
    window.add(transactions.take({}, is_over=True))
    assert window.history().value.tolist() == [10, 20, 35]
    validate(window.history())


def test_a_file_whose_writer_was_killed_has_what_was_open(tmp_path: Path) -> None:
    """At the end of each batch it is the history of that moment."""
    transactions = Transactions(as_asked)
    file = HistoryFile(tmp_path / "it.arrow")
    told = []
    for value in range(10, 60, 10):
        transactions.begun(*begun(value, value))
        if value > 10:
            transactions.ended(ended(value - 10, value - 10, value + 1))
        file.append(transactions.take({}))
        read = read_history(tmp_path / "it.arrow")
        told.append([read.type.tolist(), read.value.tolist()])
    file.close()
    assert told[0] == [[2], [10]]
    assert told[-1] == [[0, 0, 0, 0, 2], [10, 20, 30, 40, 50]]


def test_what_never_ended_is_unknown() -> None:
    """It has what was asked; a failure has the level, code and statements that were told."""
    transactions = Transactions(as_asked)
    transactions.begun(4, Request("txn", (("append", 1, 2),)), 10)
    failed = Done(
        5, Request("txn", ()), FAIL, (), 1, 2, error="deadlock", code="40P01", sql="SELECT 1"
    )
    transactions.ended(failed)
    history = transactions.take({5: "serializable"}, is_over=True)
    assert [each.tolist() for each in (history.type, history.value)] == [[1, 2], [2]]
    told = (history.level, history.error_class, history.error_code, history.sql)
    assert [history.text(int(column[0])) for column in told] == [
        "serializable",
        "deadlock",
        "40P01",
        "SELECT 1",
    ]


def shown_by(history: Sequence[Done]) -> tuple[Shown, ...]:
    """Return what is shown of lists."""
    return judged(HistoryJudge("list-append"), history).shown()


def test_an_anomaly_is_told_in_words_with_its_smallest_history() -> None:
    """Who read or appended what, around the cycle; whatever else was done is left out."""
    first, second, last = SKEW["list-append"]
    noise = [txn(place, ("r", 50 + place, ()), process=9) for place in range(10)]
    skew = [txn(20, *first), txn(20, *second, ("append", 8, 1), process=1), txn(30, *last)]
    (only,) = shown_by([*noise, *skew])
    assert "T11 < T10 (rw): T11 read key 902 without 1, which T10 appended" in only.witnesses[0]
    witness = only.evidence()
    assert witness is not None
    assert [len(each.mops) for each in witness.transactions] == [2, 2]


def test_an_aborted_read_has_the_transaction_that_failed() -> None:
    """The witness of G1a is the reader and whom it read, who was rolled back."""
    (only,) = shown_by([txn(0, ("append", 1, 1), kind=FAIL), txn(1, ("r", 1, (1,)))])
    assert only.flaw.anomaly == "G1a"
    assert Level.READ_COMMITTED in only.flaw.forbidden_by
    witness = only.evidence()
    assert witness is not None
    assert sorted(each.type for each in witness.transactions) == ["fail", "ok"]


@pytest.mark.parametrize(
    ("anomaly", "forbidding"),
    [
        ("G2-item", {Level.REPEATABLE_READ, Level.SERIALIZABLE}),
        ("G-nonadjacent", {Level.REPEATABLE_READ, Level.SNAPSHOT, Level.SERIALIZABLE}),
        ("G2-item-realtime", set()),
        ("read-your-writes", set()),
    ],
)
def test_the_levels_that_forbid_what_is_seen_are_told(anomaly: str, forbidding: set[Level]) -> None:
    """No plain level speaks of sessions and of time."""
    from test_rig.workload.flaws import seen_in_history

    assert seen_in_history(anomaly).forbidden_by == forbidding
