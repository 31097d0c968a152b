"""Planted histories of registers: each anomaly is found and named, and nothing else is."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from register_oracle import Session, allows

from test_rig.checker import Checked, check, reduce
from test_rig.errors import HistoryError, UsageError
from test_rig.history import History, HistoryBuilder, Mop, OpType, Timescale
from test_rig.isolation import history_levels
from test_rig.verdict import Verdict

Planted = tuple[str, OpType, int, int, list[Mop]]
OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO


def w(key: int, value: int) -> Mop:
    """Return a write."""
    return ("w", key, value)


def r(key: int, value: int | None = None) -> Mop:
    """Return a read."""
    return ("r", key, value)


def concurrent(*transactions: list[Mop]) -> list[Planted]:
    """Return transactions of one session each, all at the same time."""
    return [(str(n), OK, 0, 10, mops) for n, mops in enumerate(transactions)]


def session(name: str, *transactions: list[Mop]) -> list[Planted]:
    """Return transactions of one session; sessions overlap each other."""
    last = len(transactions) - 1
    return [
        (name, OK, 0 if n == 0 else 20 + n, 100 if n == last else 20 + n, mops)
        for n, mops in enumerate(transactions)
    ]


def history(planted: list[Planted], clock: Timescale = Timescale.NS) -> History:
    """Return a history of what was planted."""
    builder = HistoryBuilder(clock=clock)
    for process, kind, start, end, mops in planted:
        builder.record(process, kind, mops, start=start, end=end)
    return builder.history()


def judged(planted: list[Planted], level: str | None = None) -> Checked:
    """Return the verdict on registers."""
    return check(history(planted), level=level, model="rw-register")


PLANTED: dict[str, tuple[list[Planted], set[str]]] = {
    "G1a": ([("0", FAIL, 0, 1, [w(1, 1)]), ("1", OK, 0, 1, [r(1, 1)])], {"G1a"}),
    "G1b": (concurrent([w(1, 1), w(1, 2)], [r(1, 1)]), {"G1b"}),
    "G1c": (concurrent([w(1, 1), r(2, 2)], [w(2, 2), r(1, 1)]), {"G1c"}),
    "G1c-process": (
        [*session("0", [r(1, 1)], [w(1, 1)])],
        {"G1c-process"},
    ),
    "G1c-realtime": (
        [("0", OK, 0, 1, [r(1, 1)]), ("1", OK, 5, 6, [w(1, 1)])],
        {"G1c-realtime"},
    ),
    "OTV": (
        concurrent([w(1, 1), w(2, 1)], [w(1, 2), w(2, 2)], [r(1, 1), r(1, 2), r(2, 1)]),
        {"OTV"},
    ),
    "fractured read": (
        concurrent([w(1, 1), w(2, 1)], [r(2), r(1, 1)]),
        {"fractured-read", "G-single"},
    ),
    "read skew seen later": (
        concurrent([w(1, 1), w(2, 1)], [r(1, 1), r(2)]),
        {"OTV", "G-single"},
    ),
    "two values of one key": (
        concurrent([w(1, 1)], [w(1, 2)], [r(1, 1), r(1, 2)]),
        {"fractured-read"},
    ),
    "read your writes": (
        [*session("0", [w(1, 1)], [r(1)])],
        {"fractured-read-process", "read-your-writes", "G-single-process"},
    ),
    "monotonic reads": (
        [*session("0", [r(1, 1)], [r(1)]), ("1", OK, 0, 100, [w(1, 1)])],
        {"causality-violation", "monotonic-reads", "G-single-process"},
    ),
    "monotonic writes": (
        [*session("0", [w(1, 1)], [w(2, 1)]), ("1", OK, 0, 100, [r(2, 1), r(1)])],
        {"causality-violation", "monotonic-writes", "G-single-process"},
    ),
    "writes follow reads": (
        [
            ("0", OK, 0, 100, [w(1, 1)]),
            *session("1", [r(1, 1)], [w(2, 1)]),
            ("2", OK, 0, 100, [r(2, 1), r(1)]),
        ],
        {"causality-violation", "writes-follow-reads", "G-single-process"},
    ),
    "causality without promises of sessions": (
        [
            *session("0", [w(1, 1)], [w(2, 1)]),
            *session("1", [w(1, 2)], [w(3, 2)]),
            ("2", OK, 0, 100, [r(2, 1), r(1, 2)]),
            ("3", OK, 0, 100, [r(3, 2), r(1, 1)]),
        ],
        {"causality-violation"},
    ),
    "write skew": (concurrent([r(1), w(2, 1)], [r(2), w(1, 1)]), {"G2-item"}),
    "long fork": (
        concurrent([w(1, 1)], [w(2, 1)], [r(1, 1), r(2)], [r(2, 1), r(1)]),
        {"G-nonadjacent"},
    ),
    "lost update": (
        concurrent([w(1, 9)], [r(1, 9), w(1, 1)], [r(1, 9), w(1, 2)]),
        {"lost-update"},
    ),
    "lost update of what was not there": (
        concurrent([r(1), w(1, 1)], [r(1), w(1, 2)]),
        {"lost-update"},
    ),
    "cyclic versions": (
        concurrent([r(1, 2), w(1, 1)], [r(1, 1), w(1, 2)]),
        {"G1c", "cyclic-versions"},
    ),
    "monotonic reads, which dirty reads do not tell": (
        [
            ("0", OK, 0, 9, [w(2, 1), r(1, 1)]),
            ("1", OK, 0, 8, [w(1, 1), w(2, 2)]),
            *session("2", [r(2, 1)], [r(2, 2)]),
            ("3", FAIL, 0, 9, [w(3, 1)]),
            ("4", OK, 0, 9, [r(3, 1)]),
        ],
        {"G1a", "causality-violation"},
    ),
    "internal": (concurrent([w(1, 1), r(1, 2)], [w(1, 2)]), {"internal"}),
    "internal, of later": (concurrent([r(1, 1), w(1, 1)]), {"internal"}),
    "garbage": (concurrent([r(1, 7)]), {"garbage-read"}),
    "stale read": (
        [
            ("0", OK, 0, 1, [w(1, 1)]),
            ("1", OK, 2, 3, [w(1, 2)]),
            ("2", OK, 4, 5, [r(1, 1)]),
        ],
        {"G-single-realtime"},
    ),
    "nothing": (concurrent([w(1, 1)], [r(1, 1), w(1, 2)], [r(1, 2)]), set()),
    "near G1a": ([("0", INFO, 0, 1, [w(1, 1)]), ("1", OK, 0, 1, [r(1, 1)])], set()),
    "near G1b": (concurrent([w(1, 1), w(1, 2)], [r(1, 2)]), set()),
    "near G1c": (concurrent([w(1, 1), r(2)], [w(2, 2), r(1, 1)]), set()),
    "near read your writes": ([*session("0", [r(1)], [w(1, 1)], [r(1, 1)])], set()),
    "near monotonic reads": (
        [*session("0", [r(1)], [r(1, 1)]), ("1", OK, 0, 100, [w(1, 1)])],
        set(),
    ),
    "near monotonic writes": (
        [*session("0", [w(1, 1)], [w(2, 1)]), ("1", OK, 0, 100, [r(2), r(1, 1)])],
        set(),
    ),
    "near writes follow reads": (
        [
            ("0", OK, 0, 100, [w(1, 1)]),
            *session("1", [r(1, 1)], [w(2, 1)]),
            ("2", OK, 0, 100, [r(2, 1), r(1, 1)]),
        ],
        set(),
    ),
    "near a lost update": (
        concurrent([w(1, 9)], [r(1, 9), w(1, 1)], [r(1, 1), w(1, 2)]),
        set(),
    ),
    "near a write skew": (concurrent([r(1), w(2, 1)], [r(2, 1), w(1, 1)]), set()),
    "near a long fork": (
        concurrent([w(1, 1)], [w(2, 1)], [r(1, 1), r(2)], [r(2, 1), r(1, 1)]),
        set(),
    ),
    "near a stale read": (
        [("0", OK, 0, 3, [w(1, 1)]), ("1", OK, 2, 3, [w(1, 2)]), ("2", OK, 4, 5, [r(1, 1)])],
        set(),
    ),
    "near internal": (concurrent([w(1, 1), w(1, 3), r(1, 3)], [w(1, 2)]), set()),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_found_and_nothing_else(name: str) -> None:
    """Each anomaly by its name; a near miss shows nothing and is proved serializable."""
    planted, expected = PLANTED[name]
    found = judged(planted)
    assert {each.anomaly for each in found.seen} == expected
    assert found.verdict is (Verdict.INVALID if expected else Verdict.VALID)


@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name][1]])
def test_edges_of_an_anomaly_close_and_are_told(name: str) -> None:
    """A cycle leads back to where it began, and has a sentence for each edge."""
    planted, _ = PLANTED[name]
    for seen in judged(planted).seen:
        assert seen.why
        if len(seen.edges) > 1:
            targets = [edge.target for edge in seen.edges]
            assert [edge.source for edge in seen.edges] == [targets[-1], *targets[:-1]]
            assert len(seen.why) == len(seen.edges)


@pytest.mark.parametrize(
    ("name", "level", "verdict"),
    [
        ("write skew", "snapshot isolation", Verdict.VALID),
        ("write skew", "serializable", Verdict.INVALID),
        ("long fork", "causal consistency", Verdict.VALID),
        ("long fork", "snapshot isolation", Verdict.INVALID),
        ("lost update", "causal consistency", Verdict.VALID),
        ("lost update", "cursor stability", Verdict.INVALID),
        ("fractured read", "monotonic atomic view", Verdict.VALID),
        ("fractured read", "read atomic", Verdict.INVALID),
        ("read skew seen later", "read committed", Verdict.VALID),
        ("read skew seen later", "monotonic atomic view", Verdict.INVALID),
        ("read your writes", "serializable", Verdict.VALID),
        ("read your writes", "strong session read atomic", Verdict.INVALID),
        ("monotonic reads", "strong session read atomic", Verdict.VALID),
        ("monotonic reads", "causal consistency", Verdict.INVALID),
        ("stale read", "strong session serializable", Verdict.VALID),
        ("stale read", "strong serializable", Verdict.INVALID),
        ("G1a", "read uncommitted", Verdict.VALID),
        ("G1c", "read committed", Verdict.INVALID),
    ],
)
def test_a_level_is_contradicted_by_what_it_forbids(
    name: str, level: str, verdict: Verdict
) -> None:
    """And is proved where an order of versions explains the history at that level."""
    assert judged(PLANTED[name][0], level).verdict is verdict


def test_what_is_neither_contradicted_nor_proved_is_unknown_and_said_why() -> None:
    """Blind writes leave the order of versions open: where none was found, none is guessed."""
    sessions: list[Session] = [[[w(3, 1)], [w(3, 2), r(2)]], [[w(1, 1), w(2, 1), r(3, 1)]]]
    found = check(of_sessions(sessions), level="serializable")
    assert found.verdict is Verdict.UNKNOWN
    assert "serializable" in found.unknown_levels
    assert "causal consistency" not in found.unknown_levels
    assert "is not known" in (found.reason or "")


def test_values_that_are_written_twice_are_refused() -> None:
    """It could not be said who was read."""
    with pytest.raises(HistoryError, match="transaction 1: writes 1 to key 1, as transaction 0"):
        judged(concurrent([w(1, 1)], [w(1, 1)]))


def test_a_session_that_overlaps_itself_is_refused() -> None:
    """It would have two orders."""
    with pytest.raises(HistoryError, match="before its transaction 0 has ended"):
        judged([("0", OK, 0, 9, [w(1, 1)]), ("0", OK, 5, 12, [w(1, 2)])])


MIXED = concurrent([("append", 1, 1), w(2, 1)], [("r", 1, [1]), r(2, 1)], [("r", 1, [1]), r(2, 7)])


def test_a_history_of_both_models_is_judged_by_the_one_that_is_named() -> None:
    """The other's keys are left out; without a name it is refused."""
    with pytest.raises(UsageError, match="name a model"):
        check(history(MIXED))
    assert not check(history(MIXED), model="list-append").seen
    (seen,) = check(history(MIXED), model="rw-register").seen
    assert (seen.anomaly, seen.transactions) == ("garbage-read", (2,))


