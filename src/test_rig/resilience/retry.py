"""Doing again what failed, when that is known to be safe and can help.

Theory of operation: `decide` is the whole policy and is pure: the number of attempts made, what
the last error says (`classify`), and a random number in, the pause before the next attempt or
the reason to stop out. `RetryConfig.execute` is the loop around it, once with a thread's sleep
and once with an event loop's, for whichever kind the operation is.

- Only transient and unknown errors are tried again; unknown ones within half of the attempts.
- An error whose outcome is `info` may have taken effect. It is tried again only if the caller
  says that the operation is `idempotent`. This includes any exception that comes neither from a
  driver nor from the operating system nor from the rig: nothing is known of its effect.
- Pauses grow exponentially, with full jitter: any length between none and the limit, so that
  clients that failed together do not return together.

An operation is a whole transaction, never one statement of it: the rest is gone with the error.
"""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Any, TypeVar, overload

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import CircuitBreakerOpen, ErrorCategory, Failure, Outcome
from test_rig.resilience.classify import classify
from test_rig.resilience.connect_error import ConnectError
from test_rig.resilience.seconds import Seconds, at_least_one, seconds
from test_rig.resilience.secrets import clean_message

__all__ = ["Attempt", "GiveUp", "RetryConfig", "TryAgain", "attempts_of", "decide"]

_T = TypeVar("_T")

#: 2 to this power times the shortest delay exceeds every limit that a person would set.
_MAX_DOUBLINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try that failed."""

    #: Counts from 1.
    number: int
    started_at: datetime
    duration_s: float
    error: Exception
    category: ErrorCategory
    #: The pause that followed, in seconds; None where no other try did.
    delay_s: float | None

    def __str__(self) -> str:
        pause = "" if self.delay_s is None else f", then {self.delay_s:.2f} s pause"
        name = type(self.error).__name__
        return (
            f"attempt {self.number}: {name}: {clean_message(self.error)} "
            f"({self.category.value}, after {self.duration_s:.3f} s{pause})"
        )


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The next attempt shall come after a pause."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There shall be no other attempt."""

    reason: str


@dataclass(frozen=True)
class RetryConfig:
    """How often, and how patiently, a failed operation is tried again.

    `max_retries` is another name of `max_attempts` (the first try counts), known from existing
    scripts; delays are seconds or `timedelta`.

    >>> RetryConfig(max_attempts=3).execute("answer", lambda: 42)
    42
    """

    #: All attempts together, the first included.
    max_attempts: int = 5
    #: The limit of the first pause; it doubles with every further one.
    base_delay: Seconds = 1.0
    #: The limit that pauses never exceed.
    max_delay: Seconds = 30.0
    #: Draw each pause between none and its limit; False takes the limit itself.
    jitter: bool = True
    max_retries: InitVar[int | None] = None

    def __post_init__(self, max_retries: int | None) -> None:
        if max_retries is not None:
            object.__setattr__(self, "max_attempts", max_retries)
        at_least_one(self.max_attempts, name="max_attempts")
        seconds(self.base_delay, name="base_delay")
        seconds(self.max_delay, name="max_delay")

    def longest_delay_s(self, number: int) -> float:
        """Return the limit of the pause after attempt `number`, in seconds."""
        doubled = seconds(self.base_delay, name="base_delay") * 2.0 ** min(
            number - 1, _MAX_DOUBLINGS
        )
        return min(seconds(self.max_delay, name="max_delay"), doubled)

    @overload
    def execute(
        self,
        name: str,
        operation: Callable[[], Awaitable[_T]],
        *,
        idempotent: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Any] | None = None,
        rng: random.Random | None = None,
    ) -> Awaitable[_T]: ...
    @overload
    def execute(
        self,
        name: str,
        operation: Callable[[], _T],
        *,
        idempotent: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Any] | None = None,
        rng: random.Random | None = None,
    ) -> _T: ...
    def execute(
        self,
        name: str,
        operation: Callable[[], Any],
        *,
        idempotent: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], Any] | None = None,
        rng: random.Random | None = None,
    ) -> Any:
        """Call `operation` until it succeeds or trying again is pointless or unsafe.

        Args:
            name: What the operation is called in the error's notes.
            operation: Takes no arguments. If it is `async`, or returns an awaitable, so does
                this method.
            idempotent: Doing it twice does no harm, so a lost answer may be tried again.
            clock: For the times of the attempts.
            sleep: How to pause; `time.sleep` or `asyncio.sleep` unless told.
            rng: Where the jitter comes from.

        Returns:
            What the operation returned.

        Raises:
            Exception: The last error, with `attempts_of(error)` and a note that lists them.
        """
        # Jitter is no secret: a predictable generator is what makes a run repeatable.
        drawn = random.Random() if rng is None else rng  # noqa: S311
        series = _Series(self, name, idempotent, clock, drawn)
        if inspect.iscoroutinefunction(operation):
            return _run_async(series, operation, sleep=sleep)
        return _run(series, operation, sleep=sleep)


