"""Keeping calls away from something that keeps failing, until it works again.

Theory of operation: a breaker is a small state machine, one per name and process.

- *closed*: calls go through; `failure_threshold` failures in a row open it.
- *open*: calls are refused with `CircuitBreakerOpen` until `recovery_timeout` is over.
- *half-open*: at most `success_threshold` trial calls run at a time; that many successes close
  it, one failure opens it again.

`admit` and `settle` are the machine, pure: a state and an event in, a state out. Each opening and
closing begins a new *era*; an answer to a call of an earlier era says nothing about this one and
is dropped. The lock is held while the state is exchanged, never while an operation runs.

What counts: transient and unknown errors are failures of the target. A permanent error (syntax,
constraint, wrong password) is an answer, so it counts as a success. A call that never reached
the target (another open breaker, a settings error, an interrupt) counts as nothing.

Two configurations under one name share the state, which holds nothing but counts and times; every
call applies the numbers of its own configuration to it.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, overload

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import CircuitBreakerOpen, ErrorCategory, UsageError
from test_rig.resilience.classify import classify
from test_rig.resilience.seconds import Seconds, at_least_one, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BreakerPhase",
    "BreakerState",
    "CallEvent",
    "CircuitBreakerConfig",
    "admit",
    "breaker_state",
    "reset_breakers",
    "settle",
]

_T = TypeVar("_T")


class BreakerPhase(Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CallEvent(Enum):
    """How a call that was let through ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    #: It never reached the target, or was broken off.
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """What a breaker remembers."""

    phase: BreakerPhase = BreakerPhase.CLOSED
    #: Failures in a row while closed.
    failure_count: int = 0
    #: Successes since it became half-open.
    success_count: int = 0
    #: Trial calls that run now.
    trial_count: int = 0
    #: When it opened, in nanoseconds of the clock.
    opened_ns: int = 0
    #: Counts the changes of phase.
    era: int = 0


@dataclass(frozen=True)
class CircuitBreakerConfig:
    """When a breaker opens, for how long, and what closes it.

    >>> CircuitBreakerConfig(failure_threshold=3).execute("answer", lambda: 42)
    42
    """

    #: Failures in a row that open it.
    failure_threshold: int = 5
    #: How long it stays open: seconds or a `timedelta`.
    recovery_timeout: Seconds = 60.0
    #: Successes that close it again, and how many trial calls may run at a time.
    success_threshold: int = 2

    def __post_init__(self) -> None:
        at_least_one(self.failure_threshold, name="failure_threshold")
        at_least_one(self.success_threshold, name="success_threshold")
        seconds(self.recovery_timeout, name="recovery_timeout")

    @property
    def recovery_ns(self) -> int:
        """How long it stays open, in nanoseconds."""
        return round(seconds(self.recovery_timeout, name="recovery_timeout") * 1e9)

    @overload
    def execute(
        self, name: str, operation: Callable[[], Awaitable[_T]], *, clock: Clock = SYSTEM_CLOCK
    ) -> Awaitable[_T]: ...
    @overload
    def execute(
        self, name: str, operation: Callable[[], _T], *, clock: Clock = SYSTEM_CLOCK
    ) -> _T: ...
    def execute(
        self, name: str, operation: Callable[[], Any], *, clock: Clock = SYSTEM_CLOCK
    ) -> Any:
        """Call `operation` if the breaker of that name lets it through.

        Args:
            name: Which breaker: all calls of this process under one name share it.
            operation: Takes no arguments. If it is `async`, or returns an awaitable, so does
                this method.
            clock: What measures `recovery_timeout`.

        Raises:
            CircuitBreakerOpen: The operation was not called.
            Exception: Whatever the operation raised.
        """
        if inspect.iscoroutinefunction(operation):
            return _call_async(self, name, operation, clock=clock)
        breaker = _breaker(name)
        era = breaker.enter(self, clock)
        with _settled(breaker, self, era=era, clock=clock) as call:
            result = operation()
            if not inspect.isawaitable(result):
                return result
            call.is_pending = True
        return _finish(breaker, self, result, era=era, clock=clock)


def admit(
    state: BreakerState, config: CircuitBreakerConfig, *, now_ns: int
) -> tuple[BreakerState, bool]:
    """Return the state after a call asked to be let through, and whether it may pass."""
    if state.phase is BreakerPhase.CLOSED:
        return state, True
    if state.phase is BreakerPhase.OPEN:
        if now_ns - state.opened_ns < config.recovery_ns:
            return state, False
        state = BreakerState(
            phase=BreakerPhase.HALF_OPEN, opened_ns=state.opened_ns, era=state.era + 1
        )
    if state.trial_count >= config.success_threshold:
        return state, False
    return replace(state, trial_count=state.trial_count + 1), True


