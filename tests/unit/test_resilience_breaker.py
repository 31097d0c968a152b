"""Circuit breakers: when they open, how they close, and who is let through meanwhile."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import CircuitBreakerOpen, UsageError
from test_rig.resilience import (
    BreakerPhase,
    BreakerState,
    CircuitBreakerConfig,
    breaker_state,
    reset_breakers,
)
from test_rig.resilience.breaker import CallEvent, admit, settle

LOST = pymysql.err.OperationalError(2013, "lost")
SYNTAX = pymysql.err.ProgrammingError(1064, "syntax")
CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout=10, success_threshold=2)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        """Return what it was set to."""
        return self.ns

    def utc(self) -> datetime:
        """Return always the same day."""
        return datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh():
    reset_breakers()
    yield
    reset_breakers()


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


def call(kind: str, error: BaseException | None, clock: Clock, *, config=CONFIG, name="db"):
    """Call an operation that raises `error` or returns 42, in one of its shapes."""

    def operation() -> int:
        if error is not None:
            raise error
        return 42

    async def later() -> int:
        return operation()

    if kind == "sync":
        return config.execute(name, operation, clock=clock)

    async def main() -> int:
        wanted = later if kind == "async" else lambda: later()
        return await config.execute(name, wanted, clock=clock)

    return asyncio.run(main())


def fail(kind: str, clock: Clock, times: int, error: BaseException = LOST, **options) -> None:
    """Let as many calls fail."""
    for _ in range(times):
        with pytest.raises(type(error)):
            call(kind, error, clock, **options)


both = pytest.mark.parametrize("kind", ["sync", "async", "awaitable"])


@both
def test_its_whole_life(kind: str, clock: Clock) -> None:
    """Failures open it, time makes it half-open, successes close it, for every colour alike."""
    fail(kind, clock, 3)
    assert breaker_state("db").phase is BreakerPhase.OPEN
    with pytest.raises(CircuitBreakerOpen) as refused:
        call(kind, None, clock)
    assert refused.value.retry_after_s == 10.0
    clock.ns += 10_000_000_000
    assert call(kind, None, clock) == 42
    assert breaker_state("db").phase is BreakerPhase.HALF_OPEN
    assert call(kind, None, clock) == 42
    assert breaker_state("db").phase is BreakerPhase.CLOSED


@both
def test_a_failed_trial_opens_it_again(kind: str, clock: Clock) -> None:
    """One failure while half-open starts the wait anew."""
    fail(kind, clock, 3)
    clock.ns += 10_000_000_000
    fail(kind, clock, 1)
    assert breaker_state("db").phase is BreakerPhase.OPEN
    assert breaker_state("db").opened_ns == clock.ns


@both
def test_a_success_resets_the_count(kind: str, clock: Clock) -> None:
    """Only failures in a row count."""
    fail(kind, clock, 2)
    call(kind, None, clock)
    fail(kind, clock, 2)
    assert breaker_state("db").phase is BreakerPhase.CLOSED


@both
def test_the_callers_own_errors_do_not_open_it(kind: str, clock: Clock) -> None:
    """A server that refuses bad SQL is alive, and a settings error never reached it."""
    fail(kind, clock, 9, SYNTAX)
    fail(kind, clock, 2)
    fail(kind, clock, 9, UsageError("no such option"))
    assert breaker_state("db") == BreakerState(failure_count=2)


@both
def test_an_interrupted_trial_gives_its_place_back(kind: str, clock: Clock) -> None:
    """A trial that was broken off counts as nothing and blocks nobody."""
    fail(kind, clock, 3)
    clock.ns += 10_000_000_000
    fail(kind, clock, 5, KeyboardInterrupt())
    assert breaker_state("db").trial_count == 0
    assert call(kind, None, clock) == 42


def test_names_are_apart(clock: Clock) -> None:
    """A breaker that opens leaves those of other names alone."""
    fail("sync", clock, 3)
    assert call("sync", None, clock, name="other") == 42


def test_two_configurations_share_the_state(clock: Clock) -> None:
    """Each call judges the shared counts by its own numbers."""
    patient = CircuitBreakerConfig(failure_threshold=9, recovery_timeout=timedelta(seconds=60))
    fail("sync", clock, 2, config=patient)
    fail("sync", clock, 1)
    clock.ns += 10_000_000_000
    with pytest.raises(CircuitBreakerOpen):
        call("sync", None, clock, config=patient)
    assert call("sync", None, clock) == 42


def test_operations_run_side_by_side(clock: Clock) -> None:
    """No lock is held while an operation runs: two calls under one name can meet."""
    meeting = threading.Barrier(2, timeout=10)
    thread = threading.Thread(target=lambda: CONFIG.execute("db", meeting.wait, clock=clock))
    thread.start()
    CONFIG.execute("db", meeting.wait, clock=clock)
    thread.join()
    assert breaker_state("db").phase is BreakerPhase.CLOSED


def test_half_open_lets_few_through(clock: Clock) -> None:
    """While trials run, no more of them are let through than successes are needed."""
    fail("sync", clock, 3)
    clock.ns += 10_000_000_000

    async def main() -> None:
        gate = asyncio.Event()
        trials = [
            asyncio.ensure_future(CONFIG.execute("db", gate.wait, clock=clock)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        assert breaker_state("db").trial_count == 2
        gate.set()
        results = await asyncio.gather(*trials, return_exceptions=True)
        assert [type(result) for result in results] == [bool, bool, CircuitBreakerOpen]

    asyncio.run(main())
    assert breaker_state("db").phase is BreakerPhase.CLOSED


def test_a_late_answer_says_nothing(clock: Clock) -> None:
    """A call that was let through before the breaker opened neither closes nor opens it."""
    early = breaker_state("db")
    fail("sync", clock, 3)
    state = breaker_state("db")
    assert settle(state, CONFIG, CallEvent.SUCCESS, era=early.era, now_ns=0) is state


EVENTS = st.lists(
    st.one_of(st.sampled_from(CallEvent), st.integers(0, 20).map(lambda s: s * 1_000_000_000))
)


@given(EVENTS)
def test_the_machine_keeps_its_promises(events) -> None:
    """Whatever happens in whatever order: counts stay within limits, open admits nobody early."""
    state, now_ns = BreakerState(), 0
    for event in events:
        if isinstance(event, int):
            now_ns += event
            continue
        before = state
        state, is_let_through = admit(state, CONFIG, now_ns=now_ns)
        if before.phase is BreakerPhase.OPEN:
            assert is_let_through is (now_ns - before.opened_ns >= CONFIG.recovery_ns)
        if is_let_through:
            state = settle(state, CONFIG, event, era=state.era, now_ns=now_ns)
        assert 0 <= state.trial_count <= CONFIG.success_threshold
        assert 0 <= state.failure_count < CONFIG.failure_threshold
        assert 0 <= state.success_count < CONFIG.success_threshold


def test_numbers_that_make_no_sense_are_refused() -> None:
    """A threshold of none would never open, or never close."""
    for wrong in ({"failure_threshold": 0}, {"success_threshold": 0}, {"recovery_timeout": -1}):
        with pytest.raises(UsageError):
            CircuitBreakerConfig(**wrong)
