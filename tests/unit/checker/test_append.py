"""Planted histories of lists: each anomaly is found and named, and nothing else is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.checker import Edge, EdgeKind, check, told
from test_rig.history import History, HistoryBuilder, Mop, OpType
from test_rig.verdict import Verdict

Planted = tuple[str, OpType, int, int, list[Mop]]
OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO


def a(key: int, value: int) -> Mop:
    """Return an append."""
    return ("append", key, value)


def r(key: int, *seen: int) -> Mop:
    """Return a read."""
    return ("r", key, list(seen))


def concurrent(*transactions: list[Mop]) -> list[Planted]:
    """Return transactions of one session each, all at the same time."""
    return [(str(n), OK, 0, 10, mops) for n, mops in enumerate(transactions)]


def history(planted: list[Planted]) -> History:
    """Return a history of what was planted."""
    builder = HistoryBuilder()
    for process, kind, start, end, mops in planted:
        builder.record(process, kind, mops, start=start, end=end)
    return builder.history()


PLANTED: dict[str, tuple[list[Planted], set[str]]] = {
    "G0": (
        concurrent([a(1, 1), a(2, 1)], [a(1, 2), a(2, 2)], [r(1, 1, 2)], [r(2, 2, 1)]),
        {"G0"},
    ),
    "G1a": ([("0", FAIL, 0, 1, [a(1, 1)]), ("1", OK, 0, 1, [r(1, 1)])], {"G1a"}),
    "G1b": (concurrent([a(1, 1), a(1, 2)], [r(1, 1)], [r(1, 1, 2)]), {"G1b"}),
    "G1c": (concurrent([a(1, 1), r(2, 2)], [a(2, 2), r(1, 1)]), {"G1c"}),
    "G-single": (concurrent([a(1, 1), a(2, 1)], [r(1, 1), r(2)], [r(2, 1)]), {"G-single"}),
    "G2-item": (concurrent([r(1), a(2, 1)], [r(2), a(1, 1)], [r(1, 1), r(2, 1)]), {"G2-item"}),
    "G-nonadjacent": (
        concurrent([a(1, 1)], [r(1, 1), r(2)], [a(2, 1)], [r(2, 1), r(1)]),
        {"G-nonadjacent"},
    ),
    "lost update": (
        concurrent([r(1), a(1, 1)], [r(1), a(1, 2)], [r(1, 1, 2)]),
        {"lost-update", "G-single"},
    ),
    "internal": (concurrent([a(1, 1), r(1)], [r(1, 1)]), {"internal"}),
    "incompatible order": (
        concurrent([a(1, 1)], [a(1, 2)], [r(1, 1)], [r(1, 2)]),
        {"incompatible-order"},
    ),
    "out of its writer's order": (
        concurrent([a(1, 1), a(1, 2), a(1, 3)], [r(1, 2, 1, 3)]),
        {"incompatible-order"},
    ),
    "without its writer's first": (
        concurrent([a(1, 1), a(1, 2)], [r(1, 2)]),
        {"incompatible-order"},
    ),
    "G-single of an answer that was lost, of which a part was read": (
        [("0", INFO, 0, 1, [a(1, 1), a(2, 1)]), ("1", OK, 0, 9, [r(1, 1), r(2)])],
        {"G-single"},
    ),
    "near: of an answer that was lost nothing was read": (
        [("0", INFO, 0, 1, [a(1, 1), a(2, 1)]), ("1", OK, 0, 9, [r(1), r(2)])],
        set(),
    ),
    "G1b of several unread": (
        concurrent([a(1, 1), a(1, 2), a(1, 3), a(2, 1)], [r(1, 1), a(1, 4)], [a(1, 5)]),
        {"G1b"},
    ),
    "dirty update": (
        [("0", FAIL, 0, 1, [a(1, 1)]), *concurrent([], [a(1, 2)], [r(1, 1, 2)])[1:]],
        {"dirty-update", "G1a"},
    ),
    "duplicates": (concurrent([a(1, 1)], [r(1, 1, 1)]), {"duplicate-elements"}),
    "garbage": (concurrent([r(1, 7)]), {"garbage-read"}),
    "read your writes": (
        [("0", OK, 0, 1, [a(1, 1)]), ("0", OK, 1, 2, [r(1)]), ("1", OK, 0, 9, [r(1, 1)])],
        {"G-single-process", "read-your-writes"},
    ),
    "monotonic reads": (
        [
            ("0", OK, 0, 9, [a(1, 1)]),
            ("1", OK, 0, 1, [r(1, 1)]),
            ("1", OK, 1, 2, [r(1)]),
        ],
        {"G-single-process", "monotonic-reads"},
    ),
    "monotonic writes": (
        [
            ("0", OK, 0, 1, [a(1, 1)]),
            ("0", OK, 1, 2, [a(1, 2)]),
            ("1", OK, 0, 9, [r(1, 2, 1)]),
        ],
        {"G0-process", "monotonic-writes"},
    ),
    "writes follow reads": (
        [
            ("0", OK, 0, 9, [a(1, 1)]),
            ("1", OK, 0, 1, [r(1, 1)]),
            ("1", OK, 1, 2, [a(2, 2)]),
            ("2", OK, 0, 9, [r(2, 2), r(1)]),
        ],
        {"G-single-process", "writes-follow-reads"},
    ),
    "monotonic writes, seen by another": (
        [
            ("0", OK, 0, 1, [a(1, 1)]),
            ("0", OK, 1, 2, [a(2, 2)]),
            ("1", OK, 0, 9, [r(2, 2), r(1)]),
            ("2", OK, 0, 9, [r(1, 1)]),
        ],
        {"G-single-process", "monotonic-writes"},
    ),
    "near: another session reads less": (
        [
            ("0", OK, 0, 9, [a(1, 1)]),
            ("1", OK, 0, 1, [r(1, 1)]),
            ("2", OK, 1, 2, [r(1)]),
        ],
        set(),
    ),
    "stale read": (
        [("0", OK, 0, 1, [a(1, 1)]), ("1", OK, 3, 4, [r(1)]), ("2", OK, 0, 9, [r(1, 1)])],
        {"G-single-realtime"},
    ),
    "future read": (
        [("0", OK, 5, 6, [a(1, 1)]), ("1", OK, 1, 2, [r(1, 1)])],
        {"G1c-realtime"},
    ),
    "G0 by session": (
        [
            ("0", OK, 0, 1, [a(1, 1)]),
            ("0", OK, 1, 2, [a(2, 2)]),
            ("1", OK, 0, 9, [a(2, 1), a(1, 2)]),
            ("2", OK, 0, 9, [r(1, 2, 1)]),
            ("3", OK, 0, 9, [r(2, 2, 1)]),
        ],
        {"G0-process"},
    ),
    "near: only concurrent": (
        [("0", OK, 0, 5, [a(1, 1)]), ("1", OK, 5, 6, [r(1)]), ("2", OK, 0, 9, [r(1, 1)])],
        set(),
    ),
    "near: after a lost answer": (
        [("0", INFO, 0, 1, [a(1, 1)]), ("1", OK, 3, 4, [r(1)]), ("2", OK, 5, 9, [r(1, 1)])],
        set(),
    ),
    "near: own writes": (concurrent([r(1), a(1, 1), r(1, 1)], [r(1, 1)]), set()),
    "near: rolled back unseen": ([("0", FAIL, 0, 1, [a(1, 1)]), ("1", OK, 2, 3, [r(1)])], set()),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_anomaly_is_named_exactly(name: str) -> None:
    """What is there is found, and nothing else; a near miss passes."""
    planted, expected = PLANTED[name]
    assert {each.anomaly for each in check(history(planted)).seen} == expected


@pytest.mark.parametrize(
    ("name", "weakest", "strongest"),
    [
        ("G0", {"read uncommitted"}, set()),
        ("G1c", {"read committed"}, {"strong read uncommitted"}),
        ("G2-item", {"repeatable read"}, {"strong snapshot isolation"}),
        (
            "stale read",
            {"strong consistent view"},
            {"strong session serializable", "strong cursor stability"},
        ),
    ],
)
def test_levels_follow_from_anomalies(name: str, weakest: set[str], strongest: set[str]) -> None:
    """The weakest level violated and the strongest not contradicted."""
    found = check(history(PLANTED[name][0]))
    assert set(found.weakest_broken) == weakest
    assert set(found.strongest_standing) == strongest


def test_a_level_that_permits_it_is_not_contradicted() -> None:
    """Write skew is fine under snapshot isolation, and is not under serializable."""
    planted = history(PLANTED["G2-item"][0])
    assert check(planted, level="snapshot isolation").verdict is Verdict.VALID
    assert check(planted, level="serializable").verdict is Verdict.INVALID


def test_a_cycle_is_told_as_edges() -> None:
    """Each edge has its transactions, its key, its values and where they were written and read."""
    (seen,) = check(history(PLANTED["G-single"][0])).seen
    assert set(seen.edges) == {
        Edge(
            source=0,
            target=1,
            kind=EdgeKind.WR,
            key=1,
            first=1,
            second=1,
            first_mop=0,
            second_mop=2,
        ),
        Edge(
            source=1,
            target=0,
            kind=EdgeKind.RW,
            key=2,
            first=None,
            second=1,
            first_mop=3,
            second_mop=1,
        ),
    }
    assert seen.why == told(seen.edges)


@pytest.mark.parametrize("name", PLANTED)
def test_the_edges_of_a_cycle_close_it(name: str) -> None:
    """Each begins where the one before it ended."""
    for seen in check(history(PLANTED[name][0])).seen:
        if len(seen.edges) > 1:
            ends = [edge.target for edge in seen.edges]
            assert [edge.source for edge in seen.edges] == [ends[-1], *ends[:-1]]
            assert seen.transactions == tuple(edge.source for edge in seen.edges)


def serial(seed: int, count: int) -> list[Planted]:
    """Return a serial execution: one transaction after another."""
    rng, lists, found = random.Random(seed), dict[int, list[int]](), list[Planted]()
    for number in range(count):
        mops: list[Mop] = []
        for _ in range(rng.randint(1, 4)):
            key = rng.randint(1, 3)
            values = lists.setdefault(key, [])
            if rng.random() < 0.5:
                values.append(len(values) + 1)
                mops.append(a(key, values[-1]))
            else:
                mops.append(r(key, *values))
        found.append((str(rng.randint(0, 3)), OK, 2 * number, 2 * number + 1, mops))
    return found


@given(seed=st.integers(0, 10**6), count=st.integers(1, 25))
def test_a_serial_execution_is_never_accused(seed: int, count: int) -> None:
    """Whatever it does."""
    assert check(history(serial(seed, count))).seen == ()


@given(seed=st.integers(0, 10**6))
def test_a_write_that_a_later_read_misses_is_always_found(seed: int) -> None:
    """Real time closes a cycle."""
    planted = serial(seed, 10)
    planted.append(("w", OK, 100, 101, [a(9, 1)]))
    planted.append(("x", OK, 102, 103, [r(9)]))
    planted.append(("y", OK, 104, 105, [r(9, 1)]))
    assert {each.anomaly for each in check(history(planted)).seen} == {"G-single-realtime"}


@given(seed=st.integers(0, 10**6), data=st.data())
def test_a_read_of_a_serial_execution_that_is_changed_is_always_found(
    seed: int, data: st.DataObject
) -> None:
    """Without what another transaction appended before it, or with two appends exchanged."""
    planted = serial(seed, 20)
    writer = {
        (key, value): number
        for number, (*_, mops) in enumerate(planted)
        for f, key, value in mops
        if f == "append"
    }
    reads = [
        (number, place)
        for number, (*_, mops) in enumerate(planted)
        for place, (f, key, seen) in enumerate(mops)
        if f == "r" and any(writer[key, value] != number for value in seen)  # type: ignore[union-attr]  # a list
    ]
    if not reads:
        return
    number, place = data.draw(st.sampled_from(reads))
    f, key, seen = planted[number][4][place]
    assert isinstance(seen, list)
    foreign = [at for at, value in enumerate(seen) if writer[key, value] != number]
    at = data.draw(st.sampled_from(foreign))
    changed = seen[:at]
    if at and data.draw(st.booleans()) and writer[key, seen[at - 1]] != writer[key, seen[at]]:
        changed = [*seen[: at - 1], seen[at], seen[at - 1], *seen[at + 1 :]]
    planted[number][4][place] = (f, key, changed)
    assert check(history(planted)).seen


def test_what_a_transaction_did_between_two_reads_is_told_as_it_was() -> None:
    """Where it appended nothing between them the words say so."""
    found = check(history(concurrent([r(1), r(1, 1)], [a(1, 1)]))).seen
    (seen,) = [each for each in found if each.anomaly == "internal"]
    assert seen.why == ("key 1: T0 read [], appended nothing, and then read [1]",)
