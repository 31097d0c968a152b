"""Generators: the same seed gives the same requests, and what they promise of keys holds."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.workload import BUILT_IN, Plan, Request, Workload
from test_rig.workload.keys import RotatingKeys

PLANS = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    keys=st.integers(2, 12),
    writes_per_key=st.integers(1, 40),
    clients=st.integers(1, 30),
    ops=st.integers(1, 8),
)


def requests(workload: Workload, plan: Plan, count: int = 200) -> list[Request]:
    """Return the first requests of a new generator, and its last ones."""
    generator = workload.generator(plan, Random(plan.seed))
    return [generator.request() for _ in range(count)] + list(generator.final())


@pytest.mark.parametrize("workload", BUILT_IN.values(), ids=lambda each: each.name)
@given(plan=PLANS)
def test_one_seed_gives_one_stream(workload: Workload, plan: Plan) -> None:
    """A generator has no other source of chance than its seed."""
    assert requests(workload, plan) == requests(workload, plan)


@pytest.mark.parametrize("name", ["bank", "set", "monotonic", "lost-update", "internal"])
def test_another_seed_gives_another_stream(name: str) -> None:
    """The seed is used."""
    first, second = (requests(BUILT_IN[name], Plan(seed=seed)) for seed in (1, 2))
    assert first != second


@given(plan=PLANS)
def test_every_set_is_read_a_last_time(plan: Plan) -> None:
    """Whatever was added to belongs to a set that is read when nobody adds to it any more."""
    asked = requests(BUILT_IN["set"], plan, 500)
    added = {request.value[0] for request in asked if request.f == "add"}
    last = Counter(request.value for request in asked if request.f == "read-last")
    assert added <= set(last)
    assert set(last.values()) == {1}


@given(seed=st.integers(0, 2**32), count=st.integers(1, 10), limit=st.integers(1, 20))
def test_a_key_is_written_so_often_and_no_more(seed: int, count: int, limit: int) -> None:
    """Values of a key count from 1 to the limit; the number of keys in use stays."""
    keys = RotatingKeys(Random(seed), count=count, writes_per_key=limit, rest=0)
    written: dict[int, list[int]] = {}
    for _ in range(300):
        key = keys.choose()
        written.setdefault(key, []).append(keys.value(key))
        keys.left()
    assert all(values == list(range(1, len(values) + 1)) for values in written.values())
    assert max(map(len, written.values())) <= limit
    assert len(keys.in_use) >= count


def test_the_first_key_is_hot() -> None:
    """About half of the choices are of one key: that is where transactions meet."""
    keys = RotatingKeys(Random(7), count=8, writes_per_key=10**9, rest=0)
    chosen = Counter(keys.choose() for _ in range(4000))
    assert 0.4 < chosen.most_common(1)[0][1] / 4000 < 0.6
