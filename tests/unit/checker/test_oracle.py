"""The checker and a judge that tries everything say the same of small histories."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from list_oracle import Pairs, anomalies, cycles, shortest

from test_rig.checker import check, compiling
from test_rig.checker import cycles as cycles_of
from test_rig.checker.cycles import find_cycles
from test_rig.checker.graph import PROCESS, Edges
from test_rig.history import History, HistoryBuilder, Mop, OpType
from test_rig.isolation import CYCLES, GUARANTEES

OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO


@st.composite
def histories(draw: st.DrawFn, *, is_sound: bool, most: int = 6) -> History:
    """Draw a history: where it is sound, all reads of a key begin one list."""
    types = st.sampled_from([OK] * 6 + [FAIL, INFO])
    kinds = draw(st.lists(types, min_size=1, max_size=most))
    plans = [
        draw(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=4))
        for _ in kinds
    ]
    given_: dict[int, int] = defaultdict(int)
    values: list[list[int]] = []
    alive: dict[int, list[int]] = defaultdict(list)
    for kind, plan in zip(kinds, plans, strict=True):
        values.append([])
        for is_append, key in plan:
            given_[key] += is_append
            values[-1].append(given_[key])
            if is_append and (kind is not FAIL or not is_sound):
                alive[key].append(given_[key])
    orders = {key: draw(st.permutations(each)) for key, each in alive.items()}
    builder = HistoryBuilder()
    session_end: dict[str, int] = defaultdict(int)
    for number, (kind, plan) in enumerate(zip(kinds, plans, strict=True)):
        mops: list[Mop] = []
        for (is_append, key), value in zip(plan, values[number], strict=True):
            if is_append:
                mops.append(("append", key, value))
            elif is_sound or draw(st.integers(0, 3)):
                order = orders.get(key, [])
                mops.append(("r", key, order[: draw(st.integers(0, len(order)))]))
            else:
                mops.append(("r", key, draw(st.lists(st.integers(1, 4), max_size=3))))
        session = f"{draw(st.integers(0, 2))}" if kind is not INFO else f"lost {number}"
        start = session_end[session] + draw(st.integers(0, 3))
        session_end[session] = end = start + draw(st.integers(0, 6))
        builder.record(session, kind, mops, start=start, end=end)
    return builder.history()


def same_cycles(history: History) -> None:
    """Compare the cycles."""
    expected = cycles(history)
    seen = [each for each in check(history).seen if each.anomaly.startswith(CYCLES)]
    found = sorted((each.anomaly, len(each.transactions)) for each in seen)
    wanted = sorted((name, length) for (name, _), length in expected.items())
    extra = list(found)
    for each in wanted:
        assert each in extra, (each, found)
        extra.remove(each)
    # Only where something worse is in the component.
    assert all(name.startswith("G-nonadjacent") for name, _ in extra)
    for each in seen:
        assert len(set(each.transactions)) == len(each.transactions)
        assert [edge.target for edge in each.edges] == [
            *each.transactions[1:],
            each.transactions[0],
        ]
        assert each.is_shortest


@settings(max_examples=150, deadline=None)
@given(history=histories(is_sound=True))
def test_cycles_are_those_that_trying_all_walks_finds(history: History) -> None:
    """Each class of each component, with the length of its shortest cycle."""
    same_cycles(history)


@settings(max_examples=150, deadline=None)
@given(history=histories(is_sound=False))
def test_other_anomalies_are_those_that_their_definitions_tell(history: History) -> None:
    """Whatever was read."""
    expected = anomalies(history)
    found = {
        (each.anomaly, each.transactions[-1])
        for each in check(history).seen
        if not each.anomaly.startswith((*CYCLES, *GUARANTEES))
    }
    names = {name for name, _ in expected}
    # Who read the same is only asked of lists that begin the longest one.
    loose = {"lost-update"} if "incompatible-order" in names else set()
    assert {name for name, _ in found} - loose == names - loose
    assert {each for each in found if each[0] not in loose} <= expected


def random_edges(draw: st.DrawFn, nodes: int) -> Edges:
    """Draw edges of all kinds between transactions."""
    node = st.integers(0, nodes - 1)
    table = draw(st.lists(st.tuples(node, node, st.integers(0, 3)), min_size=2, max_size=14))
    # Sessions go on; the others may go in circles.
    drawn = [
        (min(a, b), max(a, b), kind) if kind == PROCESS else (a, b, kind) for a, b, kind in table
    ]
    rows = np.array([row for row in drawn if row[0] != row[1]], dtype=np.int64).reshape(-1, 3)
    places = np.arange(len(rows))
    return Edges(
        source=rows[:, 0],
        target=rows[:, 1],
        kind=rows[:, 2].astype(np.uint8),
        source_mop=places,
        target_mop=places,
    )


@pytest.mark.parametrize(("few", "rounds"), [(cycles_of._FEW, cycles_of._ROUNDS), (0, 32), (0, 0)])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_cycles_of_any_edges_are_those_that_trying_all_walks_finds(
    few: int, rounds: int, data: st.DataObject
) -> None:
    """Also the classes that histories seldom show, and the way that large components take."""
    edges = random_edges(data.draw, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycles_of, "_FEW", few)
        patch.setattr(cycles_of, "_ROUNDS", rounds)
        found = find_cycles([edges], 7, transactions=7)
    pairs: Pairs = {}
    for one, two, kind in zip(edges.source, edges.target, edges.kind, strict=True):
        pairs.setdefault((int(one), int(two)), set()).add(("ww", "wr", "rw", "process")[kind])
    data_pairs = {p: k - {"process"} for p, k in pairs.items() if k - {"process"}}
    process = {p: {"process"} for p, k in pairs.items() if "process" in k}
    expected = shortest(data_pairs, process, {}, 7)
    told = Counter((each.anomaly, len(each.steps)) for each in found.cycles)
    wanted = Counter((name, length) for (name, _), length in expected.items())
    assert not wanted - told
    assert all(name.startswith("G-nonadjacent") for name, _ in told - wanted)
    assert found.undecided == ()
    assert all(each.is_shortest for each in found.cycles)


def test_a_large_component_tells_a_cycle_in_which_an_edge_comes_second() -> None:
    """The edge from which the longer one was found is on the shorter one too, between others."""
    ww, rw = 0, 2
    short = [(0, 1, rw), (1, 2, ww), (2, 3, rw), (3, 0, rw)]
    rows = np.array([*short, (1, 4, rw), (4, 5, ww), (5, 6, ww), (6, 0, ww)])
    edges = Edges(
        source=rows[:, 0],
        target=rows[:, 1],
        kind=rows[:, 2].astype(np.uint8),
        source_mop=rows[:, 0],
        target_mop=rows[:, 1],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycles_of, "_FEW", 0)
        found = find_cycles([edges], 7, transactions=7).cycles
    assert [(each.anomaly, len(each.steps), each.is_shortest) for each in found] == [
        ("G2-item", 4, True)
    ]


def test_a_ring_of_thousands_is_its_shortest_cycle() -> None:
    """Without trying each of its edges, which would take as many steps as pairs of them."""
    builder, count = HistoryBuilder(), 4_000
    for each in range(count):
        mops: list[Mop] = [("r", each, []), ("append", (each + 1) % count, 1)]
        builder.record(str(each), OK, mops, start=0, end=1)
    (seen,) = check(builder.history()).seen
    assert (seen.anomaly, len(seen.transactions), seen.is_shortest) == ("G2-item", count, True)


@pytest.mark.parametrize("seed", range(3))
def test_compiled_and_plain_loops_say_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One source, and one answer."""
    pytest.importorskip("numba")
    drawn = skewed(seed, 300)
    monkeypatch.setattr(compiling, "_LOADED", {})
    plain = check(drawn)
    monkeypatch.setattr(compiling, "SMALL", 0)
    compiled = check(drawn)
    assert compiled == plain
    assert len(plain.seen) > 10