def test_a_model_that_the_history_contradicts_is_refused() -> None:
    """Registers are no lists; a key is not both."""
    with pytest.raises(UsageError, match="holds registers, not lists"):
        check(history(concurrent([w(1, 1)])), model="list-append")
    with pytest.raises(HistoryError, match="key 1: it is a list and a register"):
        check(history(concurrent([w(1, 1)], [("r", 1, [1])])), model="rw-register")
    with pytest.raises(UsageError, match="did you mean 'rw-register'"):
        check(history([]), model="register")


def random_sessions(rng: random.Random, most: int) -> list[Session]:
    """Return a few transactions that read any value, or nothing."""
    count = rng.randint(2, most)
    keys = range(1, rng.randint(2, 4))
    plans = [
        [(rng.choice("rw"), rng.choice(keys)) for _ in range(rng.randint(1, 3))]
        for _ in range(count)
    ]
    values = dict.fromkeys(keys, 0)
    finals: dict[int, dict[int, int]] = {key: {} for key in keys}
    numbered: list[list[Mop]] = []
    for place, plan in enumerate(plans):
        mops: list[Mop] = []
        for f, key in plan:
            if f == "w":
                values[key] += 1
                finals[key][place] = values[key]
            mops.append((f, key, values[key] if f == "w" else None))
        numbered.append(mops)
    sessions: list[Session] = [[] for _ in range(rng.randint(1, 3))]
    for place, mops in enumerate(numbered):
        own: dict[int, int] = {}
        done: list[Mop] = []
        for f, key, value in mops:
            assert isinstance(key, int)
            if f == "w":
                assert isinstance(value, int)
                own[key] = value
            elif key in own:
                value = own[key]
            else:
                others = [each for who, each in finals[key].items() if who != place]
                value = rng.choice([*others, None])
            done.append((f, key, value))
        rng.choice(sessions).append(done)
    return sessions


