"""A person's own scenario is read with all its mistakes told at once, and judged by its words."""

from pathlib import Path

import pytest

from test_rig.errors import SpecSyntaxError
from test_rig.scenario import OwnScenario, read_scenario, run_own
from test_rig.targets import Target
from test_rig.verdict import ResultStatus

SEAT = """
title = "Two tills sell the last seat"
setup = [
    "CREATE TABLE seat (id INTEGER PRIMARY KEY, owner VARCHAR(9))",
    "INSERT INTO seat VALUES (1, NULL)",
]
steps = '''
# Both look first, then both sell.
A BEGIN
B BEGIN
A SELECT owner FROM seat WHERE id = 1
B SELECT owner FROM seat WHERE id = 1
A UPDATE seat SET owner = 'A' WHERE id = 1
B UPDATE seat SET owner = 'B' WHERE id = 1
A COMMIT
B COMMIT
'''
final = "SELECT owner FROM seat"
teardown = ["DROP TABLE seat"]

[[expect]]
levels = ["*"]
commits = [["A"], ["B"]]
final = [["A"]]

[[expect]]
levels = ["wal-deferred", "delete-deferred"]
commits = [["A"]]
errors = { b-write-1 = "busy" }
rows = { a-read-1 = [["<NULL>"]] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a scenario's file is written."""
    return tmp_path / "seat.toml"


def read(file: Path, text: str) -> OwnScenario:
    """Write a file and read it as a scenario."""
    file.write_text(text)
    return read_scenario(file)


def test_a_whole_file(file: Path) -> None:
    """Every part of the file is understood; comments among the steps are left out."""
    scenario = read(file, SEAT)
    assert (scenario.name, scenario.title) == ("seat", "Two tills sell the last seat")
    assert scenario.sessions == ("A", "B")
    assert scenario.steps[0] == ("A", "BEGIN")
    assert len(scenario.steps) == 8
    assert scenario.expect[1].rows == {"a-read-1": ((None,),)}
    assert scenario.expect[0].commits == (frozenset("A"), frozenset("B"))


def test_the_most_specific_expectation_counts(file: Path) -> None:
    """A product's level goes before a level, and a level before the asterisk."""
    more = '\n[[expect]]\nlevels = ["sqlite/wal-deferred"]\n'
    scenario = read(file, SEAT + more)
    chosen = [
        scenario.expectation(product, level)
        for product, level in (("SQLite", "wal-deferred"), ("X", "wal-deferred"), ("X", "other"))
    ]
    assert [scenario.expect.index(expect) for expect in chosen if expect] == [2, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "status", "reason"),
    [
        ("", "", ResultStatus.PASSED, None),
        (
            '[["A"]]\nerrors',
            '[["B"]]\nerrors',
            ResultStatus.FAILED,
            "expected that B commit, but A",
        ),
        ('"busy"', '"deadlock"', ResultStatus.FAILED, "expected that b-write-1 fails by deadlock"),
        ("a-read-1", "b-read-1", ResultStatus.PASSED, None),
        (
            '"<NULL>"',
            '"A"',
            ResultStatus.FAILED,
            "expected that a-read-1 reads A, but it read NULL",
        ),
        ("errors =", 'waits = ["b-read-1"]\nerrors =', ResultStatus.FAILED, "b-read-1 waits, but"),
        ('"wal-deferred", ', "", ResultStatus.PASSED, None),
        ('"*"', '"other"', ResultStatus.PASSED, None),
        ("A COMMIT", "A COMIT", ResultStatus.FAILED, "a-step-1 failed: syntax"),
    ],
)
def test_judgement(
    file: Path, old: str, new: str, status: ResultStatus, reason: str | None
) -> None:
    """Everything that an expectation says must hold; what does not is told."""
    scenario = read(file, SEAT.replace(old, new) if old else SEAT)
    with Target.open("sqlite://") as target, target.scratch() as scratch:
        result = run_own(scenario, scratch, target.level("wal-deferred"))
    assert (result.status, reason is None) == (status, not result.reasons)
    assert reason is None or any(reason in told for told in result.reasons)


def test_nothing_expected(file: Path) -> None:
    """A level without an expectation is skipped, and said to be."""
    scenario = read(file, SEAT.partition("[[expect]]")[0])
    with Target.open("duckdb://") as target, target.scratch() as scratch:
        result = run_own(scenario, scratch, target.levels[0])
    assert (result.status, result.reasons) == (
        ResultStatus.SKIPPED,
        ("nothing is expected at this level",),
    )


def test_all_mistakes_at_once(file: Path) -> None:
    """Unknown keys, sessions, steps and kinds, and wrong shapes come in one message with lines."""
    text = """
titel = "x"
setup = "CREATE"
steps = '''
A BEGIN
B
'''
[[expect]]
commits = ["A"]
waits = ["a-sleep"]
errors = { a-begin = "tiredness" }
"""
    with pytest.raises(SpecSyntaxError) as caught:
        read(file, text)
    told = [line.replace(str(file), "f") for line in str(caught.value).splitlines()]
    assert [line.split(": ")[0] for line in told] == [
        "f:2:1",
        "f:3",
        "f:6",
        "f:8",
        "f:9",
        "f:10",
        "f:11",
    ]
    assert "there is no failure 'tiredness'" in told[-1]


@pytest.mark.parametrize(
    ("text", "place"), [("title = ", ":1:"), ("steps = ''", ":1:1: there are no steps")]
)
def test_no_scenario(file: Path, text: str, place: str) -> None:
    """What is no TOML, or has no steps, is told with its place."""
    with pytest.raises(SpecSyntaxError) as caught:
        read(file, text)
    assert place in str(caught.value)


def test_no_file(file: Path) -> None:
    """A file that is not there is told by its name."""
    with pytest.raises(SpecSyntaxError, match=r"seat.toml:1:1: cannot be read: No such file"):
        read_scenario(file)
