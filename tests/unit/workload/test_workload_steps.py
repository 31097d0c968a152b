"""Witnesses in steps: an order that shows the cycle again, or none."""

from __future__ import annotations

import pytest

from test_rig.targets import Target
from test_rig.verdict import WitnessStep
from test_rig.workload import Shown, replay
from test_rig.workload.dependencies import RW, WR, WW, Edge, Mop, Txn
from test_rig.workload.steps import steps_of


def order(steps: tuple[WitnessStep, ...]) -> list[str]:
    """Return steps as short texts: "1 read 5"."""
    return [" ".join(str(part) for part in (s.txn, s.do, s.key) if part is not None) for s in steps]


def txns(*scripts: tuple[Mop, ...]) -> list[Txn]:
    """Return transactions of these operations."""
    return [Txn(number, number, script) for number, script in enumerate(scripts)]


def test_read_skew_waits_for_the_commit_in_its_middle() -> None:
    """The first read comes before the append, the second after its COMMIT."""
    both = txns((("r", 1, ()), ("r", 2, (5,))), (("append", 1, 4), ("append", 2, 5)))
    edges = {(0, 1): Edge(RW, 1, 4), (1, 0): Edge(WR, 2, 5)}
    steps = order(steps_of(both, [0, 1], edges))
    assert steps.index("1 read 1") < steps.index("2 append 1")
    assert steps.index("2 commit") < steps.index("1 read 2")


def test_dirty_reads_do_not_wait_for_each_other() -> None:
    """Where both read what the other wrote neither can have committed before."""
    both = txns((("append", 1, 1), ("r", 2, (1,))), (("append", 2, 1), ("r", 1, (1,))))
    edges = {(0, 1): Edge(WR, 1, 1), (1, 0): Edge(WR, 2, 1)}
    steps = order(steps_of(both, [0, 1], edges))
    assert steps.index("2 append 2") < steps.index("1 read 2")
    assert steps.index("1 append 1") < steps.index("2 read 1")


def test_other_keys_are_left_out() -> None:
    """A witness has what the cycle is made of, and nothing else."""
    both = txns(
        (("r", 1, ()), ("append", 9, 1), ("append", 2, 5)), (("r", 2, ()), ("append", 1, 4))
    )
    edges = {(0, 1): Edge(RW, 1, 4), (1, 0): Edge(RW, 2, 5)}
    assert "1 append 9" not in order(steps_of(both, [0, 1], edges))


@pytest.mark.parametrize("count", [5, 6])
def test_long_cycles_have_no_script(count: int) -> None:
    """They are not to be brought about by hand."""
    many = txns(*[(("append", 1, number),) for number in range(count)])
    edges = {(n, (n + 1) % count): Edge(WW, 1, n) for n in range(count)}
    assert steps_of(many, list(range(count)), edges) == ()


def test_a_replay_is_judged() -> None:
    """DuckDB's snapshots permit write skew, every time."""
    both = txns((("r", 1, ()), ("append", 2, 5)), (("r", 2, ()), ("append", 1, 4)))
    edges = {(0, 1): Edge(RW, 1, 4), (1, 0): Edge(RW, 2, 5)}
    seen: list[list[str]] = []

    def note(number: int, shown: tuple[Shown, ...]) -> None:
        seen.append([each.flaw.anomaly for each in shown])

    with Target.open("duckdb://") as target, target.scratch() as scratch:
        steps = steps_of(both, [0, 1], edges)
        replay(steps, scratch, target.level("snapshot"), times=2, on_try=note)
    assert seen == [["G2-item"], ["G2-item"]]
