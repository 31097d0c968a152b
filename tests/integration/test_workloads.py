"""Workloads against real databases: honest ones are believed, lying clients are caught."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from test_rig.history import History, OpType
from test_rig.targets import Scratch, Target
from test_rig.verdict import Verdict, WorkloadVerdict
from test_rig.workload import (
    BUILT_IN,
    Done,
    Entry,
    Plan,
    Request,
    Sent,
    Speech,
    Workload,
    run_workload,
)
from test_rig.workload.bank import Bank
from test_rig.workload.monotonic import Monotonic
from test_rig.workload.sets import Sets
from test_rig.workload.updates import Internal, LostUpdate
from test_rig.workload.write_skew import WriteSkew

SHORT = Plan(time_s=0.3, clients=5, seed=7, keys=4, statement_s=20.0)
LEVELS = {
    "postgresql": ["read-committed", "serializable"],
    "mariadb": ["serializable"],
    "sqlite": ["wal-deferred"],
    "duckdb": ["snapshot"],
}


@pytest.fixture(scope="module", params=["postgresql", "mariadb", "sqlite", "duckdb"])
def target(request: pytest.FixtureRequest) -> Iterator[tuple[str, Target]]:
    """Each product, by its name."""
    fixture = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}.get(request.param)
    url = f"{request.param}://" if fixture is None else request.getfixturevalue(fixture)
    with Target.open(url) as opened:
        yield request.param, opened


@pytest.fixture
def sqlite() -> Iterator[Scratch]:
    """A private SQLite."""
    with Target.open("sqlite://") as opened, opened.scratch() as scratch:
        yield scratch


def run(
    workload: Workload,
    scratch: Scratch,
    level: str,
    plan: Plan = SHORT,
    **options: Any,
) -> tuple[WorkloadVerdict, list[Entry]]:
    """Run a workload; return its verdict and everything that happened."""
    entries: list[Entry] = []
    verdict = run_workload(
        workload, scratch, scratch.target.level(level), plan, on_entries=entries.extend, **options
    )
    return verdict, entries


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_no_claim_is_broken_by_an_honest_database(name: str, target: tuple[str, Target]) -> None:
    """At levels whose claims hold nothing forbidden is seen, and something was committed."""
    product, opened = target
    for level in LEVELS[product]:
        with opened.scratch() as scratch:
            parts: list[History] = []
            verdict, entries = run(BUILT_IN[name], scratch, level, on_history=parts.append)
        assert verdict.verdict is Verdict.VALID, verdict
        assert verdict.ok > 0
        ended = Counter(each.type for each in entries if isinstance(each, Done))
        for part in parts:
            ended.update([OpType.OK, OpType.FAIL, OpType.INFO][each] for each in part.type)
        is_checked = name not in ("bank", "monotonic", "set", "write-skew-predicate")
        assert bool(verdict.strongest_standing) == is_checked
        assert ended[OpType.OK] == verdict.ok
        assert ended[OpType.FAIL] == verdict.fail


def test_the_history_is_whole(sqlite: Scratch) -> None:
    """Each process does one thing at a time: an operation begins, and ends before the next."""
    _, entries = run(BUILT_IN["bank"], sqlite, "wal-deferred")
    times = [each.time_ns if isinstance(each, Sent) else each.end_ns for each in entries]
    assert times == sorted(times)
    by_process: dict[int, list[Entry]] = {}
    for each in entries:
        by_process.setdefault(each.process, []).append(each)
    for own in by_process.values():
        begun, ended = own[::2], own[1::2]
        assert all(isinstance(each, Sent) for each in begun)
        assert all(isinstance(each, Done) for each in ended)
        assert [each.request for each in begun] == [each.request for each in ended]


def test_write_skew_shows_where_snapshots_permit_it(postgres_url: str) -> None:
    """At PostgreSQL's REPEATABLE READ it occurs, is told, and breaks no claim."""
    plan = Plan(time_s=20, clients=8, seed=7, keys=2, pause_s=0.002)
    with Target.open(postgres_url) as opened, opened.scratch() as scratch:
        seen: list[int] = []

        def stop(progress: Any) -> None:
            seen.append(sum(shown.count for shown in progress.shown))
            if seen[-1]:
                raise KeyboardInterrupt

        verdict, _ = run(BUILT_IN["write-skew"], scratch, "repeatable-read", plan, on_progress=stop)
    assert [finding.anomaly for finding in verdict.findings] == ["G2-item"]
    assert verdict.verdict is Verdict.VALID
    assert verdict.read_back == ("repeatable read",)
    assert verdict.ended_early == "interrupted"


class Stale(Bank):
    """Reads one account from a copy that is as old as the run."""

    def perform(self, speech: Speech, request: Request) -> Any:
        value = super().perform(speech, request)
        return value if request.f == "transfer" else ((1, 100), *value[1:])


class Forgetful(Sets):
    """Says of every third element that it was added, and adds nothing."""

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "add" and request.value[1] % 3 == 0:
            return request.value
        return super().perform(speech, request)


class Losing(LostUpdate):
    """Claims of every twentieth row to have read what was there at the beginning."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def perform(self, speech: Speech, request: Request) -> Any:
        value = super().perform(speech, request)
        return value if next(self._count) % 20 else 0


class Skipping(Monotonic):
    """Answers every other increment without doing it."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def perform(self, speech: Speech, request: Request) -> Any:
        if request.f == "increment" and next(self._count) % 2:
            return request.value
        return super().perform(speech, request)


