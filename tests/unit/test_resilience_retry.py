"""Retries: what is tried again, how often, how patiently, and what the last error tells."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import CircuitBreakerOpen, ErrorCategory, UsageError
from test_rig.resilience import Deadline, ErrorContextBuilder, RetryConfig, attempts_of, classify
from test_rig.resilience.retry import GiveUp, TryAgain, decide

DEADLOCK = pymysql.err.OperationalError(1213, "deadlock")
LOST = pymysql.err.OperationalError(2013, "lost")
SYNTAX = pymysql.err.ProgrammingError(1064, "syntax")
# Certainly without effect, but nobody knows what it is.
UNKNOWN = pymysql.err.OperationalError(2005, "no such host")


class StoppedClock:
    """A clock that stands unless it is moved."""

    def __init__(self) -> None:
        self.ns = 1_000

    def now_ns(self) -> int:
        """Return what it was set to."""
        return self.ns

    def utc(self) -> datetime:
        """Return always the same day."""
        return datetime(2026, 1, 2, tzinfo=UTC)


class Flaky:
    """An operation that raises what it is given, then returns 42."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.call_count = 0

    def __call__(self) -> int:
        """Raise the next error, if any is left."""
        self.call_count += 1
        if self.errors:
            raise self.errors.pop(0)
        return 42

    async def later(self) -> int:
        """Do the same as a coroutine."""
        return self()


def run(config: RetryConfig, operation: Flaky, *, kind: str, **options):
    """Return the result and the pauses; both shapes of an async operation are tried."""
    pauses: list[float] = []
    options = {"sleep": pauses.append, "rng": random.Random(7), **options}
    if kind == "sync":
        return config.execute("work", operation, **options), pauses

    async def main() -> int:
        wanted = operation.later if kind == "async" else lambda: operation.later()
        return await config.execute("work", wanted, **options)

    return asyncio.run(main()), pauses


both = pytest.mark.parametrize("kind", ["sync", "async", "awaitable"])


@both
def test_transient_errors_are_tried_again(kind: str) -> None:
    """An operation that recovers within its attempts returns its result."""
    operation = Flaky(DEADLOCK, DEADLOCK)
    result, pauses = run(RetryConfig(), operation, kind=kind)
    assert (result, operation.call_count, len(pauses)) == (42, 3, 2)


@both
@pytest.mark.parametrize(
    ("error", "call_count"),
    [(DEADLOCK, 5), (UNKNOWN, 2), (SYNTAX, 1), (LOST, 1), (ValueError("mine"), 1)],
)
def test_how_often(kind: str, error: Exception, call_count: int) -> None:
    """Transient: all attempts; unknown: half; permanent and in doubt: one."""
    operation = Flaky(*[error] * 9)
    with pytest.raises(type(error)):
        run(RetryConfig(max_attempts=5), operation, kind=kind)
    assert operation.call_count == call_count


@both
def test_a_lost_answer_is_tried_again_only_if_idempotent(kind: str) -> None:
    """The caller's word that twice does no harm permits the retry."""
    operation = Flaky(LOST)
    assert run(RetryConfig(), operation, kind=kind, idempotent=True)[0] == 42
    assert operation.call_count == 2


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_interrupts_pass(kind: str, error: BaseException) -> None:
    """Who wants to leave is let go at once."""
    operation = Flaky(error)
    with pytest.raises(type(error)):
        run(RetryConfig(), operation, kind=kind, idempotent=True)
    assert operation.call_count == 1


@both
def test_an_open_breaker_is_not_tried_again(kind: str) -> None:
    """A refusal by a breaker ends the retry, idempotent or not."""
    operation = Flaky(CircuitBreakerOpen("db", retry_after_s=1))
    with pytest.raises(CircuitBreakerOpen):
        run(RetryConfig(), operation, kind=kind, idempotent=True)
    assert operation.call_count == 1


@both
def test_the_last_error_carries_every_attempt(kind: str) -> None:
    """The error that is raised tells each try, in a value and in its traceback."""
    first = pymysql.err.OperationalError(1205, "mysql://u:s3cret@h")
    last = pymysql.err.OperationalError(1213, "two")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        run(RetryConfig(max_attempts=2), Flaky(first, last), kind=kind, clock=StoppedClock())
    attempts = attempts_of(caught.value)
    assert [attempt.error for attempt in attempts] == [first, last]
    assert [attempt.number for attempt in attempts] == [1, 2]
    assert attempts[0].delay_s is not None
    assert attempts[1].delay_s is None
    assert attempts[0].category is ErrorCategory.TRANSIENT
    note = "\n".join(caught.value.__notes__)
    assert "all 2 attempts are used" in note
    assert "attempt 1" in note
    assert "s3cret" not in note


