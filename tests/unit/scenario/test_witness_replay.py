"""Witnesses as scenarios: an order that shows the anomaly again, its file, and its replay."""

from __future__ import annotations

import pytest

from test_rig.checker import check, one_of_each, witness_of
from test_rig.errors import SpecSyntaxError
from test_rig.history import FAIL, HistoryBuilder, Mop, OpType
from test_rig.scenario import (
    by_search,
    parse_spec,
    run_own,
    steps_in,
    witness_played,
    witness_scenario,
    witness_spec,
    witness_steps,
)
from test_rig.targets import Target
from test_rig.verdict import WitnessHistory, WitnessMop, WitnessStep, WitnessTransaction

#: Two rows of the fifth group; each transaction finds neither, and inserts one.
PHANTOMS = (
    [("r", 10, None), ("r", 11, None), ("w", 10, 1)],
    [("r", 10, None), ("r", 11, None), ("w", 11, 1)],
)
SKEW = ([("r", 1, []), ("append", 2, 5)], [("r", 2, []), ("append", 1, 4)])


def small(*scripts: list[Mop], types: str = "ok ok ok ok") -> WitnessHistory:
    """Return the witness of the one anomaly of concurrent transactions."""
    builder = HistoryBuilder()
    for number, (mops, kind) in enumerate(zip(scripts, types.split(), strict=False)):
        builder.record(str(number), OpType(kind), mops, start=0, end=10 + number)
    history = builder.history()
    return witness_of(history, next(one_of_each(check(history).seen)))


def told(steps: tuple[WitnessStep, ...]) -> list[str]:
    """Return steps as short texts: "0 read 5"."""
    return [" ".join(str(part) for part in (s.txn, s.do, s.key) if part is not None) for s in steps]


def test_read_skew_waits_for_the_commit_in_its_middle() -> None:
    """The first read comes before the append, the second after its COMMIT."""
    steps = told(
        witness_steps(small([("r", 1, []), ("r", 2, [5])], [("append", 1, 4), ("append", 2, 5)]))
    )
    assert steps.index("0 read 1") < steps.index("1 append 1")
    assert steps.index("1 commit") < steps.index("0 read 2")


def test_dirty_reads_do_not_wait_for_each_other() -> None:
    """Where both read what the other wrote neither can have committed before."""
    steps = told(
        witness_steps(small([("append", 1, 1), ("r", 2, [1])], [("append", 2, 1), ("r", 1, [1])]))
    )
    assert steps.index("1 append 2") < steps.index("0 read 2")
    assert steps.index("0 append 1") < steps.index("1 read 1")


def test_what_is_rolled_back_is_read_before() -> None:
    """An aborted read stands between the append and the rollback."""
    steps = told(witness_steps(small([("append", 1, 1)], [("r", 1, [1])], types="fail ok")))
    assert steps.index("0 append 1") < steps.index("1 read 1") < steps.index("0 rollback")


def test_an_order_that_time_forbids_still_has_all_steps() -> None:
    """A stale read contradicts the order of time; both are played in time's order."""
    builder = HistoryBuilder()
    builder.record("0", OpType.OK, [("append", 1, 1)], start=0, end=1)
    builder.record("1", OpType.OK, [("r", 1, [])], start=3, end=4)
    builder.record("2", OpType.OK, [("r", 1, [1])], start=0, end=9)
    history = builder.history()
    steps = witness_steps(witness_of(history, check(history).seen[0]))
    assert told(steps)[:3] == ["0 begin", "0 append 1", "0 commit"]


def test_an_intermediate_read_of_a_register_is_in_the_middle() -> None:
    """It comes between the two writes of one transaction."""
    builder = HistoryBuilder()
    builder.record("0", OpType.OK, [("w", 1, 1), ("w", 1, 2)], start=0, end=5)
    builder.record("1", OpType.OK, [("r", 1, 1)], start=0, end=9)
    history = builder.history()
    steps = told(witness_steps(witness_of(history, check(history).seen[0])))
    first, second = (n for n, step in enumerate(steps) if step == "0 write 1")
    assert first < steps.index("1 read 1") < second


def test_keys_that_are_texts_become_numbers() -> None:
    """The tables' keys are numbers, whatever the history's are."""
    steps = witness_steps(
        small([("r", "a", []), ("append", "b", 5)], [("r", "b", []), ("append", "a", 4)])
    )
    assert {step.key for step in steps} == {None, 1, 2}