def skewed(seed: int, count: int) -> History:
    """Return a history with every kind of fault, of overlapping sessions."""
    rng, lists = random.Random(seed), defaultdict[int, list[int]](list)
    builder = HistoryBuilder()
    for number in range(count):
        kind = rng.choice([OK] * 8 + [FAIL, INFO])
        mops: list[Mop] = []
        for _ in range(rng.randint(1, 4)):
            key = rng.randint(number // 20, number // 20 + 3)
            order = lists[key]
            if rng.random() < 0.5:
                order.insert(len(order) - (rng.random() < 0.1), number * 10 + len(mops))
                mops.append(("append", key, number * 10 + len(mops)))
            else:
                mops.append(("r", key, order[: len(order) - rng.choice([0, 0, 0, 1, 2])]))
        session = f"{number % 5}" if kind is not INFO else f"lost {number}"
        builder.record(
            session, kind, mops, start=10 * number, end=10 * number + rng.choice([5, 49])
        )
    return builder.history()


def test_neither_the_package_nor_a_small_history_imports_the_compiler() -> None:
    """A command that judges nothing large has no time for it."""
    code = (
        "import sys, test_rig.checker as c, test_rig.history as h;"
        "b = h.HistoryBuilder(); b.record('0', h.OpType.OK, [('r', 1, [])], start=0, end=1);"
        "c.check(b.history()); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
