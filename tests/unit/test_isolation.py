"""Levels and anomalies: what forbids what, and what remains when anomalies are seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import UnknownName
from test_rig.isolation import (
    Anomaly,
    Level,
    forbids,
    history_levels,
    level_named,
    strongest_levels,
)

EVERYTHING = frozenset(Anomaly)
anomalies = st.sets(st.sampled_from(Anomaly))


def test_every_anomaly_and_level_is_defined_with_its_source() -> None:
    """No member of the two vocabularies lacks a definition or its source."""
    assert all(a.info.meaning.endswith(".") and a.info.source for a in Anomaly)
    assert all(level.info.source for level in Level)
    assert len({a.info.label for a in Anomaly}) == len(Anomaly)


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        (Level.NONE, Level.READ_UNCOMMITTED),
        (Level.READ_UNCOMMITTED, Level.READ_COMMITTED),
        (Level.READ_COMMITTED, Level.MONOTONIC_ATOMIC_VIEW),
        (Level.MONOTONIC_ATOMIC_VIEW, Level.SNAPSHOT),
        (Level.MONOTONIC_ATOMIC_VIEW, Level.REPEATABLE_READ),
        (Level.SNAPSHOT, Level.SERIALIZABLE),
        (Level.REPEATABLE_READ, Level.SERIALIZABLE),
    ],
)
def test_a_stronger_level_forbids_all_that_the_weaker_one_does_and_more(
    weaker: Level, stronger: Level
) -> None:
    """The levels are ordered by what they forbid, as Adya's figure 4-1 draws them."""
    assert weaker.info.forbids < stronger.info.forbids


def test_repeatable_read_and_snapshot_isolation_cannot_be_compared() -> None:
    """Write skew of rows separates them one way, read skew of predicates the other."""
    assert forbids(Level.REPEATABLE_READ, Anomaly.G2_ITEM)
    assert not forbids(Level.SNAPSHOT, Anomaly.G2_ITEM)
    assert forbids(Level.SNAPSHOT, Anomaly.G_SINGLE_DEPENDENT)
    assert not forbids(Level.REPEATABLE_READ, Anomaly.G_SINGLE_DEPENDENT)


def test_nothing_seen_leaves_serializable() -> None:
    """Where everything was looked for and nothing found, only the strongest level remains."""
    assert strongest_levels((), EVERYTHING) == (Level.SERIALIZABLE,)


def test_write_skew_alone_leaves_snapshot_isolation() -> None:
    """G2-item, G2 and the read-only anomaly are what snapshot isolation permits."""
    seen = {Anomaly.G2_ITEM, Anomaly.G2, Anomaly.G2_TWO_EDGES}
    assert strongest_levels(seen, EVERYTHING) == (Level.SNAPSHOT,)


def test_a_lost_update_leaves_neither_snapshot_isolation_nor_repeatable_read() -> None:
    """P4 is forbidden by both, so monotonic atomic view is the most that remains."""
    assert strongest_levels({Anomaly.P4}, EVERYTHING) == (Level.MONOTONIC_ATOMIC_VIEW,)


def test_a_dirty_write_leaves_nothing() -> None:
    """G0 is forbidden by every level but the one that promises nothing."""
    assert strongest_levels({Anomaly.G0}, EVERYTHING) == (Level.NONE,)


def test_what_was_not_looked_for_is_not_granted() -> None:
    """A level whose forbidden anomalies were not all judged cannot be the observed one."""
    judged = EVERYTHING - {Anomaly.G2}
    assert Level.SERIALIZABLE not in strongest_levels((), judged)


@given(anomalies, anomalies)
def test_more_anomalies_never_make_a_level_stronger(
    first: set[Anomaly], more: set[Anomaly]
) -> None:
    """Each level that remains after seeing more is implied by one that remained before."""
    before = strongest_levels(first, EVERYTHING)
    for level in strongest_levels(first | more, EVERYTHING):
        assert any(level.info.forbids <= other.info.forbids for other in before)


@given(anomalies)
def test_the_remaining_levels_are_maximal_and_uncontradicted(seen: set[Anomaly]) -> None:
    """No remaining level forbids what was seen, and none is weaker than another of them."""
    levels = strongest_levels(seen, EVERYTHING)
    assert levels
    assert all(not level.info.forbids & seen for level in levels)
    assert all(not a.info.forbids < b.info.forbids for a in levels for b in levels)


@pytest.mark.parametrize(
    "spelt", ["snapshot-isolation", "Snapshot Isolation", "SNAPSHOT_ISOLATION"]
)
def test_a_level_is_known_however_it_is_spelt(spelt: str) -> None:
    """In any case, with blanks, hyphens or underscores."""
    assert level_named(spelt, history_levels()) == "snapshot isolation"


@pytest.mark.parametrize("spelt", ["serialisable", "SERIALISABLE"])
def test_an_unknown_level_is_told_in_lines_with_the_nearest_first(spelt: str) -> None:
    """What is meant stands in the first line; no line is long, no name is parted."""
    with pytest.raises(UnknownName) as caught:
        level_named(spelt, history_levels())
    first, *rest = str(caught.value).splitlines()
    assert first.endswith("(did you mean 'serializable'?)")
    assert max(map(len, rest)) <= 80
    assert all(any(name in line for line in rest) for name in history_levels())
