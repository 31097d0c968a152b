"""Coverage: how many pairs of transactions could have shown each anomaly."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.history import HistoryBuilder, OpType
from test_rig.workload.chances import Chances

OK, FAIL, INFO = OpType.OK, OpType.FAIL, OpType.INFO
Txn = tuple[str, int, int, OpType]


def told(*transactions: Txn, step: int = 1000) -> dict[str, int]:
    """Return what is counted of transactions, told as `rx wy`, with start, end and type.

    Args:
        transactions: In the order of their ends, where there is a step.
        step: So many are counted at a time.
    """
    builder, chances = HistoryBuilder(is_kept=False), Chances()
    for number, (text, start, end, kind) in enumerate(transactions):
        if number and number % step == 0:
            later = min(begun for _, begun, *_ in transactions[number:])
            chances.add(builder.take(), open_since_ns=later)
        mops: list[Any] = [
            ("r", ord(each[1]), None) if each[0] == "r" else ("w", ord(each[1]), number)
            for each in text.split()
        ]
        builder.record(str(number), kind, mops, start=start, end=end)
    chances.add(builder.take())
    return {name.split()[-1]: count for name, count in chances.told()}


def both(first: str, second: str, *, kind: OpType = OK) -> dict[str, int]:
    """Return what two that overlap are counted as, without zeros."""
    found = told((first, 0, 10, kind), (second, 5, 15, OK))
    return {name: count for name, count in found.items() if count and name != "transactions"}


@pytest.mark.parametrize(
    ("first", "second", "counted"),
    [
        ("wx wy", "wy wx", {"G0"}),
        ("wx", "wx", set()),
        ("wx wx", "rx", {"G1b"}),
        ("wx", "rx", set()),
        ("rx wy", "ry wx", {"G1c", "G2-item"}),
        ("rx wx", "rx wx", {"lost-update", "G-single"}),
        ("wx wy", "rx ry", {"G-single"}),
        ("wx", "rx rx", {"G-single", "internal"}),
        ("wx", "rx wx", {"G-single"}),
        ("rx rx", "rx", {"internal"}),
        ("wx rx", "ry", {"internal"}),
        ("wx rx", "wx", {"internal"}),
    ],
)
def test_two_that_overlap_count_for_what_they_could_show(
    first: str, second: str, counted: set[str]
) -> None:
    """Once each, whoever came first."""
    assert both(first, second) == dict.fromkeys(counted, 1)
    assert both(second, first) == dict.fromkeys(counted, 1)


def test_only_what_overlaps_counts() -> None:
    """One that began after the other's end could not have met it; at the same moment it could."""
    assert told(("rx wx", 0, 10, OK), ("rx wx", 11, 20, OK))["lost-update"] == 0
    assert told(("rx wx", 0, 10, OK), ("rx wx", 10, 20, OK))["lost-update"] == 1


def test_refused_ones_count() -> None:
    """A refusal is how a level keeps its promise; an aborted read needs one that is refused."""
    assert both("rx wx", "rx wx", kind=FAIL) == {"lost-update": 1, "G-single": 1, "G1a": 1}
    found = told(("rx wx", 0, 10, INFO), ("rx wx", 5, 15, OK))
    assert not any(count for name, count in found.items() if name != "transactions")


def test_a_fork_needs_two_readers_beside_two_writers() -> None:
    """Both read what others were writing at the time."""
    readers = (("rx ry", 0, 10, OK), ("rx ry", 0, 10, OK))
    assert told(*readers, ("wx", 5, 6, OK), ("wy", 5, 6, OK))["G-nonadjacent"] == 1
    assert told(*readers, ("wx", 5, 6, OK), ("wy", 15, 16, OK))["G-nonadjacent"] == 0
    assert told(readers[0], ("wx", 5, 6, OK), ("wy", 5, 6, OK))["G-nonadjacent"] == 0


@given(seed=st.integers(0, 2**32))
def test_the_counts_are_those_of_looking_at_every_pair(seed: int) -> None:
    """Many transactions at once are counted as each two of them by themselves."""
    random = Random(seed)
    every: list[Txn] = []
    for _ in range(6):
        start = random.randrange(30)
        text = " ".join(random.choice("rw") + random.choice("xyz") for _ in range(3))
        every.append((text, start, start + random.randrange(1, 10), random.choice([OK, FAIL])))
    found = told(*every)
    by_pair = [told(*two) for two in combinations(every, 2)]
    for name in ("G0", "G1a", "G1b", "G1c", "lost-update", "G-single", "G2-item"):
        assert found[name] == sum(each[name] for each in by_pair), name


@given(seed=st.integers(0, 2**32), step=st.integers(1, 4))
def test_the_counts_do_not_depend_on_the_parts(seed: int, step: int) -> None:
    """Those that overlap meet, whichever part each of them came in."""
    random = Random(seed)
    every: list[Txn] = []
    for _ in range(8):
        start = random.randrange(30)
        text = " ".join(random.choice("rw") + random.choice("xyz") for _ in range(3))
        every.append((text, start, start + random.randrange(1, 10), random.choice([OK, FAIL])))
    every.sort(key=lambda each: each[2])
    whole, parts = told(*every), told(*every, step=step)
    # Whom a reader met may be gone when the other reader comes.
    assert parts.pop("G-nonadjacent") <= whole.pop("G-nonadjacent")
    assert parts == whole