def test_rows_of_a_group_are_searched_together() -> None:
    """Once by each transaction, before either of them inserts."""
    steps = told(by_search(witness_steps(small(*PHANTOMS))))
    assert sorted(steps) == sorted(
        f"{txn} {do}" for txn in (0, 1) for do in ("begin", "search 5", "insert 5", "commit")
    )
    searches = [steps.index(f"{txn} search 5") for txn in (0, 1)]
    assert max(searches) < min(steps.index(f"{txn} insert 5") for txn in (0, 1))


@pytest.mark.parametrize(
    "steps", [witness_steps(small(*SKEW)), by_search(witness_steps(small(*PHANTOMS)))]
)
def test_a_specification_tells_the_steps(steps: tuple[WitnessStep, ...]) -> None:
    """What is written as a file reads back as the same steps, and names what it shows."""
    with Target.open("sqlite://") as target:
        text = witness_spec(
            steps, target.dialect, ("BEGIN",), facts={"anomaly": "G2-item"}, why=("a\nb",)
        )
    assert text.startswith("# anomaly: G2-item\n# a b\n")
    assert steps_in(parse_spec(text), file="x.spec") == steps


@pytest.mark.parametrize(
    "name", ["other", "T0_1_append_5", "T0_1_insert_5", "T0_1_read", "T0_0_begin_3"]
)
def test_steps_that_do_not_tell_what_they_do_are_refused(name: str) -> None:
    """A specification of somebody else is no witness."""
    text = f"session s\nstep {name} {{ SELECT 1; }}\npermutation {name}\n"
    with pytest.raises(SpecSyntaxError, match=name):
        steps_in(parse_spec(text), file="x.spec")


@pytest.mark.parametrize(
    ("url", "level", "expected"),
    [("duckdb://", "snapshot", {"G2-item"}), ("sqlite://", "wal-immediate", set())],
)
@pytest.mark.parametrize(
    "steps", [witness_steps(small(*SKEW)), by_search(witness_steps(small(*PHANTOMS)))]
)
def test_a_replay_is_judged(
    steps: tuple[WitnessStep, ...], url: str, level: str, expected: set[str]
) -> None:
    """DuckDB's snapshots permit write skew, by key and by search, and SQLite never does."""
    with Target.open(url) as target, target.scratch() as scratch:
        spec = target.level(level)
        for _ in range(2):
            played = run_own(witness_scenario(steps, scratch.dialect), scratch, spec)
            history = witness_played(steps, spec, played.transcript)
            assert {each.anomaly for each in check(history).seen} == expected


def test_a_transaction_that_the_database_refused_has_not_committed() -> None:
    """The rig's own rollback of it is not taken for its COMMIT: nobody is accused."""
    both = ([("r", 1, []), ("append", 1, 1)], [("r", 1, []), ("append", 1, 2)])
    steps = witness_steps(small(*both))
    with Target.open("duckdb://") as target, target.scratch() as scratch:
        spec = target.level("snapshot")
        played = run_own(witness_scenario(steps, scratch.dialect), scratch, spec)
        history = witness_played(steps, spec, played.transcript)
    assert history.type.tolist().count(FAIL) == 1
    assert check(history).seen == ()


def test_of_registers_both_read_before_either_writes() -> None:
    """The order of a register's values is not told; the later write was not seen yet."""

    def did(process: str, start: int, *mops: WitnessMop) -> WitnessTransaction:
        return WitnessTransaction(
            process=process, type="ok", start=start, end=start + 5, mops=mops, origin=0
        )

    read = WitnessMop(f="r", key=1, value=7)
    witness = WitnessHistory(
        transactions=(
            did("0", 0, WitnessMop(f="w", key=1, value=7)),
            did("1", 4, read, WitnessMop(f="w", key=1, value=8)),
            did("2", 8, read, WitnessMop(f="w", key=1, value=9)),
        ),
        members=(1, 2),
        edges=(),
        why=(),
    )
    steps = told(witness_steps(witness))
    assert steps.index("0 commit") < steps.index("1 read 1")
    assert steps.index("2 read 1") < steps.index("1 write 1")
    assert steps.index("1 commit") < steps.index("2 write 1")


def test_registers_are_played_as_registers() -> None:
    """What was written and read comes back as writes and reads of values."""
    mops = (WitnessMop(f="r", key=1), WitnessMop(f="w", key=1, value=7))
    one = WitnessTransaction(process="0", type="ok", start=0, end=1, mops=mops, origin=0)
    witness = WitnessHistory(transactions=(one,), members=(0,), edges=(), why=())
    steps = witness_steps(witness)
    with Target.open("sqlite://") as target, target.scratch() as scratch:
        spec = target.level("wal-immediate")
        played = run_own(witness_scenario(steps, scratch.dialect), scratch, spec)
        history = witness_played(steps, spec, played.transcript)
    assert len(history) == 2
    assert history.value.tolist()[1:] == [7, 7]