def of_sessions(sessions: list[Session]) -> History:
    """Return sessions as a history that knows no time."""
    return history(
        [
            (str(number), OK, 2 * place, 2 * place + 1, mops)
            for number, each in enumerate(sessions)
            for place, mops in enumerate(each)
        ],
        Timescale.SESSION,
    )


LEVELS = [
    ("read committed", False, "read committed"),
    ("read committed", True, "strong session read committed"),
    ("monotonic atomic view", False, "monotonic atomic view"),
    ("monotonic atomic view", True, "strong session monotonic atomic view"),
    ("read atomic", False, "read atomic"),
    ("read atomic", True, "strong session read atomic"),
    ("causal consistency", True, "causal consistency"),
    ("serializable", False, "serializable"),
    ("serializable", True, "strong session serializable"),
]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9))
def test_verdicts_are_those_of_the_definitions(seed: int) -> None:
    """Every order of few transactions is tried; only serializability may remain unknown."""
    sessions = random_sessions(random.Random(seed), 5)
    whole = of_sessions(sessions)
    found = check(whole, model="rw-register")
    names = {each.anomaly for each in found.seen}
    for axiom, has_sessions, level in LEVELS:
        if level in found.unknown_levels:
            assert axiom == "serializable"
            continue
        truth = allows(sessions, axiom, has_sessions=has_sessions)
        assert truth is not bool(names & history_levels("rw-register")[level]), level


