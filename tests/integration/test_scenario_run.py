"""Runs leave nothing behind, tell who waits, and never take silence for waiting."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from test_rig.errors import TargetError, UsageError
from test_rig.scenario import Limits, Spec, find_scenario, parse_spec, run_scenario, run_spec
from test_rig.targets import Session, Target
from test_rig.verdict import Occurrence, StepStatus, Transcript

MS = 1_000_000


@pytest.fixture(params=["postgres", "mariadb"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A server whose sessions can wait for each other."""
    with Target.open(request.getfixturevalue(f"{request.param}_url")) as target:
        yield target


SETUP = "setup { CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); } setup "
SETUP += "{ INSERT INTO t VALUES (1, 1), (2, 2); } teardown { DROP TABLE t; }"
TWO_SESSIONS = parse_spec(
    f"""{SETUP}
    session s1 step s1b {{ BEGIN; }} step s1u {{ UPDATE t SET v = 3 WHERE id = 1; }}
               step s1c {{ COMMIT; }}
    session s2 step s2b {{ BEGIN; }} step s2u {{ UPDATE t SET v = 4 WHERE id = 1; }}
               step s2c {{ COMMIT; }}
    permutation s1b s1u s2b s2u s1c s2c
    permutation s1b s1u s2b s2u s2c s1c
    """
)


def play(spec: Spec, target: Target, limits: Limits | None = None) -> list[Transcript]:
    """Run a specification in a scratch place of its own."""
    with target.scratch() as scratch:
        return list(run_spec(spec, scratch, limits=limits))


def sessions_of(target: Target) -> int:
    """Return how many of the rig's connections the server has, but the one that asks."""
    sql = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test-rig' "
        "AND query LIKE '%slow_step%' AND pid <> pg_backend_pid()",
        "mysql": "SELECT count(*) FROM information_schema.PROCESSLIST "
        "WHERE INFO LIKE '%slow_step%' AND ID <> CONNECTION_ID()",
    }[target.dialect.family]
    with target.connect() as session:
        return int(session.execute(sql).rows[0][0])


def test_blocked_step(target: Target) -> None:
    """A step that waits is told as waiting, for whom, and since when; then it ends well."""
    step = play(TWO_SESSIONS, target)[0].steps[3]
    assert (step.step, step.status, step.blocked) == ("s2u", StepStatus.OK, True)
    assert step.blocked_by == ("s1",)
    assert step.blocked_seen_ns is not None
    assert 0 < step.blocked_seen_ns < 500 * MS


def test_impossible_permutation(target: Target) -> None:
    """An order that can never be is told soon, its waiting step cancelled, the rest not sent."""
    started = time.monotonic()
    transcript = play(TWO_SESSIONS, target)[1]
    assert transcript.is_impossible
    assert "step s2u of session s2 waits for s1" in str(transcript.problem)
    statuses = [(step.step, step.status) for step in transcript.steps[3:]]
    assert statuses == [
        ("s2u", StepStatus.UNFINISHED),
        ("s2c", StepStatus.SKIPPED),
        ("s1c", StepStatus.SKIPPED),
    ]
    assert time.monotonic() - started < 60


def slow(target: Target) -> Spec:
    """Return a specification with a step that takes long and waits for nobody."""
    sleep = {"postgresql": "SELECT pg_sleep(30)", "mysql": "SELECT SLEEP(30)"}
    sql = f"{sleep[target.dialect.family]} AS slow_step"
    return parse_spec(f"{SETUP} session s step a {{ {sql} }} step b {{ SELECT 1 }}")


def test_slow_is_not_blocked(target: Target) -> None:
    """A step beyond the limit is unfinished, never blocked, and is stopped on the server."""
    transcript = play(slow(target), target, Limits(step_ns=300 * MS))[0]
    first, second = transcript.steps
    assert (first.status, first.blocked) == (StepStatus.UNFINISHED, False)
    assert second.status is StepStatus.SKIPPED
    assert "neither ended nor been said to wait" in str(transcript.problem)
    assert sessions_of(target) == 0


def test_limit_leaves_a_scenario_open(target: Target) -> None:
    """A scenario that reaches the limit has no verdict, and says why."""
    with target.scratch() as scratch:
        cell = run_scenario(
            find_scenario("G0"), scratch, target.levels[-1], limits=Limits(step_ns=0)
        )
    assert cell.occurrence is Occurrence.UNKNOWN
    assert "has neither ended" in cell.reason


def test_interrupt_leaves_nothing(target: Target) -> None:
    """Ctrl-C in the middle of a step ends threads, sessions and scratch place."""
    main = threading.main_thread().ident
    timer = threading.Timer(0.5, lambda: signal.pthread_kill(int(main or 0), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        play(slow(target), target)
    timer.join()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("scenario-")]
    assert sessions_of(target) == 0


def test_failed_setup_is_told(target: Target) -> None:
    """A setup that fails is an error that names the statement, and leaves nothing behind."""
    spec = parse_spec("setup { CREATE NONSENSE } session s step a { SELECT 1 }")
    with pytest.raises(TargetError) as caught:
        play(spec, target)
    assert caught.value.sql == "CREATE NONSENSE"


def test_too_many_interleavings(target: Target) -> None:
    """Interleavings beyond the limit are refused with their number, or cut where asked."""
    steps = " ".join(f"step a{n} {{ SELECT {n} }}" for n in range(8))
    more = steps.replace("a", "b")
    spec = parse_spec(f"session s {steps} session t {more}")
    with target.scratch() as scratch:
        with pytest.raises(UsageError, match="12870 interleavings"):
            next(run_spec(spec, scratch))
        told: list[tuple[int, int]] = []
        runs = run_spec(
            spec,
            scratch,
            max_permutations=2,
            on_permutation=lambda number, total, _: told.append((number, total)),
        )
        assert len(list(runs)) == 2
    assert told == [(1, 2), (2, 2)]


def test_two_at_once(target: Target) -> None:
    """Two runs at the same time on one server do not disturb each other."""
    cells: dict[int, list[str]] = {}

    def audit(number: int) -> None:
        with target.scratch() as scratch:
            cells[number] = [
                run_scenario(find_scenario(name), scratch, target.levels[2]).occurrence.value
                for name in ("g0", "otv", "p4", "g2-item")
            ]

    threads = [threading.Thread(target=audit, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cells[1] == cells[2]
    assert cells[1][0] == "prevented"


def test_killed_session_is_unknown(target: Target) -> None:
    """A connection that the server ends in the middle leaves the verdict open."""
    victims: list[Session] = []
    with target.scratch() as scratch:
        plain = scratch.connect

        def connect(name: str, **options: object) -> Session:
            session = plain(name, **options)  # type: ignore[arg-type]  # passed through
            if name == "T2":
                victims.append(session)
            return session

        scratch.connect = connect  # type: ignore[method-assign]  # to learn the session
        cell = run_scenario(
            find_scenario("g1a"),
            scratch,
            target.levels[1],
            on_step=lambda step: victims[0].kill() if step.step == "t1-write-1" else None,
        )
    assert cell.occurrence is Occurrence.UNKNOWN
    assert "connection lost" in cell.reason