def decide(
    config: RetryConfig, failure: Failure, *, number: int, idempotent: bool, chance: float
) -> TryAgain | GiveUp:
    """Return what to do after attempt `number` failed.

    Args:
        config: The limits.
        failure: What the error says.
        number: The attempts made so far, this one included.
        idempotent: Whether a lost answer may be tried again.
        chance: A number in [0, 1): the jitter.
    """
    if failure.category is ErrorCategory.PERMANENT:
        return GiveUp("the error is permanent")
    if failure.outcome is Outcome.INFO and not idempotent:
        return GiveUp("it may have taken effect, and is not said to be idempotent")
    if number >= config.max_attempts:
        return GiveUp(f"all {config.max_attempts} attempts are used")
    if failure.category is ErrorCategory.UNKNOWN and number >= config.max_attempts // 2:
        return GiveUp("an error of an unknown kind gets half of the attempts")
    limit_s = config.longest_delay_s(number)
    return TryAgain(chance * limit_s if config.jitter else limit_s)


def attempts_of(exc: BaseException) -> tuple[Attempt, ...]:
    """Return the attempts that ended with `exc`; empty where no retry raised it."""
    found = getattr(exc, "retry_attempts", ())
    return found if isinstance(found, tuple) else ()


class _Series:
    """The attempts of one `execute`, as they come."""

    def __init__(
        self,
        config: RetryConfig,
        name: str,
        idempotent: bool,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._config, self._name, self._idempotent = config, name, idempotent
        self._clock, self._rng = clock, rng
        self._attempts: list[Attempt] = []
        self._started_at, self._started_ns = clock.utc(), clock.now_ns()

    def start(self) -> None:
        self._started_at, self._started_ns = self._clock.utc(), self._clock.now_ns()

    def fail(self, exc: Exception) -> float:
        """Return the pause before the next attempt; re-raise `exc` where there is none."""
        # Whoever wants to wait for a breaker must do so outside of a retry.
        is_open = isinstance(exc, CircuitBreakerOpen | ConnectError.CircuitBreaker)
        failure = classify(exc)
        number = len(self._attempts) + 1
        decision = (
            GiveUp("the circuit breaker is open")
            if is_open
            else decide(
                self._config,
                failure,
                number=number,
                idempotent=self._idempotent,
                chance=self._rng.random(),
            )
        )
        delay_s = decision.delay_s if isinstance(decision, TryAgain) else None
        self._attempts.append(
            Attempt(
                number=number,
                started_at=self._started_at,
                duration_s=(self._clock.now_ns() - self._started_ns) / 1e9,
                error=exc,
                category=failure.category,
                delay_s=delay_s,
            )
        )
        if isinstance(decision, GiveUp):
            self._tell(exc, decision.reason)
            raise exc
        return decision.delay_s

    def _tell(self, exc: Exception, reason: str) -> None:
        exc.retry_attempts = tuple(self._attempts)  # type: ignore[attr-defined]  # read by attempts_of
        lines = "".join(f"\n  {attempt}" for attempt in self._attempts)
        exc.add_note(f"{self._name}: given up, since {reason}{lines}")


def _run(
    series: _Series, operation: Callable[[], Any], *, sleep: Callable[[float], Any] | None
) -> Any:
    pause = time.sleep if sleep is None else sleep
    while True:
        series.start()
        try:
            result = operation()
        except Exception as exc:  # noqa: BLE001 -- the operation is the caller's: a door
            delay_s = series.fail(exc)
        else:
            if inspect.isawaitable(result):
                return _run_async(series, operation, sleep=sleep, first=result)
            return result
        pause(delay_s)


async def _run_async(
    series: _Series,
    operation: Callable[[], Awaitable[Any]],
    *,
    sleep: Callable[[float], Any] | None,
    first: Awaitable[Any] | None = None,
) -> Any:
    import asyncio  # 30 ms that no synchronous caller should pay at start

    pause = asyncio.sleep if sleep is None else sleep
    while True:
        series.start()
        try:
            return await (operation() if first is None else first)
        except Exception as exc:  # noqa: BLE001 -- the operation is the caller's: a door
            delay_s = series.fail(exc)
        first = None
        paused = pause(delay_s)
        if inspect.isawaitable(paused):
            await paused
