"""Every level of every database at hand shows what is published, or what its manual promises."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from test_rig.isolation import Level
from test_rig.scenario import (
    BUILT_IN,
    expected,
    read_scenario,
    run_own,
    run_scenario,
    surprises,
)
from test_rig.targets import LevelSpec, Target
from test_rig.verdict import Cell, Occurrence, ResultStatus

EXAMPLE = Path(__file__).parents[2] / "examples" / "scenarios" / "last_seat.toml"
KINDS = ("sqlite", "duckdb", "postgres", "mariadb", "mysql", "seekdb")


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each database in turn, as far as it is there."""
    kind = request.param
    is_embedded = kind in ("sqlite", "duckdb")
    url = f"{kind}://" if is_embedded else request.getfixturevalue(f"{kind}_url")
    with Target.open(url) as target:
        yield target


def all_cells(target: Target, level: LevelSpec) -> list[Cell]:
    """Play every built-in scenario at one level."""
    with target.scratch() as scratch:
        return [run_scenario(scenario, scratch, level) for scenario in BUILT_IN.values()]


def test_known_outcomes(target: Target) -> None:
    """Each level shows exactly the anomalies that are known of it, with no doubt left."""
    before = set(threading.enumerate())
    for level in target.levels:
        known = expected(target.info.product, level)
        assert known is not None, f"nothing is known of {target.info.product} {level.key}"
        cells = all_cells(target, level)
        doubts = [cell.reason for cell in cells if cell.occurrence is Occurrence.UNKNOWN]
        assert (level.key, doubts) == (level.key, [])
        assert (level.key, surprises(cells, known)) == (level.key, ())
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if name.startswith("scenario-")}


def test_mariadb_snapshot_isolation(mariadb_url: str) -> None:
    """With innodb_snapshot_isolation, MariaDB's REPEATABLE READ refuses all but write skew."""
    with Target.open(mariadb_url) as target:
        plain = target.level("repeatable-read")
        setup = (*plain.session_setup, "SET SESSION innodb_snapshot_isolation = ON")
        level = replace(plain, session_setup=setup, claim=Level.SNAPSHOT)
        known = expected("MariaDB", level)
        assert known is not None
        assert surprises(all_cells(target, level), known) == ()


def test_the_example_holds_everywhere(target: Target) -> None:
    """The example of a scenario of one's own gives what it expects, at every level."""
    scenario = read_scenario(EXAMPLE)
    with target.scratch() as scratch:
        results = {level.key: run_own(scenario, scratch, level) for level in target.levels}
    told = {key: (result.status, result.reasons) for key, result in results.items()}
    assert told == dict.fromkeys(told, (ResultStatus.PASSED, ()))