class Deaf(Internal):
    """Does not read its own write."""

    def perform(self, speech: Speech, request: Request) -> Any:
        first, again, own = super().perform(speech, request)
        return (first, again, own - 1)


class Careless(WriteSkew):
    """Does not see that the other side has claimed the round."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], int] = {}

    def perform(self, speech: Speech, request: Request) -> Any:
        pair, turn, side = request.value
        claimed = list(super().perform(speech, request))
        if max(claimed) == turn:
            speech.run("UPDATE skew SET v = ? WHERE k = ?", turn, 2 * pair + side)
        for place, value in enumerate(claimed):
            if value < turn:
                self._before[pair, place] = value
            else:
                claimed[place] = self._before.get((pair, place), 0)
        return tuple(claimed)


@pytest.mark.parametrize(
    ("liar", "anomaly"),
    [
        (Stale(), "G-single"),
        (Forgetful(), "lost-element"),
        (Losing(), "lost-update"),
        (Skipping(), "lost-update"),
        (Deaf(), "internal"),
        (Careless(), "G2-item"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_a_lying_client_is_caught(sqlite: Scratch, liar: Workload, anomaly: str) -> None:
    """A fault that is planted between the database and the judge breaks the claim."""
    verdict, _ = run(liar, sqlite, "wal-immediate", Plan(time_s=1.0, clients=4, seed=7, keys=2))
    assert verdict.verdict is Verdict.INVALID, verdict
    assert anomaly in {found.anomaly for found in verdict.findings if found.is_forbidden}


def test_the_first_forbidden_anomaly_may_end_the_run(sqlite: Scratch) -> None:
    """The verdict comes long before the time is over, and says why."""
    verdict, _ = run(Careless(), sqlite, "wal-deferred", Plan(time_s=90), stop_at_first=True)
    assert verdict.verdict is Verdict.INVALID
    assert verdict.ended_early in {
        f"stopped at the first {each.anomaly}" for each in verdict.findings
    }
    assert verdict.duration_s < 60


def test_a_lost_answer_to_a_commit_ends_the_process(postgres_url: str) -> None:
    """It is unknown, and its client goes on as another process."""

    class Cut(Bank):
        """Cuts its own connection under every tenth COMMIT."""

        def __init__(self) -> None:
            self._count = itertools.count(1)

        def perform(self, speech: Speech, request: Request) -> Any:
            value = super().perform(speech, request)
            if next(self._count) % 10 == 0:
                speech.run("SELECT pg_terminate_backend(pg_backend_pid())")
            return value

    class Torn(Bank):
        """Has the server end its session while the COMMIT is awaited."""

        def __init__(self) -> None:
            self._count = itertools.count(1)

        def perform(self, speech: Speech, request: Request) -> Any:
            value = super().perform(speech, request)
            if next(self._count) % 10 == 0:
                speech.session.kill()
            return value

    with Target.open(postgres_url) as opened, opened.scratch() as scratch:
        killed, _ = run(Cut(), scratch, "serializable")
    assert killed.info == 0, "what is cut before its COMMIT has certainly failed"
    assert killed.fail > 0
    with Target.open(postgres_url) as opened, opened.scratch() as scratch:
        torn, entries = run(Torn(), scratch, "serializable")
    lost = [each for each in entries if isinstance(each, Done) and each.type is OpType.INFO]
    assert torn.info == len(lost) > 0
    later = {each.process for each in entries}
    for each in lost:
        assert not [e for e in entries[entries.index(each) + 1 :] if e.process == each.process]
    assert any(process >= SHORT.clients for process in later)
    assert torn.verdict is Verdict.VALID


def test_a_rate_is_kept_and_waiting_is_counted(sqlite: Scratch) -> None:
    """No more transactions are sent than offered."""
    plan = Plan(time_s=1.5, clients=3, seed=7, rate=40)
    verdict, entries = run(BUILT_IN["bank"], sqlite, "wal-deferred", plan)
    done = [each for each in entries if isinstance(each, Done)]
    assert len(done) <= 40 * 1.5 + plan.clients + 2
    assert all(each.due_ns <= each.end_ns for each in done)
    assert verdict.moments


def test_a_workload_that_cannot_work_is_an_error(sqlite: Scratch) -> None:
    """A statement that the database will never take ends the run with its message."""
    from test_rig.errors import StatementFailed

    class Broken(Bank):
        """Speaks of a table that is not there."""

        def perform(self, speech: Speech, request: Request) -> Any:
            return speech.rows("SELECT v FROM nowhere")

    with pytest.raises(StatementFailed, match="nowhere"):
        run(Broken(), sqlite, "wal-deferred", Plan(time_s=60))


def test_a_mistake_of_a_workload_of_ones_own_is_shown(sqlite: Scratch) -> None:
    """Its exception ends the run and is raised as it is."""

    class Mistaken(Bank):
        """Divides by zero."""

        def perform(self, speech: Speech, request: Request) -> Any:
            return 1 // 0

    with pytest.raises(ZeroDivisionError):
        run(Mistaken(), sqlite, "wal-deferred", Plan(time_s=60))