def serial(rng: random.Random, count: int, keys: int = 5) -> list[Planted]:
    """Return transactions that ran one by one; their answers came late, and some were lost."""
    values: dict[int, int | None] = dict.fromkeys(range(keys))
    planted: list[Planted] = []
    clients = [f"{n}.0" for n in range(4)]
    free = [0] * len(clients)
    at = 0
    for number in range(count):
        client = rng.randrange(len(clients))
        mops: list[Mop] = []
        kind = rng.choices([OK, FAIL, INFO], [8, 1, 1])[0]
        is_done = kind is OK or (kind is INFO and rng.random() < 0.5)
        state = dict(values)
        for place in range(rng.randint(1, 4)):
            key = rng.randrange(keys)
            if rng.random() < 0.5:
                state[key] = number * 10 + place
                mops.append(w(key, number * 10 + place))
            else:
                mops.append(r(key, state[key] if kind is OK else None))
        if is_done:
            values = state
        at = max(at, free[client]) + rng.randint(1, 3)
        end = at + rng.randint(0, 6)
        planted.append((clients[client], kind, free[client], end, mops))
        free[client] = end
        if kind is INFO:
            clients[client] = f"{client}.{number + 1}"
    return planted


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 60))
def test_a_serial_execution_is_never_accused(seed: int, count: int) -> None:
    """Whatever was lost or rolled back, and however late its answers came."""
    found = judged(serial(random.Random(seed), count))
    assert found.seen == ()
    assert found.weakest_broken == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(5, 40))
def test_a_broken_read_is_always_found(seed: int, count: int) -> None:
    """An older value, read when its overwriting had been confirmed, contradicts a level."""
    rng = random.Random(seed)
    planted = [
        (str(n % 3), OK, 10 * n, 10 * n + 5, [r(1, n or None), w(1, n + 1)]) for n in range(count)
    ]
    victim = rng.randrange(2, count)
    older = rng.randrange(0, victim)
    planted[victim] = (*planted[victim][:4], [r(1, older or None), w(1, victim + 1)])
    found = judged(planted)
    assert {"lost-update", "G-single-realtime"} & {each.anomaly for each in found.seen}
    assert judged(planted, "serializable").verdict is Verdict.INVALID


@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name][1]])
def test_a_planted_anomaly_is_all_that_is_left_of_much_noise(name: str) -> None:
    """The witness shows it, and has transactions of the planted anomaly alone."""
    planted, _ = PLANTED[name]
    noise = [
        (f"noise {n % 7}", OK, 1000 + 10 * n, 1009 + 10 * n, [r(50, n or None), w(50, n + 1)])
        for n in range(40)
    ]
    whole = history([*planted, *noise])
    for seen in check(whole, model="rw-register").seen:
        found = reduce(whole, seen)
        assert set(found.origin) <= set(range(len(planted)))
        assert found.seen.anomaly == seen.anomaly


def test_keys_and_values_of_any_size_are_told_apart() -> None:
    """Their table mixes them; no two are taken for one."""
    rng = random.Random(1)
    numbers = [rng.randrange(-(2**62), 2**62) for _ in range(2000)]
    planted = concurrent(*([w(key, value), w(value, key)] for key, value in pairwise(numbers)))
    whole = history(planted)
    assert judged(planted).verdict is Verdict.VALID
    twin = replace(whole, value=np.append(whole.value[:-1], whole.value[-2]))
    assert check(twin, model="rw-register").transactions == len(planted)