def test_an_error_from_elsewhere_has_no_attempts() -> None:
    """Asking any error is fine."""
    assert attempts_of(ValueError()) == ()


@given(
    number=st.integers(1, 2000),
    chance=st.floats(0, 1, exclude_max=True),
    base=st.floats(0, 100),
    limit=st.floats(0, 100),
)
def test_pauses_stay_within_their_limits(number, chance, base, limit) -> None:
    """Jitter draws from none to the exponential limit, which never exceeds the greatest pause."""
    config = RetryConfig(max_attempts=9_999, base_delay=base, max_delay=limit)
    limit_s = config.longest_delay_s(number)
    decision = decide(config, classify(DEADLOCK), number=number, idempotent=False, chance=chance)
    assert isinstance(decision, TryAgain)
    assert 0 <= decision.delay_s <= limit_s <= limit
    assert limit_s == min(limit, base * 2.0 ** min(number - 1, 60))


def test_without_jitter_pauses_double() -> None:
    """The plain exponential series, cut at its limit; a timedelta is as good as seconds."""
    config = RetryConfig(base_delay=timedelta(seconds=1), max_delay=3, jitter=False)
    assert run(config, Flaky(*[DEADLOCK] * 3), kind="sync")[1] == [1.0, 2.0, 3.0]


def test_the_same_seed_draws_the_same_pauses() -> None:
    """Chance is an argument."""
    one = run(RetryConfig(), Flaky(*[DEADLOCK] * 3), kind="sync", rng=random.Random(3))
    two = run(RetryConfig(), Flaky(*[DEADLOCK] * 3), kind="async", rng=random.Random(3))
    assert one == two


def test_an_unknown_error_gets_one_attempt_of_three() -> None:
    """Half of a few attempts is still the first one, and no more."""
    for limit in (1, 2, 3):
        config = RetryConfig(max_attempts=limit)
        decision = decide(config, classify(UNKNOWN), number=1, idempotent=True, chance=0)
        assert isinstance(decision, GiveUp)


def test_max_retries_is_another_name() -> None:
    """The alias counts attempts in total, as it always did."""
    assert RetryConfig(max_retries=3) == RetryConfig(max_attempts=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_retries": 0},
        {"base_delay": -1},
        {"max_delay": float("nan")},
        {"max_attempts": True},
        {"base_delay": "1"},
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong) -> None:
    """A wrong number is named at once, not when the first error comes."""
    with pytest.raises(UsageError):
        RetryConfig(**wrong)


def test_a_deadline_counts_down() -> None:
    """What remains shrinks with its clock, and is never less than nothing."""
    clock = StoppedClock()
    deadline = Deadline.after(timedelta(seconds=2), clock)
    assert (deadline.remaining_s, deadline.expired) == (2.0, False)
    assert deadline.earlier(1).remaining_s == 1.0
    assert deadline.earlier(3) is deadline
    clock.ns += 2_000_000_000
    assert (deadline.remaining_s, deadline.expired) == (0.0, True)
    clock.ns += 1
    assert deadline.remaining_s == 0.0


def test_a_context_is_one_line_without_secrets() -> None:
    """The circumstances of an error print on one line; what names a secret is masked."""
    context = (
        ErrorContextBuilder("load", started_at=datetime(2026, 1, 2, tzinfo=UTC))
        .with_connection_info("h", "db", "ann", port=4000)
        .with_query("select 1\nfrom t")
        .with_attempt(2)
        .with_duration(timedelta(seconds=1.5))
        .with_additional_info("password", "s3cret")
        .with_additional_info("url", "mysql://ann:s3cret@h")
        .build()
    )
    assert str(context) == (
        "load (attempt 2) at ann@h:4000/db since 2026-01-02T00:00:00+00:00 for 1.500 s "
        "query=select 1 from t password=******** url=mysql://ann:********@h"
    )
    assert "s3cret" not in repr(context)
    assert context.connection is not None
    assert context.connection.database == "db"