def settle(
    state: BreakerState,
    config: CircuitBreakerConfig,
    event: CallEvent,
    *,
    era: int,
    now_ns: int,
) -> BreakerState:
    """Return the state after a call that was let through in `era` ended."""
    if era != state.era:
        return state
    if state.phase is BreakerPhase.CLOSED:
        return _settle_closed(state, config, event, now_ns=now_ns)
    state = replace(state, trial_count=state.trial_count - 1)
    if event is CallEvent.FAILURE:
        return _opened(state, now_ns=now_ns)
    if event is CallEvent.NOTHING:
        return state
    if state.success_count + 1 >= config.success_threshold:
        return BreakerState(era=state.era + 1)
    return replace(state, success_count=state.success_count + 1)


def _settle_closed(
    state: BreakerState, config: CircuitBreakerConfig, event: CallEvent, *, now_ns: int
) -> BreakerState:
    if event is CallEvent.NOTHING:
        return state
    if event is CallEvent.SUCCESS:
        return replace(state, failure_count=0)
    if state.failure_count + 1 >= config.failure_threshold:
        return _opened(state, now_ns=now_ns)
    return replace(state, failure_count=state.failure_count + 1)


def _opened(state: BreakerState, *, now_ns: int) -> BreakerState:
    return BreakerState(phase=BreakerPhase.OPEN, opened_ns=now_ns, era=state.era + 1)


class _Breaker:
    """One name's state behind its lock."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._state = BreakerState()

    @property
    def state(self) -> BreakerState:
        with self._lock:
            return self._state

    def enter(self, config: CircuitBreakerConfig, clock: Clock) -> int:
        """Return the era of the call that is let through, or raise."""
        with self._lock:
            now_ns = clock.now_ns()
            self._state, is_let_through = admit(self._state, config, now_ns=now_ns)
            state = self._state
        if is_let_through:
            return state.era
        left_ns = max(0, state.opened_ns + config.recovery_ns - now_ns)
        raise CircuitBreakerOpen(self._name, retry_after_s=left_ns / 1e9)

    def leave(
        self, config: CircuitBreakerConfig, event: CallEvent, *, era: int, clock: Clock
    ) -> None:
        with self._lock:
            self._state = settle(self._state, config, event, era=era, now_ns=clock.now_ns())


_BREAKERS: dict[str, _Breaker] = {}
_BREAKERS_LOCK = threading.Lock()


def breaker_state(name: str) -> BreakerState:
    """Return what the breaker of that name remembers; a fresh state where it was never used."""
    with _BREAKERS_LOCK:
        breaker = _BREAKERS.get(name)
    return BreakerState() if breaker is None else breaker.state


def reset_breakers() -> None:
    """Forget every breaker of this process."""
    with _BREAKERS_LOCK:
        _BREAKERS.clear()


def _breaker(name: str) -> _Breaker:
    with _BREAKERS_LOCK:
        return _BREAKERS.setdefault(name, _Breaker(name))


@dataclass(slots=True)
class _Call:
    #: The operation has only begun: it will be settled when its awaitable ends.
    is_pending: bool = False


@contextmanager
def _settled(
    breaker: _Breaker, config: CircuitBreakerConfig, *, era: int, clock: Clock
) -> Iterator[_Call]:
    call = _Call()
    event = CallEvent.NOTHING
    try:
        yield call
        event = CallEvent.SUCCESS
    except Exception as exc:
        event = _event_of(exc)
        raise
    finally:
        if not call.is_pending:
            breaker.leave(config, event, era=era, clock=clock)


def _event_of(exc: Exception) -> CallEvent:
    if isinstance(exc, CircuitBreakerOpen | UsageError):
        return CallEvent.NOTHING
    is_answer = classify(exc).category is ErrorCategory.PERMANENT
    return CallEvent.SUCCESS if is_answer else CallEvent.FAILURE


async def _call_async(
    config: CircuitBreakerConfig,
    name: str,
    operation: Callable[[], Awaitable[Any]],
    *,
    clock: Clock,
) -> Any:
    breaker = _breaker(name)
    era = breaker.enter(config, clock)
    with _settled(breaker, config, era=era, clock=clock):
        return await operation()


async def _finish(
    breaker: _Breaker,
    config: CircuitBreakerConfig,
    pending: Awaitable[Any],
    *,
    era: int,
    clock: Clock,
) -> Any:
    with _settled(breaker, config, era=era, clock=clock):
        return await pending
